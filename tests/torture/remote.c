/* SPDX-License-Identifier: MIT */
/*
 * remote.c - CPUs' stacks taken away, resized and drained while those CPUs use them.
 *
 *	threads		requests of every kind; each moved from CPU to CPU by force
 *	taker		nst_stock() with ever larger stocks (each takes the CPU's stack of sheaves, grows it,
 *			puts it back), nst_maintain() (drains), caches made, used by all, and destroyed
 *	waves		one cache at a time, by all threads at once, more objects than the stack above
 *			holds, so that sheaves keep coming and going where the taker takes
 *	short lives	threads that make a few requests and end, 1,000 a run and more
 *	director	a delay at one point of one sequence after the other
 *
 * A sequence that is caught in its delay while its stack is taken must start anew: without the fence
 * it commits to a stack that is somebody else's by then. NST_SECONDS (3), TEST_THREADS (1000).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/testhook.h"
#include "common/owner.h"
#include "common/pattern.h"
#include "common/trap.h"
#include "rig.h"

#define NR_THREADS 3u
#define DELAY_LOOPS 20000u
#define WAVE 600u
#define STOCK_MAX 2000u
#define NR_GUEST 16u
#define GUEST_BYTES 80u
#define SHORT_OWNER 200u /* and the 3 after it */

struct user {
	pthread_t thread;
	pid_t tid;
	unsigned int owner;
	struct rng rng;
	struct mix own, nolock;
	struct rig_findings findings;
	int visiting; /* is at the guest cache */
	void *wave[WAVE];
};

static struct {
	struct mix_caches caches;
	struct user users[NR_THREADS];
	struct nst_cache *guest; /* comes and goes */
	uint64_t seed, stocks, no_memory, guests, guests_alive, maintained, moves, short_lives;
	uint64_t short_errors;
	unsigned int ready, hot; /* the cache of the waves */
	int stop;
} t;

static int stopped(void)
{
	return __atomic_load_n(&t.stop, __ATOMIC_ACQUIRE) || owner_errors();
}

#define NR_HOT 6u
static const uint32_t hot_bytes[NR_HOT] = {MIX_SMALL_BYTES, MIX_MIDDLE_BYTES, 32, 48, 96, 1000};

static struct nst_cache *hot_cache(unsigned int i)
{
	return i == 0 ? t.caches.small : i == 1 ? t.caches.middle : nst_cache_of_size(hot_bytes[i]);
}

/* ---- users ---- */

static void wave(struct user *u)
{
	unsigned int i = __atomic_load_n(&t.hot, __ATOMIC_RELAXED), nr,
		     most = 60 + rng_below(&u->rng, WAVE - 60);
	struct nst_cache *cache = hot_cache(i);
	uint32_t bytes = hot_bytes[i];

	for (nr = 0; nr < most; nr++) {
		void *ptr = most & 1 ? nst_cache_alloc_nolock(cache)
				     : nst_cache_alloc(cache, NST_NORMAL);
		if (!ptr)
			break;
		owner_take(ptr, bytes, u->owner);
		pattern_fill(ptr, bytes, u->owner);
		u->wave[nr] = ptr;
	}
	while (nr--) {
		void *ptr = u->wave[nr];

		u->findings.damaged += pattern_check(ptr, bytes, u->owner) != bytes;
		owner_give(ptr, bytes, u->owner);
		if (most & 2)
			nst_cache_free_nolock(cache, ptr);
		else
			nst_cache_free(cache, ptr);
	}
}

static void use_guest(struct user *u, struct nst_cache *cache)
{
	void *ptr[NR_GUEST];
	unsigned int nr;

	for (nr = 0; nr < NR_GUEST; nr++) {
		ptr[nr] =
			nr & 1 ? nst_cache_alloc_nolock(cache) : nst_cache_alloc(cache, NST_NORMAL);
		if (!ptr[nr])
			break;
		owner_take(ptr[nr], GUEST_BYTES, u->owner);
		pattern_fill(ptr[nr], GUEST_BYTES, u->owner);
	}
	while (nr--) {
		u->findings.damaged += pattern_check(ptr[nr], GUEST_BYTES, u->owner) != GUEST_BYTES;
		owner_give(ptr[nr], GUEST_BYTES, u->owner);
		if (nr & 2)
			nst_cache_free_nolock(cache, ptr[nr]);
		else
			nst_cache_free(cache, ptr[nr]);
	}
}

/* Nobody may be inside a call on a cache that is destroyed: say so before looking. */
static void visit_guest(struct user *u)
{
	__atomic_store_n(&u->visiting, 1, __ATOMIC_SEQ_CST);
	struct nst_cache *cache = __atomic_load_n(&t.guest, __ATOMIC_SEQ_CST);
	if (cache)
		use_guest(u, cache);
	__atomic_store_n(&u->visiting, 0, __ATOMIC_SEQ_CST);
}

static void *use(void *arg)
{
	struct user *u = arg;

	__atomic_store_n(&u->tid, gettid(), __ATOMIC_RELEASE);
	__atomic_fetch_add(&t.ready, 1, __ATOMIC_RELEASE);
	while (!stopped()) {
		mix_step(&u->own);
		mix_step(&u->nolock);
		rig_crate_step(&u->rng, 0, &u->findings);
		rig_crate_step(&u->rng, 1, &u->findings);
		rig_bulk_step(&u->rng, rng_below(&u->rng, 2) != 0, u->owner, &u->findings);
		visit_guest(u);
		wave(u);
	}
	if (owner_errors())
		return NULL;
	mix_empty(&u->own);
	mix_empty(&u->nolock);
	return NULL;
}

/* ---- the taker ---- */

static void new_guest(void)
{
	struct nst_cache *old = __atomic_exchange_n(&t.guest, NULL, __ATOMIC_SEQ_CST);

	for (unsigned int i = 0; i < NR_THREADS; i++)
		while (__atomic_load_n(&t.users[i].visiting, __ATOMIC_SEQ_CST) && !stopped())
			sched_yield();
	if (stopped()) {
		t.guest = old;
		return;
	}
	if (old) {
		t.guests_alive += nst_cache_destroy(old);
		__atomic_fetch_add(&t.guests, 1, __ATOMIC_RELAXED);
	}
	struct nst_cache *fresh = nst_cache_create("guest", GUEST_BYTES, 0, 0, NULL);
	__atomic_store_n(&t.guest, fresh, __ATOMIC_SEQ_CST);
}

/* The stock grows over the run, so that a request for it keeps having to resize. */
static void restock(struct rng *rng, unsigned int round)
{
	static const int all[] = {NST_CPU_THIS, NST_CPU_ALL};
	size_t n = 8 + round % STOCK_MAX + rng_below(rng, 64);
	uint32_t which = rng_below(rng, 4);
	int rc = nst_stock(hot_cache(t.hot), n, which < 2 ? all[which] : (int)(which - 2));

	__atomic_fetch_add(&t.stocks, 1, __ATOMIC_RELAXED);
	t.no_memory += rc != 0;
}

static void *take(void *arg)
{
	struct rng rng = {t.seed + 77};

	for (unsigned int round = 0; !stopped(); round++) {
		restock(&rng, round);
		if (round % 8 == 0)
			new_guest();
		if (round % 4 == 0) {
			nst_maintain();
			t.maintained++;
		}
		if (round % 64 == 0)
			rig_nap_us(200);
	}
	return arg;
}

/* ---- short lives ---- */

static void *short_life(void *arg)
{
	uintptr_t n = (uintptr_t)arg;
	struct mix mix;

	mix_init(&mix, &t.caches, n & 1 ? MIX_NOLOCK : MIX_ORDINARY, t.seed + n,
		 SHORT_OWNER + (unsigned int)(n & 3));
	mix.slots = 16;
	mix.size_max = 1024;
	for (int i = 0; i < 40; i++)
		mix_step(&mix);
	mix_empty(&mix);
	return (void *)(uintptr_t)mix_errors(&mix);
}

static void *give_short_lives(void *arg)
{
	uint64_t most = (uint64_t)env_long("TEST_THREADS", 1000);
	pthread_t thread[4];
	void *errors;
	unsigned int nr;

	while (!stopped() || t.short_lives < most) {
		for (nr = 0; nr < 4; nr++)
			if (pthread_create(&thread[nr], NULL, short_life,
					   (void *)(uintptr_t)(t.short_lives + nr)))
				break;
		for (unsigned int i = 0; i < nr; i++) {
			pthread_join(thread[i], &errors);
			t.short_errors += (uintptr_t)errors;
		}
		t.short_lives += nr;
		if (owner_errors())
			break;
		rig_nap_us(1000);
	}
	return arg;
}

/* ---- the director ---- */

static int enough(void)
{
	return __atomic_load_n(&t.stocks, __ATOMIC_RELAXED) > 100 &&
	       __atomic_load_n(&t.guests, __ATOMIC_RELAXED) > 10;
}

static void direct(double seconds)
{
	struct rng rng = {t.seed + 99};
	double begin = rig_now();

	for (unsigned int tick = 0; rig_goes_on(begin, seconds, enough) && !owner_errors();
	     tick++) {
		pid_t tid = __atomic_load_n(&t.users[tick % NR_THREADS].tid, __ATOMIC_ACQUIRE);

		if (tick % 4 == 0)
			rig_some_delay(&rng, DELAY_LOOPS);
		if (tick % 64 == 0)
			__atomic_store_n(&t.hot, rng_below(&rng, NR_HOT), __ATOMIC_RELAXED);
		if (cpu_nth(1) >= 0) {
			run_on_cpu(tid, rng_below(&rng, 4) ? cpu_nth(rng_below(&rng, 2)) : -1);
			t.moves++;
		}
		rig_nap_us(300);
	}
	rig_no_delay();
	__atomic_store_n(&t.stop, 1, __ATOMIC_RELEASE);
}

static void start(struct user *u, unsigned int i)
{
	uint64_t seed = t.seed + 16 * i;

	mix_init(&u->own, &t.caches, MIX_ORDINARY, seed, 3 * i + 1);
	mix_init(&u->nolock, &t.caches, MIX_NOLOCK, seed + 1, 3 * i + 2);
	u->own.size_max = u->nolock.size_max = 1024;
	u->owner = 3 * i + 3;
	u->rng.state = seed + 2;
	if (pthread_create(&u->thread, NULL, use, u))
		check_broken("pthread_create");
}

static void give_up_if_broken(void)
{
	if (!owner_errors())
		return;
	owner_report();
	check(0, "nothing was handed out twice", "%llu errors", (unsigned long long)owner_errors());
	fflush(stdout);
	_exit(check_status());
}

static void finish(void)
{
	struct rig_findings all = {0};
	uint64_t restarts = 0;

	for (unsigned int i = 0; i < NR_THREADS; i++) {
		mix_check(&t.users[i].own, "ordinary requests");
		mix_check(&t.users[i].nolock, "no-lock requests");
		all.damaged += t.users[i].findings.damaged;
		all.steps += t.users[i].findings.steps;
	}
	rig_crates_empty(&all);
	rig_check_findings(&all, "objects that changed hands");
	if (t.guest)
		t.guests_alive += nst_cache_destroy(t.guest);
	for (unsigned int seq = 0; seq < NST_NR_STACK_SEQS; seq++)
		restarts += nst_test_restarts[seq];
	printf("# sequences=%s stocks=%llu refused=%llu maintained=%llu caches_destroyed=%llu moves=%llu "
	       "short_lives=%llu restarts=%llu\n",
	       rig_form(), (unsigned long long)t.stocks, (unsigned long long)t.no_memory,
	       (unsigned long long)t.maintained, (unsigned long long)t.guests,
	       (unsigned long long)t.moves, (unsigned long long)t.short_lives,
	       (unsigned long long)restarts);
	check(t.guests_alive == 0, "caches in use come and go", "%llu objects alive at destroy",
	      (unsigned long long)t.guests_alive);
	check(t.short_errors == 0, "short lives", "%llu errors",
	      (unsigned long long)t.short_errors);
	check_seen(enough(), "stacks were taken", "too few");
	rig_settle(&t.caches);
}

int main(int argc, char **argv)
{
	long seconds = env_long("NST_SECONDS", 3);
	pthread_t taker, mother;

	t.seed = seed_of(argc, argv);
	cpu_nth(0);
	check_deadline((unsigned int)seconds + 90, "taking and giving ends");
	owner_start();
	mix_caches_make(&t.caches, 0);
	rig_crates(&t.caches);
	for (unsigned int i = 0; i < NR_THREADS; i++)
		start(&t.users[i], i);
	while (__atomic_load_n(&t.ready, __ATOMIC_ACQUIRE) < NR_THREADS)
		rig_nap_us(100);
	if (pthread_create(&taker, NULL, take, NULL) ||
	    pthread_create(&mother, NULL, give_short_lives, NULL))
		check_broken("pthread_create");
	direct((double)seconds);
	give_up_if_broken();
	for (unsigned int i = 0; i < NR_THREADS; i++)
		pthread_join(t.users[i].thread, NULL);
	pthread_join(taker, NULL);
	pthread_join(mother, NULL);
	give_up_if_broken();
	finish();
	return check_status();
}
