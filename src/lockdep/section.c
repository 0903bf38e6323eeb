/* SPDX-License-Identifier: MIT */
/*
 * section.c - read sections and grace periods: a section is held by a reader, and who waits for a period waits for it.
 *
 *	X is held, a period is waited for    X -> rcu
 *	a section, A is waited for in it     rcu -> A       graph.c has them as the orders of a lock
 *
 * Sections are told of if the option check was on from the start: then none is counted by sequence. Else it is known only
 * how many this thread has begun and not ended. A section may end on another thread: once one has, who began it seems to be in
 * one for ever, so nothing is an error any more, and no order.
 */
#include "held.h"

/* A broken variant that the tests must catch. */
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 45 /* sections are not seen */
#define IS_READER(t) ((t)->rcu_open[0] & 0)
#else
#define IS_READER(t) ((t)->rcu_open[0] + (t)->rcu_open[1])
#endif

void nst_ld_own_section(const void *ip)
{
	struct nst_ld_thread *t = this_thread();
	struct nst_ld_held s = nst_ld_section(ip), *e;

	if (ip == NST_LOCKDEP_NOT_MINE)
		nst_store_relaxed(&nst_ld.sections_move, 1u); /* a state that stays */
	if (!t || ip == NST_LOCKDEP_NOT_MINE)
		return;
	if (ip) {
		push(t, &s);
		return;
	}
	e = find(t, s.lock);
	if (e)
		pop(t, e);
}

static enum nst_lockdep_level level(void)
{
	return nst_load_relaxed(&nst_ld.sections_move) ? NST_LD_POSSIBLE
						       : NST_LD_ERROR; /* as above */
}

void nst_ld_own_wait(u32 what, const void *ip)
{
	struct nst_ld_thread *t = this_thread();
	struct nst_ld_held s = nst_ld_section(ip);

	if (!t)
		return;
	if (what == NST_LOCKDEP_WAIT_PERIOD && IS_READER(&nst_thread)) {
		nst_ld_report(t, NST_NL_RCU, level(), 0, NULL, ip,
			      "waits for the end of its own section at");
		return;
	}
	s.how = NST_LD_CONTEXT;
	if (what == NST_LOCKDEP_WAIT_PERIOD)
		nst_ld_judge(t, &s, NST_WAIT_SLEEP);
	else
		nst_ld_judge_sleep(t, ip);
}

void nst_ld_judge_reader(struct nst_ld_thread *t, const void *ip)
{
	if (IS_READER(&nst_thread) && !t->depth[NST_SECTION_ALLOW])
		nst_ld_report(t, NST_NL_RCU, NST_LD_POSSIBLE, 0, NULL, ip,
			      "periods wait for a section that may sleep at");
}

void nst_rcu_read_assert_on(int otherwise)
{
	struct nst_ld_thread *t = this_thread();

	if (t && !otherwise && !IS_READER(&nst_thread))
		nst_ld_report(t, NST_NL_RCU, level(), 0, NULL, __builtin_return_address(0),
			      "read outside of a section at");
}
