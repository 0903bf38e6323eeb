/* SPDX-License-Identifier: MIT */
/*
 * inject.c - the library's own calls, while everything that can fail is made to, the n-th time, for every n
 * until none is left (rounds.h), from the library's first instruction on.
 *
 * Nothing may crash or hang, nothing may be lost or handed out twice, what is returned is what the
 * header says, and once the failure is over all requests succeed again.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "mm/retire/retired.h"
#include "common/mix.h"
#include "common/owner.h"
#include "common/pattern.h"
#include "common/trap.h"
#include "rounds.h"

#define NR_AFTER 300

static struct mix_caches caches;

/* ---- the scenario ---- */

static int has_caches(void)
{
	return caches.small && caches.middle && caches.ctor;
}

static void build(void *object)
{
	uint64_t word = MIX_CTOR_WORD;

	memcpy(object, &word, sizeof(word));
}

static void make_caches(void)
{
	caches.small = nst_cache_create("fail small", MIX_SMALL_BYTES, 0, 0, NULL);
	caches.middle =
		nst_cache_create("fail middle", MIX_MIDDLE_BYTES, 64, NST_CACHE_NOLOCK, NULL);
	caches.ctor = nst_cache_create("fail ctor", MIX_CTOR_BYTES, 8, 0, build);
}

/* After the failure: without a fence a CPU's objects cannot be taken, and the cache stays. */
static void drop_caches(void)
{
	struct nst_cache *const own[] = {caches.small, caches.middle, caches.ctor};

	for (int i = 0; i < 3; i++)
		WANT(nst_cache_destroy(own[i]) == 0);
}

static void steps(enum mix_who who, unsigned int owner, int n)
{
	struct mix *mix = calloc(1, sizeof(*mix));

	mix_init(mix, &caches, who, owner, owner);
	while (n--)
		mix_step(mix);
	mix_empty(mix);
	if (mix_errors(mix))
		printf("# damaged %d not_zero %d not_built %d misaligned %d errno %d\n",
		       (int)mix->damaged, (int)mix->not_zero, (int)mix->not_built,
		       (int)mix->misaligned, (int)mix->errno_changed);
	WANT(mix_errors(mix) == 0);
	free(mix);
}

static void *beside(void *arg)
{
	(void)arg;
	run_on_cpu(0, cpu_nth(cpu_nth(1) < 0 ? 0 : 1));
	steps(MIX_ORDINARY, 3, 1500);
	return NULL;
}

/* In place or moved or not at all, and freed. */
static void grow_mapping(unsigned char *mapping, size_t bytes)
{
	unsigned char *moved;

	if (!mapping)
		return;
	mapping[0] = mapping[bytes - 1] = 99;
	moved = nst_realloc(mapping, bytes * 3, NST_NORETRY);
	if (moved)
		mapping = moved;
	WANT(mapping[0] == 99 && mapping[bytes - 1] == 99 && mapping[1] == 0);
	nst_free(mapping);
}

static void large_and_small(void)
{
	void *block[24], *mapping[4];

	for (int i = 0; i < 24; i++)
		block[i] = nst_pages_alloc(NST_ORDER_MAX, NST_NORETRY);
	for (int i = 0; i < 4; i++) {
		mapping[i] = nst_alloc((size_t)(3 + i) << 20, NST_NORETRY | NST_ZERO);
		if (mapping[i])
			WANT(pattern_zero(mapping[i], 4096) == 4096);
	}
	for (int i = 0; i < 24; i++)
		nst_pages_free(block[i]);
	for (int i = 0; i < 4; i++)
		grow_mapping(mapping[i], (size_t)(3 + i) << 20);
	for (int i = 0; i < 50 && nst_large_count; i++) {
		rounds_maintain();
		usleep(1000);
	}
}

static void stock(void)
{
	int rc = nst_stock(caches.small, 200, NST_CPU_ALL);

	WANT(rc == 0 || rc == -ENOMEM);
	rc = nst_stock(caches.ctor, 100, NST_CPU_THIS);
	WANT(rc == 0 || rc == -ENOMEM);
	/* A promise when it says 0. */
	if (rc == 0) {
		void *p = nst_cache_alloc_nolock(caches.ctor);
		WANT(p);
		nst_cache_free_nolock(caches.ctor, p);
	}
}

static void in_child(void)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return;
	if (pid == 0) {
		steps(MIX_NOLOCK, 5, 300);
		steps(MIX_ORDINARY, 6, 300);
		nst_maintain();
		fflush(stdout);
		_exit(rounds_is_wrong());
	}
	WANT(child_wait(pid, 40, &status) == 0 && status == 0);
}

/* What failed may have been nst_rcu_use(), before main(): the worker makes good for it. */
static void wait_until_ready(void)
{
	uint64_t since = 0;

	while (nst_mm.started && !nst_retired.ready && check_patience(&since))
		;
	WANT(!nst_mm.started || nst_retired.ready);
}

static void scenario(void)
{
	pthread_t thread;

	owner_start();
	wait_until_ready();
	make_caches();
	if (has_caches()) {
		stock();
		steps(MIX_NOLOCK, 1, 1000);
		pthread_create(&thread, NULL, beside, NULL);
		steps(MIX_ORDINARY, 2, 1500);
		pthread_join(thread, NULL);
		in_child();
	}
	large_and_small();
}

/* The library did not start: that is final, one line said so, and every request gets NULL. */
static void all_is_null(void)
{
	void *out[4];

	WANT(!nst_alloc(64, NST_NORMAL) && !nst_alloc_nolock(64) && !nst_alloc_fasttry(64));
	WANT(!nst_pages_alloc(0, NST_NORMAL) && !nst_pages_alloc_nolock(0));
	WANT(!nst_alloc((size_t)4 << 20, NST_NORMAL) && !nst_realloc(NULL, 10, NST_NORMAL));
	WANT(nst_alloc_bulk(64, NST_NORMAL, 4, out) == 0);
	WANT(!nst_cache_create("null", 64, 0, 0, NULL) && !nst_cache_of_size(64));
	WANT(nst_maintain() == 0);
}

/* The failure is over: nothing of it may stay behind. */
static void all_is_well(void)
{
	static struct nst_stats stats;
	static void *p[NR_AFTER];
	uint64_t since = 0;

	if (!nst_mm.started) {
		all_is_null();
		return;
	}
	drop_caches();
	while ((nst_large_count || nst_side_pending()) && check_patience(&since))
		nst_maintain();
	for (int i = 0; i < NR_AFTER; i++) {
		p[i] = nst_alloc(1u << (3 + i % 16), NST_NORMAL);
		WANT(p[i]);
	}
	for (int i = 0; i < NR_AFTER; i++)
		nst_free(p[i]);
	struct nst_cache *cache = nst_cache_create("after", 40, 0, 0, NULL);
	WANT(cache && nst_stock(cache, 10, NST_CPU_ALL) == 0);
	WANT(nst_cache_destroy(cache) == 0);
	WANT(nst_maintain() >= 0);
	WANT(nst_stats_read(&stats, sizeof(stats)) == 0);
	WANT(stats.side_pushed == stats.side_drained);
	WANT(stats.large_mappings == 0);
	WANT(stats.misuse == 0 && stats.side_corrupt == 0);
	WANT(owner_errors() == 0 && owner_live() == 0);
}

TEST_CONF("warn:off")

int main(int argc, char **argv)
{
	static const struct rounds_way ways[] = {{.name = "start", .scenario = scenario}, {0}};
	static const struct rounds all = {.ways = ways, .after = all_is_well};

	conf_apply(argv);
	return rounds_main(&all, argc, argv);
}
