/* SPDX-License-Identifier: MIT */
/*
 * thread.h - the one thread-local block: zero at first, initial-exec; beside it is a pointer for annotations, and no other.
 *
 * Fork: the child's thread keeps its block. Signal: a handler sees and may change it as the thread
 * could. Exit: nothing to do.
 */
#ifndef NST_BASE_THREAD_H
#define NST_BASE_THREAD_H

#include "compiler.h"

struct nst_thread {
	/*
	 * Stands in for an rseq area before the library has started and where rseq is missing: its
	 * CPU number reads 0, and what a sequence announces in it nobody reads.
	 */
	u8 no_rseq[64];
	u32 scopes;  /* enum nst_scope_bits in force; written by this thread and its handlers */
	u32 forking; /* between our prepare handler of fork() and the other two: locks are held */
	const char *caller; /* file:line of the call, from programs compiled with NST_CALLERS */
	u64 random;	    /* slab order at debug 1 and up */
	/*
	 * Read sections (rcu/read.c). Tokens of this thread are its tag and a phase; 0: it has begun none yet.
	 * rcu_fast is the same once its sections may be counted by sequence.
	 */
	u64 rcu_fast, rcu_tag;
	u32 rcu_open[2];      /* sections it has begun, by phase, and not itself ended */
	const void *rcu_from; /* who began the first of these, where none is begun by sequence */
	/* Whose ticket it holds, how often it entered, and whether the last exit is to wake nobody (mm/claim/reserve.c). */
	struct nst_reserve *reserve;
	u32 reserve_depth, reserve_quiet;
	/* Pages it is about to take of that node, and those it has freed meanwhile (mm/reclaim/reclaim.c). */
	u32 claimed, claimed_node, earned;
	uintptr_t
		account; /* it is in (mm/claim/account.h); written by this thread and its handlers */
	const struct nst_notify_frame
		*notifying; /* the innermost function of a notifier it runs (mm/reclaim/notify.c) */
	u64 owed; /* bytes, had without waiting while memory was short (mm/claim/debt.c); its handlers add to it, too */
	u32 paying; /* it is making up for them */
	u32 end;    /* 1: its end will be noticed (sys/thread.c), 2: it ends */
	struct nst_ld_thread
		*lockdep; /* what it holds, while the validator is on (lockdep/engine.h) */
} NST_LINE_ALIGNED;

extern NST_TLS struct nst_thread nst_thread NST_HIDDEN;

#endif
