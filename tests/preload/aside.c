/* SPDX-License-Identifier: MIT */
/*
 * aside.c - a program that is built with a sanitizer, or contains the library; see aside.
 *
 *	aside bad	writes behind an object that it has freed
 *	aside ...	says how it was started, and whose malloc answers; exit status 7
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef CONTAINS_LIBRARY
#include <nostall/nostall.h>
#endif

static void *thread(void *arg)
{
	char *p = malloc(100);

	memset(p, 1, 100);
	free(p);
	return arg;
}

static int is_mapped(const char *name)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[4096];
	int found = 0;

	while (f && fgets(line, sizeof(line), f))
		found |= strstr(line, name) != NULL;
	if (f)
		fclose(f);
	return found;
}

static int bad(void)
{
	char *volatile p = malloc(10);

	free(p);
	p[1] = 1;
	return 0;
}

int main(int argc, char **argv)
{
	void *fn = dlsym(RTLD_DEFAULT, "malloc");
	const char *preload = getenv("LD_PRELOAD"), *mark = getenv("MARK");
	Dl_info info = {0};
	pthread_t t;
	int i;

	if (argc > 1 && !strcmp(argv[1], "bad"))
		return bad();
#ifdef CONTAINS_LIBRARY
	nst_free(nst_alloc(100, NST_NORMAL));
#endif
	if (!fn || !dladdr(fn, &info) || pthread_create(&t, NULL, thread, NULL) ||
	    pthread_join(t, NULL))
		return 1;
	for (i = 0; i < argc; i++)
		printf("argv[%d]=%s\n", i, argv[i]);
	printf("malloc=%s\nours=%s\npreload=%s\nmark=%s\n", info.dli_fname,
	       is_mapped("libnostall") ? "mapped" : "no", preload ? preload : "unset",
	       mark ? mark : "unset");
	return 7;
}
