/* SPDX-License-Identifier: MIT */
/*
 * ripe.c - what has been retired is freed: rounds of the worker, each with one grace period for all it took.
 *
 *	each pass	take sealed pages out of rings, give rings new ready ones
 *	no round on	begin one: those pages, the filled part of open pages, dead bits, runs, heads; then its cookie
 *	a round on	its period over?  free what it took
 *
 * A pass waits for no reader: it asks for the period, helps it along for some steps and comes again. Where readers are
 * short that is one pass. A page that was sealed long enough ago is freed as it is taken (its stamp says so).
 *
 * Freed means: what reuse.c says. A user's function is called on a thread of its own (calls.c), so that it can stall
 * neither this nor the refills of no-lock callers; with worker:off by nst_maintain().
 *
 * Each domain has a turn of its own, and so have dead bits (turn.h).
 *
 * Locks: a cache's barn and slab.
 */
#include "../mm.h"
#include "turn.h"

#define GP_STEPS 8u /* (tune) of helping a period along, in a pass */

struct nst_turn nst_turns[NST_NR_TURNS];
static u32 busy; /* something was taken that is not freed: a hint */

/* ---- what tells that readers are gone, and its broken twins (base/testhook.h) ---- */

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 13
/* Nobody is waited for. */
int nst_turn_is_ripe(u32 domain, nst_cookie_t stamp)
{
	(void)domain;
	(void)stamp;
	return 1;
}
#elif defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 15
/* The period that was over when it was stamped serves. */
int nst_turn_is_ripe(u32 domain, nst_cookie_t stamp)
{
	return nst_gp_is_done(&nst_rcu_domains[domain], stamp - 1);
}
#else
int nst_turn_is_ripe(u32 domain, nst_cookie_t stamp)
{
	return nst_gp_is_done(nst_retired_readers(&nst_rcu_domains[domain]), stamp);
}
#endif

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 18
/* Having helped the period along is enough. */
static int is_still_ripe(u32 domain, nst_cookie_t stamp)
{
	(void)domain;
	(void)stamp;
	return 1;
}
#else
static int is_still_ripe(u32 domain, nst_cookie_t stamp)
{
	return nst_turn_is_ripe(domain, stamp);
}
#endif

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 14
static nst_cookie_t ahead;

/* The period of a round begins before the round takes. */
static void look_ahead(void)
{
	ahead = nst_gp_start();
	nst_gp_step(nst_rcu_own);
}
static nst_cookie_t cookie_of_round(u32 domain)
{
	return domain ? nst_gp_start_in(&nst_rcu_domains[domain]) : ahead;
}
#else
static void look_ahead(void)
{
}
static nst_cookie_t cookie_of_round(u32 domain)
{
	return nst_gp_start_in(nst_retired_readers(&nst_rcu_domains[domain]));
}
#endif

/* ---- rounds ---- */

/*
 * What is over with this round. Pages that were sealed in its midst have been taken by the time that the next one
 * begins, and so are over with that.
 */
static void account_round(struct nst_turn *t)
{
	u64 over = t->whole && !t->late ? t->begun : t->almost;

	t->almost = t->whole && t->late ? t->begun : 0;
	if (t == nst_turn_dead && t->whole)
		nst_take_let_go_dead();
	if (over) /* Pairs with: nst_load_acquire() in is_behind(). */
		nst_store_release(&t->ended, over);
}

void nst_turn_begin_period(struct nst_turn *t)
{
	u32 domains = t == nst_turn_dead ? nst_take_dead_domains() : 1u << nst_turn_number(t), left;

	for (left = domains; left; left &= left - 1) {
		u32 i = nst_lowest_bit(left);

		t->cookie[i] = cookie_of_round(i);
	}
	nst_store_relaxed(&t->domains, domains); /* settle.c looks: a hint */
	nst_barrier();				 /* a fork child begins it anew, or has it */
	nst_store_relaxed(&t->on, 1u);		 /* as above */
}

static void take_chains(struct nst_turn *t)
{
	struct nst_page *run, **runs = &nst_retired.runs[nst_turn_number(t)];
	struct nst_rcu_head *head, **heads = &nst_retired.heads;

	do {
		run = nst_chain_note(runs, &t->runs);
		nst_test_delay_here(NST_SEQ_HAND, 0);
		/* Pairs with: nst_cas_release() in chain_run(). */
	} while (run && !nst_cas_acq_rel(runs, run, (struct nst_page *)NULL));
	if (t != nst_turn_own)
		return;
	do {
		head = nst_chain_note(heads, &t->heads);
		nst_test_delay_here(NST_SEQ_HAND, 1);
		/* Pairs with: nst_cas_release() in push_head(). */
	} while (head && !nst_cas_acq_rel(heads, head, (struct nst_rcu_head *)NULL));
	nst_test_delay_here(NST_SEQ_HAND, 2);
}

static void begin_round(struct nst_turn *t)
{
	t->whole = 1;
	t->late = 0;
	nst_store_relaxed(&t->begun, t->begun + 1); /* the fence orders it */
	/*
	 * What was retired by who then read the number before this one is seen from here on.
	 * Pairs with: nst_fence_full() in settle().
	 */
	nst_fence_full();
	t->mine ^= 1;
	nst_take_begin(t);
	nst_turn_each_channel(t, nst_take_cuts);
	if (t == nst_turn_dead)
		nst_take_dead(t);
	else
		take_chains(t);
	if (nst_turn_has_no(&t->pages[t->mine]) && !t->nr_cuts && !t->nr_words && !t->runs &&
	    !t->heads)
		account_round(t);
	else
		nst_turn_begin_period(t);
}

/* Its period is over. */
static void end_round(struct nst_turn *t)
{
	nst_reuse_pages(&t->pages[t->mine], nst_turn_domain(t));
	while (t->cuts_done < t->nr_cuts)
		nst_take_free_cut(t, &t->cut[t->cuts_done++]);
	for (; t->words_done < t->nr_words; t->words_done++)
		nst_reuse_word(&t->word[t->words_done]);
	nst_reuse_runs(&t->runs, nst_turn_domain(t));
	nst_calls_add_heads(&t->heads);
	nst_store_relaxed(&t->on, 0u); /* a hint to settle.c */
	account_round(t);
}

/* Nothing waits for the readers of a domain that is not held: what the round noted has been freed as it was taken. */
static int is_domain_over(u32 domain, nst_cookie_t cookie)
{
	struct nst_rcu_domain *d = &nst_rcu_domains[domain];
	unsigned int i, steps = domain ? 1 : GP_STEPS; /* another's thread makes its periods */

	if (!nst_rcu_domain_is_held(d))
		return 1;
	for (i = 0; i < steps && !nst_turn_is_ripe(domain, cookie); i++)
		nst_gp_step(d);
	return is_still_ripe(domain, cookie);
}

static int is_over(struct nst_turn *t)
{
	u32 left;

	for (left = t->domains; left; left &= left - 1) {
		u32 i = nst_lowest_bit(left);

		if (!is_domain_over(i, t->cookie[i]))
			return 0;
	}
	return 1;
}

static int decay_channel(struct nst_turn *t, struct nst_cache *c, struct nst_channel *ch)
{
	(void)t;
	nst_channel_decay(c, ch);
	return 0;
}

static int begin_turn(struct nst_turn *t)
{
	int found;

	if (!t->cut && !t->word)
		nst_take_init(t);
	found = nst_turn_each_channel(t, nst_take_channel);
	nst_reuse_pages(&t->elapsed, nst_turn_domain(t));
	if (!t->on)
		begin_round(t);
	return found;
}

int nst_retired_pass(int look)
{
	struct nst_turn *t;
	int found = 0, on = 0;

	if (!nst_retired_is_ready() &&
	    (!look || !nst_hint(&nst_retired.failed) || nst_retired_make_ready()))
		return 0;
	for (t = nst_turns; t < nst_turns + NST_NR_TURNS; t++)
		if (t->on || nst_turn_waits(t))
			found |= begin_turn(t);
	for (t = nst_turns; t < nst_turns + NST_NR_TURNS; t++) {
		if (t->on && is_over(t)) {
			end_round(t);
			found = 1;
		}
		if (look && !t->on)
			nst_turn_each_channel(t, decay_channel);
		on |= t->on || !nst_turn_has_no(nst_turn_young(t));
	}
	look_ahead();
	nst_hint_set(&busy, (u32)on);
	if (found) /* more will come soon: what is retired now is to be free in a millisecond or two */
		nst_worker_listen();
	return found;
}

int nst_retired_is_busy(void)
{
	return nst_hint(&busy) != 0;
}
