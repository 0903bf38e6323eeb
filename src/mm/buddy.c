/* SPDX-License-Identifier: MIT */
/*
 * buddy.c - split and merge free blocks of one zone (Knowlton 1965; by mobility as in Linux).
 *
 * A run of order n is aligned to 2^n pages; its buddy is the run whose number differs in bit n. Free
 * lists are by mobility of the pageblock and order, so that what cannot move does not spread over
 * every block. When a mobility has none, the largest free run of another is taken; a run of half a
 * block or more takes its whole block along.
 *
 * B1. A page of state PAGE_FREE with the zone's gen is on the list free[mobility][order].
 * B2. free_pages is the sum over the lists.
 * Every take walks at most ten orders and three mobilities; a steal moves at most a block's pages.
 * Locks: all need zone->lock.
 */
#include "mm.h"
#include "reclaim/reclaim.h"

#define STEAL_ORDER 5u /* (tune) from here a fallback takes the whole block */

static const u8 fallbacks[NST_NR_MOBILITIES][2] = {
	[NST_MOB_UNMOVABLE] = {NST_MOB_RECLAIMABLE, NST_MOB_MOVABLE},
	[NST_MOB_RECLAIMABLE] = {NST_MOB_UNMOVABLE, NST_MOB_MOVABLE},
	[NST_MOB_MOVABLE] = {NST_MOB_RECLAIMABLE, NST_MOB_UNMOVABLE},
};

static struct nst_page *page_on(struct nst_list *l)
{
	return nst_container_of(l, struct nst_page, list);
}

static u16 *block_idle(const struct nst_page *p)
{
	struct nst_arena *a = nst_arena_of_page(p);

	return &a->block_idle[(size_t)(p - a->pages) / NST_BLOCK_PAGES];
}

void nst_buddy_idle_locked(const struct nst_page *p, int pages)
{
	u16 *idle = block_idle(p);

	nst_hint_set(idle, (u16)(*idle + pages));
}

/* What is in use gets fuller, what is nearly free gets empty: runs of the latter are taken last. */
static void list_in(struct nst_zone *z, struct nst_page *p, unsigned int order, unsigned int mob)
{
	int mostly_free = *block_idle(p) > NST_BLOCK_PAGES / 2;

	nst_page_set_state(p, NST_PAGE_FREE);
	nst_store_relaxed(&p->order, (u8)order); /* see nst_page_set_state() */
	p->mobility = (u8)mob;
	p->gen = z->gen;
	if (mostly_free)
		nst_list_add_tail(&z->free[mob][order], &p->list);
	else
		nst_list_add(&z->free[mob][order], &p->list);
	z->nr_free[mob][order]++;
}

static void list_out(struct nst_zone *z, struct nst_page *p)
{
	nst_list_del(&p->list);
	z->nr_free[p->mobility][p->order]--;
}

static u8 *block_mobility(const struct nst_page *p)
{
	struct nst_arena *a = nst_arena_of_page(p);

	return &a->block_mob[(size_t)(p - a->pages) / NST_BLOCK_PAGES];
}

/* Halve @p from @from down to @order; the upper halves go to the lists. */
static void split(struct nst_zone *z, struct nst_page *p, unsigned int from, unsigned int order,
		  unsigned int mob)
{
	while (from > order) {
		from--;
		list_in(z, p + ((size_t)1 << from), from, mob);
	}
	nst_store_relaxed(&p->order, (u8)order); /* see nst_page_set_state() */
}

static struct nst_page *take_from(struct nst_zone *z, unsigned int order, unsigned int mob)
{
	unsigned int o;

	for (o = order; o < NST_NR_ORDERS; o++) {
		struct nst_page *p;

		if (nst_list_empty(&z->free[mob][o]))
			continue;
		p = page_on(z->free[mob][o].next);
		list_out(z, p);
		split(z, p, o, order, mob);
		return p;
	}
	return NULL;
}

/* All free runs of @p's block change over to @mob. */
static void steal_block(struct nst_zone *z, struct nst_page *p, unsigned int mob)
{
	struct nst_arena *a = nst_arena_of_page(p);
	size_t block = (size_t)(p - a->pages) / NST_BLOCK_PAGES;
	struct nst_page *q = &a->pages[block * NST_BLOCK_PAGES], *end = q + NST_BLOCK_PAGES;

	a->block_mob[block] = (u8)mob;
	while (q < end) {
		if (nst_page_state(q) == NST_PAGE_FREE && q->gen == z->gen) {
			unsigned int order = q->order;

			list_out(z, q);
			list_in(z, q, order, mob);
			q += (size_t)1 << order;
		} else {
			q++;
		}
	}
	z->stolen++;
}

static struct nst_page *take_fallback(struct nst_zone *z, unsigned int order, unsigned int mob)
{
	unsigned int o, i;

	for (o = NST_NR_ORDERS; o-- > order;) {
		for (i = 0; i < NST_ARRAY_SIZE(fallbacks[0]); i++) {
			struct nst_list *l = &z->free[fallbacks[mob][i]][o];

			if (nst_list_empty(l))
				continue;
			if (o < STEAL_ORDER)
				return take_from(z, order, fallbacks[mob][i]);
			steal_block(z, page_on(l->next), mob);
			return take_from(z, order, mob);
		}
	}
	return NULL;
}

/* @p is off the lists. */
static void taken(struct nst_zone *z, struct nst_page *p, unsigned int order)
{
	u64 pages = 1ull << order;

	nst_page_set_state(p, NST_PAGE_PCP);
	p->mobility = *block_mobility(p);
	nst_buddy_idle_locked(p, -(int)pages);
	nst_hint_set(&z->free_pages, z->free_pages - pages);
	if (z->free_pages < z->lowest_free)
		z->lowest_free = z->free_pages;
}

struct nst_page *nst_buddy_take_locked(struct nst_zone *z, unsigned int order, unsigned int mob)
{
	struct nst_page *p = take_from(z, order, mob);
	u64 pages = 1ull << order;

	nst_assert(nst_lock_is_mine(&z->lock));
	if (!p) {
		p = take_fallback(z, order, mob);
		if (p)
			z->fallback[mob] += pages;
	}
	if (!p)
		return NULL;
	z->taken[mob] += pages;
	taken(z, p, order);
	return p;
}

void nst_buddy_take_at_locked(struct nst_zone *z, struct nst_page *p, unsigned int order)
{
	unsigned int mob = p->mobility;

	list_out(z, p);
	split(z, p, p->order, order, mob);
	z->taken[mob] += 1ull << order;
	taken(z, p, order);
}

u8 nst_buddy_mobility_locked(const struct nst_page *p)
{
	return *block_mobility(p);
}

u64 nst_buddy_block_locked(struct nst_zone *z, struct nst_arena *a, size_t block,
			   struct nst_list *chain)
{
	struct nst_page *p = &a->pages[block * NST_BLOCK_PAGES], *end = p + NST_BLOCK_PAGES;
	u64 pages = 0;

	while (p < end) {
		if (nst_page_state(p) != NST_PAGE_FREE || p->gen != z->gen) {
			p++;
			continue;
		}
		if (chain) {
			list_out(z, p);
			taken(z, p, p->order);
			nst_list_add(chain, &p->list);
		}
		pages += 1ull << p->order;
		p += (size_t)1 << p->order;
	}
	return pages;
}

size_t nst_buddy_take_batch_locked(struct nst_zone *z, unsigned int order, unsigned int mob,
				   u64 floor, struct nst_page **runs, size_t nr)
{
	size_t n = 0;

	while (n < nr && z->free_pages >= floor + (1ull << order)) {
		runs[n] = nst_buddy_take_locked(z, order, mob);
		if (!runs[n])
			break;
		n++;
	}
	return n;
}

struct nst_page *nst_buddy_join_locked(struct nst_zone *z, struct nst_page *p, unsigned int *order,
				       enum nst_page_state state)
{
	struct nst_arena *a = nst_arena_of_page(p);
	size_t page = (size_t)(p - a->pages);

	for (; *order < NST_BLOCK_ORDER; ++*order) {
		size_t half = (size_t)1 << *order;
		struct nst_page *buddy = &a->pages[page ^ half];

		if (nst_page_state(buddy) != state || buddy->order != *order ||
		    buddy->gen != z->gen)
			break;
		if (state == NST_PAGE_FREE)
			list_out(z, buddy);
		else
			nst_list_del(&buddy->list);
		nst_page_set_state(&a->pages[page | half], NST_PAGE_TAIL);
		page &= ~half;
	}
	return &a->pages[page];
}

void nst_buddy_put_locked(struct nst_zone *z, struct nst_page *p, unsigned int order)
{
	unsigned int mob = *block_mobility(p);

	nst_assert(nst_lock_is_mine(&z->lock));
	nst_hint_set(&z->free_pages, z->free_pages + (1ull << order));
	if (nst_unlikely(z->owed))
		nst_reserve_refill_locked(z);
	nst_buddy_idle_locked(p, 1 << order);
	p = nst_buddy_join_locked(z, p, &order, NST_PAGE_FREE);
	list_in(z, p, order, mob);
}

void nst_buddy_check(struct nst_zone *z)
{
	u64 pages = 0;
	unsigned int m, o;

	for (m = 0; m < NST_NR_MOBILITIES; m++) {
		for (o = 0; o < NST_NR_ORDERS; o++) {
			struct nst_list *l, *tmp;
			u64 n = 0;

			nst_list_for_each (l, tmp, &z->free[m][o]) {
				struct nst_page *p = page_on(l);

				if (p->state != NST_PAGE_FREE || p->order != o ||
				    p->mobility != m ||
				    ((uintptr_t)nst_page_address(p) >> NST_PAGE_SHIFT) &
					    ((1u << o) - 1))
					nst_corrupt(
						"buddy list %u/%u holds page %p of state %u order %u",
						m, o, nst_page_address(p), p->state, p->order);
				n++;
			}
			if (n != z->nr_free[m][o])
				nst_corrupt("buddy list %u/%u has %llu runs, counted %llu", m, o,
					    (unsigned long long)n,
					    (unsigned long long)z->nr_free[m][o]);
			pages += n << o;
		}
	}
	if (pages != z->free_pages)
		nst_corrupt("zone %u has %llu free pages, counted %llu", z->node,
			    (unsigned long long)pages, (unsigned long long)z->free_pages);
}
