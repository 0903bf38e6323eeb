/* SPDX-License-Identifier: MIT */
/*
 * dl.c - R8: a C++ library is loaded and unloaded 200 times, with allocations in between and by threads.
 *
 *	dl PLUGIN
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "preload.h"

#define NR 200

static int stop;
static unsigned int wrong;

static void *churner(void *arg)
{
	struct rng rng = {(uintptr_t)arg};

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
		__atomic_fetch_add(&wrong, churn(&rng, 300), __ATOMIC_RELAXED);
	return NULL;
}

/* A thread that has thread-local objects of the plugin's, and ends while it is loaded. */
static void *user(void *arg)
{
	char *(*local)(int) = NULL;

	*(void **)&local = arg;
	return local(150);
}

static int use(void *lib, int i, struct rng *rng)
{
	void *fn = dlsym(lib, "plugin_local"), *theirs = NULL;
	char *(*text)(int) = NULL, *mine;
	pthread_t t;
	int good;

	*(void **)&text = dlsym(lib, "plugin_text");
	mine = text(i % 200);
	if (pthread_create(&t, NULL, user, fn) || pthread_join(t, &theirs))
		return 0;
	good = is_ours(mine) && is_ours(theirs) && churn(rng, 100) == 0;
	free(mine);
	free(theirs);
	return good;
}

static int round_trip(const char *path, int i, struct rng *rng)
{
	void *lib = dlopen(path, i % 2 ? RTLD_NOW : RTLD_LAZY);
	int good;

	if (!lib) {
		printf("dlopen: %s\n", dlerror());
		return 0;
	}
	good = use(lib, i, rng);
	good &= dlclose(lib) == 0 && !dlopen(path, RTLD_NOW | RTLD_NOLOAD);
	good &= !dlopen("/no/such/library.so", RTLD_NOW) && dlerror();
	return good;
}

int main(int argc, char **argv)
{
	struct rng rng = {1};
	int i, good = 0;
	pthread_t t;

	demand_preload();
	if (argc < 2)
		check_broken("argument");
	check_deadline(50, "loading ends");
	if (pthread_create(&t, NULL, churner, (void *)1))
		check_broken("pthread_create");
	for (i = 0; i < NR; i++)
		good += round_trip(argv[1], i, &rng);
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	pthread_join(t, NULL);
	check(good == NR, "a C++ library is loaded, used and unloaded", "%d of %d times", good, NR);
	check(wrong == 0, "others' objects stay as they are", "%u damaged", wrong);
	return check_status();
}
