/* SPDX-License-Identifier: MIT */
/*
 * threads.c - C5: any thread, any CPU: moved between two requests, short-lived, on a CPU that was
 * never used.
 *
 * The first check must run before anything else brings the second CPU into use.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/mix.h"
#include "common/owner.h"
#include "common/trap.h"

#define NR_SHORT 1000
#define NR_MOVED 4

static struct {
	struct mix_caches caches;
	uint64_t seed;
	int stop;
	pid_t tids[NR_MOVED];
} t;

/* ---- CPUs never used ---- */

static void check_unused_cpu(void)
{
	struct nst_cache *lazy = nst_cache_create("lazy", 96, 0, 0, NULL);
	int cpu = cpu_nth(1);
	void *object;

	if (cpu < 0) {
		printf("# one CPU only: no CPU that was never used\n");
		nst_cache_destroy(lazy);
		return;
	}
	run_on_cpu(0, cpu);
	object = nst_cache_alloc(lazy, NST_FASTTRY);
	check(!object, "C5 FASTTRY on a CPU never used is NULL", "%p", object);
	object = nst_cache_alloc_nolock(lazy);
	if (object)
		memset(object, 1, 96);
	nst_cache_free_nolock(lazy, object);
	object = nst_alloc_nolock(200);
	if (object)
		memset(object, 1, 200);
	nst_free_nolock(object);
	check(1, "C5 NOLOCK on a CPU never used returns", "-");
	run_on_cpu(0, cpu_nth(0));
	size_t alive = nst_cache_destroy(lazy);
	check(alive == 0, "C5 what was freed there comes back", "%zu alive", alive);
}

/* Stock laid from one CPU is found on another, to the last object, without trying a lock. */
static void check_stock_elsewhere(void)
{
	struct nst_cache *cache = nst_cache_create("elsewhere", 160, 0, NST_CACHE_NOLOCK, NULL);
	int cpu = cpu_nth(cpu_nth(1) < 0 ? 0 : 1);
	void *object[300];
	unsigned int got = 0;

	check(nst_stock(cache, 300, cpu) == 0, "C5 stock for one other CPU", "failed");
	run_on_cpu(0, cpu);
	for (unsigned int i = 0; i < 300; i++) {
		object[i] = nst_cache_alloc(cache, NST_FASTTRY);
		got += object[i] != NULL;
	}
	check(got == 300, "C5 each object stocked for that CPU is there", "%u of 300", got);
	for (unsigned int i = 0; i < 300; i++)
		nst_cache_free_nolock(cache, object[i]);
	run_on_cpu(0, -1);
	size_t alive = nst_cache_destroy(cache);
	check(alive == 0, "C5 all of it comes back", "%zu alive", alive);
}

/* The same of runs, of each order; and three quarters again, once the worker or we have topped them up. */
static void check_pages_stock(unsigned int order)
{
	int cpu = cpu_nth(cpu_nth(1) < 0 ? 0 : 1);
	size_t n = 200 >> order, got[2] = {0, 0};
	static void *run[2][200];
	uint64_t since = 0;

	memset(run, 0, sizeof(run));
	check(nst_pages_stock(order, n, cpu) == 0, "C5 runs stocked for one CPU", "order %u",
	      order);
	run_on_cpu(0, cpu);
	while (got[0] < n && (run[0][got[0]] = nst_pages_alloc(order, NST_FASTTRY)))
		got[0]++;
	/* The worker may have the pass, and no CPU. */
	do {
		nst_maintain();
		while (got[1] < n && (run[1][got[1]] = nst_pages_alloc(order, NST_FASTTRY)))
			got[1]++;
	} while (got[1] < n * 3 / 4 && check_patience(&since));
	for (size_t i = 0; i < 2 * n; i++)
		nst_pages_free_nolock(run[i / n][i % n]);
	run_on_cpu(0, -1);
	check(got[0] == n, "C5 each run stocked for that CPU is there", "%zu of %zu, order %u",
	      got[0], n, order);
	check(got[1] >= n * 3 / 4, "C5 a stock of runs is topped up", "%zu of %zu, order %u",
	      got[1], n, order);
}

static void check_bad_cpu(void)
{
	struct nst_cache *cache = nst_cache_of_size(64);

	check(nst_stock(cache, 1, 1 << 20) == -EINVAL, "C5 stock for a CPU that is not possible",
	      "not refused");
	check(nst_stock(cache, 1, -3) == -EINVAL, "C5 stock for CPU -3", "not refused");
	check(nst_stock(cache, 1048577, NST_CPU_THIS) == -EINVAL, "C5 stock of too much",
	      "not refused");
	check(nst_stock(cache, SIZE_MAX, NST_CPU_ALL) == -EINVAL, "C5 stock of SIZE_MAX",
	      "not refused");
	check(nst_pages_stock(NST_ORDER_NOLOCK_MAX + 1, 1, NST_CPU_ALL) == -EINVAL &&
		      nst_pages_stock(0, 0, NST_CPU_ALL) == -EINVAL &&
		      nst_pages_stock(0, SIZE_MAX, NST_CPU_ALL) == -EINVAL &&
		      nst_pages_stock(0, 1, 1 << 20) == -EINVAL &&
		      nst_pages_stock(0, 1, -3) == -EINVAL,
	      "C5 stock of a bad order, number or CPU", "not refused");
}

/* ---- short-lived threads ---- */

static void *short_life(void *arg)
{
	struct mix mix;

	mix_init(&mix, &t.caches, (uintptr_t)arg % 2 ? MIX_NOLOCK : MIX_ORDINARY,
		 t.seed + (uintptr_t)arg, (unsigned int)(1 + (uintptr_t)arg % 200));
	mix.slots = 32;
	mix.size_max = 2048;
	for (int i = 0; i < 100; i++)
		mix_step(&mix);
	mix_empty(&mix);
	return (void *)(uintptr_t)mix_errors(&mix);
}

static void check_short_lives(void)
{
	pthread_t thread[4];
	uint64_t errors = 0;

	for (uintptr_t i = 0; i < NR_SHORT; i++) {
		void *result;

		if (i >= 4) {
			pthread_join(thread[i % 4], &result);
			errors += (uintptr_t)result;
		}
		if (pthread_create(&thread[i % 4], NULL, short_life, (void *)i))
			check_broken("pthread_create");
	}
	for (int i = 0; i < 4; i++) {
		void *result;

		pthread_join(thread[i], &result);
		errors += (uintptr_t)result;
	}
	check(errors == 0, "C5 1000 short-lived threads", "%llu errors",
	      (unsigned long long)errors);
}

/* ---- moved by force ---- */

static void *moved(void *arg)
{
	unsigned int i = (unsigned int)(uintptr_t)arg;
	struct mix *mix = malloc(sizeof(*mix));

	mix_init(mix, &t.caches, i % 2 ? MIX_NOLOCK : MIX_ORDINARY, t.seed + i, 201 + i);
	mix->size_max = 2048;
	__atomic_store_n(&t.tids[i], gettid(), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&t.stop, __ATOMIC_ACQUIRE))
		mix_step(mix);
	mix_empty(mix);
	mix_check(mix, "C5 moved between any two requests");
	free(mix);
	return NULL;
}

static void check_moved(void)
{
	unsigned int wanted = (unsigned int)env_long("TEST_MOVES", 20000), moves = 0;
	pthread_t thread[NR_MOVED];

	for (uintptr_t i = 0; i < NR_MOVED; i++)
		pthread_create(&thread[i], NULL, moved, (void *)i);
	for (unsigned int i = 0; i < NR_MOVED; i++)
		while (!__atomic_load_n(&t.tids[i], __ATOMIC_ACQUIRE))
			usleep(100);
	for (unsigned int i = 0; i < wanted; i++) {
		pid_t tid = t.tids[i % NR_MOVED];
		int cpu = cpu_nth(i / NR_MOVED % 2);

		if (cpu < 0)
			continue;
		run_on_cpu(tid, cpu);
		moves++;
	}
	__atomic_store_n(&t.stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < NR_MOVED; i++)
		pthread_join(thread[i], NULL);
	check(moves > wanted / 3 || cpu_nth(1) < 0, "C5 threads were moved", "%u moves", moves);
}

TEST_CONF("worker:off")

int main(int argc, char **argv)
{
	/* Nothing may run on another CPU before the first check: no worker. */
	conf_apply(argv);
	cpu_nth(0);
	run_on_cpu(0, cpu_nth(0));
	t.seed = seed_of(argc, argv);
	check_deadline(120, "C5 in time");
	check_unused_cpu();
	check_stock_elsewhere();
	for (unsigned int order = 0; order <= NST_ORDER_NOLOCK_MAX; order++)
		check_pages_stock(order);
	check_bad_cpu();
	run_on_cpu(0, -1);
	owner_start();
	mix_caches_make(&t.caches, NST_CACHE_NOLOCK);
	mix_caches_stock(&t.caches, 32);
	check_short_lives();
	check_moved();
	owner_report();
	check(owner_errors() == 0 && owner_live() == 0, "C5 nothing handed out twice",
	      "%llu errors, %llu still owned", (unsigned long long)owner_errors(),
	      (unsigned long long)owner_live());
	size_t alive = mix_caches_destroy(&t.caches);
	check(alive == 0, "C5 nothing lost", "%zu objects alive", alive);
	return check_status();
}
