/* SPDX-License-Identifier: MIT */
/*
 * slab.c - one slab and the lists of slabs (Bonwick 1994; state out of band).
 *
 *	slab: 2^order pages | slot 0 | slot 1 | ... | slot n-1 | rest |
 *	bits: page i's descriptor has those of slots 256 i ... 256 i + 255; 1 is free
 *
 * Nothing is written into a free slot, so a user's overrun or use after free cannot lead the
 * allocator astray, and a bit set twice is a double free, seen always.
 *
 * S1. partial: some slots free; filled: none; unused: all. Each list's slabs have the node's gen.
 * S2. A slab's pages are ready before its first slot is handed out and stay so while it is one.
 * Locks: *_locked need node->slab.
 */
#include "mm.h"
#include "claim/account.h"

#define WORD_BITS 64u
#define BITS_PER_PAGE 256u
#define KEEP_UNUSED 2u /* (tune) slabs kept for the next refill, per node */

static struct nst_page *slab_on(struct nst_list *l)
{
	return nst_container_of(l, struct nst_page, list);
}

static u64 *word_of(struct nst_page *slab, unsigned int slot)
{
	return &slab[slot / BITS_PER_PAGE].free[slot % BITS_PER_PAGE / WORD_BITS];
}

static void clear_bits(struct nst_page *p)
{
	unsigned int i;

	if (p->order)
		*nst_slab_cold(p) = p[1].inuse = 0;

	for (i = 0; i < 1u << p->order; i++)
		__builtin_memset(p[i].free, 0, sizeof(p[i].free));
}

void nst_slab_make(struct nst_cache *c, struct nst_page *p)
{
	char *addr = nst_page_address(p);
	u32 i;

	clear_bits(p); /* a run on the side list has had its links there */
	for (i = 0; i < c->slots; i += WORD_BITS)
		*word_of(p, i) = ~0ull >> (WORD_BITS - nst_min(c->slots - i, WORD_BITS));
	for (i = 0; c->ctor && i < c->slots; i++)
		c->ctor(addr + (size_t)i * c->slot);
	nst_debug_slab_made(c, addr);
	p->inuse = 0;
	nst_store_relaxed(&p->cache, c->id); /* movable.c may look */
	p->on_full = 0;
	p->gen = 0;
	nst_list_init(&p->list);
	nst_page_set_state(p, NST_PAGE_SLAB);
	nst_map_set(p, c);
	nst_count(NST_COUNT_SLAB_MADE, 1);
}

void nst_slab_unmake(struct nst_page *p)
{
	nst_map_set(p, NULL);
	nst_debug_slab_gone(nst_page_address(p), NST_PAGE_BYTES << p->order);
	nst_page_set_state(p, NST_PAGE_PCP);
	nst_count(NST_COUNT_SLAB_FREED, 1);
}

void nst_slab_discard_waits(struct nst_page *p)
{
	u32 cold = p->order ? *nst_slab_cold(p) : 0;

	nst_owners_drop(p);
	nst_slab_unmake(p);
	if (cold)
		nst_slab_put_pieces(p);
	else
		nst_page_put_waits(p);
}

static void move(struct nst_page *slab, struct nst_list *to, struct nst_cache_node *n)
{
	if (slab->gen == n->gen)
		nst_list_del(&slab->list);
	else
		nst_list_init(&slab->list); /* lost in a fork: on no list of ours */
	slab->gen = n->gen;
	nst_list_add(to, &slab->list);
}

/* No slot of it can be had. */
static int is_full(const struct nst_cache *c, const struct nst_page *slab)
{
	return slab->inuse + nst_slab_nr_absent(slab) >= c->slots;
}

static void to_full_locked(struct nst_cache_node *n, struct nst_page *slab)
{
	move(slab, nst_slab_nr_absent(slab) ? &n->cooled : &n->filled, n);
	slab->on_full = 1;
}

void nst_slab_settle_locked(const struct nst_cache *c, struct nst_cache_node *n,
			    struct nst_page *slab)
{
	if (slab->inuse == 0) {
		move(slab, &n->unused, n);
		n->nr_unused++;
		slab->on_full = 0;
	} else if (is_full(c, slab)) {
		to_full_locked(n, slab);
	} else if (slab->on_full || slab->gen != n->gen) {
		move(slab, &n->partial, n);
		slab->on_full = 0;
	}
}

void nst_slab_add_locked(struct nst_cache *c, struct nst_cache_node *n, struct nst_page *slab)
{
	slab->gen = n->gen;
	nst_list_add(&n->partial, &slab->list);
	nst_hint_set(&n->nr_slabs, n->nr_slabs + 1);
	nst_hint_set(&n->free_slots, n->free_slots + c->slots);
}

/* At debug 1 and up the slots of a word come in an order that cannot be guessed. */
static unsigned int pick_bit(u64 word)
{
	unsigned int skip;

	if (nst_likely(!nst_mm.debug))
		return nst_lowest_bit(word);
	nst_thread.random = nst_mix64(nst_thread.random + nst_ticks() + (u64)(uintptr_t)&skip);
	for (skip = (unsigned int)(nst_thread.random % nst_popcount(word)); skip; skip--)
		word &= word - 1;
	return nst_lowest_bit(word);
}

static size_t take_from(struct nst_cache *c, struct nst_page *slab, void **out, size_t nr)
{
	char *addr = nst_page_address(slab);
	unsigned int first;
	size_t n = 0;

	for (first = 0; first < c->slots && n < nr; first += WORD_BITS) {
		u64 *word = word_of(slab, first);

		while (*word && n < nr) {
			unsigned int bit = pick_bit(*word);

			*word &= ~(1ull << bit);
			out[n++] = addr + (size_t)(first + bit) * c->slot;
		}
	}
	slab->inuse = (u16)(slab->inuse + n);
	return n;
}

/* So that a program gets neighbours in the order of their addresses. */
static void reverse(void **obj, size_t n)
{
	size_t i;

	for (i = 0; i < n / 2; i++) {
		void *other = obj[n - 1 - i];

		obj[n - 1 - i] = obj[i];
		obj[i] = other;
	}
}

size_t nst_slab_take_locked(struct nst_cache *c, struct nst_cache_node *n, void **out, size_t nr)
{
	size_t got = 0;

	nst_assert(nst_lock_is_mine(&n->slab));
	while (got < nr) {
		int fresh = nst_list_empty(&n->partial);
		struct nst_list *from = fresh ? &n->unused : &n->partial;
		struct nst_page *slab;

		if (nst_list_empty(from))
			break;
		slab = slab_on(from->next);
		got += take_from(c, slab, out + got, nr - got);
		n->nr_unused -= (u64)fresh;
		n->least_unused = nst_min(n->least_unused, n->nr_unused);
		if (is_full(c, slab)) {
			to_full_locked(n, slab);
		} else if (fresh) {
			move(slab, &n->partial, n);
		}
	}
	nst_hint_set(&n->free_slots, n->free_slots - got);
	reverse(out, got);
	return got;
}

struct nst_page *nst_slab_put_locked(struct nst_cache *c, struct nst_cache_node *n,
				     struct nst_page *slab, void *obj)
{
	unsigned int slot = (unsigned int)nst_slab_slot(c, slab, obj);
	u64 *word = word_of(slab, slot), bit = 1ull << (slot % WORD_BITS);

	nst_assert(nst_lock_is_mine(&n->slab));
	if (*word & bit || nst_slab_is_absent(c, slab, slot)) {
		nst_misuse_double(obj, (struct nst_site){"slab return", NULL});
		return NULL;
	}
	*word |= bit;
	slab->inuse--;
	nst_hint_set(&n->free_slots, n->free_slots + 1);
	if (slab->inuse == 0) {
		move(slab, &n->unused, n);
		n->nr_unused++;
		slab->on_full = 0;
		/* Who may not wait cannot have one with cold pages. */
		if (n->nr_unused > KEEP_UNUSED && !nst_slab_nr_absent(slab))
			return nst_slab_take_unused_locked(c, n);
	} else if (slab->on_full || slab->gen != n->gen) {
		move(slab, &n->partial, n);
		slab->on_full = 0;
	}
	return NULL;
}

void nst_slab_keep_locked(struct nst_cache *c, struct nst_cache_node *n, struct nst_page *slab)
{
	nst_list_add(&n->unused, &slab->list);
	n->nr_unused++;
	nst_hint_set(&n->nr_slabs, n->nr_slabs + 1);
	nst_hint_set(&n->free_slots, n->free_slots + c->slots);
}

struct nst_page *nst_slab_take_unused_locked(struct nst_cache *c, struct nst_cache_node *n)
{
	struct nst_page *slab;

	if (nst_list_empty(&n->unused))
		return NULL;
	slab = slab_on(n->unused.next);
	nst_list_del(&slab->list);
	n->nr_unused--;
	n->least_unused = nst_min(n->least_unused, n->nr_unused);
	nst_hint_set(&n->nr_slabs, n->nr_slabs - 1);
	nst_hint_set(&n->free_slots, n->free_slots - c->slots);
	return slab;
}
