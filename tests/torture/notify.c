/* SPDX-License-Identifier: MIT */
/*
 * notify.c - changes of ranges, by threads and by handlers that interrupt them anywhere, while notifiers come and go.
 *
 *	views	always there: copies of cells, dropped by begin, taken anew by readers when no change is under way (C31)
 *	changers	change cells of a range between begin and end; may wait, or may not; handlers of theirs begin, end and
 *			invalidate
 *	guests	register, and unregister: then nothing of theirs is called any more
 *	keepers	of memory, the same: out-of-memory notifiers that give, refuse, and stay in it for longer than an interval (C32)
 *	takers	take all memory again and again
 *
 * A view that has a copy, with no change of its own under way, has what the cell holds: or it was not told. In the end none
 * is under way anywhere: each begin had its end. NST_SECONDS (3). TEST_HANDLERS=0: without signals.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "mm/reclaim/reclaim.h"
#include "common/trap.h"
#include "rig.h"

#define CELLS 256u
#define NR_VIEWS 6u
#define NR_CHANGERS 3u
#define NR_READERS 2u
#define NR_GUESTS 2u
#define NR_KEEPERS 3u
#define NR_TAKERS 2u
#define KEPT 32u
#define TAKEN 8192u
#define INTERVAL_US 1000u
#define SIGNAL_NS 200000

struct view {
	unsigned int from, to; /* cells */
	int lock;	       /* protects: */
	uint64_t copy[CELLS], seq;
	char has[CELLS];
	int changes; /* under way; raised with the lock */
	uint64_t refusals;
	struct nst_notifier *n;
};

struct guest {
	unsigned int from, to;
	int here, depth; /* told of so many changes that have not ended */
	struct nst_notifier *n;
};

static struct {
	uint64_t cell[CELLS];
	struct view views[NR_VIEWS];
	int stop, handlers;
	uint64_t wrong, astray, checked, copied, changes, refused, in_handlers, guests;
	uint64_t gave, again, slow, twice;
} t;

static __thread struct rng *mine;

#define COUNT(field) __atomic_add_fetch(&t.field, 1, __ATOMIC_RELAXED)

static int stopped(void)
{
	return __atomic_load_n(&t.stop, __ATOMIC_ACQUIRE);
}

/* ---- views ---- */

static int try_lock(struct view *v)
{
	return !__atomic_exchange_n(&v->lock, 1, __ATOMIC_ACQUIRE);
}

static void lock(struct view *v)
{
	while (!try_lock(v))
		sched_yield();
}

static void unlock(struct view *v)
{
	__atomic_store_n(&v->lock, 0, __ATOMIC_RELEASE);
}

/* It concerns cells from @from up to @to. */
static int is_astray(const struct nst_notify_range *r, unsigned int from, unsigned int to)
{
	return r->space != &t || r->start >= to || r->start + r->length <= from;
}

static int view_begin(void *arg, const struct nst_notify_range *r)
{
	struct view *v = arg;

	if (is_astray(r, v->from, v->to))
		COUNT(astray);
	if (r->flags & NST_NOTIFY_BLOCKABLE) {
		lock(v);
	} else if (!try_lock(v)) {
		__atomic_add_fetch(&v->refusals, 1, __ATOMIC_RELAXED);
		return -EAGAIN;
	}
	v->seq++;
	__atomic_add_fetch(&v->changes, 1, __ATOMIC_ACQ_REL);
	for (size_t i = 0; i < r->length; i++)
		v->has[r->start + i] = 0;
	unlock(v);
	return 0;
}

static void view_end(void *arg, const struct nst_notify_range *r)
{
	struct view *v = arg;

	(void)r;
	if (__atomic_sub_fetch(&v->changes, 1, __ATOMIC_ACQ_REL) < 0)
		COUNT(astray);
}

static void view_invalidate(void *arg, const struct nst_notify_range *r)
{
	struct view *v = arg;

	if (is_astray(r, v->from, v->to))
		COUNT(astray);
}

static const struct nst_notifier_ops view_ops = {view_begin, view_end, view_invalidate};

static void *reader(void *arg)
{
	struct rng rng = {(uintptr_t)arg};

	while (!stopped()) {
		struct view *v = &t.views[rng_below(&rng, NR_VIEWS)];
		unsigned int i = v->from + rng_below(&rng, v->to - v->from);
		uint64_t seq, value;
		int busy;

		lock(v);
		busy = __atomic_load_n(&v->changes, __ATOMIC_ACQUIRE);
		if (!busy && v->has[i]) {
			COUNT(checked);
			if (v->copy[i] != __atomic_load_n(&t.cell[i], __ATOMIC_RELAXED))
				COUNT(wrong);
		}
		seq = v->seq;
		unlock(v);
		if (busy) {
			sched_yield();
			continue;
		}
		value = __atomic_load_n(&t.cell[i], __ATOMIC_RELAXED);
		lock(v);
		if (v->seq == seq) {
			v->copy[i] = value;
			v->has[i] = 1;
			COUNT(copied);
		}
		unlock(v);
	}
	return NULL;
}

/* ---- changes ---- */

static int change(struct rng *rng, uint32_t flags, int for_real)
{
	unsigned int from = rng_below(rng, CELLS), length = 1 + rng_below(rng, CELLS - from);
	struct nst_notify_range r;
	int err = nst_notify_begin(&r, &t, from, length, flags);

	if (err)
		return err;
	for (unsigned int i = 0; i < length && for_real; i++)
		__atomic_add_fetch(&t.cell[from + i], 1, __ATOMIC_RELAXED);
	nst_notify_end(&r);
	return 0;
}

static void handler(int sig)
{
	struct rng *rng = mine, of_its_own;

	(void)sig;
	if (!rng)
		return;
	of_its_own.state = rng->state ^ 0x5555;
	COUNT(in_handlers);
	nst_notify_invalidate(&t, rng_below(&of_its_own, CELLS), 10);
	change(&of_its_own, 0, 1);
}

static void *changer(void *arg)
{
	struct rng rng = {(uintptr_t)arg};
	timer_t timer = NULL;

	mine = &rng;
	if (t.handlers)
		timer = rig_timer(SIGNAL_NS);
	while (!stopped()) {
		uint32_t flags = rng_below(&rng, 2) ? NST_NOTIFY_BLOCKABLE : 0;
		int err = change(&rng, flags, 1);

		COUNT(changes);
		if (err)
			COUNT(refused);
		if (err && (err != -EAGAIN || flags))
			COUNT(astray);
		if (rng_below(&rng, 16) == 0)
			rig_nap_us(100);
	}
	if (t.handlers)
		rig_timer_stop(timer);
	mine = NULL;
	return NULL;
}

/* ---- guests ---- */

static int guest_begin(void *arg, const struct nst_notify_range *r)
{
	struct guest *g = arg;

	if (!__atomic_load_n(&g->here, __ATOMIC_RELAXED) || is_astray(r, g->from, g->to))
		COUNT(astray);
	__atomic_add_fetch(&g->depth, 1, __ATOMIC_RELAXED);
	return 0;
}

static void guest_end(void *arg, const struct nst_notify_range *r)
{
	struct guest *g = arg;

	(void)r;
	if (!__atomic_load_n(&g->here, __ATOMIC_RELAXED) ||
	    __atomic_sub_fetch(&g->depth, 1, __ATOMIC_RELAXED) < 0)
		COUNT(astray);
}

static const struct nst_notifier_ops guest_ops = {guest_begin, guest_end, NULL};

static void *host(void *arg)
{
	struct rng rng = {(uintptr_t)arg};
	struct guest g;

	while (!stopped()) {
		memset(&g, 0, sizeof(g));
		g.from = rng_below(&rng, CELLS);
		g.to = g.from + 1 + rng_below(&rng, CELLS - g.from);
		g.here = 1;
		g.n = nst_notifier_register(&t, g.from, g.to - g.from, &guest_ops, 0, &g);
		if (!g.n)
			check_broken("a guest");
		if (rng_below(&rng, 4) == 0)
			rig_nap_us(rng_below(&rng, 200));
		if (nst_notifier_unregister(g.n))
			COUNT(astray);
		/* Nothing of it is called from here on: another's is, in its place and with its memory. */
		__atomic_store_n(&g.here, 0, __ATOMIC_RELAXED);
		COUNT(guests);
	}
	return NULL;
}

/* ---- out of memory ---- */

struct keeper {
	int here, inside, blocks;
	struct rng rng; /* of who is inside */
	void *page[KEPT];
	unsigned int nr;
};

static size_t keeper_give(void *arg, const struct nst_oom *oom)
{
	struct keeper *k = arg;
	unsigned int how = rng_below(&k->rng, 8), nr = k->nr;

	if (__atomic_add_fetch(&k->inside, 1, __ATOMIC_SEQ_CST) != 1)
		COUNT(twice);
	if (!__atomic_load_n(&k->here, __ATOMIC_RELAXED) ||
	    !(oom->flags & NST_NOTIFY_BLOCKABLE) != !k->blocks)
		COUNT(astray);
	if (k->blocks && how == 0) {
		COUNT(slow);
		rig_nap_us(5 * INTERVAL_US);
	}
	while (how < 5 && k->nr)
		nst_pages_free(k->page[--k->nr]);
	if (how < 5)
		COUNT(gave);
	else
		COUNT(again);
	__atomic_sub_fetch(&k->inside, 1, __ATOMIC_SEQ_CST);
	return how < 5 ? nr * (size_t)4096 : NST_OOM_AGAIN;
}

static void *keeper(void *arg)
{
	struct rng rng = {(uintptr_t)arg};
	struct nst_oom_notifier *n;
	struct keeper k;

	while (!stopped()) {
		memset(&k, 0, sizeof(k));
		k.rng.state = rng_next(&rng);
		k.blocks = rng_below(&rng, 2) != 0;
		while (k.nr < KEPT && (k.page[k.nr] = nst_pages_alloc(0, NST_NORETRY)))
			k.nr++;
		k.here = 1;
		n = nst_oom_register(keeper_give, k.blocks ? NST_NOTIFIER_BLOCKS : 0, &k);
		if (!n)
			check_broken("a keeper");
		rig_nap_us(rng_below(&rng, 4000));
		if (nst_oom_unregister(n) || __atomic_load_n(&k.inside, __ATOMIC_SEQ_CST))
			COUNT(astray);
		__atomic_store_n(&k.here, 0, __ATOMIC_RELAXED);
		while (k.nr)
			nst_pages_free(k.page[--k.nr]);
	}
	return NULL;
}

static void *taker(void *arg)
{
	struct rng rng = {(uintptr_t)arg};
	void **page = calloc(TAKEN, sizeof(*page));
	unsigned int nr = 0;

	while (page && !stopped()) {
		while (nr < TAKEN && !stopped() && (page[nr] = nst_pages_alloc(0, NST_NORMAL)))
			nr++;
		for (unsigned int i = rng_below(&rng, nr + 1); i && nr; i--)
			nst_pages_free(page[--nr]);
	}
	while (nr)
		nst_pages_free(page[--nr]);
	free(page);
	return NULL;
}

/* ---- all ---- */

static void make(struct rng *rng)
{
	for (unsigned int i = 0; i < NR_VIEWS; i++) {
		struct view *v = &t.views[i];

		v->from = i < 2 ? 0 : rng_below(rng, CELLS / 2);
		v->to = i < 2 ? CELLS : v->from + 1 + rng_below(rng, CELLS / 2);
		v->n = nst_notifier_register(&t, v->from, v->to - v->from, &view_ops, 0, v);
		if (!v->n)
			check_broken("a view");
	}
}

/* Refusals are rare where changes are few. */
static int enough(void)
{
	const uint64_t *const counts[] = {&t.changes, &t.refused, &t.checked, &t.copied,
					  &t.guests,  &t.gave,	  &t.again};

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		if (__atomic_load_n(counts[i], __ATOMIC_RELAXED) == 0)
			return 0;
	return 1;
}

static void check_books(void)
{
	int under_way = 0;

	for (unsigned int i = 0; i < NR_VIEWS; i++) {
		under_way += t.views[i].changes != 0;
		check_quiet(nst_notifier_unregister(t.views[i].n) == 0, "C31 unregistered", "not");
	}
	check(!under_way, "C31 each begin had its end", "%d views wait for one", under_way);
	check(!t.wrong, "C31 views show what the cells hold", "%llu of %llu wrong",
	      (unsigned long long)t.wrong, (unsigned long long)t.checked);
	check(!t.astray, "C31 who is told is here, and concerned", "%llu are not",
	      (unsigned long long)t.astray);
	check(!t.twice, "C32 never two at a time", "%llu times", (unsigned long long)t.twice);
	check_seen(enough(), "changes of every kind, some refused; memory ran out", "see below");
	printf("  oom: gave=%llu again=%llu slow=%llu\n", (unsigned long long)t.gave,
	       (unsigned long long)t.again, (unsigned long long)t.slow);
	printf("  changes=%llu refused=%llu in_handlers=%llu guests=%llu copies=%llu checked=%llu\n",
	       (unsigned long long)t.changes, (unsigned long long)t.refused,
	       (unsigned long long)t.in_handlers, (unsigned long long)t.guests,
	       (unsigned long long)t.copied, (unsigned long long)t.checked);
}

TEST_CONF("max:16M,high:2M")

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};
	pthread_t thread[NR_CHANGERS + NR_READERS + NR_GUESTS + NR_KEEPERS + NR_TAKERS];
	long seconds = env_long("NST_SECONDS", 3);
	unsigned int n = 0;
	struct rng rng;

	conf_apply(argv);
	rng.state = seed_of(argc, argv);
	t.handlers = env_long("TEST_HANDLERS", 1) != 0;
	check_deadline((unsigned int)seconds + 90, "C31 in time");
	sigaction(RIG_SIGNAL, &sa, NULL);
	nst_store_relaxed(&nst_oom_interval_us, INTERVAL_US);
	make(&rng);
	for (unsigned int i = 0; i < NR_CHANGERS; i++)
		pthread_create(&thread[n++], NULL, changer, (void *)(uintptr_t)rng_next(&rng));
	for (unsigned int i = 0; i < NR_READERS; i++)
		pthread_create(&thread[n++], NULL, reader, (void *)(uintptr_t)rng_next(&rng));
	for (unsigned int i = 0; i < NR_GUESTS; i++)
		pthread_create(&thread[n++], NULL, host, (void *)(uintptr_t)rng_next(&rng));
	for (unsigned int i = 0; i < NR_KEEPERS; i++)
		pthread_create(&thread[n++], NULL, keeper, (void *)(uintptr_t)rng_next(&rng));
	for (unsigned int i = 0; i < NR_TAKERS; i++)
		pthread_create(&thread[n++], NULL, taker, (void *)(uintptr_t)rng_next(&rng));
	for (double begun = rig_now(); rig_goes_on(begun, (double)seconds, enough);)
		rig_nap_us(10000);
	__atomic_store_n(&t.stop, 1, __ATOMIC_RELEASE);
	while (n)
		pthread_join(thread[--n], NULL);
	check_books();
	return check_status();
}
