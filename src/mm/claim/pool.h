/* SPDX-License-Identifier: MIT */
/*
 * pool.h - within the folder: objects that are somebody's before they are needed (prefill.c, pool.c).
 *
 *	struct nst_prefilled	| state: refills, left | obj[0 ... left - 1] are to be had | one refiller's from there |
 *	struct nst_pool		| state: changes, kept | slots: an object or NULL, in any order			|
 *
 * The objects in them are free as far as debugging goes, and handed out as far as their slabs go.
 *
 * V1. A prefilled sheaf's state is changed by one swap at a time, which a taker makes 1 less and a refiller a number that
 *     never was: who has read a slot under a state that still stands has read what lies there.
 * V2. An object lies in one slot of a pool, or in one caller's hands. A pool's state is raised after a slot is filled and
 *     lowered after one is emptied: it counts calls that are over, and no two moments have the same.
 *
 * Fork: a child has a copy of each, less what vanished threads had in their hands. Signal: see who may be in one.
 */
#ifndef NST_MM_POOL_H
#define NST_MM_POOL_H

#include "../mm.h"
#include <nostall/reserve.h>

/** struct nst_prefilled - in one piece; it ends with its objects */
struct nst_prefilled {
	u64 state; /* refills << 32 | objects left */
	struct nst_cache *cache;
	u32 room;	/* pointers */
	u32 is_started; /* an object takes more than its pointer to hand out: debugging, NST_ZERO */
	nst_mode_t zero; /* NST_ZERO, or 0 */
	void *obj[];
};

#define NST_POOL_CHUNK 64u /* slots in the first chunk, twice as many in each after that */
#define NST_POOL_CHUNKS 11u
nst_static_assert(NST_POOL_CHUNK *((1u << NST_POOL_CHUNKS) - 1) >= NST_POOL_MAX, "room for all");

/** struct nst_pool - slots are added while it is in use, and none ever moves */
struct nst_pool {
	u64 state; /* changes << 32, and the objects in slots: for moments fewer than none */
	struct nst_cache *cache;
	u32 min;      /* objects to keep */
	u32 room;     /* slots there are; grows only */
	u32 out;      /* objects that are held */
	u32 limit;    /* holders x held_max; 0: nothing is stated */
	u32 exceeded; /* what was held when that was exceeded first; 0: never yet */
	u32 told;     /* it has been said */
	u32 holders, held_max;
	u32 waiting; /* threads */
	u32 bell;    /* the futex they sleep on */
	u64 counted; /* of it, in nst_set_aside */
	void **chunk[NST_POOL_CHUNKS];
};

#ifdef NST_TEST
extern u32
	nst_pool_nap_us; /* who waits looks again after so long; tests that count wake-ups make it long */
#endif

/* ---- slow.c: the steps of an ordinary request, for who goes on in his own way ---- */

/* 1: nst_cache_alloc_waits() may be called. @mode: in scope, one that waits. */
int nst_slow_enter(struct nst_cache *c, nst_mode_t mode, struct nst_site site);
/* NST_ZERO, and a constructor: 1, after a line. */
int nst_zero_is_refused(const struct nst_cache *c, nst_mode_t mode, struct nst_site site);

/* ---- debug.c ---- */

/* What a free checks and notes of an object while instrumented: 1; or 0: misuse, reported. It is not quarantined. */
int nst_debug_end_use(struct nst_page *p, void *obj, struct nst_site site);

#endif
