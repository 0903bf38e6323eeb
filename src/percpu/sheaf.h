/* SPDX-License-Identifier: MIT */
/*
 * sheaf.h - pop and push on this CPU's stack of pointers		<- NO-LOCK FAST PATH
 *
 * nst_pcs_pop() and friends serve any thread at any time: by sequence where it has rseq, else by
 * stripe. The inlined nst_seq_pop(table->fast) is the same without the question, for the first line of
 * an entry point; where the question matters, fast holds empty stacks and leads to these.
 *
 * A struct nst_sheaf is a detached array of objects with one owner at a time: who popped it, the stack
 * or barn it lies in. Whole sheaves move between CPUs; objects in them are not touched.
 */
#ifndef NST_PERCPU_SHEAF_H
#define NST_PERCPU_SHEAF_H

#include "../arch/none.h"

#define NST_STRIPES 8u	 /* (tune) a power of two; more than threads that are inside at once */
#define NST_SHEAF_MAX 62 /* pointers; a sheaf and its header fill 512 bytes */

/** struct nst_pcs_table - one stack per CPU; percpu.h has the picture */
struct nst_pcs_table {
	struct nst_pcs **fast;
	struct nst_pcs **real;
	struct nst_stripe *stripes;
	u32 cap;  /* what a new stack may hold, in pointers; */
	u32 room; /* and what it has memory for: the takers may let it hold more */
	u32 instrumented;
	u32 apart; /* fast is a table of its own, of empty stacks */
};

/* Context: any.  Waits: never.  Syscalls: none.  Locks: none. */
void *nst_pcs_pop(struct nst_pcs_table *t);
enum nst_push nst_pcs_push(struct nst_pcs_table *t, void *o);
/* Up to @n from the top, in the order they lie in: the top is last; one commit. */
size_t nst_pcs_popn(struct nst_pcs_table *t, void **out, size_t n);
size_t nst_pcs_pushn(struct nst_pcs_table *t, void *const *in, size_t n);

/*
 * A table of numbers: its stacks have no slots, and count is what this CPU has, at most cap (2^31 - 1). Take, or put,
 * @n of this CPU's by one commit: 1; or 0, and nothing has changed.
 */
int nst_pcs_debit(struct nst_pcs_table *t, u32 n);
int nst_pcs_credit(struct nst_pcs_table *t, u32 n);

#endif
