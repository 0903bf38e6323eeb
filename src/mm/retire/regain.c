/* SPDX-License-Identifier: MIT */
/*
 * regain.c - an allocation that finds its lists empty takes what is ripe off this CPU's own ring.
 *
 *	this CPU's ring of the cache	[ripe][ripe][sealed] ... | open | ready ... <-- an empty one for each that is taken
 *					  v
 *					a full sheaf, as from the barn
 *
 *	regain(c)	the oldest sealed page is ripe		take it
 *			PRESSING are sealed, or none is ready	ready pages, twice what is sealed; the period is pressed
 *								for; ripe now? take it
 *			else					NULL: barn, slabs, as ever
 *
 * So who allocates and retires by turns, faster than the worker looks, lives on the same pages, which never leave his
 * CPU, and finds room for what he retires. No pass is made: refills for no-lock callers are the worker's, and do
 * not wait for who allocates, whatever his priority. Bounded: one page, and once in a quarter of PRESSING pages at most two
 * periods, whose barriers are all there is to them; a reader in the way is left there. Not pressed: in a read section,
 * which the period would wait for; nor where each CPU would have to be visited for a barrier.
 *
 * Where an instrument looks at each free, those of a page are freed one by one (decision 0005).
 *
 * A page in the hands of who allocates has been freed, as one that he took from the barn; a fork child without him
 * loses it as such.
 *
 * Context: thread. Locks: tries retired.lock for a page, nst_rcu_lock for a period, and takes the former to add pages.
 */
#include "../mm.h"
#include "turn.h"

#define PRESSING 32u /* (tune) sealed pages of a ring */

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 29
/* What is sealed is ripe. */
static int is_ripe(nst_cookie_t stamp)
{
	return stamp != UINT64_MAX;
}
#else
static int is_ripe(nst_cookie_t stamp)
{
	return nst_turn_is_ripe(0, stamp);
}
#endif

/* A look that saves the lock. */
static int is_worth_it(const struct nst_channel *ch, unsigned int i)
{
	const struct nst_ring *r = nst_ring_number(&ch->rings, i);

	return r && (nst_ring_is_pressed(r, PRESSING) || is_ripe(nst_ring_oldest_hint(r)));
}

/* The oldest page, if it is ripe; *@spare takes its place behind the ready ones, and is NULL then. */
static struct nst_sheaf *swap_ripe(const struct nst_channel *ch, unsigned int i,
				   struct nst_sheaf **spare, u32 *freed)
{
	struct nst_sheaf *s = NULL;
	struct nst_ring *r;

	if (!nst_trylock(&nst_retired.lock))
		return NULL;
	r = nst_ring_number(&ch->rings, i);
	if (r && is_ripe(nst_ring_oldest(r)))
		s = nst_ring_take_sealed(r, freed);
	if (s && *spare && nst_ring_add_ready(r, *spare) == 0)
		*spare = NULL;
	nst_unlock(&nst_retired.lock);
	return s;
}

static struct nst_sheaf *take_ripe(struct nst_cache *c, unsigned int i)
{
	struct nst_sheaf *spare = nst_channel_page(c), *s;
	u32 freed;

	s = swap_ripe(&c->dead, i, &spare, &freed);
	if (spare)
		nst_channel_page_free(c, spare);
	if (!s)
		return NULL;
	nst_retired_freed((u64)s->count * c->slot); /* the part that cuts freed, too */
	nst_channel_drop(s, freed);
	if (s->count)
		return s;
	nst_channel_page_free(c, s);
	return NULL;
}

/* How many pages are sealed, if it is time to press for a period that makes the last of them ripe; or 0. */
static u32 is_pressed(const struct nst_channel *ch, unsigned int i, nst_cookie_t *newest)
{
	struct nst_ring *r;
	u32 sealed;

	if (!nst_trylock(&nst_retired.lock))
		return 0;
	r = nst_ring_number(&ch->rings, i);
	sealed = r ? nst_ring_press(r, PRESSING, newest) : 0;
	nst_unlock(&nst_retired.lock);
	return sealed;
}

/* 1: all that was sealed is ripe. */
static int press(struct nst_cache *c, unsigned int i)
{
	nst_cookie_t newest;
	u32 sealed;

	if (!nst_sys_barrier_ok || nst_rcu_open_here())
		return 0;
	sealed = is_pressed(&c->dead, i, &newest);
	if (!sealed)
		return 0;
	nst_channel_make_ready(c, &c->dead, i, (u32)nst_min(sealed, PRESSING));
	return nst_gp_press(newest);
}

/* Where each free is looked at, or gives back what was charged, they are freed one by one, and what lies on the CPU's list then is had from there. */
static struct nst_sheaf *look_at_each(struct nst_cache *c, struct nst_sheaf *s)
{
	nst_reuse_each(s, 0);
	nst_hint_set(&s->count, (u32)nst_pcs_popn(&c->main, s->obj, s->cap));
	if (s->count)
		return s;
	nst_channel_page_free(c, s); /* all is in quarantine */
	return NULL;
}

struct nst_sheaf *nst_regain(struct nst_cache *c)
{
	unsigned int i = nst_ring_here();
	struct nst_sheaf *s;

	if (!nst_channel_is_open(&c->dead) || !is_worth_it(&c->dead, i))
		return NULL;
	s = take_ripe(c, i);
	if (!s && press(c, i))
		s = take_ripe(c, i);
	return s && (nst_mm.instrument || c->charged) ? look_at_each(c, s) : s;
}
