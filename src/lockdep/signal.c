/* SPDX-License-Identifier: MIT */
/*
 * signal.c - signal-safe and signal-unsafe use of a class: handlers, whom they interrupt, and what blocks them.
 *
 *	X is held and signal 10 may come    X -> signal 10
 *	its handler waits for A             signal 10 -> A        both are edges of graph.c, and X = A is the shortest cycle
 *
 * A handler is an entry of what its thread holds. What is below it belongs to whom it interrupted: the handler waits while
 * that is held, but by chance; that it may is said by the edges above, once, whatever it interrupts. So chains, gates and
 * orders begin anew at each handler; a lock held below and waited for is found all the same, and so is a limit.
 *
 * Which signals may come is what was told: a signal has a handler from nst_handler_installed() or its first handler on;
 * a thread blocks what it did when it was first seen, and as it says. What the kernel has blocked when an order is new counts as well:
 * who blocks without saying so is believed. A signal may come to every thread that does not block it, as one sent to the process does.
 */
#include "held.h"

/* A broken variant that the tests must catch. */
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 66 /* the mask alone counts */
#define SAID(set) 0
#else
#define SAID(set) (set)
#endif

static inline u64 bit_of(u32 signal)
{
	return 1ull << (signal - 1);
}

/* What is held here was taken while fewer signals could come. */
static void opened(struct nst_ld_thread *t, u64 told)
{
	const u64 open = NST_LD_OPEN(t);
	u64 key = 0;
	u32 i;

	for (i = t->level; i < nst_ld_nr(t); i++)
		if (nst_ld_is_held(&t->held[i]))
			key = nst_ld_chain_step(key, &t->held[i]);
	if (open && key && !nst_ld_chain_is_known(nst_ld_key_open(key, 0, open), t->tag))
		nst_ld_opened(t, key, open, told);
}

static void installed(struct nst_ld_thread *t, u32 signal, u64 told)
{
	if (nst_load_relaxed(&nst_ld.handled) & bit_of(signal)) /* relaxed: a set that grows */
		return;
	nst_or_relaxed(&nst_ld.handled, bit_of(signal));
	nst_ld_look_again();
	opened(t, told);
}

void nst_handler_installed_on(int signal)
{
	struct nst_ld_thread *t = this_thread();

	if (t && signal >= 1 && signal <= (int)NST_LD_SIGNALS)
		installed(t, (u32)signal, 0);
}

void nst_handler_enter_on(int signal)
{
	struct nst_ld_thread *known = nst_thread.lockdep, *t = this_thread();
	const u32 n = (u32)signal;
	struct nst_ld_held s, *e;
	u32 i;

	if (!t || n < 1 || n > NST_LD_SIGNALS)
		return;
	if (!known)
		t->blocked = 0; /* what is blocked now is so for the handler; a new order looks */
	installed(t, n, ~0ull); /* it is blocked now, and was not */
	s = nst_ld_context(n - 1, __builtin_return_address(0));
	/* The place is taken before it is written: a handler that comes now takes the next, and gives it back. */
	close_fast(t);
	i = t->handlers;
	nst_store_relaxed(&t->handlers, i + 1); /* relaxed: for handlers of this thread */
	nst_barrier();
	if (i >= NST_LD_HANDLERS)
		return;
	t->handler[i].blocked = t->blocked;
	t->handler[i].level = t->level;
	t->handler[i].signal = n;
	t->handler[i].from = s.ip;
	t->handler[i].pushed = 0;
	t->blocked |= bit_of(n);
	nst_barrier();
	e = append(t);
	if (!e)
		return;
	fill(t, e, &s);
	t->handler[i].pushed = 1;
	nst_store_relaxed(&t->level, (u32)(e - t->held)); /* relaxed: as above */
}

/* What the handler took and keeps: whom it interrupted would let go of it. */
static void let_go(struct nst_ld_thread *t, u32 level)
{
	u32 i;

	for (i = nst_ld_nr(t); i-- > level + 1;) {
		struct nst_ld_held *e = &t->held[i];

		if (!nst_ld_is_held(e))
			continue;
		nst_ld_report_place(t, NST_NL_EXIT, NST_LD_ERROR, e->class, e->lock,
				    nst_ld_place_of(e), "its handler took it at");
		pop(t, e);
	}
}

void nst_handler_exit_on(void)
{
	struct nst_ld_thread *t = this_thread();
	u32 i, level;

	if (!t)
		return;
	if (!t->handlers) {
		nst_ld_end_alone(t, __builtin_return_address(0));
		return;
	}
	i = t->handlers - 1;
	if (i < NST_LD_HANDLERS) {
		level = t->level;
		if (t->handler[i].pushed) {
			let_go(t, level);
			nst_store_relaxed(&t->level, t->handler[i].level); /* relaxed: as above */
			nst_barrier();
			pop(t, &t->held[level]);
		}
		t->blocked = t->handler[i].blocked;
		nst_barrier();
	}
	nst_store_relaxed(&t->handlers, i); /* relaxed: as above */
	open_fast(t);
}

uint64_t nst_signals_block_on(uint64_t set)
{
	struct nst_ld_thread *t = this_thread();
	u64 fresh;

	if (!t)
		return 0;
	fresh = set & ~t->blocked;
	close_fast(t);
	t->blocked |= set;
	open_fast(t);
	return fresh;
}

void nst_signals_unblock_on(uint64_t set)
{
	struct nst_ld_thread *t = this_thread();

	if (!t)
		return;
	close_fast(t);
	t->blocked &= ~set;
	opened(t, SAID(set));
	open_fast(t);
}
