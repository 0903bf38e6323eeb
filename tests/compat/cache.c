/* SPDX-License-Identifier: MIT */
/*
 * cache.c - K6: a module of kernel C, a cache with a shrinker: more blocks than there is memory (max:64M), read by threads.
 *
 * With the shrinker they are served, but for a few that others were quicker than: GFP_KERNEL may be NULL here. Without it
 * they are not.
 */
#include <linux/slab.h>
#include <pthread.h>
#include <stdio.h>
#include "cache.h"
#include "common/check.h"

#define THREADS 3u
#define NUMBERS 24000u /* 96 MB */

static unsigned int refused, wrong;

static void *reads(void *arg)
{
	unsigned long i, number, word;

	for (i = 0; i < NUMBERS; i++) {
		number = (i * 7 + (uintptr_t)arg * 1000) % NUMBERS;
		word = cache_read(number);
		if (!word)
			__atomic_add_fetch(&refused, 1, __ATOMIC_RELAXED);
		else if (word != number * 31 + 1)
			__atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void run(void)
{
	pthread_t thread[THREADS];
	unsigned int i;

	refused = wrong = 0;
	if (init_module())
		check_broken("init_module");
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, reads, (void *)(uintptr_t)i))
			check_broken("pthread_create");
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
}

int main(void)
{
	struct nst_lockdep_stats s;

	run();
	printf("# %u of %u refused\n", refused, THREADS * NUMBERS);
	check(!wrong && refused < NUMBERS / 100, "K6 the cache: blocks are served",
	      "%u wrong, %u refused", wrong, refused);
	check(cache_evicted() && cache_blocks(), "K6 the cache: the shrinker gave blocks back",
	      "%lu, %lu stay", cache_evicted(), cache_blocks());
	cleanup_module();
	check(!cache_blocks(), "K6 the cache: nothing is left", "%lu", cache_blocks());
	nst_lockdep_read(&s, sizeof(s));
	check(s.chains && !s.errors && !nst_compat_warnings,
	      "K6 the cache: the validator is silent", "%lu chains, %lu errors",
	      (unsigned long)s.chains, (unsigned long)s.errors);
	cache_no_shrinker = 1;
	run();
	printf("# %u of %u refused\n", refused, THREADS * NUMBERS);
	check(!wrong && refused > NUMBERS / 10, "K6 the cache: not without the shrinker",
	      "%u refused", refused);
	cleanup_module();
	return check_status();
}
