/* SPDX-License-Identifier: MIT */
/*
 * cold.c - pages without memory in blocks that are in use: given back, or never made ready.
 *
 *	block of 2 MiB	| run of 372 pages, in use | free | cold         | in use | cold |
 *
 * A cold run is on a list of its zone, and joins its cold buddies. It is made ready again when the zone
 * grows, a step of it at a time, or as the rest of something: a run above a step begins where it may
 * (aligned to its order) over pages that are free or cold, and of the cold ones as many are made ready as it
 * has. So does one that grows where it is. A fresh block for one is cold but for what it takes; what is
 * open then is left, its rest cold.
 *
 * Locks: the list needs zone->lock, who makes ready from it for the zone, or opens a block, zone->grow.
 */
#include "mm.h"

#define NO_OTHER NST_NR_ORDERS
#define GONE (-11)
#define LOOK_BLOCKS 64u	  /* (tune) */
#define LOOK_RUNS 64u	  /* (tune) */
#define FEW_PAGES 8u	  /* (tune) made ready at once, if they lie apart */
#define ROUND ((size_t)8) /* pages: no smaller run is left cold behind another */

/* Those of a step or more first: a zone that grows takes the first that does. Small ones, of which there may be many, apart. */
static void cold_in_locked(struct nst_zone *z, struct nst_page *p, unsigned int order)
{
	nst_page_set_state(p, NST_PAGE_COLD);
	nst_store_relaxed(&p->order, (u8)order); /* see nst_page_set_state() */
	p->gen = z->gen;
	if ((size_t)1 << order < ROUND)
		nst_list_add(&z->cold_small, &p->list);
	else if ((size_t)1 << order >= nst_zone_step(z))
		nst_list_add(&z->cold, &p->list);
	else
		nst_list_add_tail(&z->cold, &p->list);
}

/*
 * Of a cold run what is more than @to, from its end, stays; the rest is off the list, and for nobody else to take or to
 * join. Locks: needs z->lock.
 */
static void cut_locked(struct nst_zone *z, struct nst_page *p, unsigned int to)
{
	unsigned int order = p->order;

	nst_list_del(&p->list);
	nst_page_set_state(p, NST_PAGE_PCP);
	while (order > to) {
		order--;
		cold_in_locked(z, p + ((size_t)1 << order), order);
	}
	nst_store_relaxed(&p->order, (u8)order); /* see nst_page_set_state() */
	nst_buddy_idle_locked(p, -(1 << order));
}

/* And back, the last to be tried again. Locks: needs z->lock. */
static void back_locked(struct nst_zone *z, struct nst_page *p)
{
	nst_page_set_state(p, NST_PAGE_COLD);
	p->gen = z->gen;
	nst_buddy_idle_locked(p, 1 << p->order);
	nst_list_add_tail((size_t)1 << p->order < ROUND ? &z->cold_small : &z->cold, &p->list);
}

static int make_ready(struct nst_zone *z, struct nst_page *p, size_t pages, size_t cold)
{
	if (!nst_zone_may_add(cold) ||
	    nst_sys_populate(nst_page_address(p), pages << NST_PAGE_SHIFT))
		return -12;
	nst_resident_add(cold);
	nst_add_relaxed(&z->ready_pages, cold);
	return 0;
}

/* The first of @order or more, of so many as may be looked at with the zone's lock. */
static struct nst_page *find_locked(struct nst_list *list, unsigned int order)
{
	struct nst_list *l, *tmp;
	unsigned int looked = 0;

	nst_list_for_each (l, tmp, list) {
		struct nst_page *p = nst_container_of(l, struct nst_page, list);

		if (p->order >= order)
			return p;
		if (++looked == LOOK_RUNS)
			break;
	}
	return NULL;
}

/* The first of @order or more, off the list, and no more of it than a step. */
static struct nst_page *take(struct nst_zone *z, unsigned int order)
{
	unsigned int step = nst_log2(nst_zone_step(z));
	struct nst_page *p;

	nst_lock_wait(&z->lock);
	p = find_locked(&z->cold, order);
	if (!p && (size_t)1 << order < ROUND)
		p = find_locked(&z->cold_small, order);
	if (p)
		cut_locked(z, p, (unsigned int)nst_max(order, step));
	nst_unlock(&z->lock);
	return p;
}

/* Its pages, or 0: there is none, or no memory for it. */
static u64 warm_one(struct nst_zone *z, unsigned int order)
{
	struct nst_page *p = take(z, order);
	u64 pages;
	int err;

	if (!p)
		return 0;
	pages = 1ull << p->order;
	err = make_ready(z, p, pages, pages);
	nst_lock_wait(&z->lock);
	if (err)
		back_locked(z, p);
	else
		nst_buddy_put_locked(z, p, p->order);
	nst_unlock(&z->lock);
	return err ? 0 : pages;
}

/* Of small runs some: who grows the zone comes back as soon as they are taken. */
int nst_cold_warm_locked(struct nst_zone *z, unsigned int order)
{
	u64 pages = 0, got;

	do {
		got = warm_one(z, order);
		pages += got;
	} while (got && pages < FEW_PAGES);
	return pages ? 0 : -12;
}

struct nst_page *nst_cold_lay(struct nst_zone *z, struct nst_page *p, unsigned int order)
{
	nst_lock_wait(&z->lock);
	nst_buddy_idle_locked(p, 1 << order);
	p = nst_buddy_join_locked(z, p, &order, NST_PAGE_COLD);
	if (order < NST_BLOCK_ORDER) {
		cold_in_locked(z, p, order);
	} else {
		nst_page_set_state(p, NST_PAGE_PCP); /* as in cut_locked() */
		nst_buddy_idle_locked(p, -(int)NST_BLOCK_PAGES);
	}
	nst_unlock(&z->lock);
	return order < NST_BLOCK_ORDER ? NULL : p;
}

/* ---- runs over pages that are free or cold ---- */

/* Pages of @p to @end that are cold, if all others are free and that many may go; or -1. Locks: needs z->lock. */
static long count_cold_locked(const struct nst_zone *z, const struct nst_page *p, size_t pages)
{
	const struct nst_page *end = p + pages;
	u64 free = 0;
	long cold = 0;

	for (; p < end; p += (size_t)1 << p->order) {
		enum nst_page_state state = nst_page_state(p);
		size_t n;

		/* Of a page in use nothing else is looked at: it is its owner's. */
		if ((state != NST_PAGE_COLD && state != NST_PAGE_FREE) || p->gen != z->gen)
			return -1;
		n = nst_min((size_t)1 << p->order, (size_t)(end - p));
		if (state == NST_PAGE_COLD)
			cold += (long)n;
		else
			free += n;
	}
	return !free || z->free_pages >= nst_hint(&z->min) + free ? cold : -1;
}

/* The largest power of two up to @most that a run of @order has. */
static unsigned int part_of(unsigned int order, size_t most)
{
	return (unsigned int)nst_min(order, nst_log2(most));
}

static void take_cold_locked(struct nst_zone *z, struct nst_page *p, unsigned int order)
{
	cut_locked(z, p, order);
	p->mobility = nst_buddy_mobility_locked(p);
	z->taken[p->mobility] += 1ull << order;
}

/* Off the lists, as the inside of a run. Locks: needs z->lock. */
static void take_range_locked(struct nst_zone *z, struct nst_page *p, size_t pages)
{
	struct nst_page *end = p + pages;

	while (p < end) {
		unsigned int order = part_of(p->order, (size_t)(end - p));

		if (nst_page_state(p) == NST_PAGE_COLD)
			take_cold_locked(z, p, order);
		else
			nst_buddy_take_at_locked(z, p, order);
		nst_page_set_state(p, NST_PAGE_TAIL);
		p += (size_t)1 << order;
	}
}

/* @pages from @p on, which are on no list, to the list. Locks: needs z->lock. */
static void lay_range_locked(struct nst_zone *z, struct nst_page *p, size_t pages)
{
	size_t at = (size_t)(p - nst_arena_of_page(p)->pages), end = at + pages;

	while (at < end) {
		unsigned int order = part_of(nst_lowest_bit(at | NST_BLOCK_PAGES), end - at);

		cold_in_locked(z, p, order);
		nst_buddy_idle_locked(p, 1 << order);
		p += (size_t)1 << order;
		at += (size_t)1 << order;
	}
}

/* What could not be made ready. Some of it was, and goes with the rest. */
static void undo(struct nst_zone *z, struct nst_page *p, size_t pages, size_t cold)
{
	size_t ready = pages - cold;

	if (nst_sys_purge(nst_page_address(p), pages << NST_PAGE_SHIFT))
		nst_add_relaxed(&z->purge_failed, 1); /* it counts as given back */
	nst_resident_sub(ready);
	nst_sub_relaxed(&z->ready_pages, ready);
	nst_lock_wait(&z->lock);
	lay_range_locked(z, p, pages);
	nst_unlock(&z->lock);
}

static int has_free_locked(const struct nst_zone *z, unsigned int order)
{
	unsigned int m, o;

	for (m = 0; m < NST_NR_MOBILITIES; m++)
		for (o = order; o < NST_NR_ORDERS; o++)
			if (z->nr_free[m][o])
				return 1;
	return 0;
}

int nst_cold_take(struct nst_zone *z, struct nst_page *p, size_t pages, unsigned int instead)
{
	int err = 0;
	long cold;

	nst_lock_wait(&z->lock);
	cold = count_cold_locked(z, p, pages);
	if (cold < 0)
		err = GONE;
	else if (!nst_zone_may_add((u64)cold) || (cold && has_free_locked(z, instead)))
		err = -12;
	else
		take_range_locked(z, p, pages);
	nst_unlock(&z->lock);
	if (!err && cold && make_ready(z, p, pages, (size_t)cold)) {
		undo(z, p, pages, (size_t)cold);
		err = -12;
	}
	return err;
}

/* Where a run may begin, and how many of its pages would have to be made ready. */
struct place {
	struct nst_page *page;
	long cold;
};

/* The best of a block's places, if it is better than @best. */
static struct place better_in_block(struct nst_zone *z, struct nst_arena *a, size_t block,
				    size_t pages, struct place best)
{
	size_t step = (size_t)1 << nst_log2_up(pages), at;

	nst_lock_wait(&z->lock);
	for (at = 0; at < NST_BLOCK_PAGES && best.cold; at += step) {
		struct nst_page *p = &a->pages[block * NST_BLOCK_PAGES + at];
		long cold = count_cold_locked(z, p, pages);

		if (cold >= 0 && cold < best.cold)
			best = (struct place){p, cold};
	}
	nst_unlock(&z->lock);
	return best;
}

/* Of at most so many blocks with enough pages that are free or cold. Locks: needs z->grow, so that none is closed. */
static struct place best_place_locked(struct nst_zone *z, size_t pages)
{
	struct place best = {NULL, (long)pages + 1};
	unsigned int looked = 0;
	size_t block, end;
	u32 i;

	for (i = 0; i < nst_mm.nr_arenas; i++) {
		struct nst_arena *a = &nst_arenas[i];

		if (!nst_zone_part(z, a, &block, &end))
			continue;
		for (; block < nst_hint(&z->top[i]) && looked < LOOK_BLOCKS && best.cold; block++) {
			/* relaxed: a hint, until z->lock is held */
			if (nst_load_relaxed(&a->block[block]) != NST_BLOCK_READY ||
			    nst_hint(&a->block_idle[block]) < pages)
				continue;
			best = better_in_block(z, a, block, pages, best);
			looked++;
		}
	}
	return best;
}

/* The rest of the open block is cold; none is open then. Locks: needs z->grow. */
static void leave_open_locked(struct nst_zone *z)
{
	struct nst_arena *a = z->open_arena;
	size_t page = z->open_block * NST_BLOCK_PAGES + z->open_next;

	nst_store_relaxed(&a->block[z->open_block],
			  (u8)NST_BLOCK_READY); /* no live object is in that part */
	nst_hint_set(&z->open_arena, (struct nst_arena *)NULL);
	nst_lock_wait(&z->lock);
	lay_range_locked(z, &a->pages[page], NST_BLOCK_PAGES - z->open_next);
	nst_unlock(&z->lock);
}

/* A block that is cold. Locks: needs z->grow. */
static struct nst_page *fresh_block_locked(struct nst_zone *z)
{
	struct nst_page *p;

	if (z->open_arena)
		leave_open_locked(z);
	if (nst_zone_open_locked(z))
		return NULL;
	p = &z->open_arena->pages[z->open_block * NST_BLOCK_PAGES];
	leave_open_locked(z);
	return p;
}

/*
 * A place may be gone by the time it is taken, and nobody else takes of a fresh block. One that could not be made ready
 * would be as little elsewhere.
 */
struct nst_page *nst_cold_run(struct nst_zone *z, size_t pages)
{
	unsigned int order = nst_log2_up(pages);
	struct nst_page *p;
	int err;

	pages = nst_min(nst_round_up(pages, ROUND), (size_t)1 << order);
	nst_group_ask(pages);
	nst_lock_wait(&z->grow);
	p = best_place_locked(z, pages).page;
	err = p ? nst_cold_take(z, p, pages, NO_OTHER) : GONE;
	if (err == GONE && nst_zone_may_add(pages)) {
		p = fresh_block_locked(z);
		err = p ? nst_cold_take(z, p, pages, NO_OTHER) : -12;
	}
	nst_unlock(&z->grow);
	if (err)
		return NULL;
	nst_store_relaxed(&p->order, (u8)order); /* see nst_page_set_state() */
	p->pages = (u16)(pages == (size_t)1 << order ? 0 : pages);
	nst_page_set_state(p, NST_PAGE_PCP);
	return p;
}
