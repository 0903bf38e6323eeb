/* SPDX-License-Identifier: MIT */
/*
 * pool.c - prefilled sheaves and pools shared by threads and by handlers that interrupt them anywhere, with delays.
 *
 *	users		own sheaf	filled, used up by thread and handler, returned: as many as were filled in
 *			shared sheaf	used by all, refilled by the first user meanwhile: as many as came in
 *			stated pool	as many holders as threads and handlers: each request is served (C24)
 *	waiters		one object for all of them: no wake-up is lost (naps take 100 s here, and no signal comes)
 *	flooder		takes all memory, gives some back, and takes it again
 *	resizer		the stated pool, larger and smaller
 *	director	a delay at one point of a take, a swap, a look after the other
 *
 * An owner map sees an object that is handed out twice (C23). NST_SECONDS (3). TEST_HANDLERS=0: without signals, for
 * ThreadSanitizer.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "mm/claim/pool.h"
#include "common/owner.h"
#include "common/pattern.h"
#include "common/trap.h"
#include "rig.h"

#define NR_USERS 4u
#define NR_WAITERS 3u
#define BYTES 96u
#define LARGE 16384u
#define NR_LARGE 1000u
#define SHARED 64u
#define OWN 40u
#define FLOOD 120000u /* more than there are */
#define DELAY_LOOPS 1000000u
#define SIGNAL_NS 50000

struct user {
	pthread_t thread;
	unsigned int owner;
	struct rng rng, handler_rng;
	struct nst_prefilled *own;
	volatile unsigned int from_own; /* by thread and handler */
	uint64_t from_shared, into_own, nulls, damaged, wrong, rounds, signals;
};

static struct {
	struct nst_cache *cache, *large; /* of the latter there is nothing but what waits is for */
	struct nst_prefilled *shared;
	struct nst_pool *stated, *waiting;
	struct user users[NR_USERS], waiters[NR_WAITERS];
	uint64_t refills, resizes, floods, no_memory;
	int stop, flood_stop, handlers;
	void *taken_large[NR_LARGE];
	unsigned int nr_large;
} t;

static __thread struct user *me;

static int stopped(void)
{
	return __atomic_load_n(&t.stop, __ATOMIC_ACQUIRE) || owner_errors();
}

static void use(struct user *u, void *p, unsigned int owner)
{
	owner_take(p, BYTES, owner);
	pattern_fill(p, BYTES, owner);
	u->damaged += pattern_check(p, BYTES, owner) != BYTES;
	owner_give(p, BYTES, owner);
}

/* One of its own sheaf: 1, or 0 if it is empty. */
static int use_own(struct user *u, unsigned int owner)
{
	struct nst_prefilled *sheaf = __atomic_load_n(&u->own, __ATOMIC_RELAXED);
	void *p = sheaf ? nst_sheaf_alloc(sheaf) : NULL;

	if (!p)
		return 0;
	__atomic_add_fetch(&u->from_own, 1, __ATOMIC_RELAXED);
	use(u, p, owner);
	nst_free_nolock(p);
	return 1;
}

static void use_shared(struct user *u, unsigned int owner)
{
	void *p = nst_sheaf_alloc(t.shared);

	if (!p)
		return;
	__atomic_add_fetch(&u->from_shared, 1, __ATOMIC_RELAXED);
	use(u, p, owner);
	nst_free_nolock(p);
}

static void use_stated(struct user *u, unsigned int owner)
{
	void *p = nst_pool_alloc_nolock(t.stated);

	if (p)
		use(u, p, owner);
	else
		u->nulls++;
	nst_pool_free_nolock(t.stated, p);
}

static void handler(int sig)
{
	struct user *u = me;

	(void)sig;
	if (!u)
		return;
	u->signals++;
	use_own(u, u->owner + 1);
	use_shared(u, u->owner + 1);
	use_stated(u, u->owner + 1);
}

/* Nobody else's but the handler's: all that was filled in comes out. */
static void fill_and_use_up(struct user *u)
{
	struct nst_prefilled *sheaf;
	unsigned int n = 1 + rng_below(&u->rng, OWN);

	if (nst_sheaf_prefill(t.cache, n, NST_NORETRY, &sheaf)) {
		__atomic_add_fetch(&t.no_memory, 1, __ATOMIC_RELAXED);
		return;
	}
	u->into_own += n;
	u->from_own = 0;
	__atomic_store_n(&u->own, sheaf, __ATOMIC_RELAXED);
	while (use_own(u, u->owner))
		;
	__atomic_store_n(&u->own, NULL, __ATOMIC_RELAXED);
	u->wrong += u->from_own != n || (u32)sheaf->state != 0;
	nst_sheaf_return(sheaf);
}

static void refill_shared(void)
{
	int err = nst_sheaf_refill(t.shared, SHARED, NST_NORETRY);

	if (err)
		__atomic_add_fetch(&t.no_memory, 1, __ATOMIC_RELAXED);
	else
		t.refills++;
}

static void *user(void *arg)
{
	struct user *u = arg;
	timer_t timer = NULL;

	me = u;
	if (t.handlers)
		timer = rig_timer(SIGNAL_NS);
	while (!stopped()) {
		fill_and_use_up(u);
		for (int i = 0; i < 20; i++) {
			use_shared(u, u->owner);
			use_stated(u, u->owner);
		}
		if (u == t.users)
			refill_shared();
		__atomic_fetch_add(&u->rounds, 1, __ATOMIC_RELAXED);
	}
	if (t.handlers)
		rig_timer_stop(timer);
	me = NULL;
	return NULL;
}

/* ---- who waits: by no handler disturbed ---- */

/* Not before those who wait have been served: nobody else's free makes good for a wake-up that was lost. */
static void *waiter(void *arg)
{
	struct user *u = arg;

	while (!stopped()) {
		void *p;

		if (nst_load_relaxed(&t.waiting->waiting)) {
			sched_yield();
			continue;
		}
		p = nst_pool_alloc(t.waiting, NST_NORMAL);
		use(u, p, u->owner);
		if (rng_below(&u->rng, 4) == 0) /* the others wait */
			rig_nap_us(50);
		nst_pool_free(t.waiting, p);
		__atomic_fetch_add(&u->rounds, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* ---- who is in the way ---- */

static void *flooder(void *arg)
{
	static void *taken[FLOOD];
	struct rng rng = {(uintptr_t)arg};
	unsigned int n = 0;

	while (!__atomic_load_n(&t.flood_stop, __ATOMIC_ACQUIRE)) {
		while (n < FLOOD && (taken[n] = nst_cache_alloc(t.cache, NST_NORETRY)) != NULL)
			n++;
		for (unsigned int some = rng_below(&rng, 200); some && n; some--)
			nst_cache_free(t.cache, taken[--n]);
		__atomic_add_fetch(&t.floods, 1, __ATOMIC_RELAXED);
	}
	while (n)
		nst_cache_free(t.cache, taken[--n]);
	return NULL;
}

static void *resizer(void *arg)
{
	struct rng rng = {(uintptr_t)arg};

	while (!stopped()) {
		t.resizes += nst_pool_resize(t.stated, 2 * NR_USERS + rng_below(&rng, 90)) == 0;
		rig_nap_us(200);
	}
	return NULL;
}

static void some_delay(struct rng *rng)
{
	unsigned int seq = NST_SEQ_PREFILLED + rng_below(rng, 2), point = rng_below(rng, 4);

	__atomic_store_n(&nst_test_delay[seq][point], rng_size(rng, 1, DELAY_LOOPS),
			 __ATOMIC_RELAXED);
	rig_nap_us(3000);
	__atomic_store_n(&nst_test_delay[seq][point], 0, __ATOMIC_RELAXED);
}

/* ---- the end ---- */

static struct nst_pool_stats now(void)
{
	static struct nst_stats s;

	nst_stats_read(&s, sizeof(s));
	return s.pools;
}

static int enough(void)
{
	uint64_t rounds = 0, waits = 0;

	for (unsigned int i = 0; i < NR_USERS; i++)
		rounds += __atomic_load_n(&t.users[i].rounds, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < NR_WAITERS; i++)
		waits += __atomic_load_n(&t.waiters[i].rounds, __ATOMIC_RELAXED);
	return rounds > 0 && waits > 0 && now().pool_from_pool > 0;
}

/* What came into the shared sheaf: all prefilled but the users' own. */
static void check_books(void)
{
	uint64_t shared = 0, damaged = 0, nulls = 0, wrong = 0, rounds = 0, signals = 0, waits = 0;
	uint64_t left = (u32)t.shared->state, filled = now().prefilled;

	for (unsigned int i = 0; i < NR_USERS; i++) {
		shared += t.users[i].from_shared;
		filled -= t.users[i].into_own;
		damaged += t.users[i].damaged;
		nulls += t.users[i].nulls;
		wrong += t.users[i].wrong;
		rounds += t.users[i].rounds;
		signals += t.users[i].signals;
	}
	for (unsigned int i = 0; i < NR_WAITERS; i++) {
		damaged += t.waiters[i].damaged;
		waits += t.waiters[i].rounds;
	}
	printf("# rounds=%llu signals=%llu shared=%llu refills=%llu floods=%llu resizes=%llu no_memory=%llu from_pool=%llu "
	       "from_cache=%llu waits=%llu waited=%llu\n",
	       (unsigned long long)rounds, (unsigned long long)signals, (unsigned long long)shared,
	       (unsigned long long)t.refills, (unsigned long long)t.floods,
	       (unsigned long long)t.resizes, (unsigned long long)t.no_memory,
	       (unsigned long long)now().pool_from_pool, (unsigned long long)now().pool_from_cache,
	       (unsigned long long)waits, (unsigned long long)now().pool_waited);
	check(wrong == 0, "C23 exactly as many as were filled in", "%llu times not",
	      (unsigned long long)wrong);
	check(shared + left == filled && shared > 0, "C23 what came in, and no more, came out",
	      "%llu and %llu left of %llu", (unsigned long long)shared, (unsigned long long)left,
	      (unsigned long long)filled);
	check(nulls == 0, "C24 a stated holder is served, always", "%llu times not",
	      (unsigned long long)nulls);
	check(damaged == 0, "every byte as written", "%llu objects", (unsigned long long)damaged);
	check_seen(enough(), "there was something to see", "see above");
}

static void make(uint64_t seed)
{
	t.cache = nst_cache_create("torture", BYTES, 0, 0, NULL);
	t.stated = nst_pool_create(t.cache, 2 * NR_USERS, 2 * NR_USERS, 1);
	t.large = nst_cache_create("large", LARGE, 0, 0, NULL);
	t.waiting = nst_pool_create(t.large, 1, 0, 0);
	if (!t.stated || !t.waiting || nst_sheaf_prefill(t.cache, SHARED, NST_NORMAL, &t.shared))
		check_broken("reserves");
	nst_pool_nap_us = 100000000;
	for (unsigned int i = 0; i < NR_USERS; i++) {
		t.users[i].owner = 2 * i + 1;
		t.users[i].rng.state = seed + i;
	}
	for (unsigned int i = 0; i < NR_WAITERS; i++) {
		t.waiters[i].owner = 101 + i;
		t.waiters[i].rng.state = seed + NR_USERS + i;
	}
}

/* With small objects everywhere none is free for long. */
static void take_large(void)
{
	while (t.nr_large < NR_LARGE &&
	       (t.taken_large[t.nr_large] = nst_cache_alloc(t.large, NST_NORETRY)) != NULL)
		t.nr_large++;
}

static void unmake(void)
{
	size_t alive;
	int err;

	nst_cache_free_bulk(t.large, t.nr_large, t.taken_large);
	nst_sheaf_return(t.shared);
	err = nst_pool_destroy(t.stated) | nst_pool_destroy(t.waiting);
	nst_maintain();
	alive = nst_cache_destroy(t.cache) + nst_cache_destroy(t.large);
	check(err == 0 && alive == 0 && owner_live() == 0, "nothing is lost",
	      "pools %d, %zu alive, %llu owned", err, alive, (unsigned long long)owner_live());
}

TEST_CONF("worker:off,max:8M")

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};
	long seconds = env_long("NST_SECONDS", 3);
	struct rng rng = {0};
	pthread_t flood, resize;
	double begun;

	conf_apply(argv);
	rng.state = seed_of(argc, argv);
	t.handlers = env_long("TEST_HANDLERS", 1) != 0;
	check_deadline((unsigned int)(seconds + env_long("TEST_DEADLINE", 90)),
		       "C24 in time: no wake-up is lost");
	sigaction(RIG_SIGNAL, &sa, NULL);
	owner_start();
	make(rng.state);
	pthread_create(&flood, NULL, flooder, (void *)3);
	pthread_create(&resize, NULL, resizer, (void *)5);
	while (!__atomic_load_n(&t.floods, __ATOMIC_RELAXED))
		rig_nap_us(1000);
	take_large();
	for (unsigned int i = 0; i < NR_USERS; i++)
		pthread_create(&t.users[i].thread, NULL, user, &t.users[i]);
	for (unsigned int i = 0; i < NR_WAITERS; i++)
		pthread_create(&t.waiters[i].thread, NULL, waiter, &t.waiters[i]);
	begun = rig_now();
	while (rig_goes_on(begun, (double)seconds, enough) && !owner_errors())
		some_delay(&rng);
	__atomic_store_n(&t.stop, 1, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < NR_USERS; i++)
		pthread_join(t.users[i].thread, NULL);
	for (unsigned int i = 0; i < NR_WAITERS; i++)
		pthread_join(t.waiters[i].thread, NULL);
	pthread_join(resize, NULL);
	__atomic_store_n(&t.flood_stop, 1, __ATOMIC_RELEASE);
	pthread_join(flood, NULL);
	owner_report();
	check(owner_errors() == 0, "C23 C24 nothing is handed out twice", "%llu granules",
	      (unsigned long long)owner_errors());
	check_books();
	if (!owner_errors())
		unmake();
	return check_status();
}
