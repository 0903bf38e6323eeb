/* SPDX-License-Identifier: MIT */
/*
 * cool.c - pages of slabs in which no object lives: given back while the slab is in use, and had again.
 *
 *	slab	| page: objects | page: free slots | page: object | page: free slots |
 *	bits	  as they are	  0, 0, 0 absent     as they are    0, 0, 0 absent
 *
 * A slot of which a page is cold is absent: its bit is 0, so that nobody takes it, and it counts as free. Which pages are
 * cold, and how many slots are absent, is in the slab's second descriptor. A slab of which all other slots are taken is
 * on the list cooled; who may sleep and finds nothing else has the first of these warm again, before a new slab is made.
 *
 * Cooled are slabs of a cache of which nothing was taken, and to which nothing came back, for some looks of the worker; not
 * where constructors' work must stay, nor where no-lock callers have asked for stocks.
 *
 * While a slab's pages go or come no lock is held: it counts a slot more in use, so that it stays a slab.
 *
 * Locks: takes node->slab; zone->lock to discard one. Fork: one that a lost thread was at stays a slab for ever.
 */
#include "mm.h"

#define QUIET_LOOKS 4u /* (tune) */

static u32 pages_of(const struct nst_page *slab)
{
	return 1u << slab->order;
}

/* The pages that a slot lies in, a bit each. */
static u32 mask_of(const struct nst_cache *c, u32 slot)
{
	u32 first = slot * c->slot >> NST_PAGE_SHIFT;
	u32 last = ((slot + 1) * c->slot - 1) >> NST_PAGE_SHIFT;

	return (u32)((2ull << last) - (1ull << first));
}

static u64 *word_of(struct nst_page *slab, u32 slot)
{
	return &slab[slot / 256].free[slot % 256 / 64];
}

static u64 bit_of(u32 slot)
{
	return 1ull << slot % 64;
}

int nst_slab_is_absent(const struct nst_cache *c, struct nst_page *slab, u32 slot)
{
	return slab->order && *nst_slab_cold(slab) & mask_of(c, slot);
}

/* Pages that no slot in use lies in. Locks: needs n->slab. */
static u32 free_pages_locked(const struct nst_cache *c, struct nst_page *slab)
{
	u32 used = 0, slot;

	for (slot = 0; slot < c->slots; slot++)
		if (!(*word_of(slab, slot) & bit_of(slot)) && !nst_slab_is_absent(c, slab, slot))
			used |= mask_of(c, slot);
	return (u32)(((1ull << pages_of(slab)) - 1) & ~used);
}

/* Slots of @pages, a bit each, are absent. Locks: needs n->slab. */
static void take_slots_locked(const struct nst_cache *c, struct nst_page *slab, u32 pages)
{
	u32 slot;

	for (slot = 0; slot < c->slots; slot++) {
		u64 *word = word_of(slab, slot);

		if (!(*word & bit_of(slot)) || !(mask_of(c, slot) & pages))
			continue;
		*word &= ~bit_of(slot);
		slab[1].inuse++;
	}
	*nst_slab_cold(slab) |= pages;
}

/* And back: all that no page is missing of any more. Locks: needs n->slab. */
static void give_slots_locked(const struct nst_cache *c, struct nst_page *slab, u32 pages)
{
	u32 slot, was = *nst_slab_cold(slab), now = was & ~pages;

	for (slot = 0; slot < c->slots; slot++) {
		if (!(mask_of(c, slot) & was) || mask_of(c, slot) & now)
			continue;
		*word_of(slab, slot) |= bit_of(slot);
		slab[1].inuse--;
	}
	*nst_slab_cold(slab) = now;
}

/* The lowest row of @pages: how many from *first on. */
static u32 row_of(u32 pages, u32 *first)
{
	u32 n = 0;

	*first = nst_lowest_bit(pages);
	while (n < 32 - *first && pages >> *first >> n & 1)
		n++;
	return n;
}

static u32 row_mask(u32 first, u32 n)
{
	return (u32)(((1ull << n) - 1) << first);
}

static void *row_address(const struct nst_page *slab, u32 first)
{
	return (char *)nst_page_address(slab) + ((size_t)first << NST_PAGE_SHIFT);
}

/* Of @pages those that the kernel took. */
static u32 purge_pages(struct nst_zone *z, const struct nst_page *slab, u32 pages)
{
	u32 first, n, gone = 0;

	for (; pages; pages &= ~row_mask(first, n)) {
		n = row_of(pages, &first);
		if (nst_sys_purge(row_address(slab, first), (size_t)n << NST_PAGE_SHIFT)) {
			nst_add_relaxed(&z->purge_failed, 1);
			continue;
		}
		nst_resident_sub(n);
		nst_sub_relaxed(&z->ready_pages, n);
		gone |= row_mask(first, n);
	}
	return gone;
}

/* Of @pages those that are ready. */
static u32 populate_pages(struct nst_zone *z, const struct nst_page *slab, u32 pages)
{
	u32 first, n, there = 0;

	for (; pages; pages &= ~row_mask(first, n)) {
		n = row_of(pages, &first);
		if (!nst_zone_may_add(n) ||
		    nst_sys_populate(row_address(slab, first), (size_t)n << NST_PAGE_SHIFT))
			continue;
		nst_resident_add(n);
		nst_add_relaxed(&z->ready_pages, n);
		there |= row_mask(first, n);
	}
	return there;
}

/* ---- one slab ---- */

/* Its place in a list, from what it has. Locks: needs n->slab. */
static void unpin_locked(const struct nst_cache *c, struct nst_cache_node *n, struct nst_page *slab)
{
	slab->inuse--;
	nst_slab_settle_locked(c, n, slab);
}

static void cool_one(const struct nst_cache *c, struct nst_cache_node *n, struct nst_page *slab,
		     u32 pages)
{
	u32 gone = purge_pages(&nst_zones[nst_page_node(slab)], slab, pages);

	nst_lock_wait(&n->slab);
	give_slots_locked(c, slab, pages & ~gone);
	unpin_locked(c, n, slab);
	nst_unlock(&n->slab);
}

/* The next slab of the list, and its pages that are to go; NULL: the list is empty. */
static struct nst_page *next_slab(const struct nst_cache *c, struct nst_cache_node *n, u32 *pages)
{
	struct nst_page *slab = NULL;

	nst_lock_wait(&n->slab);
	*pages = 0;
	if (!nst_list_empty(&n->partial)) {
		slab = nst_container_of(n->partial.next, struct nst_page, list);
		nst_list_del(&slab->list);
		nst_list_add_tail(&n->partial, &slab->list);
		*pages = free_pages_locked(c, slab) & ~*nst_slab_cold(slab);
	}
	if (*pages) {
		take_slots_locked(c, slab, *pages);
		slab->inuse++;
	}
	nst_unlock(&n->slab);
	return slab;
}

int nst_slab_warm(struct nst_cache *c, struct nst_cache_node *n)
{
	struct nst_page *slab = NULL;
	u32 pages = 0, there;

	if (!c->order)
		return 0;
	nst_lock_wait(&n->slab);
	if (!nst_list_empty(&n->cooled)) {
		slab = nst_container_of(n->cooled.next, struct nst_page, list);
		pages = *nst_slab_cold(slab);
		slab->inuse++;
		/* for nobody else to warm */
		nst_list_del(&slab->list);
		nst_list_add(&n->filled, &slab->list);
	}
	nst_unlock(&n->slab);
	if (!slab)
		return 0;
	there = populate_pages(&nst_zones[nst_page_node(slab)], slab, pages);
	nst_lock_wait(&n->slab);
	give_slots_locked(c, slab, there);
	unpin_locked(c, n, slab);
	nst_unlock(&n->slab);
	return there != 0;
}

/* Pages one by one: to the buddy lists, or to what is cold. */
void nst_slab_put_pieces(struct nst_page *slab)
{
	struct nst_zone *z = &nst_zones[nst_page_node(slab)];
	u32 i, nr = pages_of(slab), cold = *nst_slab_cold(slab);

	*nst_slab_cold(slab) = 0;
	slab[1].inuse = 0;
	nst_lock_wait(&z->lock);
	for (i = 0; i < nr; i++)
		if (!(cold & 1u << i))
			nst_buddy_put_locked(z, slab + i, 0);
	nst_unlock(&z->lock);
	for (i = 0; i < nr; i++)
		if (cold & 1u << i)
			nst_zone_lay(z, slab + i);
}

/* ---- caches that are idle ---- */

static int may_cool(const struct nst_cache *c)
{
	return c->order && !c->ctor && !c->keeps && !nst_hint(&c->stock) && !nst_mm.debug &&
	       !(nst_mm.instrument & NST_INSTRUMENT_TOOL);
}

/* One look: did anything come or go since the last? */
static void look_at(struct nst_cache_node *n)
{
	nst_lock_wait(&n->slab);
	if (n->free_slots == n->free_before) {
		n->quiet_looks++;
	} else {
		n->quiet_looks = 0;
		n->uncooled = n->nr_slabs;
	}
	n->free_before = n->free_slots;
	nst_unlock(&n->slab);
}

int nst_cache_cool(struct nst_cache *c, int look, u32 *budget)
{
	unsigned int i;
	u32 pages;

	if (!may_cool(c))
		return 0;
	for (i = 0; i < nst_sys_cpus.nr_nodes; i++) {
		struct nst_cache_node *n = c->node[i];

		if (look)
			look_at(n);
		while (n->quiet_looks >= QUIET_LOOKS && n->uncooled && *budget) {
			struct nst_page *slab = next_slab(c, n, &pages);

			--*budget;
			n->uncooled = slab ? n->uncooled - 1 : 0;
			if (pages)
				cool_one(c, n, slab, pages);
		}
	}
	return !*budget;
}
