/* SPDX-License-Identifier: MIT */
/*
 * movable.c - C35: runs that are moved while their owners write, free and retire them.
 *
 *	owners		a table of runs, each slot with a lock: allocate, check every word, write anew. Freed after the
 *			lock, by whatever free, so that a mover may be in the midst of it
 *	compactors	nst_maintain(), all the time, on two threads
 *	director	a delay between a look and a swap
 *
 * Two movers: one frees what it has moved, the other (NST_MOVER_RCU) retires it, and readers in sections follow the
 * table without a lock. They refuse now and then. An owner map sees memory that two have; in the end nothing may be
 * counted as movable, half moved, or charged. NST_SECONDS (3).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "mm/mm.h"
#include "common/owner.h"
#include "common/trap.h"
#include "rig.h"

#define NR_OWNERS 3u
#define NR_SLOTS 8192u
#define NR_MOVERS 2u
#define NR_PAGES 65536u
#define DELAY_LOOPS 1000000u
#define RUN_OWNER 7u /* in the owner map: who has a run has its slot's lock, or took it out */

struct slot {
	pthread_mutex_t lock;
	uint64_t *run;
	unsigned int order, mover;
	uint64_t seed;
};

static struct {
	struct slot slot[NR_SLOTS];
	struct nst_mover *mover[NR_MOVERS];
	struct nst_account *account;
	uint32_t slot_at[NR_PAGES]; /* by page: 1 + the slot that had it last */
	uintptr_t hot;		    /* what was moved last, or is */
	uint64_t damaged, allocated, refused, gone, moved, read;
	int stop;
} t;

static size_t bytes_of(unsigned int order)
{
	return NST_PAGE_BYTES << order;
}

static void count(uint64_t *what)
{
	__atomic_add_fetch(what, 1, __ATOMIC_RELAXED);
}

/* The first word says what the others are, so that a reader without the lock can tell. */
static uint64_t word(uint64_t seed, size_t i)
{
	return i ? (seed ^ i) * 0x9e3779b97f4a7c15u : seed;
}

static void write_run(uint64_t *run, unsigned int order, uint64_t seed)
{
	for (size_t i = 0; i < bytes_of(order) / 8; i++)
		__atomic_store_n(&run[i], word(seed, i), __ATOMIC_RELAXED);
}

static void check_run(const uint64_t *run, unsigned int order, uint64_t seed)
{
	for (size_t i = 0; i < bytes_of(order) / 8; i += 1 + i / 8)
		if (__atomic_load_n(&run[i], __ATOMIC_RELAXED) != word(seed, i)) {
			count(&t.damaged);
			return;
		}
}

static uint32_t *slot_at(uintptr_t addr)
{
	return &t.slot_at[(addr >> NST_PAGE_SHIFT) % NR_PAGES];
}

static void note_slot(const void *run, const struct slot *s)
{
	__atomic_store_n(slot_at((uintptr_t)run), (uint32_t)(s - t.slot) + 1, __ATOMIC_RELAXED);
}

/* Any, or the one that is moved just now, or comes next. */
static struct slot *some_slot(struct rng *rng)
{
	uintptr_t hot = __atomic_load_n(&t.hot, __ATOMIC_RELAXED);
	uint32_t i = 0;

	if (rng_below(rng, 2))
		i = __atomic_load_n(slot_at(hot + rng_below(rng, 4) * NST_PAGE_BYTES),
				    __ATOMIC_RELAXED);
	return &t.slot[i ? i - 1 : rng_below(rng, NR_SLOTS)];
}

static int migrate(void *ctx, void *data, void *to, void *from, size_t bytes)
{
	struct slot *s = &t.slot[(uintptr_t)data];
	static uint64_t calls;
	int err = -EAGAIN;

	__atomic_store_n(&t.hot, (uintptr_t)from, __ATOMIC_RELAXED);
	if (__atomic_load_n(&calls, __ATOMIC_RELAXED) % 4 == 0)
		rig_nap_us(20);
	pthread_mutex_lock(&s->lock);
	if (s->run != from || t.mover[s->mover] != *(struct nst_mover **)ctx) {
		count(&t.gone);
	} else if (__atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) % 5 == 0) {
		count(&t.refused);
	} else {
		owner_take(to, bytes, RUN_OWNER);
		for (size_t i = 0; i < bytes / 8; i++)
			__atomic_store_n((uint64_t *)to + i,
					 __atomic_load_n((uint64_t *)from + i, __ATOMIC_RELAXED),
					 __ATOMIC_RELAXED);
		check_run(to, s->order, s->seed);
		owner_give(from, bytes, RUN_OWNER);
		note_slot(to, s);
		__atomic_store_n(&s->run, to, __ATOMIC_RELEASE);
		count(&t.moved);
		err = 0;
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

static void take(struct slot *s, struct rng *rng)
{
	unsigned int order = rng_below(rng, 8) ? 0 : rng_below(rng, NST_ORDER_MOVABLE_MAX + 1);
	unsigned int m = rng_below(rng, NR_MOVERS);
	uint64_t *run = nst_pages_alloc_movable(t.mover[m], order,
						rng_below(rng, 4) ? NST_NORMAL : NST_NOLOCK,
						(void *)(uintptr_t)(s - t.slot));

	if (!run)
		return;
	s->order = order;
	__atomic_store_n(&s->mover, m, __ATOMIC_RELAXED);
	s->seed = rng_next(rng);
	owner_take(run, bytes_of(order), RUN_OWNER);
	write_run(run, order, s->seed);
	note_slot(run, s);
	__atomic_store_n(&s->run, run, __ATOMIC_RELEASE);
	count(&t.allocated);
}

static void give(uint64_t *run, unsigned int how)
{
	switch (how) {
	case 0:
		nst_pages_free_nolock(run);
		break;
	case 1:
		nst_free(run);
		break;
	default:
		nst_pages_free(run);
	}
}

/* Nobody finds it any more, but a mover that is in the midst of it. Readers may: then it is retired. */
static void drop(struct slot *s, struct rng *rng, int all)
{
	uint64_t *run = s->run, seed = s->seed;
	unsigned int order = s->order, m = s->mover;

	if (!run)
		return;
	__atomic_store_n(&s->run, NULL, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&s->lock);
	if (!all)
		rig_nap_us(rng_below(rng, 8) ? 0 : 1);
	check_run(run, order, seed);
	owner_give(run, bytes_of(order), RUN_OWNER);
	if (m == 1)
		nst_free_rcu(run);
	else
		give(run, rng_below(rng, 3));
	pthread_mutex_lock(&s->lock);
}

static void *owner(void *arg)
{
	struct rng rng = {(uintptr_t)arg};
	/* one of them is charged */
	nst_account_token_t outer =
		nst_account_enter((uintptr_t)arg % NR_OWNERS ? NULL : t.account);

	while (!__atomic_load_n(&t.stop, __ATOMIC_ACQUIRE) && !owner_errors()) {
		struct slot *s = some_slot(&rng);

		pthread_mutex_lock(&s->lock);
		if (!s->run)
			take(s, &rng);
		else if (rng_below(&rng, 4) == 0)
			write_run(s->run, s->order, s->seed);
		else
			drop(s, &rng, 0);
		pthread_mutex_unlock(&s->lock);
	}
	nst_account_exit(outer);
	return NULL;
}

/* A run of mover 1 is as it was for as long as a section sees it. */
static void *reader(void *arg)
{
	struct rng rng = {(uintptr_t)arg};

	while (!__atomic_load_n(&t.stop, __ATOMIC_ACQUIRE) && !owner_errors()) {
		struct slot *s = &t.slot[rng_below(&rng, NR_SLOTS)];
		nst_rcu_token_t token = nst_rcu_read_begin();
		uint64_t *run = __atomic_load_n(&s->run, __ATOMIC_ACQUIRE);

		if (run && __atomic_load_n(&s->mover, __ATOMIC_RELAXED) == 1 &&
		    __atomic_load_n(&s->run, __ATOMIC_ACQUIRE) == run) {
			check_run(run, 0, __atomic_load_n(&run[0], __ATOMIC_RELAXED));
			count(&t.read);
		}
		nst_rcu_read_end(token);
	}
	return NULL;
}

static void *compactor(void *arg)
{
	while (!__atomic_load_n(&t.stop, __ATOMIC_ACQUIRE) && !owner_errors())
		if (!nst_maintain())
			sched_yield();
	return arg;
}

static void some_delay(struct rng *rng)
{
	uint32_t *delay = &nst_test_delay[NST_SEQ_MOVE][rng_below(rng, 3)];

	__atomic_store_n(delay, rng_size(rng, 1, DELAY_LOOPS), __ATOMIC_RELAXED);
	rig_nap_us(3000);
	__atomic_store_n(delay, 0, __ATOMIC_RELAXED);
}

/* ---- the end ---- */

static u64 left_behind(void)
{
	u64 n = 0;

	for (u32 i = 0; i < nst_mm.nr_arenas; i++) {
		struct nst_arena *a = &nst_arenas[i];

		for (size_t b = 0; b < nst_zones[0].top[i]; b++) {
			n += a->block_movable[b];
			if (!nst_block_is_split(a, b))
				continue;
			for (size_t k = 0; k < NST_BLOCK_PAGES; k++)
				n += nst_page_is_movable(&a->pages[b * NST_BLOCK_PAGES + k]);
		}
	}
	return n;
}

static void end(struct rng *rng)
{
	int err = 0;

	for (struct slot *s = t.slot; s < t.slot + NR_SLOTS; s++) {
		pthread_mutex_lock(&s->lock);
		drop(s, rng, 1);
		pthread_mutex_unlock(&s->lock);
	}
	nst_rcu_barrier();
	nst_maintain();
	for (unsigned int i = 0; i < NR_MOVERS; i++)
		err |= nst_mover_unregister(t.mover[i]);
	check(err == 0, "C35 each run is freed", "%d", err);
	check(nst_movable_runs() == 0 && left_behind() == 0, "C35 and none is left half moved",
	      "%llu, %llu pages", (unsigned long long)nst_movable_runs(),
	      (unsigned long long)left_behind());
	check(owner_live() == 0, "nothing is lost", "%llu runs", (unsigned long long)owner_live());
	err = nst_account_destroy(t.account);
	check(err == 0, "C27 what was moved is charged once", "%d", err);
}

static int enough(void)
{
	struct nst_stats s;

	nst_stats_read(&s, sizeof(s));
	return rig_is_none() ||
	       (__atomic_load_n(&t.moved, __ATOMIC_RELAXED) > 100 && s.compact.freed > 0 &&
		__atomic_load_n(&t.read, __ATOMIC_RELAXED) > 0);
}

TEST_CONF("worker:off,nodes:1")

int main(int argc, char **argv)
{
	static void *(*const what[])(void *) = {owner, owner, owner, reader, compactor, compactor};
	pthread_t thread[sizeof(what) / sizeof(what[0])];
	long seconds = env_long("NST_SECONDS", 3);
	struct rng rng = {0};
	struct nst_stats s;
	double begun;

	conf_apply(argv);
	rng.state = seed_of(argc, argv);
	check_deadline((unsigned int)seconds + 90, "C35 in time");
	owner_start();
	t.account = nst_account_create("movable", NULL, NST_NO_LIMIT, NST_NO_LIMIT);
	for (unsigned int i = 0; i < NR_MOVERS; i++)
		t.mover[i] = nst_mover_register(migrate, &t.mover[i], i ? NST_MOVER_RCU : 0);
	if (!t.account || !t.mover[0] || !t.mover[1])
		check_broken("movers");
	for (unsigned int i = 0; i < NR_SLOTS; i++)
		pthread_mutex_init(&t.slot[i].lock, NULL);
	for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++)
		pthread_create(&thread[i], NULL, what[i],
			       (void *)(uintptr_t)((rng_next(&rng) >> 8) * NR_OWNERS + i));
	begun = rig_now();
	while (rig_goes_on(begun, (double)seconds, enough) && !owner_errors())
		some_delay(&rng);
	__atomic_store_n(&t.stop, 1, __ATOMIC_RELEASE);
	for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++)
		pthread_join(thread[i], NULL);
	owner_report();
	nst_stats_read(&s, sizeof(s));
	printf("# allocated=%llu moved=%llu refused=%llu gone=%llu read=%llu freed_meanwhile=%llu blocks=%llu\n",
	       (unsigned long long)t.allocated, (unsigned long long)t.moved,
	       (unsigned long long)t.refused, (unsigned long long)t.gone,
	       (unsigned long long)t.read, (unsigned long long)s.compact.freed,
	       (unsigned long long)s.compact.blocks);
	check(owner_errors() == 0, "C35 nothing is handed out twice", "%llu granules",
	      (unsigned long long)owner_errors());
	check(t.damaged == 0, "C35 every word as written", "%llu runs",
	      (unsigned long long)t.damaged);
	check_seen(enough(), "there was something to see", "see above");
	if (!owner_errors())
		end(&rng);
	return check_status();
}
