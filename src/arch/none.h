/* SPDX-License-Identifier: MIT */
/*
 * none.h - the interface of rseq_ops.h where rseq is missing: stripes with a try-held word.
 *
 * A table has a few stripes, each a stack and a word that is 0 or the thread pointer of who works on
 * it. A thread starts at the stripe its address hashes to and goes on to the next where one is held, or
 * has nothing for it; after all of them it gets "empty" or "full". Nobody waits: a preempted holder costs
 * the others a step to the next stripe, and a handler that interrupts a holder sees its own thread's
 * word and steps on too.
 *
 * The order inside keeps the one-commit rule of the sequences: what a fork child finds half done is
 * as if not begun, so it need only clear the words of threads it does not have.
 *
 * Price: one exchange and one store; about four times a sequence.
 */
#ifndef NST_ARCH_NONE_H
#define NST_ARCH_NONE_H

#include "rseq_ops.h"

struct nst_stripe {
	uintptr_t held; /* 0, or the thread pointer of the holder */
	struct nst_pcs *pcs;
} NST_LINE_ALIGNED;

#if defined(NST_TEST)
#define STRIPE_ENTERED() (nst_test_in_stripe++)
#define STRIPE_LEFT() (nst_test_in_stripe--)
#else
#define STRIPE_ENTERED() ((void)0)
#define STRIPE_LEFT() ((void)0)
#endif

/*
 * Stripe number @step from the one this thread hashes to, held by us now; or NULL, when somebody holds
 * it. @nr is a power of two.
 */
static inline struct nst_stripe *nst_stripe_take(struct nst_stripe *stripes, unsigned int nr,
						 unsigned int step)
{
	uintptr_t self = nst_thread_pointer();
	struct nst_stripe *s = &stripes[(nst_mix64(self >> 6) + step) & (nr - 1)];

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 3
	nst_store_relaxed(&s->held, self); /* the held word is ignored */
#else
	/* Pairs with: nst_store_release() in nst_stripe_put() and nst_pcs_put(). */
	if (nst_load_relaxed(&s->held) || !nst_cas_acquire(&s->held, (uintptr_t)0, self))
		return NULL;
#endif
	STRIPE_ENTERED();
	nst_barrier();
	return s;
}

static inline void nst_stripe_put(struct nst_stripe *s)
{
	nst_barrier();
	STRIPE_LEFT();
	/* Pairs with: nst_cas_acquire() in nst_stripe_take() and take_stripe_from(). */
	nst_store_release(&s->held, (uintptr_t)0);
}

static inline size_t nst_stack_popn(struct nst_pcs *s, void **out, size_t n)
{
	size_t i, k = nst_min(n, s->count);

	for (i = 0; i < k; i++)
		out[i] = s->obj[s->count - k + i];
	nst_barrier();
	nst_store_relaxed(&s->count,
			  s->count - (u32)k); /* the commit; the holder's put publishes it */
	return k;
}

static inline size_t nst_stack_pushn(struct nst_pcs *s, void *const *in, size_t n)
{
	size_t i, k = nst_min(n, s->cap - s->count);

	for (i = 0; i < k; i++)
		nst_store_relaxed(&s->obj[s->count + i], in[i]); /* statistics look at it */
	nst_barrier();
	nst_store_relaxed(&s->count,
			  s->count + (u32)k); /* the commit; the holder's put publishes it */
	return k;
}

#endif
