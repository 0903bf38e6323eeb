/* SPDX-License-Identifier: MIT */
/*
 * tls.c - R8: libnostall.so.0 loaded late: it needs thread-local storage of the kind that is dealt out at
 * start. Where there is some left it works; where there is none dlopen() says so and the program goes on.
 *
 *	tls LIBNOSTALL [EATER...]	the eaters are loaded before it and take all there is
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/check.h"

#define NST_NORMAL_MODE 1u

static __thread char own[100000];

static void used(void *lib)
{
	void *(*alloc)(size_t, uint32_t) = NULL;
	void (*release)(void *) = NULL;
	unsigned int i, wrong = 0;

	*(void **)&alloc = dlsym(lib, "nst_alloc");
	*(void **)&release = dlsym(lib, "nst_free");
	check(alloc && release, "loaded late", "without its functions");
	for (i = 1; alloc && release && i < 20000; i += 7) {
		char *p = alloc(i, NST_NORMAL_MODE);

		if (!p)
			wrong++;
		else
			memset(p, 1, i);
		release(p);
	}
	check(wrong == 0, "it serves", "%u times NULL", wrong);
}

int main(int argc, char **argv)
{
	int i, eaten = 0;
	void *lib;
	char *p;

	if (argc < 2)
		check_broken("argument");
	own[argc] = 1;
	for (i = 2; i < argc; i++) {
		/* Each is smaller than the one before; the last no longer fits. */
		if (dlopen(argv[i], RTLD_NOW))
			eaten++;
		else
			printf("%s\n", dlerror());
	}
	lib = dlopen(argv[1], RTLD_NOW);
	if (argc == 2) {
		check(lib != NULL, "dlopen() late", "%s", lib ? "" : dlerror());
		if (lib)
			used(lib);
	} else {
		const char *why = lib ? "it was loaded" : dlerror();

		check(!lib && strstr(why, "static TLS"),
		      "with all static TLS used, dlopen() says so", "after %d libraries: %s", eaten,
		      why);
	}
	p = malloc(100);
	check(p && own[argc] == 1, "the program goes on", "it does not");
	free(p);
	return check_status();
}
