/* SPDX-License-Identifier: MIT */
/*
 * prefill.c - C23: n objects after prefill(n), with all memory taken, by a thread that the kernel kills at its first system
 * call and that is moved from CPU to CPU, inside every lock of the library, without a page fault; C24: a pool's minimum is its
 * holders', whoever floods the cache, and who waits for it is served.
 *
 *	holders		as many, holding as many as was stated: each request for an object must be served
 *	flooders	take all that the cache has in every mode, and give a part of it back
 *	waiters		64 threads, 4 objects, no memory: all of them finish, and no more is ever out
 *
 * Handlers, delays and lost wake-ups: torture/pool.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "mm/claim/pool.h"
#include "common/check.h"
#include "common/maps.h"
#include "common/pattern.h"
#include "common/said.h"
#include "common/trap.h"
#include "unit/reserve.h"

#define BYTES 120u
#define NR 2000u
#define HELD 4u
#define ROUNDS 20000u
#define FLOODS 200u
#define NR_HOLDERS 3u
#define NR_FLOODERS 2u
#define NR_WAITERS 64u
#define WAITS 20u

static struct {
	struct nst_cache *cache;
	struct nst_prefilled *sheaf;
	struct nst_pool *pool;
	int stop, phase, enough;
	pid_t tid;
	uint64_t nulls, damaged, errnos, wrong;
	unsigned int out, most_out, served, floods;
} t;

static void begin(unsigned int min_nr, unsigned int holders, unsigned int held_max)
{
	t.cache = nst_cache_create("reserve", BYTES, 0, 0, NULL);
	t.pool = nst_pool_create(t.cache, min_nr, holders, held_max);
	if (!t.pool || nst_sheaf_prefill(t.cache, NR, NST_NORMAL, &t.sheaf))
		check_broken("reserves");
	t.stop = t.phase = 0;
	t.nulls = t.damaged = t.errnos = t.wrong = 0;
}

static void end(const char *what)
{
	size_t alive;
	int err;

	flood_end(0);
	err = nst_pool_destroy(t.pool);
	nst_sheaf_return(t.sheaf);
	alive = nst_cache_destroy(t.cache);
	check(err == 0 && alive == 0 && t.damaged == 0 && t.errnos == 0, what,
	      "pool %d, %zu alive, %llu damaged, errno changed %llu times", err, alive,
	      (unsigned long long)t.damaged, (unsigned long long)t.errnos);
	check(lines == 0, "nothing is reported", "\"%s\"", said);
}

/* ---- one holder of the pool: HELD objects at once, by calls that wait for nothing ---- */

static void *ask(struct rng *rng)
{
	static const nst_mode_t modes[] = {NST_NOLOCK, NST_NOWAIT, NST_ATOMIC, NST_NORETRY};

	return nst_pool_alloc(t.pool, modes[rng_below(rng, 4)]);
}

static void hold_some(struct rng *rng, int nolock)
{
	void *p[HELD];
	unsigned int n = 1 + rng_below(rng, HELD), i;

	for (i = 0; i < n; i++) {
		p[i] = nolock ? nst_pool_alloc_nolock(t.pool) : ask(rng);
		if (p[i])
			pattern_fill(p[i], BYTES, i);
		else
			__atomic_add_fetch(&t.nulls, 1, __ATOMIC_RELAXED);
	}
	for (i = 0; i < n; i++) {
		if (p[i] && pattern_check(p[i], BYTES, i) != BYTES)
			__atomic_add_fetch(&t.damaged, 1, __ATOMIC_RELAXED);
		if (nolock || rng_below(rng, 2))
			nst_pool_free_nolock(t.pool, p[i]);
		else
			nst_pool_free(t.pool, p[i]);
	}
}

/* ---- no system call ---- */

static void *trapped(void *arg)
{
	static void *mine[NR];
	struct rng rng = {11};
	unsigned int i;

	(void)arg;
	__atomic_store_n(&t.tid, gettid(), __ATOMIC_RELEASE);
	trap_syscalls(TRAP_ALLOW_NONE);
	while (__atomic_load_n(&t.phase, __ATOMIC_ACQUIRE) == 0)
		nst_cpu_relax();
	errno = 4711;
	for (i = 0; i < NR; i++) {
		mine[i] = nst_sheaf_alloc(t.sheaf);
		t.nulls += !mine[i];
		if (mine[i])
			pattern_fill(mine[i], BYTES, i);
	}
	t.wrong += nst_sheaf_alloc(t.sheaf) != NULL;
	for (i = 0; i < NR; i++) {
		t.damaged += mine[i] && pattern_check(mine[i], BYTES, i) != BYTES;
		nst_free_nolock(mine[i]);
	}
	for (i = 0; i < ROUNDS; i++)
		hold_some(&rng, 1);
	t.errnos += errno != 4711;
	__atomic_store_n(&t.phase, 2, __ATOMIC_RELEASE);
	for (;;)
		nst_cpu_relax();
	return NULL;
}

static int child(void)
{
	pthread_t thread;
	unsigned int n = 0;

	begin(HELD, 1, HELD);
	flood(t.cache);
	pthread_create(&thread, NULL, trapped, NULL);
	while (!__atomic_load_n(&t.tid, __ATOMIC_ACQUIRE))
		usleep(100);
	usleep(1000);
	__atomic_store_n(&t.phase, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&t.phase, __ATOMIC_ACQUIRE) != 2) {
		int cpu = cpu_nth(n++);

		n = cpu < 0 ? 0 : n;
		run_on_cpu(t.tid, cpu);
		flood(t.cache); /* what it gives back, too */
		usleep(50);
	}
	check(t.nulls == 0, "C23 C24 all memory taken, moved from CPU to CPU: each is served",
	      "%llu are not", (unsigned long long)t.nulls);
	check(t.wrong == 0, "C23 and none beyond", "one");
	end("C23 C24 every byte as written, errno untouched, nothing lost");
	fflush(stdout);
	return check_status();
}

static void check_syscalls(void)
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(child());
	if (child_wait(pid, 60, &status))
		check(0, "C23 C24 no system call", "not done in 60 s");
	else
		check(status == 0, "C23 C24 no system call", "%s", child_status(status));
}

/* ---- no fault ---- */

static long faults(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return u.ru_minflt + u.ru_majflt;
}

static void check_faults(void)
{
	static void *mine[NR];
	struct rng rng = {13};
	unsigned int i;
	long before;

	begin(HELD, 1, HELD);
	flood(t.cache);
	for (i = 0; i < NR; i++)
		mine[i] = &rng;
	hold_some(&rng, 1);
	nst_maintain(); /* there has been a fork */
	maps_make_resident();
	stack_make_resident();
	before = faults();
	for (i = 0; i < NR; i++) {
		mine[i] = nst_sheaf_alloc(t.sheaf);
		pattern_fill(mine[i], BYTES, i);
	}
	for (i = 0; i < 100; i++)
		hold_some(&rng, 1);
	before = faults() - before;
#if !defined(__SANITIZE_ADDRESS__)
	check(before == 0, "C23 C24 no page fault", "%ld", before);
#endif
	for (i = 0; i < NR; i++)
		nst_free(mine[i]);
	check(t.nulls == 0, "C24 each is served", "%llu are not", (unsigned long long)t.nulls);
	end("nothing lost");
}

/* ---- inside the library's locks ---- */

static unsigned int in_region[NST_NR_LOCKS];

static void held(int lock_class)
{
	static __thread int inside;
	struct rng rng = {17};
	void *p;

	if (inside)
		return;
	inside = 1;
	p = nst_sheaf_alloc(t.sheaf);
	t.nulls += !p;
	nst_free_nolock(p);
	hold_some(&rng, 1);
	in_region[lock_class]++;
	inside = 0;
}

static void check_regions(void)
{
	static const int classes[] = {NST_LOCK_ZONE, NST_LOCK_BARN, NST_LOCK_SLAB, NST_LOCK_META,
				      NST_LOCK_CACHES};
	unsigned int i;

	begin(HELD, 1, HELD);
	flood(t.cache);
	nst_test_held = held;
	for (i = 0; i < 5; i++) {
		struct nst_cache *other = nst_cache_create("other", 700, 0, 0, NULL);

		nst_cache_free(other, nst_cache_alloc(other, NST_NOWAIT));
		nst_cache_destroy(other);
		nst_free(nst_pages_alloc(0, NST_NOWAIT));
		nst_test_held = NULL;
		flood_end(flood_nr - NR);
		nst_cache_drain(t.cache);
		nst_test_held = held;
		nst_barn_add_full(t.cache, 0);
		nst_test_held = NULL;
		if (nst_sheaf_refill(t.sheaf, NR, NST_NORETRY))
			check_broken("nst_sheaf_refill");
		flood(t.cache);
		nst_test_held = held;
	}
	nst_test_held = NULL;
	for (i = 0; i < NST_ARRAY_SIZE(classes); i++)
		check(in_region[classes[i]] > 0, "C23 C24 inside a lock of each class",
		      "of class %d never", classes[i]);
	check(t.nulls == 0, "C23 C24 each is served there", "%llu are not",
	      (unsigned long long)t.nulls);
	end("nothing lost");
}

/* ---- a flood ---- */

static void *flooder(void *arg)
{
	static const nst_mode_t modes[] = {NST_NOLOCK, NST_NOWAIT, NST_ATOMIC, NST_NORETRY};
	static void *taken[NR_FLOODERS][FLOOD_MOST];
	void **mine = taken[(uintptr_t)arg];
	struct rng rng = {(uintptr_t)arg};
	unsigned int n = 0;

	while (!__atomic_load_n(&t.stop, __ATOMIC_ACQUIRE)) {
		while (n < FLOOD_MOST &&
		       (mine[n] = nst_cache_alloc(t.cache, modes[rng_below(&rng, 4)])) != NULL)
			n++;
		for (unsigned int some = rng_below(&rng, 40); some && n; some--)
			nst_cache_free(t.cache, mine[--n]);
		__atomic_add_fetch(&t.floods, 1, __ATOMIC_RELAXED);
	}
	while (n)
		nst_cache_free(t.cache, mine[--n]);
	return NULL;
}

static void *holder(void *arg)
{
	struct rng rng = {(uintptr_t)arg + 99};

	for (unsigned int i = 0; i < ROUNDS || !__atomic_load_n(&t.enough, __ATOMIC_RELAXED); i++)
		hold_some(&rng, (int)rng_below(&rng, 2));
	return NULL;
}

static void check_flood(void)
{
	pthread_t holders[NR_HOLDERS], flooders[NR_FLOODERS];
	struct nst_stats stats, before;

	begin(NR_HOLDERS * HELD, NR_HOLDERS, HELD);
	nst_stats_read(&before, sizeof(before));
	for (uintptr_t i = 0; i < NR_FLOODERS; i++)
		pthread_create(&flooders[i], NULL, flooder, (void *)i);
	while (__atomic_load_n(&t.floods, __ATOMIC_RELAXED) < NR_FLOODERS)
		usleep(100);
	for (uintptr_t i = 0; i < NR_HOLDERS; i++)
		pthread_create(&holders[i], NULL, holder, (void *)i);
	do { /* however the two are scheduled */
		usleep(1000);
		nst_stats_read(&stats, sizeof(stats));
	} while (stats.pools.pool_from_pool < before.pools.pool_from_pool + FLOODS ||
		 __atomic_load_n(&t.floods, __ATOMIC_RELAXED) < FLOODS);
	__atomic_store_n(&t.enough, 1, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < NR_HOLDERS; i++)
		pthread_join(holders[i], NULL);
	__atomic_store_n(&t.stop, 1, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < NR_FLOODERS; i++)
		pthread_join(flooders[i], NULL);
	nst_stats_read(&stats, sizeof(stats));
	printf("# %u floods: pool_from_cache=%llu pool_from_pool=%llu\n", t.floods,
	       (unsigned long long)(stats.pools.pool_from_cache - before.pools.pool_from_cache),
	       (unsigned long long)(stats.pools.pool_from_pool - before.pools.pool_from_pool));
	check(t.nulls == 0, "C24 under a flood each holder is served, always", "%llu times not",
	      (unsigned long long)t.nulls);
	end("C24 nothing lost");
}

/* ---- who waits ---- */

static void *wait_and_hold(void *arg)
{
	unsigned int me = (unsigned int)(uintptr_t)arg, out;

	for (unsigned int i = 0; i < WAITS; i++) {
		void *p = nst_pool_alloc(t.pool, me % 2 ? NST_NORMAL : NST_NOFAIL);

		out = __atomic_add_fetch(&t.out, 1, __ATOMIC_RELAXED);
		if (out > __atomic_load_n(&t.most_out, __ATOMIC_RELAXED))
			__atomic_store_n(&t.most_out, out, __ATOMIC_RELAXED);
		pattern_fill(p, BYTES, me);
		sched_yield();
		if (pattern_check(p, BYTES, me) != BYTES)
			__atomic_add_fetch(&t.damaged, 1, __ATOMIC_RELAXED);
		__atomic_sub_fetch(&t.out, 1, __ATOMIC_RELAXED);
		if (i % 4)
			nst_pool_free(t.pool, p);
		else
			nst_pool_free_nolock(t.pool, p);
	}
	__atomic_add_fetch(&t.served, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void check_waiters(void)
{
	pthread_t threads[NR_WAITERS];
	struct nst_stats before, after;

	begin(4, 0, 0);
	flood_reserve(t.cache);
	nst_stats_read(&before, sizeof(before));
	for (uintptr_t i = 0; i < NR_WAITERS; i++)
		pthread_create(&threads[i], NULL, wait_and_hold, (void *)i);
	for (unsigned int i = 0; i < NR_WAITERS; i++)
		pthread_join(threads[i], NULL);
	nst_stats_read(&after, sizeof(after));
	check(t.served == NR_WAITERS, "C24 all who wait are served", "%u of %u", t.served,
	      NR_WAITERS);
	check(t.most_out <= 4, "C24 by no more than the pool has", "%u were out", t.most_out);
	check(after.pools.pool_waited > before.pools.pool_waited, "C24 and some did wait", "none");
	end("C24 nothing lost");
}

TEST_CONF("worker:off,max:16M" CONF_UNCHECKED)

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	check_deadline(150, "C23 C24 in time");
	nst_bug_sink = listen;
	check_syscalls();
	check_faults();
	check_regions();
	check_flood();
	check_waiters();
	return check_status();
}
