/* SPDX-License-Identifier: MIT */
/*
 * budget.c - C12: nolock_budget is exact: so many no-lock objects per CPU between two refills.
 *
 * Bulk counts each object. Ordinary requests neither spend it nor are stopped by it. Threads
 * and handlers on one CPU share it.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/check.h"
#include "common/trap.h"
#include <nostall/nostall.h>

#define BUDGET 200u /* as in TEST_CONF */
#define NR_THREADS 4

static struct nst_cache *cache;
static void *kept[4 * BUDGET];
static unsigned int nr_kept;

static int keep(void *object)
{
	unsigned int i;

	if (!object)
		return 0;
	i = __atomic_fetch_add(&nr_kept, 1, __ATOMIC_RELAXED);
	if (i >= 4 * BUDGET)
		abort();
	kept[i] = object;
	return 1;
}

static void give_back(void)
{
	while (nr_kept)
		nst_free(kept[--nr_kept]);
}

static void refill(void)
{
	give_back();
	if (nst_stock(cache, 2 * BUDGET, NST_CPU_ALL) ||
	    nst_stock(nst_cache_of_size(64), 2 * BUDGET, NST_CPU_ALL))
		check_broken("nst_stock");
	nst_maintain();
}

static uint64_t budget_nulls(void)
{
	static struct nst_stats stats;

	nst_stats_read(&stats, sizeof(stats));
	return stats.null_reasons[NST_NULL_BUDGET];
}

static void *one(unsigned int way)
{
	switch (way % 6) {
	case 0:
		return nst_alloc_nolock(64);
	case 1:
		return nst_cache_alloc_nolock(cache);
	case 2:
		return nst_alloc(64, NST_NOLOCK);
	case 3:
		return nst_cache_alloc(cache, NST_NOLOCK);
	case 4:
		return nst_alloc_fasttry(64);
	default:
		return nst_cache_alloc(cache, NST_FASTTRY);
	}
}

static void check_each(unsigned int way)
{
	unsigned int got = 0;

	refill();
	uint64_t before = budget_nulls();
	for (unsigned int i = 0; i < BUDGET + 50; i++)
		got += (unsigned int)keep(one(way));
	check(got == BUDGET, "C12 the budget is exact", "way %u: %u, not %u", way, got, BUDGET);
	check(budget_nulls() - before == 50, "C12 each NULL is counted with its reason",
	      "%llu, not 50", (unsigned long long)(budget_nulls() - before));
}

static void check_mixed(void)
{
	unsigned int got = 0;

	refill();
	for (unsigned int i = 0; i < BUDGET + 50; i++)
		got += (unsigned int)keep(one(i));
	check(got == BUDGET, "C12 all ways share it", "%u, not %u", got, BUDGET);
}

static void check_bulk(void)
{
	void *out[64];
	unsigned int got = 0;

	refill();
	for (int round = 0; round < 8; round++) {
		size_t n = round % 2 ? nst_alloc_bulk(64, NST_NOLOCK, 60, out)
				     : nst_cache_alloc_bulk(cache, NST_NOLOCK, 60, out);
		for (size_t i = 0; i < n; i++)
			keep(out[i]);
		got += (unsigned int)n;
	}
	check(got == BUDGET, "C12 bulk counts each", "%u, not %u", got, BUDGET);
}

static void check_ordinary(void)
{
	unsigned int got = 0;

	refill();
	for (unsigned int i = 0; i < BUDGET; i++)
		nst_free(nst_alloc(64, NST_NOWAIT));
	for (unsigned int i = 0; i < BUDGET + 10; i++)
		got += (unsigned int)keep(nst_alloc_nolock(64));
	check(got == BUDGET, "C12 ordinary requests spend nothing", "%u, not %u", got, BUDGET);
	void *p = nst_alloc(64, NST_NOWAIT);
	check(p != NULL, "C12 ordinary requests are not stopped", "NULL");
	keep(p);
	p = nst_alloc_nolock(64);
	check(!p, "C12 nor do they refill it", "served");
	keep(p);
}

static void handler(int sig)
{
	(void)sig;
	keep(one(0));
	keep(one(1));
}

static void *spend(void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < BUDGET; i++) {
		keep(one(i));
		if (i % 16 == 0)
			raise(SIGUSR1);
		if (i % 8 == 0)
			sched_yield();
	}
	return NULL;
}

static void check_shared(void)
{
	struct sigaction sa = {.sa_handler = handler};
	pthread_t thread[NR_THREADS];

	sigaction(SIGUSR1, &sa, NULL);
	for (int round = 0; round < 20; round++) {
		refill();
		for (int i = 0; i < NR_THREADS; i++)
			pthread_create(&thread[i], NULL, spend, NULL);
		for (int i = 0; i < NR_THREADS; i++)
			pthread_join(thread[i], NULL);
		check_quiet(nr_kept == BUDGET, "C12 threads and handlers share it", "%u, not %u",
			    nr_kept, BUDGET);
	}
	check(1, "C12 threads and handlers share it", "-");
}

TEST_CONF("worker:off,nolock_budget:200")

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	check_deadline(60, "C12 in time");
	/* Threads inherit it: one CPU's budget is in question. */
	run_on_cpu(0, cpu_nth(0));
	cache = nst_cache_create("budget", 80, 0, 0, NULL);
	for (unsigned int way = 0; way < 6; way++)
		check_each(way);
	check_mixed();
	check_bulk();
	check_ordinary();
	check_shared();
	give_back();
	size_t alive = nst_cache_destroy(cache);
	check(alive == 0, "C12 nothing lost", "%zu objects alive", alive);
	return check_status();
}
