/* SPDX-License-Identifier: MIT */
/*
 * early.c - R6: who allocates before main(): constructors of every priority, of libraries that are
 * initialised before the preload (deep.c) and of another preloaded one (loaded.c), before it or after.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "middle.h"
#include "preload.h"

static char *first, *second, *in_array, *grown;

__attribute__((constructor(101))) static void at_101(void)
{
	first = malloc(1);
	if (first)
		*first = 'a';
	grown = strdup("small");
	free(malloc(5000000));
}

__attribute__((constructor)) static void later(void)
{
	second = calloc(1, 70000);
}

static void initialise(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	(void)envp;
	if (posix_memalign((void **)&in_array, 4096, 9000) == 0)
		memset(in_array, 3, 9000);
}
__attribute__((section(".init_array"), used)) static void (*entry)(int, char **,
								   char **) = initialise;

__attribute__((destructor)) static void at_the_end(void)
{
	free(first);
	free(second);
	free(in_array);
	free(grown);
}

static void deep(void)
{
	unsigned int i, k, wrong = 0;
	unsigned char *p;

	check(middle_ran_first(), "a constructor ran before the library had started",
	      "the order of constructors is another one");
	for (i = 0; (p = middle_made(i)) != NULL; i++) {
		wrong += !is_ours(p);
		for (k = 0; k < 100 + i; k++)
			wrong += p[k] != (i & 0xff);
		free(p);
	}
	check(i == 2000 && wrong == 0 && middle_wrong() == 0,
	      "what it made is ours, and as it left it", "%u objects, %u + %u wrong", i, wrong,
	      middle_wrong());
}

static void loaded(const char *name, const char *wanted)
{
	char **text = dlsym(RTLD_DEFAULT, name);

	check(text && is_ours(*text) && !strcmp(*text, wanted), name, "is %s",
	      text && *text ? *text : "not there");
}

int main(void)
{
	demand_preload();
	check(is_ours(first) && *first == 'a', "constructor(101)", "%p", (void *)first);
	grown = realloc(grown, 100000);
	check(is_ours(grown) && !strcmp(grown, "small"), "its object grows", "%p", (void *)grown);
	check(is_ours(second) && second[69999] == 0, "constructor", "%p", (void *)second);
	check(is_ours(in_array) && in_array[8999] == 3, ".init_array", "%p", (void *)in_array);
	deep();
	loaded("loaded_text", "by a constructor");
	loaded("loaded_by_thread", "by a thread");
	return check_status();
}
