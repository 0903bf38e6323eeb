/* SPDX-License-Identifier: MIT */
/*
 * reserve.c - pages below the watermarks, for who holds a ticket: concurrency that is limited, so that a bound can be
 * proven.
 *
 *	free pages of a zone:  |------ all modes ------|-- ATOMIC --|-- NOFAIL --|---- reserves ----|
 *					    z->min				z->reserved	    0
 *
 * Of each reserve, under its zone's lock:
 *
 *	R1. z->free_pages >= z->reserved, the sum of what reserves have; z->owed is the sum of what they lack
 *	R2. what it lacks was taken by its tickets and is still in use: of the pages that carry its number
 *
 *	take	n <= pages - lacks:  lacks += n, out += n, z->reserved -= n, z->owed += n	the page carries r
 *	put	it carries r:  out -= n, lacks -= n if there are, z->reserved and z->owed back	past CPUs' lists
 *	refill	free_pages > min:  as much of lacks is given back without a put
 *	push	a put without waiting, of a lock that is busy: on the list back, which take and the worker put first
 *
 * Neither step changes what others see above their watermark, so nobody can take what a holder frees; the floor of
 * NOFAIL is z->reserved. The memory is bounded by R2, whoever holds tickets for how long.
 *
 * Tickets are numbers: of those taken, the first ended + holders are in.
 *
 *	enter	n = next++					exit	ended++
 *		while n >= ended + holders			gate[n % NR]++ of the one that is in by it, wake
 *			wait on gate[n % NR]
 *
 * Enter reads the gate before it looks at ended, exit writes in the other order: a wake-up is not lost. First come, first
 * served, so nobody starves. Who may not wait takes the next number only if it is in at once.
 *
 * Fork: the child has the tickets of the thread that forked; pages stay as they are. Where it lost a zone's lists, its
 * reserves lack all, and have them again as the zone grows.
 */
#define NST_NO_MACROS
#include "../reclaim/reclaim.h"

#define NR_GATES 8u
#define MOST_HOLDERS 65536u
#define LOOK_US 1000u /* an exit that may not wake is seen by then */

enum state { FREE, MAKING, USED, DYING };

struct nst_reserve {
	u32 state;
	u32 holders;
	/* by the zone's lock: */
	struct nst_zone *zone;
	u64 pages, lacks, out, most;
	struct nst_page *back; /* CAS push, exchange take */
	/* tickets: */
	u32 next, ended;
	u32 gate[NR_GATES];
	u64 waits, refused, short_of; /* counts */
};
/* A page says its reserve's number, from 1 on. */
static struct nst_reserve reserves[NST_NR_RESERVES];

/* 1 if it is one, and there. */
static int is_used(const struct nst_reserve *r)
{
	size_t at = (size_t)((uintptr_t)r - (uintptr_t)reserves);

	return at < sizeof(reserves) && at % sizeof(*r) == 0 && nst_hint(&r->state) == USED;
}

/* Its zone is known: it is used, or pages of it are. */
static int is_made(const struct nst_reserve *r)
{
	/* Pairs with: nst_store_release() in nst_reserve_create(). */
	return nst_load_acquire(&r->state) >= USED;
}

/* ---- pages ---- */

static void give_back_locked(struct nst_reserve *r, u64 n)
{
	r->lacks -= n;
	r->zone->owed -= n;
	nst_hint_set(&r->zone->reserved, r->zone->reserved + n);
}

void nst_reserve_put_locked(struct nst_zone *z, struct nst_page *p)
{
	struct nst_reserve *r = &reserves[p->reserve - 1];
	u64 n = 1ull << p->order;

	p->reserve = 0;
	r->out -= n;
	give_back_locked(r, nst_min(r->lacks, n));
	if (r->state == DYING && !r->out)
		nst_store_relaxed(&r->state,
				  (u32)FREE); /* nobody knows it: a later create claims it */
	nst_zone_marks_locked(z);
}

static void put_locked(struct nst_zone *z, struct nst_page *p)
{
	unsigned int order = p->order;

	nst_reserve_put_locked(z, p);
	nst_buddy_put_locked(z, p, order);
}

static void put_back_locked(struct nst_reserve *r)
{
	struct nst_page *p, *next;

	if (nst_likely(!nst_load_relaxed(
		    &r->back))) /* relaxed: who pushed before this ticket is seen by it */
		return;
	/* Pairs with: nst_cas_release() in nst_reserve_push(). */
	for (p = nst_exchange_acquire(&r->back, (struct nst_page *)NULL); p; p = next) {
		next = (struct nst_page *)(uintptr_t)p->free[NST_PAGE_LINK_WORD];
		put_locked(r->zone, p);
	}
}

void nst_reserve_push(struct nst_page *p)
{
	struct nst_reserve *r = &reserves[p->reserve - 1];
	struct nst_page *head;

	do {
		head = nst_load_relaxed(&r->back); /* relaxed: the swap checks it */
		p->free[NST_PAGE_LINK_WORD] = (u64)(uintptr_t)head;
		/* Pairs with: nst_exchange_acquire() in put_back_locked(). */
	} while (!nst_cas_release(&r->back, head, p));
	nst_worker_flag();
}

int nst_reserve_pass(void)
{
	struct nst_reserve *r;
	int found = 0;

	for (r = reserves; r < reserves + NST_NR_RESERVES; r++) {
		if (!is_made(r) || !nst_load_relaxed(&r->back)) /* relaxed: a later pass sees it */
			continue;
		nst_lock_wait(&r->zone->lock);
		put_back_locked(r);
		nst_unlock(&r->zone->lock);
		found = 1;
	}
	return found;
}

struct nst_page *nst_reserve_take(unsigned int order, nst_mode_t mode)
{
	struct nst_reserve *r = nst_thread.reserve;
	struct nst_page *p = NULL;
	u64 n = 1ull << order;

	if (!r)
		return NULL;
	nst_lock_wait(&r->zone->lock);
	put_back_locked(r);
	if (r->pages - r->lacks >= n)
		p = nst_buddy_take_locked(r->zone, order, nst_mode_mobility(mode));
	if (p) {
		p->reserve = (u8)(r - reserves + 1);
		r->out += n;
		r->lacks += n;
		r->most = nst_max(r->most, r->lacks);
		r->zone->owed += n;
		nst_hint_set(&r->zone->reserved, r->zone->reserved - n);
		nst_zone_marks_locked(r->zone);
	}
	nst_unlock(&r->zone->lock);
	if (!p)
		nst_add_relaxed(&r->short_of, (u64)1);
	return p;
}

void nst_reserve_refill_locked(struct nst_zone *z)
{
	unsigned int i;

	for (i = 0; i < NST_NR_RESERVES && z->owed && z->free_pages > nst_hint(&z->min); i++) {
		struct nst_reserve *r = &reserves[i];

		if (!is_made(r) || r->zone != z || !r->lacks)
			continue;
		give_back_locked(r, nst_min(r->lacks, z->free_pages - nst_hint(&z->min)));
		nst_zone_marks_locked(z);
	}
}

/* 1: the pages are there, and are the reserve's. */
static int claim(struct nst_reserve *r)
{
	struct nst_zone *z = r->zone;
	int there;

	nst_lock_wait(&z->lock);
	there = z->free_pages >= nst_hint(&z->min) + r->pages;
	if (there) {
		nst_hint_set(&z->reserved, z->reserved + r->pages);
		nst_zone_marks_locked(z);
	}
	nst_unlock(&z->lock);
	return there;
}

static int set_aside(struct nst_reserve *r)
{
	int drained = 0;

	while (!claim(r)) {
		if (nst_zone_grow(r->zone, 0) == 0)
			continue;
		if (drained++)
			return -12;
		nst_pcp_drain(r->zone);
	}
	return 0;
}

struct nst_reserve *nst_reserve_create(size_t bytes, unsigned int holders)
{
	struct nst_reserve *r = reserves;

	if (!holders || holders > MOST_HOLDERS || bytes < holders * NST_PAGE_BYTES ||
	    bytes > PTRDIFF_MAX) {
		nst_warn("nst_reserve_create(%zu, %u): allowed: 1 to %u holders, and 4096 bytes or "
			 "more for each",
			 bytes, holders, MOST_HOLDERS);
		return NULL;
	}
	if (nst_start())
		return NULL;
	nst_fork_check();
	/* Pairs with: nst_store_release() in nst_reserve_destroy(). */
	while (!nst_cas_acquire(&r->state, (u32)FREE, (u32)MAKING))
		if (++r == reserves + NST_NR_RESERVES)
			return NULL;
	/* All but its state, which the worker reads. */
	__builtin_memset(&r->holders, 0, sizeof(*r) - offsetof(struct nst_reserve, holders));
	r->holders = holders;
	r->zone = &nst_zones[nst_this_node()];
	r->pages = nst_pages_of(bytes);
	if (set_aside(r)) {
		nst_hint_set(&r->state, (u32)FREE); /* it was nobody else's */
		return NULL;
	}
	/* Pairs with: nst_load_acquire() in is_made(). */
	nst_store_release(&r->state, (u32)USED);
	return r;
}

int nst_reserve_destroy(struct nst_reserve *r)
{
	struct nst_zone *z;

	if (!is_used(r))
		return -22;
	nst_fork_check();
	/* Pairs with: nst_add_release() in nst_reserve_exit(): whoever was in has gone. */
	if (nst_load_relaxed(&r->next) != nst_load_acquire(&r->ended))
		return -16;
	z = r->zone;
	nst_lock_wait(&z->lock);
	put_back_locked(r);
	nst_hint_set(&z->reserved, z->reserved - (r->pages - r->lacks));
	z->owed -= r->lacks;
	r->pages = r->lacks = 0;
	nst_zone_marks_locked(z);
	/* Pairs with: nst_cas_acquire() in nst_reserve_create(). */
	nst_store_release(&r->state, (u32)(r->out ? DYING : FREE));
	nst_unlock(&z->lock);
	return 0;
}

/* ---- tickets ---- */

/* Signed: numbers wrap. */
static int is_in(struct nst_reserve *r, u32 n)
{
	/* Pairs with: nst_add_release() in nst_reserve_exit(). */
	return (int)(n - (nst_load_acquire(&r->ended) + r->holders)) < 0;
}

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 27
/* Look, and then take: two who look at once have both found room. */
static int take_at_once(struct nst_reserve *r)
{
	if (!is_in(r, nst_load_relaxed(&r->next)))
		return 0;
	nst_sys_futex_wait(&r->state, USED, 1);
	nst_add_relaxed(&r->next, 1u);
	return 1;
}
#else
static int take_at_once(struct nst_reserve *r)
{
	u32 n;

	do {
		n = nst_load_relaxed(&r->next); /* relaxed: the swap checks it */
		if (!is_in(r, n))
			return 0;
	} while (!nst_cas_relaxed(&r->next, n, n + 1)); /* relaxed: is_in() orders it */
	return 1;
}
#endif

static void wait_turn(struct nst_reserve *r)
{
	u32 n = nst_add_relaxed(&r->next, 1u), seen; /* the fence orders it */

	/* Pairs with: nst_fence_full() in nst_reserve_exit(): it sees our number, or we that it is in. */
	nst_fence_full();
	if (is_in(r, n))
		return;
	nst_add_relaxed(&r->waits, (u64)1);
	for (;;) {
		/* Pairs with: nst_add_release() in wake_next(): a later ring differs. */
		seen = nst_load_acquire(&r->gate[n % NR_GATES]);
		if (is_in(r, n))
			return;
		nst_sys_futex_wait(&r->gate[n % NR_GATES], seen, LOOK_US);
	}
}

int nst_reserve_enter(struct nst_reserve *r, nst_mode_t mode)
{
	if (!is_used(r) || !NST_MODE_VALID(mode))
		return -22;
	nst_fork_check();
	if (nst_thread.reserve && nst_thread.reserve != r)
		return -35;
	if (nst_thread.reserve) {
		nst_thread.reserve_depth++;
		return 0;
	}
	mode = nst_mode_in_scope(mode);
	if (!take_at_once(r)) {
		if (!nst_mode_row(mode)->sleeps) {
			nst_add_relaxed(&r->refused, (u64)1);
			return -16;
		}
		wait_turn(r);
	}
	nst_thread.reserve = r;
	nst_thread.reserve_depth = 1;
	nst_thread.reserve_quiet = !nst_mode_row(mode)->wakes;
	nst_thread.scopes |= NST_SCOPE_TICKET;
	if (nst_mode_row(mode)->sleeps)
		nst_sys_end_watch();
	return 0;
}

/* Whose number is in by the exit that made it @ended. */
static void wake_next(struct nst_reserve *r, u32 ended)
{
	u32 n = ended + r->holders - 1;

	if ((int)(nst_load_relaxed(&r->next) - n) <=
	    0) /* nobody has that number: who takes it is in */
		return;
	/* Pairs with: nst_load_acquire() in wait_turn(). */
	nst_add_release(&r->gate[n % NR_GATES], 1u);
	nst_sys_futex_wake_all(&r->gate[n % NR_GATES]);
}

void nst_reserve_exit(struct nst_reserve *r)
{
	u32 ended;

	if (!r || nst_thread.reserve != r) {
		nst_warn("nst_reserve_exit(%p): this thread has not entered it", (void *)r);
		return;
	}
	if (--nst_thread.reserve_depth)
		return;
	nst_thread.scopes &= ~NST_SCOPE_TICKET;
	nst_thread.reserve = NULL;
	/* Pairs with: nst_load_acquire() in is_in() and nst_reserve_destroy(). */
	ended = nst_add_release(&r->ended, 1u) + 1;
	/* Pairs with: nst_fence_full() in wait_turn(). */
	nst_fence_full();
	if (!nst_thread.reserve_quiet)
		wake_next(r, ended);
}

void nst_reserve_thread_ends(void)
{
	struct nst_reserve *r = nst_thread.reserve;

	if (!r)
		return;
	nst_warn(
		"nst_reserve_enter(%p): a thread ended with its ticket, which is given back; allowed: "
		"nst_reserve_exit() before",
		(void *)r);
	nst_thread.reserve_depth = 1;
	nst_reserve_exit(r);
}

void nst_reserve_missing(nst_mode_t mode, struct nst_site site)
{
	static u32 warned;
	char name[64];

	nst_mode_name(mode, name, sizeof(name));
	if (!nst_exchange_relaxed(&warned, 1u)) /* once */
		nst_warn("%s: %s without a ticket; allowed: between nst_reserve_enter() and "
			 "nst_reserve_exit()",
			 site.function, name);
}

void nst_reserve_bytes(u64 *most, u64 *now)
{
	struct nst_reserve *r;

	*most = *now = 0;
	for (r = reserves; r < reserves + NST_NR_RESERVES; r++) {
		if (!is_used(r))
			continue;
		nst_lock_wait(&r->zone->lock);
		*most += r->pages << NST_PAGE_SHIFT;
		*now += r->lacks << NST_PAGE_SHIFT;
		nst_unlock(&r->zone->lock);
	}
}

int nst_reserve_read(struct nst_reserve *r, struct nst_reserve_stats *out, size_t bytes)
{
	struct nst_reserve_stats s;

	if (!is_used(r))
		return -22;
	nst_fork_check();
	nst_lock_wait(&r->zone->lock);
	put_back_locked(r);
	s.bytes = r->pages << NST_PAGE_SHIFT;
	s.used = r->lacks << NST_PAGE_SHIFT;
	s.used_most = r->most << NST_PAGE_SHIFT;
	nst_unlock(&r->zone->lock);
	s.holders = r->holders;
	/* relaxed: counts, of no one moment */
	s.out = nst_min((u32)(nst_load_relaxed(&r->next) - nst_load_relaxed(&r->ended)),
			r->holders);
	s.waits = nst_load_relaxed(&r->waits);
	s.refused = nst_load_relaxed(&r->refused);
	s.short_of = nst_load_relaxed(&r->short_of);
	__builtin_memset(out, 0, bytes);
	__builtin_memcpy(out, &s, nst_min(bytes, sizeof(s)));
	return 0;
}

/* ---- fork ---- */

void nst_reserve_after_fork(void)
{
	struct nst_reserve *r;
	unsigned int i;

	/* Sums anew: who was changing them is gone. */
	for (i = 0; i < nst_sys_cpus.nr_nodes; i++)
		nst_zones[i].reserved = nst_zones[i].owed = 0;
	for (r = reserves; r < reserves + NST_NR_RESERVES; r++) {
		if (r->state == MAKING)
			r->state = FREE;
		r->next = r->ended + (nst_thread.reserve == r);
		if (r->state == USED) {
			r->zone->reserved += r->pages - r->lacks;
			r->zone->owed += r->lacks;
		}
	}
	for (i = 0; i < nst_sys_cpus.nr_nodes; i++)
		if (nst_zones[i].reserved || nst_zones[i].owed)
			nst_zone_marks_locked(&nst_zones[i]);
}

void nst_reserve_zone_lost(struct nst_zone *z)
{
	struct nst_reserve *r;

	for (r = reserves; r < reserves + NST_NR_RESERVES; r++)
		if (r->zone == z && r->state == USED)
			r->lacks = r->pages;
}
