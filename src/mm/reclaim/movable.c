/* SPDX-License-Identifier: MIT */
/*
 * movable.c - runs that their owner can move: who moves one, and who frees it meanwhile. <- NO-LOCK
 *
 *	MOVABLE --isolate--> MOVING --refused--> MOVABLE
 *	   |			|
 *	   |			+-- moved: the owner knows `to` --> RUN, the mover's, who frees or retires it
 *	   |			|
 *	   |			+-- freed --> MOVING_FREED	--refused--> freed by the mover
 *	   |			+-- retired --> MOVING_RETIRED	--refused--> retired by the mover
 *	   +-- freed, retired --> RUN, the owner's, as any other
 *
 * The state of the descriptor is one byte, and each arrow one compare-and-swap, so that of two who are at a run one is
 * first. In pseudo-code:
 *
 *	mover(from, to)					owner frees p
 *		CAS from: MOVABLE -> MOVING, or leave	again:	CAS p: MOVABLE -> RUN: free it
 *		to := a live run as from is			CAS p: MOVING -> MOVING_FREED: leave it
 *		err = migrate(to, from)				p changed between: again; else: freed twice
 *		err:  to is free
 *		      CAS from: MOVING -> MOVABLE
 *		      or free it, as its owner wanted
 *		0:    CAS from: MOVING -> RUN, free it
 *		      or it was freed after it was moved: misuse
 *
 * Why that is enough: *migrate* takes the lock under which the owner frees. If the owner was first it finds the run
 * gone, since @from becomes nothing else before the mover has put it, and refuses; then the owner's free of a MOVING
 * run is seen by the mover's second swap. If migrate was first the owner frees @to, of which the mover knows nothing any
 * more: it is a live run as any other since before migrate was called.
 *
 * A mover's state is one word, as a shrinker's (shrink.c): FREE -> MAKING -> READY <-> BUSY; READY -> FREE. It is
 * BUSY from before a run is isolated, so that neither it nor, with NST_MOVER_RCU, what @data points to goes meanwhile.
 *
 * Fork: a run that a lost thread was moving is in the child where it was, and live; if it was moved or freed, it is lost.
 *
 * Source: Linux, mm/migrate.c (movable_operations: isolate_page, migrate_page, putback_page).
 */
#define NST_NO_MACROS
#include "reclaim.h"
#include "../claim/account.h"
#include "../claim/pool.h"
#include "../retire/retired.h"

#define NAP_US 200u

enum state { FREE, MAKING, READY, BUSY };

struct nst_mover {
	u32 state, flags;
	int (*migrate)(void *ctx, void *data, void *to, void *from, size_t bytes);
	void *ctx;
	u64 live;	  /* runs; a counter */
	uintptr_t runner; /* who has it BUSY */
	/* By that: */
	struct nst_page *moving;
	nst_rcu_token_t section;
};
/* A run says its mover's number, from 1 on. */
static struct nst_mover movers[NST_NR_MOVERS];
static u64 nr_runs; /* a hint */

#define ALL_FLAGS ((u32)(NST_MOVER_IO | NST_MOVER_CLIENT | NST_MOVER_RCU))

/* ---- movers ---- */

struct nst_mover *nst_mover_register(int (*migrate)(void *ctx, void *data, void *to, void *from,
						    size_t bytes),
				     void *ctx, uint32_t flags)
{
	struct nst_mover *m = movers;

	if (!migrate || flags & ~ALL_FLAGS) {
		nst_warn("nst_mover_register(): %s; allowed: one, and flags of 0x%x",
			 !migrate ? "the function is missing" : "unknown flags", ALL_FLAGS);
		return NULL;
	}
	if (nst_start() || (flags & NST_MOVER_RCU && nst_rcu_use()))
		return NULL;
	nst_fork_check();
	/* Pairs with: nst_store_release() in end(), of who was here before. */
	while (!nst_cas_acquire(&m->state, (u32)FREE, (u32)MAKING))
		if (++m == movers + NST_NR_MOVERS)
			return NULL;
	m->flags = flags;
	m->migrate = migrate;
	m->ctx = ctx;
	/* Pairs with: nst_cas_acquire() in begin(). */
	nst_store_release(&m->state, (u32)READY);
	return m;
}

static int is_one(const struct nst_mover *m)
{
	size_t at = (size_t)((uintptr_t)m - (uintptr_t)movers);

	return at < sizeof(movers) && at % sizeof(*m) == 0 && nst_hint(&m->state) >= READY;
}

int nst_mover_unregister(struct nst_mover *m)
{
	if (!is_one(m))
		return -22;
	nst_fork_check();
	/* relaxed: whoever frees the last one does so before */
	while (!nst_load_relaxed(&m->live)) {
		/* Pairs with: nst_store_release() in end(). As a swap it hands that on to who registers next. */
		if (nst_cas_acquire(&m->state, (u32)READY, (u32)FREE))
			return 0;
		/* relaxed: it is this thread, or it is not */
		if (nst_load_relaxed(&m->runner) == nst_thread_pointer())
			return -35;
		nst_sys_futex_wait(&m->state, BUSY, NAP_US);
	}
	return -16;
}

/* ---- runs ---- */

static void count(unsigned int mover, int runs)
{
	nst_add_relaxed(&movers[mover - 1].live, (u64)(long)runs);
	nst_add_relaxed(&nr_runs, (u64)(long)runs);
}

/* Others look at it as at the state, before they know whose it is. */
static void set_mover(struct nst_page *p, unsigned int number)
{
	nst_store_relaxed(&p->cache, (u16)number);
}

static void count_block(const struct nst_page *p, int runs)
{
	struct nst_arena *a = nst_arena_of_page(p);

	nst_add_relaxed(&a->block_movable[(size_t)(p - a->pages) / NST_BLOCK_PAGES],
			(u16)(runs * (1 << p->order))); /* a hint */
}

u64 nst_movable_runs(void)
{
	return nst_hint(&nr_runs);
}

void *nst_pages_alloc_movable(struct nst_mover *m, unsigned int order, nst_mode_t mode, void *data)
{
	struct nst_site site = NST_SITE("nst_pages_alloc_movable");
	struct nst_page *p;
	void *addr;

	if (nst_unlikely(!NST_MODE_VALID(mode))) {
		nst_bad_mode(mode, site);
		return NULL;
	}
	if (!is_one(m) || order > NST_ORDER_MOVABLE_MAX) {
		nst_warn("nst_pages_alloc_movable(%p, %u): %s; allowed: a mover, and order 0 to %u",
			 (void *)m, order, is_one(m) ? "too large" : "no such mover",
			 NST_ORDER_MOVABLE_MAX);
		return NULL;
	}
	addr = nst_run_alloc_slow((size_t)1 << order, mode | NST_MOVABLE, site);
	if (!addr)
		return NULL;
	p = nst_page_of(addr);
	if (p->reserve) /* it stays, and so does the reserve's count of it */
		return addr;
	set_mover(p, (unsigned int)(m - movers) + 1);
	p->free[NST_PAGE_DATA_WORD] = (u64)(uintptr_t)data;
	count(p->cache, 1);
	count_block(p, 1);
	/* Pairs with: nst_cas_acquire() in isolate(). */
	nst_store_release(&p->state, (u8)NST_PAGE_MOVABLE);
	return addr;
}

/* It is nobody's but ours. */
static void make_ordinary(struct nst_page *p, unsigned int mover)
{
	count(mover, -1);
	count_block(p, -1);
	set_mover(p, 0);
}

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 35
/* Who frees it places it, whoever moves it. */
static int leave(struct nst_page *p, enum nst_page_state to)
{
	(void)to;
	nst_page_set_state(p, NST_PAGE_MOVABLE);
	return 0;
}
#else
static int leave(struct nst_page *p, enum nst_page_state to)
{
	/* Pairs with: nst_load_acquire() in place(). */
	return nst_cas_release(&p->state, (u8)NST_PAGE_MOVING, (u8)to);
}
#endif

/* Each turn somebody else has had his: the mover, who has one a run. */
static enum nst_movable_end end_of(struct nst_page *p, enum nst_page_state to)
{
	unsigned int mover = p->cache; /* afterwards it is whoever's */
	u8 state;

	for (;;) {
		state = nst_load_relaxed(&p->state); /* relaxed: the swap checks it */
		nst_test_delay_here(NST_SEQ_MOVE, 0);
		if (state == NST_PAGE_MOVABLE) {
			/* Pairs with: nst_cas_release() in put_back(), nst_store_release() in move_to(). */
			if (!nst_cas_acquire(&p->state, state, (u8)NST_PAGE_RUN))
				continue;
			make_ordinary(p, mover);
			return NST_MOVABLE_YOURS;
		}
		if (state != NST_PAGE_MOVING)
			return NST_MOVABLE_TWICE;
		if (leave(p, to)) {
			count(mover, -1);
			return NST_MOVABLE_MOVING;
		}
	}
}

enum nst_movable_end nst_movable_freed(struct nst_page *p)
{
	return end_of(p, NST_PAGE_MOVING_FREED);
}

enum nst_movable_end nst_movable_retired(struct nst_page *p, u32 domain)
{
	p->free[NST_PAGE_CHECK_WORD] = domain; /* in no list's way */
	return end_of(p, NST_PAGE_MOVING_RETIRED);
}

/* ---- moving ---- */

/* 1 and nobody else is in it. */
static int begin(struct nst_mover *m)
{
	/* Pairs with: nst_store_release() in nst_mover_register() and end(). */
	if (!nst_cas_acquire(&m->state, (u32)READY, (u32)BUSY))
		return 0;
	/* whoever compares it is this thread, or is not */
	nst_store_relaxed(&m->runner, nst_thread_pointer());
	if (m->flags & NST_MOVER_RCU)
		m->section = nst_rcu_read_begin();
	return 1;
}

static int is_excluded(const struct nst_mover *m, nst_mode_t mode)
{
	return (m->flags & NST_MOVER_IO && mode & NST_NOIO) ||
	       (m->flags & NST_MOVER_CLIENT && mode & NST_NOCLIENT);
}

static void end(struct nst_mover *m)
{
	if (m->flags & NST_MOVER_RCU)
		nst_rcu_read_end(m->section);
	m->moving = NULL;
	nst_store_relaxed(&m->runner, (uintptr_t)0); /* as above */
	/* Pairs with: nst_cas_acquire() in begin(), nst_mover_register() and nst_mover_unregister(). */
	nst_store_release(&m->state, (u32)READY);
}

static struct nst_mover *mover_of(const struct nst_page *p)
{
	unsigned int number = nst_load_relaxed(&p->cache); /* a hint, until it is isolated */

	return number - 1 < NST_NR_MOVERS ? &movers[number - 1] : NULL;
}

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 36
/* It is looked at, and then taken. */
static int isolate(struct nst_page *p)
{
	if (nst_page_state(p) != NST_PAGE_MOVABLE)
		return 0;
	nst_test_delay_here(NST_SEQ_MOVE, 1);
	nst_page_set_state(p, NST_PAGE_MOVING);
	return 1;
}
#else
static int isolate(struct nst_page *p)
{
	nst_test_delay_here(NST_SEQ_MOVE, 1);
	/* Pairs with: nst_store_release() in nst_pages_alloc_movable() and move_to(). */
	return nst_cas_acquire(&p->state, (u8)NST_PAGE_MOVABLE, (u8)NST_PAGE_MOVING);
}
#endif

static void place(struct nst_page *p, const struct nst_mover *m)
{
	struct nst_site site = {"migrate", NULL};
	/* Pairs with: nst_cas_release() in leave(). */
	u8 state = nst_load_acquire(&p->state);

	__builtin_memcpy(&site.address, &m->migrate, sizeof(site.address));
	count_block(p, -1);
	set_mover(p, 0);
	nst_count(NST_COUNT_COMPACT_FREED, 1);
	if (state == NST_PAGE_MOVING_RETIRED) {
		nst_retired_moved(p, (u32)p->free[NST_PAGE_CHECK_WORD]);
		return;
	}
	nst_page_set_state(p, NST_PAGE_RUN);
	nst_free_slow(NULL, nst_page_address(p), site);
}

/* 1: it is live, where it was. */
static int put_back(struct nst_page *p, const struct nst_mover *m)
{
	nst_test_delay_here(NST_SEQ_MOVE, 2);
	/* Pairs with: nst_cas_acquire() in end_of(). */
	if (nst_cas_release(&p->state, (u8)NST_PAGE_MOVING, (u8)NST_PAGE_MOVABLE))
		return 1;
	place(p, m);
	return 0;
}

/* One that is live: 1 if it is isolated, and its mover BUSY. */
static int try(struct nst_page *p, nst_mode_t mode)
{
	struct nst_mover *m = mover_of(p);

	if (!m || !begin(m))
		return 0;
	if (!is_excluded(m, mode) && isolate(p)) {
		if (mover_of(p) == m) {
			m->moving = p;
			return 1;
		}
		put_back(p, m); /* it was freed, and is another's */
	}
	end(m);
	return 0;
}

struct nst_page *nst_movable_isolate_locked(struct nst_arena *a, size_t block, size_t *at,
					    nst_mode_t mode)
{
	struct nst_page *first = &a->pages[block * NST_BLOCK_PAGES];

	while (*at < NST_BLOCK_PAGES) {
		struct nst_page *p = &first[*at];
		enum nst_page_state state = nst_page_state(p);

		if (state == NST_PAGE_FREE || state == NST_PAGE_COLD || state == NST_PAGE_MOVABLE)
			*at += (size_t)1 << nst_load_relaxed(&p->order); /* a hint */
		else
			++*at;
		if (state == NST_PAGE_MOVABLE && try(p, mode))
			return p;
	}
	return NULL;
}

/* It is the owner's as soon as migrate() tells him of it. */
static void move_to(struct nst_page *to, const struct nst_page *from)
{
	struct nst_site site = {"migrate", NULL};

	set_mover(to, from->cache);
	to->owner = from->owner;
	to->free[NST_PAGE_DATA_WORD] = from->free[NST_PAGE_DATA_WORD];
	count_block(to, 1);
	if (nst_mm.instrument)
		nst_debug_alloc(NULL, nst_page_address(to), site);
	/* Pairs with: nst_cas_acquire() in isolate() and end_of(). */
	nst_store_release(&to->state, (u8)NST_PAGE_MOVABLE);
}

/* Off all lists again. */
static void unmake(struct nst_page *p)
{
	struct nst_site site = {"migrate", NULL};

	count_block(p, -1);
	set_mover(p, 0);
	p->owner = 0; /* its charge is where the run is */
	if (nst_mm.instrument)
		nst_debug_end_use(p, nst_page_address(p), site);
	nst_page_set_state(p, NST_PAGE_PCP);
}

static int migrate(struct nst_mover *m, const struct nst_page *from, const struct nst_page *to)
{
	struct nst_errand e = nst_errand_begin(nst_mode_in_scope(NST_NORMAL));
	int err = m->migrate(m->ctx, (void *)(uintptr_t)from->free[NST_PAGE_DATA_WORD],
			     nst_page_address(to), nst_page_address(from),
			     NST_PAGE_BYTES << from->order);
	nst_errand_end(e);
	return err;
}

static enum nst_moved moved(struct nst_mover *m, struct nst_page *from)
{
	struct nst_site site = {"migrate", NULL};
	void *addr = nst_page_address(from);

	nst_count(NST_COUNT_COMPACT_RUN, 1);
	__builtin_memcpy(&site.address, &m->migrate, sizeof(site.address));
	if (!nst_cas_relaxed(&from->state, (u8)NST_PAGE_MOVING, (u8)NST_PAGE_RUN)) { /* ours */
		nst_misuse(addr, site, "was freed, and its mover says that it has moved it",
			   "what was moved is the library's to free");
		count(from->cache, 1); /* the other one lives */
		place(from, m);
		return NST_MOVED_ELSEWHERE;
	}
	if (!(m->flags & NST_MOVER_RCU)) {
		unmake(from);
		return NST_MOVED;
	}
	count_block(from, -1);
	set_mover(from, 0);
	from->owner = 0;
	nst_free_rcu(addr);
	return NST_MOVED_ELSEWHERE;
}

enum nst_moved nst_movable_move(struct nst_page *from, struct nst_page *to)
{
	struct nst_mover *m = mover_of(from);
	enum nst_moved how = NST_MOVED_NOT;

	move_to(to, from);
	if (migrate(m, from, to) == 0) {
		how = moved(m, from);
	} else {
		unmake(to);
		if (put_back(from, m))
			nst_count(NST_COUNT_COMPACT_REFUSED, 1);
	}
	end(m);
	return how;
}

void nst_movable_leave(struct nst_page *p)
{
	struct nst_mover *m = mover_of(p);

	put_back(p, m);
	end(m);
}

void nst_movable_after_fork(void)
{
	struct nst_mover *m;

	for (m = movers; m < movers + NST_NR_MOVERS; m++) {
		if (m->state == MAKING)
			m->state = FREE;
		if (m->state != BUSY || m->runner == nst_thread_pointer())
			continue;
		if (m->moving && m->moving->state == NST_PAGE_MOVING)
			nst_page_set_state(m->moving, NST_PAGE_MOVABLE);
		m->moving = NULL;
		m->state = READY;
	}
}
