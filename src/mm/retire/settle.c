/* SPDX-License-Identifier: MIT */
/*
 * settle.c - who waits until what was retired is freed, and what a child of a fork does with a pass that is lost.
 *
 * Who waits makes passes: no worker is needed. Where a turn waits for a domain whose period is refused (a fork child's,
 * rcu/domain.c), he waits for the others and is told.
 *
 * Context: thread.
 */
#include "../mm.h"
#include "turn.h"

#define NAP_US 200u

static int is_behind(const struct nst_turn *t, u64 begun)
{
	/* Pairs with: nst_store_release() in account_round(). */
	return nst_load_acquire(&t->ended) < begun && nst_turn_waits(t);
}

/* Why it would never end: 0, or -errno of the first domain that it waits for. */
static int refusal(const struct nst_turn *t)
{
	u32 left;
	int err = 0;

	/* what a pass writes meanwhile: hints */
	for (left = nst_load_relaxed(&t->on) ? nst_load_relaxed(&t->domains) & ~1u : 0;
	     left && !err; left &= left - 1)
		if (nst_rcu_domain_is_held(&nst_rcu_domains[nst_lowest_bit(left)]))
			err = nst_gp_refusal(&nst_rcu_domains[nst_lowest_bit(left)]);
	return err;
}

/* 1: some go on; 0: all have ended that did not begin before @begun; -errno: those that have not never will. */
static int look_at_turns(const u64 *begun)
{
	int err, refused = 0;
	u32 i;

	for (i = 0; i < NST_NR_TURNS; i++) {
		if (!is_behind(&nst_turns[i], begun[i]))
			continue;
		err = refusal(&nst_turns[i]);
		if (!err)
			return 1;
		refused = err;
	}
	return refused;
}

static int settle(void)
{
	u64 begun[NST_NR_TURNS];
	u32 i, word = 0;
	int state;

	/*
	 * What was retired until here is seen by whoever begins the round after the one that this reads.
	 * Pairs with: nst_fence_full() in begin_round().
	 */
	nst_fence_full();
	for (i = 0; i < NST_NR_TURNS; i++)
		begun[i] = nst_load_relaxed(&nst_turns[i].begun) + 1; /* as above */
	while ((state = look_at_turns(begun)) > 0) {
		nst_maintain_pass(0);
		if (look_at_turns(begun) > 0)
			nst_sys_futex_wait(&word, 0, NAP_US);
	}
	return state;
}

u64 nst_retired_since(void)
{
	/* nst_retired_settle() reads it anew: as much is left since then at most */
	return nst_retired_is_ready() ? nst_load_relaxed(&nst_turn_own->begun) + 1 : 0;
}

int nst_retired_has_left(u64 since)
{
	return since && nst_load_relaxed(&nst_turn_own->left) >= since; /* it has settled */
}

int nst_retired_settle(void)
{
	u32 online = 0, aside = 0, i;
	int err = 0, back;

	if (!nst_retired_is_ready())
		return 0;
	for (i = 1; i < NST_RCU_DOMAINS && !err; i++) {
		if (!nst_rcu_domain_is_held(&nst_rcu_domains[i]))
			continue;
		err = nst_gp_wait_begin(&nst_rcu_domains[i], &back);
		aside |= 1u << i;
		online |= (u32)back << i;
	}
	if (!err)
		err = settle();
	for (; aside; aside &= aside - 1) {
		i = nst_lowest_bit(aside);
		nst_gp_wait_end(&nst_rcu_domains[i], online >> i & 1);
	}
	return err;
}

/* Anew: who was lost may have counted a page that it had yet to add, or taken out one that it had yet to count. */
static void count_call_pages(void)
{
	struct nst_turn *t = nst_turn_own;

	nst_store_relaxed(&nst_retired.call_pages, /* one thread runs */
			  nst_calls_pages() + nst_calls_pages_from(t->pages[0].calls) +
				  nst_calls_pages_from(t->pages[1].calls) +
				  nst_calls_pages_from(t->elapsed.calls));
}

/* F5: what it was about to take is still there. */
static void end_takes(struct nst_turn *t)
{
	const struct nst_page *p = nst_retired.runs[nst_turn_number(t)];

	while (p && p != t->runs)
		p = (const struct nst_page *)(uintptr_t)p->free[NST_PAGE_LINK_WORD];
	if (p)
		t->runs = NULL;
	if (t == nst_turn_own && nst_heads_have(nst_retired.heads, t->heads))
		t->heads = NULL;
}

/*
 * What a lost pass had taken is a round, and its period has yet to begin if it was still taking; what it was freeing goes
 * on. A cut that it had not yet freed may have been in its hands: this round speaks for none before it.
 */
void nst_ripe_after_fork(int lost)
{
	struct nst_turn *t;

	count_call_pages();
	if (!lost)
		return;
	nst_count(NST_COUNT_ABANDONED, 1);
	if (!nst_retired_is_ready()) /* a pass takes nothing before that */
		return;
	nst_take_after_fork();
	for (t = nst_turns; t < nst_turns + NST_NR_TURNS; t++) {
		if (!nst_turn_waits(t))
			continue;
		t->whole = 0;
		if (t->on)
			continue;
		if (t != nst_turn_dead)
			end_takes(t);
		nst_turn_begin_period(t);
		if (t == nst_turn_dead)
			nst_dead_after_fork();
	}
}
