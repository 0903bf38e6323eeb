/* SPDX-License-Identifier: MIT */
/*
 * own_zone.h - a zone of the test's own, so that what its lists hold is known to the page.
 *
 * Its blocks come whole from node 0 and are lent out again by each own_zone_begin(); nobody else knows
 * the zone, so a count that is off by one page is the tested code's doing.
 */
#ifndef TEST_OWN_ZONE_H
#define TEST_OWN_ZONE_H

#include <string.h>
#include "mm/mm.h"
#include "common/check.h"

#define OWN_BLOCKS 8u

static struct nst_zone own_zone;

static struct {
	struct nst_page *block[OWN_BLOCKS]; /* first pages, in the order they were lent */
	unsigned int nr, lent;
} own;

/* A block that no zone's list has. */
static inline struct nst_page *own_new_block(void)
{
	struct nst_zone *z = &nst_zones[0];
	struct nst_page *p = NULL;

	if (nst_zone_grow(z, NST_BLOCK_ORDER) == 0) {
		nst_lock_wait(&z->lock);
		p = nst_buddy_take_locked(z, NST_BLOCK_ORDER, NST_MOB_MOVABLE);
		nst_unlock(&z->lock);
	}
	if (!p)
		check_broken("a whole block");
	return p;
}

/* The mobility of the block that @p lies in. */
static inline u8 *own_mobility(const struct nst_page *p)
{
	struct nst_arena *a = nst_arena_of_page(p);

	return &a->block_mob[(size_t)(p - a->pages) / NST_BLOCK_PAGES];
}

/* How many of its pages are free, or cold. */
static inline u16 *own_idle(const struct nst_page *p)
{
	struct nst_arena *a = nst_arena_of_page(p);

	return &a->block_idle[(size_t)(p - a->pages) / NST_BLOCK_PAGES];
}

/* The first page of a block of mobility @mob, all of it in use: the test puts what is to be free. */
static inline struct nst_page *own_block(unsigned int mob)
{
	struct nst_page *p;

	if (own.lent == own.nr)
		own.block[own.nr++] = own_new_block();
	p = own.block[own.lent++];
	for (size_t i = 0; i < NST_BLOCK_PAGES; i++)
		nst_page_set_state(&p[i], NST_PAGE_TAIL);
	*own_mobility(p) = (u8)mob;
	*own_idle(p) = 0;
	return p;
}

/* Which of the lent blocks @p lies in. */
static inline unsigned int own_block_number(const struct nst_page *p)
{
	unsigned int i = 0;

	while (i < own.lent && (size_t)(p - own.block[i]) >= NST_BLOCK_PAGES)
		i++;
	return i;
}

/* The zone anew, with no page in it. */
static inline void own_zone_begin(void)
{
	memset(&own_zone, 0, sizeof(own_zone));
	nst_zone_init(&own_zone, 0);
	own.lent = 0;
}

static inline struct nst_page *own_take(unsigned int order, unsigned int mob)
{
	struct nst_page *p;

	nst_lock_wait(&own_zone.lock);
	p = nst_buddy_take_locked(&own_zone, order, mob);
	nst_unlock(&own_zone.lock);
	return p;
}

static inline void own_put(struct nst_page *p, unsigned int order)
{
	nst_lock_wait(&own_zone.lock);
	nst_buddy_put_locked(&own_zone, p, order);
	nst_unlock(&own_zone.lock);
}

/* Ends the process if the lists are not what the counters say. */
static inline void own_audit(void)
{
	nst_lock_wait(&own_zone.lock);
	nst_buddy_check(&own_zone);
	nst_unlock(&own_zone.lock);
}

/* Free runs of one mobility, of every order. */
static inline u64 own_runs(unsigned int mob)
{
	u64 n = 0;

	for (unsigned int order = 0; order < NST_NR_ORDERS; order++)
		n += own_zone.nr_free[mob][order];
	return n;
}

#endif
