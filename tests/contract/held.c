/* SPDX-License-Identifier: MIT */
/*
 * held.c - C3: a no-lock request waits for no lock, whoever holds it; C9: its frees find a place.
 *
 * A hook in every lock-held region stops a thread there. While it stands, another thread makes
 * thousands of no-lock requests and frees, in the open and in a signal handler, and must return:
 *
 *	one	each class of lock in turn
 *	own	the thread inside the region makes the requests itself, and its signal handler does
 *	all	every lock of the library at once: what was retired, the list of caches, metadata, growth, the
 *		zone, grace periods, and lists, barn and slabs of every cache, each held by a thread of its own
 *
 * Afterwards the threads go on, what went to side lists is drained, and nothing is lost.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <nostall/rcu.h>
#include "mm/mm.h"
#include "common/mix.h"
#include "common/owner.h"
#include "common/trap.h"

#define MAX_CACHES 64u
#define MAX_HOLDERS (3 * MAX_CACHES + 8)
#define WORK_OBJECTS 4000u /* more than CPU and barn hold */
#define HOLDER_STOCK 2000u /* more than CPUs hold of a cache, whichever they are */
#define NR_PARKED 600u
#define STEPS 3000
#define NR_BLOCKS 48u

struct holder {
	pthread_t thread;
	int lock_class;
	int own; /* make the requests from inside the region, then go on */
	int stopped, release;
	struct nst_cache *cache;   /* for barns and slabs: whose */
	void *stock[HOLDER_STOCK]; /* of that cache, allocated on the way to its lock */
	void (*work)(struct holder *self);
};

static struct {
	struct mix_caches caches;
	struct mix battery, handler, inside, inside_handler;
	struct nst_cache *every[MAX_CACHES], *fresh;
	unsigned int nr_caches;
	void *parked[NR_PARKED], *blocks[NR_BLOCKS];
	uint64_t seed;
	int own_done;
} t;

static const char *const class_names[] = {"zone", "grow",   "barn",    "slab",
					  "meta", "caches", "retired", "rcu"};
static __thread struct holder *me;
static __thread struct mix *in_handler;

static void nap(long us)
{
	struct timespec ts = {0, us * 1000};

	nanosleep(&ts, NULL);
}

static void steps(struct mix *mix, int n)
{
	while (n--)
		mix_step(mix);
}

static void handler(int sig)
{
	(void)sig;
	steps(in_handler, STEPS / 10);
}

static void requests_inside(void)
{
	in_handler = &t.inside_handler;
	steps(&t.inside, STEPS);
	raise(SIGUSR1);
	__atomic_store_n(&t.own_done, 1, __ATOMIC_RELEASE);
}

static void held(int lock_class)
{
	struct holder *self = me;

	if (!self || self->lock_class != lock_class || self->stopped)
		return;
	/* Before anything else: a request below may come here again. */
	__atomic_store_n(&self->stopped, 1, __ATOMIC_RELEASE);
	if (self->own)
		requests_inside();
	while (!__atomic_load_n(&self->release, __ATOMIC_ACQUIRE))
		nap(200);
}

/* ---- work that comes by a lock ---- */

static void work_cache(struct holder *self)
{
	void *held_objects[WORK_OBJECTS];
	unsigned int n = 0;

	while (n < WORK_OBJECTS && !self->stopped &&
	       (held_objects[n] = nst_cache_alloc(self->cache, NST_NOWAIT)))
		n++;
	while (n)
		nst_cache_free(self->cache, held_objects[--n]);
}

/* By ordinary allocations, kept: they come to the barn, which has a sheaf, once the CPU has no more. */
static void work_barn(struct holder *self)
{
	for (unsigned int i = 0; i < HOLDER_STOCK && !self->stopped; i++)
		if (!self->stock[i])
			self->stock[i] = nst_cache_alloc(self->cache, NST_NOWAIT);
}

/* By no-lock allocations, kept: they pass a barn that another holds. */
static void work_slab(struct holder *self)
{
	for (unsigned int i = 0; i < HOLDER_STOCK && !self->stopped; i++)
		if (!self->stock[i])
			self->stock[i] = nst_cache_alloc_nolock(self->cache),
			NST_BECAUSE("whatever is held, it comes to the slabs");
}

/* The lock that serialises who adds to a cache's per-CPU lists. */
static void work_areas(struct holder *self)
{
	nst_stock(self->cache, 20, NST_CPU_ALL);
}

static void work_pages(struct holder *self)
{
	void *pages[300];
	unsigned int n = 0;

	while (n < 300 && !self->stopped && (pages[n] = nst_pages_alloc(n % 4, NST_NOWAIT)))
		n++;
	while (n)
		nst_pages_free(pages[--n]);
}

static void work_grow(struct holder *self)
{
	void *blocks[64];
	unsigned int n = 0;

	while (n < 64 && !self->stopped && (blocks[n] = nst_pages_alloc(NST_ORDER_MAX, NST_NORMAL)))
		n++;
	while (n)
		nst_pages_free(blocks[--n]);
	nst_maintain();
}

static void work_meta(struct holder *self)
{
	(void)self;
	nst_free(nst_alloc((size_t)5 << 20, NST_NORMAL));
	struct nst_cache *cache = nst_cache_create("held", 48, 0, 0, NULL);
	if (!cache)
		return;
	void *object = nst_cache_alloc(cache, NST_NORMAL);
	nst_cache_free(cache, object);
	nst_cache_destroy(cache);
}

/* What passes come by, and those who bring pages. */
static void work_retired(struct holder *self)
{
	for (unsigned int i = 0; i < HOLDER_STOCK && !self->stopped; i++)
		nst_free_rcu(nst_cache_alloc(t.caches.small, NST_NOWAIT));
	nst_maintain();
}

/* A period begins and ends under it. */
static void work_rcu(struct holder *self)
{
	(void)self;
	nst_gp_wait(nst_gp_start());
}

static void *hold(void *arg)
{
	struct holder *self = arg;

	me = self;
	while (!__atomic_load_n(&self->release, __ATOMIC_ACQUIRE))
		self->work(self);
	me = NULL;
	return NULL;
}

static void (*const class_work[])(struct holder *) = {
	[NST_LOCK_ZONE] = work_pages, [NST_LOCK_GROW] = work_grow,
	[NST_LOCK_BARN] = work_cache, [NST_LOCK_SLAB] = work_cache,
	[NST_LOCK_META] = work_meta,  [NST_LOCK_CACHES] = work_meta,
	[NST_LOCK_RCU] = work_rcu,    [NST_LOCK_RETIRED] = work_retired,
};

static void holder_start(struct holder *holder, int lock_class, struct nst_cache *cache)
{
	memset(holder, 0, sizeof(*holder));
	holder->lock_class = lock_class;
	holder->cache = cache;
	holder->work = class_work[lock_class];
}

static void holder_run(struct holder *holder)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, (size_t)128 << 10);
	if (pthread_create(&holder->thread, &attr, hold, holder))
		check_broken("pthread_create");
}

/* 1 once it stands in its region; 0 when it does not get there. */
static int holder_stands(struct holder *holder)
{
	uint64_t since = 0;

	while (!__atomic_load_n(&holder->stopped, __ATOMIC_ACQUIRE))
		if (!check_patience(&since))
			return 0;
	return 1;
}

static void holder_end(struct holder *holder)
{
	__atomic_store_n(&holder->release, 1, __ATOMIC_RELEASE);
	pthread_join(holder->thread, NULL);
	for (unsigned int i = 0; i < HOLDER_STOCK; i++)
		nst_free(holder->stock[i]);
}

/* ---- what must return ---- */

/* Objects of every kind, to be given back while nothing can be had without waiting. */
static void park(void)
{
	for (unsigned int i = 0; i < NR_PARKED; i++) {
		unsigned int kind = i % 8;
		t.parked[i] = kind == 0	  ? nst_cache_alloc(t.caches.ctor, NST_NORMAL)
			      : kind == 1 ? nst_pages_alloc(i / 8 % 4, NST_NORMAL)
			      : kind == 2 ? nst_cache_alloc(t.caches.middle, NST_NORMAL)
			      : i == 3	  ? nst_alloc((size_t)3 << 20, NST_NORMAL)
			      : i == 4	  ? nst_pages_alloc(NST_ORDER_MAX, NST_NORMAL)
					  : nst_alloc(16u << (i % 11), NST_NORMAL);
		if (!t.parked[i])
			check_broken("parking objects");
	}
}

static void unpark(void)
{
	for (unsigned int i = 0; i < NR_PARKED; i++)
		nst_free_nolock(t.parked[i]);
}

static void requests(const char *name)
{
	uint64_t tries = mix_tries(&t.battery);

	check_deadline(60, name);
	unpark();
	steps(&t.battery, STEPS);
	in_handler = &t.handler;
	raise(SIGUSR1);
	mix_empty(&t.battery);
	check_deadline(120, "C3 the rest of the test");
	check(mix_tries(&t.battery) > tries, name, "no request was made");
}

static void check_one(int lock_class)
{
	struct holder *holder = calloc(1, sizeof(*holder));
	char name[80];

	snprintf(name, sizeof(name), "C3 returns while a thread stands in a region of class %s",
		 class_names[lock_class]);
	park();
	holder_start(holder, lock_class, t.caches.small);
	holder_run(holder);
	int stands = holder_stands(holder);
	check(stands, "C3 a thread stands in the region", "class %s was never reached",
	      class_names[lock_class]);
	if (stands)
		requests(name);
	else
		unpark();
	holder_end(holder);
	free(holder);
}

static void check_own(int lock_class)
{
	struct holder *holder = calloc(1, sizeof(*holder));
	uint64_t since = 0;
	char name[80];

	snprintf(name, sizeof(name), "C3 returns when the caller itself holds a lock of class %s",
		 class_names[lock_class]);
	check_deadline(60, name);
	t.own_done = 0;
	holder_start(holder, lock_class, t.caches.small);
	holder->own = 1;
	holder_run(holder);
	holder_stands(holder);
	while (!__atomic_load_n(&t.own_done, __ATOMIC_ACQUIRE) && check_patience(&since))
		;
	check(t.own_done, name, "the region was never reached");
	holder_end(holder);
	check_deadline(120, "C3 the rest of the test");
	free(holder);
}

static void blocks_take(void)
{
	for (unsigned int i = 0; i < NR_BLOCKS; i++)
		t.blocks[i] = nst_pages_alloc(NST_ORDER_MAX, NST_NORMAL);
}

static void blocks_free(void)
{
	for (unsigned int i = 0; i < NR_BLOCKS; i++)
		nst_pages_free(t.blocks[i]);
}

/*
 * Whoever is to hold growth takes all memory that is ready: from there on, what was laid by serves the others, so that
 * none of them needs growth to get where it stands.
 */
static unsigned int run_all(struct holder *holders, unsigned int n)
{
	unsigned int missing = 0;

	for (unsigned int i = 0; i < n; i++) {
		holder_run(&holders[i]);
		if (!holder_stands(&holders[i])) {
			missing++;
			printf("# holder %u of class %s does not get there\n", i,
			       class_names[holders[i].lock_class]);
		}
		if (holders[i].lock_class == NST_LOCK_GROW)
			blocks_free();
	}
	return missing;
}

/*
 * Outer locks first: who stands in an inner one would keep others from the outer. Nobody frees on the way:
 * at debug:3 that may put another cache's object where it belongs, and wait for who stands there.
 */
static unsigned int start_all(struct holder *holders)
{
	unsigned int n = 0, missing;

	/* On its way it takes what barns have. */
	holder_start(&holders[n++], NST_LOCK_RETIRED, NULL);
	missing = run_all(holders, 1);
	blocks_take();
	for (unsigned int i = 0; i < t.nr_caches; i++)
		nst_barn_add_full(t.every[i], 0);
	holder_start(&holders[n++], NST_LOCK_CACHES, NULL);
	for (unsigned int i = 0; i < t.nr_caches; i++) {
		holder_start(&holders[n], NST_LOCK_CACHES, t.every[i]);
		holders[n++].work = work_areas;
	}
	holder_start(&holders[n++], NST_LOCK_GROW, NULL);
	for (unsigned int i = 0; i < t.nr_caches; i++) {
		holder_start(&holders[n], NST_LOCK_BARN, t.every[i]);
		holders[n++].work = work_barn;
	}
	for (unsigned int i = 0; i < t.nr_caches; i++) {
		holder_start(&holders[n], NST_LOCK_SLAB, t.every[i]);
		holders[n++].work = work_slab;
	}
	/* The first object of a cache takes lists for it, from the library's own memory. */
	holder_start(&holders[n], NST_LOCK_META, t.fresh);
	holders[n++].work = work_barn;
	holder_start(&holders[n++], NST_LOCK_ZONE, NULL);
	holder_start(&holders[n++], NST_LOCK_RCU, NULL);
	missing += run_all(holders + 1, n - 1);
	check(missing == 0, "C3 a thread stands in every lock", "%u of %u do not", missing, n);
	return n;
}

static void check_all(void)
{
	struct holder *holders = calloc(MAX_HOLDERS, sizeof(*holders));

	t.fresh = nst_cache_create("fresh", 64, 0, 0, NULL);
	park();
	unsigned int n = start_all(holders);
	requests("C3 returns while every lock is held");
	/* All let go at once: one that goes on needs what another holds. */
	for (unsigned int i = 0; i < n; i++)
		__atomic_store_n(&holders[i].release, 1, __ATOMIC_RELEASE);
	while (n)
		holder_end(&holders[--n]);
	free(holders);
	size_t alive = nst_cache_destroy(t.fresh);
	check(alive == 0, "C3 the holders lost nothing", "%zu objects alive", alive);
}

/* ---- afterwards ---- */

static void find_caches(void)
{
	struct nst_cache *last = NULL;

	for (size_t size = 16; size <= 8192; size += 16) {
		struct nst_cache *cache = nst_cache_of_size(size);
		if (cache != last && t.nr_caches < MAX_CACHES - 3)
			t.every[t.nr_caches++] = cache;
		last = cache;
	}
	t.every[t.nr_caches++] = t.caches.small;
	t.every[t.nr_caches++] = t.caches.middle;
	t.every[t.nr_caches++] = t.caches.ctor;
}

static void check_drained(void)
{
	static struct nst_stats stats;

	for (int i = 0; i < 4; i++)
		nst_maintain();
	nst_stats_read(&stats, sizeof(stats));
	check(stats.side_pushed > 0, "C9 frees went to the side list", "none did");
	check(stats.side_pushed == stats.side_drained, "C9 the side list is drained",
	      "%llu pushed, %llu drained", (unsigned long long)stats.side_pushed,
	      (unsigned long long)stats.side_drained);
	check(stats.side_corrupt == 0, "C9 no link failed its check", "%llu",
	      (unsigned long long)stats.side_corrupt);
	check(stats.large_mappings == 0, "C9 mappings are gone", "%llu left",
	      (unsigned long long)stats.large_mappings);
}

TEST_CONF("worker:off")

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = handler};
	struct mix *mixes[] = {&t.battery, &t.handler, &t.inside, &t.inside_handler};

	conf_apply(argv);
	t.seed = seed_of(argc, argv);
	check_deadline(120, "C3 in time");
	sigaction(SIGUSR1, &sa, NULL);
	owner_start();
	mix_caches_make(&t.caches, 0);
	find_caches();
	for (unsigned int i = 0; i < 4; i++)
		mix_init(mixes[i], &t.caches, MIX_NOLOCK, t.seed + i, i + 1);
	mix_caches_stock(&t.caches, 16);
	nst_store_relaxed(&nst_test_held, held); /* threads of the library run */
	for (int i = 0; i < NST_NR_LOCKS; i++)
		check_one(i);
	for (int i = 0; i < NST_NR_LOCKS; i++)
		check_own(i);
	check_all();
	nst_store_relaxed(&nst_test_held, (void (*)(int))NULL); /* as above */
	for (unsigned int i = 0; i < 4; i++) {
		mix_empty(mixes[i]);
		mix_check(mixes[i], "C3 every byte as written, errno untouched");
	}
	check_drained();
	check(owner_errors() == 0 && owner_live() == 0, "C3 nothing handed out twice",
	      "%llu errors, %llu still owned", (unsigned long long)owner_errors(),
	      (unsigned long long)owner_live());
	owner_report();
	size_t alive = mix_caches_destroy(&t.caches);
	check(alive == 0, "C3 nothing lost", "%zu objects alive", alive);
	return check_status();
}
