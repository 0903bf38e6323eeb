/* SPDX-License-Identifier: MIT */
/*
 * reclaim.c - requests that may reclaim, and what is done while memory is reclaimed.
 *
 *	X is held, a request may reclaim    X -> reclaim
 *	a shrinker waits for A              reclaim -> A       both are edges of graph.c, and X = A is the shortest cycle
 *
 * Neither needs memory to be short: a request that may reclaim counts as if it did (Linux: fs_reclaim_acquire()). There are
 * four kinds, by what a callback may do: input and output, locks of clients. A request with NST_NOIO, or in such a
 * scope, calls no callback of the first, so that their locks may be held around it; the library's own callbacks run
 * in NST_SCOPE_NORECLAIM, where requests do not reclaim.
 */
#include "held.h"

/* A broken variant that the tests must catch. */
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 44 /* no request reclaims */
#define RECLAIMS 0
#else
#define RECLAIMS 1
#endif

#define TAGS (NST_LD_RECLAIMS - 1)

/* The innermost; NULL: it is in none. */
static struct nst_ld_held *innermost(struct nst_ld_thread *t)
{
	u32 i;

	for (i = nst_ld_nr(t); i-- > t->level;)
		if (nst_ld_is_held(&t->held[i]) && nst_ld_is_reclaim(t->held[i].class))
			return &t->held[i];
	return NULL;
}

static void begin(u32 what, const void *ip)
{
	struct nst_ld_thread *t = this_thread();
	struct nst_ld_held r = nst_ld_context(NST_LD_SIGNALS + (what & TAGS), ip);

	if (t)
		push(t, &r);
}

static void end(const void *ip)
{
	struct nst_ld_thread *t = this_thread();
	struct nst_ld_held *r = t ? innermost(t) : NULL;

	if (r)
		pop(t, r);
	else if (t && ip)
		nst_ld_end_alone(t, ip);
}

void nst_reclaiming_begin_on(uint32_t what)
{
	begin(what, __builtin_return_address(0));
}

void nst_reclaiming_end_on(void)
{
	end(__builtin_return_address(0));
}

/* The library's own: what has begun before the validator was on has no entry. */
void nst_ld_own_reclaim(u32 what, const void *ip)
{
	if (ip)
		begin(what, ip);
	else
		end(NULL);
}

/* Those it may enter, a bit each. */
static u32 entered_by(nst_mode_t mode)
{
	const u32 no = (mode & NST_NOIO ? NST_RECLAIM_IO : 0u) |
		       (mode & NST_NOCLIENT ? NST_RECLAIM_CLIENT : 0u);
	u32 i, set = 0;

	if (!RECLAIMS || !(mode & (NST_NORMAL | NST_NORETRY | NST_NOFAIL)) || mode & NST_MEMALLOC)
		return 0;
	for (i = 0; i < NST_LD_RECLAIMS; i++)
		if (!(i & no))
			set |= 1u << i;
	return set;
}

void nst_ld_judge_reclaim(struct nst_ld_thread *t, nst_mode_t mode, const void *ip)
{
	const u32 set = entered_by(mode);
	const struct nst_ld_held *in;
	u64 key = set;
	u32 i, nr = 0;

	if (!set || nst_ld_nr(t) == t->level)
		return;
	in = innermost(t);
	if (in && set >> (in->class - NST_LD_CONTEXTS - NST_LD_SIGNALS) & 1)
		nst_ld_report(t, NST_NL_RECLAIM, NST_LD_ERROR, 0, NULL, ip,
			      "reclaims, inside reclaim, at");
	for (i = t->level; i < nst_ld_nr(t); i++) {
		if (!nst_ld_is_held(&t->held[i]))
			continue;
		key = nst_ld_chain_step(key, &t->held[i]);
		nr += !nst_ld_is_context(t->held[i].class);
	}
	key = nst_mix64(key + ~(u64)set);
	if (nr && nst_unlikely(!nst_ld_chain_is_known(key, t->tag)))
		nst_ld_chain_reclaims(t, key, set, ip);
}
