/* SPDX-License-Identifier: MIT */
/*
 * sheaf.c - pop and push for any thread: a sequence where the thread has rseq, else a stripe.
 */
#include "percpu.h"

/* A thread made before libc registered it, or inside vfork: its CPU number reads negative. */
static int has_sequences(void)
{
	uintptr_t area = nst_thread_pointer() + (uintptr_t)nst_rseq_offset;

	/* relaxed: the kernel writes it for this thread alone */
	return nst_sys_rseq.usable && (int)nst_load_relaxed((u32 *)(area + NST_RSEQ_CPU_ID)) >= 0;
}

static struct nst_stripe *next_stripe(const struct nst_pcs_table *t, unsigned int *i)
{
	return nst_stripe_next(nst_pcs_stripes(t), NST_STRIPES, i);
}

static size_t stripes_popn(struct nst_pcs_table *t, void **out, size_t n)
{
	struct nst_stripe *s;
	unsigned int i = 0;
	size_t k = 0;

	while (!k && (s = next_stripe(t, &i)) != NULL) {
		k = nst_stack_popn(s->pcs, out, n);
		nst_stripe_put(s);
	}
	return k;
}

static size_t stripes_pushn(struct nst_pcs_table *t, void *const *in, size_t n)
{
	struct nst_stripe *s;
	unsigned int i = 0;
	size_t k = 0;

	while (!k && (s = next_stripe(t, &i)) != NULL) {
		k = nst_stack_pushn(s->pcs, in, n);
		nst_stripe_put(s);
	}
	return k;
}

static enum nst_push stripes_push(struct nst_pcs_table *t, void *o)
{
	enum nst_push r = NST_PUSH_FULL;
	struct nst_stripe *s;
	unsigned int i = 0;

	while (r == NST_PUSH_FULL && (s = next_stripe(t, &i)) != NULL) {
		if (s->pcs->count && s->pcs->obj[s->pcs->count - 1] == o)
			r = NST_PUSH_SAME;
		else if (nst_stack_pushn(s->pcs, &o, 1))
			r = NST_PUSH_OK;
		nst_stripe_put(s);
	}
	return r;
}

size_t nst_pcs_popn(struct nst_pcs_table *t, void **out, size_t n)
{
	size_t i, k;

	if (has_sequences())
		k = nst_seq_popn_by(nst_pcs_real(t), nst_sys_rseq.index, out, n);
	else
		k = stripes_popn(t, out, n);
	for (i = 0; i < k; i++)
		nst_tsan_acquire(out[i]);
	nst_tsan_acquire(t);
	return k;
}

size_t nst_pcs_pushn(struct nst_pcs_table *t, void *const *in, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		nst_tsan_release(in[i]);
	nst_tsan_release(t);
	if (has_sequences())
		return nst_seq_pushn_by(nst_pcs_real(t), nst_sys_rseq.index, in, n);
	return stripes_pushn(t, in, n);
}

void *nst_pcs_pop(struct nst_pcs_table *t)
{
	void *p = NULL;

	if (!has_sequences()) {
		nst_pcs_popn(t, &p, 1);
		return p;
	}
	p = nst_seq_pop_by(nst_pcs_real(t), nst_sys_rseq.index);
	if (p)
		nst_tsan_acquire(p);
	nst_tsan_acquire(t);
	return p;
}

enum nst_push nst_pcs_push(struct nst_pcs_table *t, void *o)
{
	nst_tsan_release(o);
	nst_tsan_release(t);
	if (!has_sequences())
		return stripes_push(t, o);
	return nst_seq_push_by(nst_pcs_real(t), nst_sys_rseq.index, o);
}

/* ---- numbers ---- */

static int stripes_debit(struct nst_pcs_table *t, u32 n)
{
	struct nst_stripe *s;
	unsigned int i = 0;
	int done = 0;

	while (!done && (s = next_stripe(t, &i)) != NULL) {
		done = nst_stack_debit(s->pcs, n);
		nst_stripe_put(s);
	}
	return done;
}

static int stripes_credit(struct nst_pcs_table *t, u32 n)
{
	struct nst_stripe *s;
	unsigned int i = 0;
	int done = 0;

	while (!done && (s = next_stripe(t, &i)) != NULL) {
		done = nst_stack_credit(s->pcs, n);
		nst_stripe_put(s);
	}
	return done;
}

int nst_pcs_debit(struct nst_pcs_table *t, u32 n)
{
	return has_sequences() ? nst_seq_debit_by(nst_pcs_real(t), nst_sys_rseq.index, n)
			       : stripes_debit(t, n);
}

int nst_pcs_credit(struct nst_pcs_table *t, u32 n)
{
	if (n > INT32_MAX)
		return 0;
	return has_sequences() ? nst_seq_credit_by(nst_pcs_real(t), nst_sys_rseq.index, n)
			       : stripes_credit(t, n);
}

int nst_pcs_has_stack(const struct nst_pcs_table *t)
{
	uintptr_t tp = nst_thread_pointer();

	if (!has_sequences())
		return nst_load_relaxed(&t->stripes) != NULL; /* relaxed: a hint */
	/* relaxed: only whether there is one */
	return nst_load_relaxed(&nst_pcs_real(t)[*(int *)(tp + (uintptr_t)nst_sys_rseq.index)]) !=
	       &nst_pcs_none;
}

int nst_pcs_by_sequence(void)
{
	return has_sequences();
}
