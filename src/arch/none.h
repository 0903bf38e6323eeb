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
	union {
		struct nst_pcs *pcs;
		struct nst_ring *ring;
	};
} NST_LINE_ALIGNED;

#if defined(NST_TEST)
#define STRIPE_ENTERED() (nst_test_in_stripe++)
#define STRIPE_LEFT() (nst_test_in_stripe--)
#else
#define STRIPE_ENTERED() ((void)0)
#define STRIPE_LEFT() ((void)0)
#endif

/* The stripe this thread begins at. */
static inline unsigned int nst_stripe_first(unsigned int nr)
{
	return (unsigned int)nst_mix64(nst_thread_pointer() >> 6) & (nr - 1);
}

/*
 * Stripe number @step from the one this thread hashes to, held by us now; or NULL, when somebody holds
 * it. @nr is a power of two.
 */
static inline struct nst_stripe *nst_stripe_take(struct nst_stripe *stripes, unsigned int nr,
						 unsigned int step)
{
	uintptr_t self = nst_thread_pointer();
	struct nst_stripe *s = &stripes[(nst_stripe_first(nr) + step) & (nr - 1)];

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

/*
 * The next stripe that can be had, taken: each in turn, from the one this thread hashes to. NULL: none is
 * left. @i counts them, from 0.
 */
static inline struct nst_stripe *nst_stripe_next(struct nst_stripe *stripes, unsigned int nr,
						 unsigned int *i)
{
	struct nst_stripe *s = NULL;

	while (stripes && *i < nr && !s)
		s = nst_stripe_take(stripes, nr, (*i)++);
	return s;
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

/* A number: see rseq_ops.h. 1 or 0. */
static inline int nst_stack_debit(struct nst_pcs *s, u32 n)
{
	if (s->count < n)
		return 0;
	nst_store_relaxed(&s->count, s->count - n); /* the commit; the holder's put publishes it */
	return 1;
}

static inline int nst_stack_credit(struct nst_pcs *s, u32 n)
{
	if (s->cap < n || s->count > s->cap - n)
		return 0;
	nst_store_relaxed(&s->count, s->count + n); /* as above */
	return 1;
}

/* ---- the ring of retired pointers: the sequences of rseq_ops.h, for the holder of a stripe ---- */

static inline struct nst_sheaf *nst_ring_slot(const struct nst_ring *r, u32 position)
{
	/* Pairs with: nst_store_release() in nst_ring_add_ready(). */
	return nst_load_acquire(&r->page[position & r->mask]);
}

static inline enum nst_push nst_ring_append(struct nst_ring *r, const u64 *started, void *o)
{
	struct nst_sheaf *p = nst_ring_slot(r, r->open);
	u32 n = p->count;

	if (n >= p->cap)
		return NST_PUSH_FULL;
	/* relaxed: *started is ordered by whoever raises it, the rest by the commit */
	nst_store_relaxed(&p->stamp, nst_load_relaxed(started));
	nst_store_relaxed(&p->obj[n], o); /* the commit publishes it */
	/* Pairs with: nst_load_acquire() in nst_ring_look(). */
	nst_store_release(&p->count, n + 1);
	return NST_PUSH_OK;
}

static inline size_t nst_ring_fill(struct nst_ring *r, const u64 *started, void *const *in,
				   size_t n)
{
	struct nst_sheaf *p = nst_ring_slot(r, r->open);
	size_t i, k = nst_min(n, p->cap - p->count);

	if (!k)
		return 0;
	nst_store_relaxed(&p->stamp, nst_load_relaxed(started)); /* as in nst_ring_append() */
	for (i = 0; i < k; i++)
		nst_store_relaxed(&p->obj[p->count + i], in[i]); /* the commit publishes it */
	/* Pairs with: nst_load_acquire() in nst_ring_look(). */
	nst_store_release(&p->count, p->count + (u32)k);
	return k;
}

static inline enum nst_advance nst_ring_turn(struct nst_ring *r)
{
	struct nst_sheaf *p = nst_ring_slot(r, r->open);

	if (p->count < p->cap)
		return NST_ADVANCE_NOT_FULL;
	if (!nst_ring_slot(r, r->open + 1))
		return NST_ADVANCE_NOTHING_READY;
	/* Pairs with: nst_load_acquire() in sealed_until(). */
	nst_store_release(&r->open, r->open + 1);
	return NST_ADVANCE_OK;
}

#endif
