/* SPDX-License-Identifier: MIT */
/*
 * channel.c - the rings that one kind of retired objects goes into: made where they are wanted, kept in pages.
 *
 *	cache		pages are its sheaves: what is ripe goes to its barn as it is
 *	mixed, calls	pages of the zone, of 510 pointers
 *
 * A ring is made for a CPU once somebody there had none, and holds ready pages as many as twice what was sealed
 * since the last pass.
 *
 * Context: thread, who has the pass. Locks: takes retired.lock for the worker's half of a ring; zone and meta.
 */
#include "../mm.h"
#include "retired.h"

#define READY_LEAST 2u /* pages */

struct nst_sheaf *nst_retired_page(struct nst_page *p)
{
	struct nst_sheaf *s = nst_page_address(p);

	s->count = 0;
	s->cap = NST_PAGE_POINTERS;
	return s;
}

struct nst_sheaf *nst_channel_page(struct nst_cache *c)
{
	enum nst_null_reason why;
	struct nst_page *p;

	if (c)
		return nst_sheaf_empty_waits(c);
	p = nst_page_take_waits(nst_this_node(), 0, NST_NORMAL, &why);
	return p ? nst_retired_page(p) : NULL;
}

void nst_channel_page_free(struct nst_cache *c, struct nst_sheaf *s)
{
	if (c)
		nst_sheaf_put_waits(c, s);
	else
		nst_page_put_waits(nst_page_of(s));
}

/* Is ring number @i there, with fewer ready pages? Who retires may bring one, too. */
static int has_fewer(const struct nst_channel *ch, unsigned int i, u32 want)
{
	const struct nst_ring *r;
	int fewer;

	nst_lock_wait(&nst_retired.lock);
	r = nst_ring_number(&ch->rings, i);
	fewer = r && nst_ring_ready(r) < want;
	nst_unlock(&nst_retired.lock);
	return fewer;
}

/* 0; or it has gone, or has no room. */
static int add_ready(const struct nst_channel *ch, unsigned int i, struct nst_sheaf *s)
{
	struct nst_ring *r;
	int err;

	nst_lock_wait(&nst_retired.lock);
	r = nst_ring_number(&ch->rings, i);
	err = r ? nst_ring_add_ready(r, s) : -2;
	nst_unlock(&nst_retired.lock);
	return err;
}

/* Ready pages of a ring as many as twice what was taken just now, within its room. */
void nst_channel_make_ready(struct nst_cache *c, struct nst_channel *ch, unsigned int i, u32 taken)
{
	u32 want = taken < READY_LEAST ? READY_LEAST : 2 * taken;
	struct nst_sheaf *s;

	while (has_fewer(ch, i, want)) {
		s = nst_channel_page(c);
		if (!s)
			return;
		if (add_ready(ch, i, s)) {
			nst_channel_page_free(c, s);
			return;
		}
	}
}

/* The ring that somebody had none of; and a table for it, with a cache's first. */
void nst_channel_ring_wanted(struct nst_cache *c, struct nst_channel *ch)
{
	u32 i = nst_exchange_relaxed(&ch->want, 0u); /* a hint */
	struct nst_sheaf *s;
	int err;

	if (!i || nst_calls_are_full(ch) || nst_channel_open(c, ch) ||
	    nst_ring_number(&ch->rings, i - 1))
		return;
	s = nst_channel_page(c);
	if (!s)
		return;
	nst_lock_wait(&nst_retired.lock);
	err = nst_ring_make(&ch->rings, i - 1, s);
	nst_unlock(&nst_retired.lock);
	if (err)
		nst_channel_page_free(c, s);
	else
		nst_channel_make_ready(c, ch, i - 1, 0);
}

int nst_channel_open(struct nst_cache *c, struct nst_channel *ch)
{
	if (nst_channel_is_open(ch))
		return 0;
	ch->rings.instrumented = nst_mm.instrument != 0;
	if (nst_ring_table_init(&ch->rings, c ? NST_RING_SLOTS : NST_RING_SLOTS_MIXED))
		return -12;
	if (c) /* Pairs with: nst_rings_beside(), by the address: it is read through it. */
		nst_store_release(
			(void **)&(c->charged ? c->main.fast : c->main.real)[NST_RINGS_BESIDE],
			(void *)ch->rings.fast);
	/* Pairs with: nst_load_acquire() in nst_channel_is_open(). */
	nst_store_release(&ch->open, 1u);
	return 0;
}

void nst_channel_drop(struct nst_sheaf *s, u32 prefix)
{
	u32 i;

	if (!prefix)
		return;
	for (i = prefix; i < s->count; i++)
		s->obj[i - prefix] = s->obj[i];
	s->count -= prefix;
}

struct nst_sheaf *nst_channel_take(struct nst_ring *r, u32 *freed)
{
	struct nst_sheaf *s;

	*freed = 0;
	nst_lock_wait(&nst_retired.lock);
	s = nst_ring_take_sealed(r, freed);
	nst_unlock(&nst_retired.lock);
	if (s)
		nst_channel_drop(s, *freed);
	return s;
}

void nst_channel_decay(struct nst_cache *c, struct nst_channel *ch)
{
	struct nst_sheaf *s, *next;
	unsigned int i;

	for (i = 0; nst_channel_is_open(ch) && i < nst_ring_nr(&ch->rings); i++) {
		struct nst_ring *r = nst_ring_number(&ch->rings, i);

		if (!r)
			continue;
		nst_lock_wait(&nst_retired.lock);
		s = nst_ring_still(r) > NST_STILL_LOOKS ? nst_ring_unmake(&ch->rings, i) : NULL;
		nst_unlock(&nst_retired.lock);
		for (; s; s = next) {
			next = s->next;
			nst_channel_page_free(c, s);
		}
	}
}

void nst_channel_close(struct nst_cache *c)
{
	struct nst_ring_table *t = &c->dead.rings;
	struct nst_sheaf *s;
	unsigned int i;
	u32 prefix;

	if (!nst_channel_is_open(&c->dead))
		return;
	for (i = 0; i < nst_ring_nr(t); i++) {
		struct nst_ring *r = nst_ring_number(t, i);

		while (r && (s = nst_ring_take_any(r, &prefix)) != NULL) {
			nst_hint_set(&s->count, 0u);
			nst_sheaf_delete(s);
		}
	}
	nst_ring_table_exit(t);
	nst_store_relaxed(&c->dead.open, 0u); /* nobody retires to it any more */
}
