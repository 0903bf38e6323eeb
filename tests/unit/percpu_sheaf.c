/* SPDX-License-Identifier: MIT */
/*
 * percpu_sheaf.c - pop, push and their bulk forms against a model stack, on the form in use.
 */
#define _GNU_SOURCE
#include <string.h>
#include "percpu/percpu.h"
#include "common/check.h"
#include "common/trap.h"
#include <nostall/nostall.h>

#define CAP 37u
#define BULK 50u

static void *model[CAP];
static unsigned int depth;
static uintptr_t serial;

static void *fresh(void)
{
	return (void *)(++serial * 16);
}

static void pop_one(struct nst_pcs_table *t)
{
	void *p = nst_pcs_pop(t);

	check_quiet(p == (depth ? model[depth - 1] : NULL), "pop", "depth %u", depth);
	depth -= depth != 0;
}

static void push_one(struct nst_pcs_table *t)
{
	void *p = fresh();
	enum nst_push r = nst_pcs_push(t, p);

	check_quiet(r == (depth < CAP ? NST_PUSH_OK : NST_PUSH_FULL), "push", "depth %u: %d", depth,
		    r);
	if (r == NST_PUSH_OK)
		model[depth++] = p;
}

static void push_same(struct nst_pcs_table *t)
{
	if (depth && depth < CAP)
		check_quiet(nst_pcs_push(t, model[depth - 1]) == NST_PUSH_SAME, "same as the top",
			    "depth %u", depth);
}

static void pop_many(struct nst_pcs_table *t, size_t n)
{
	void *out[BULK];
	size_t got = nst_pcs_popn(t, out, n);

	check_quiet(got == (n < depth ? n : depth), "popn", "%zu of %zu, depth %u", got, n, depth);
	depth -= got;
	for (size_t i = 0; i < got; i++)
		check_quiet(out[i] == model[depth + i], "popn: the top last", "number %zu", i);
}

static void push_many(struct nst_pcs_table *t, size_t n)
{
	void *in[BULK];
	size_t room = CAP - depth, put;

	for (size_t i = 0; i < n; i++)
		in[i] = fresh();
	put = nst_pcs_pushn(t, in, n);
	check_quiet(put == (n < room ? n : room), "pushn", "%zu of %zu, depth %u", put, n, depth);
	for (size_t i = 0; i < put; i++)
		model[depth++] = in[i];
}

/* A number is what a model says it is; without sequences the stripes have it in parts. */
static void numbers(struct rng *rng)
{
	static struct nst_pcs_table t;
	u32 have = 0, taken = 0, n, i;
	int round, done;

	nst_pcs_table_init_lazy(&t, 1000, 0);
	check(!nst_pcs_debit(&t, 1) && !nst_pcs_credit(&t, 1), "no number yet", "served");
	if (nst_pcs_ensure(&t, nst_this_cpu()))
		check_broken("a number");
	for (round = 0; round < 20000; round++) {
		n = 1 + rng_below(rng, 400);
		if (rng_below(rng, 2)) {
			done = nst_pcs_debit(&t, n);
			check_quiet(nst_pcs_by_sequence() ? done == (have >= n)
							  : !done || have >= n,
				    "debit", "%u of %u: %d", n, have, done);
			have -= done ? n : 0;
		} else {
			done = nst_pcs_credit(&t, n);
			check_quiet(!nst_pcs_by_sequence() || done == (have + n <= 1000), "credit",
				    "%u to %u: %d", n, have, done);
			have += done ? n : 0;
		}
	}
	check(!nst_pcs_credit(&t, UINT32_MAX) && !nst_pcs_credit(&t, 1001), "too many", "served");
	for (i = 0; i < nst_pcs_nr_stacks(&t); i++)
		taken += nst_pcs_count(&t, i);
	check(taken == have, "nothing is lost of a number", "%u, not %u", taken, have);
	nst_pcs_table_exit(&t);
}

/* Many stripes hide a single stack's limits: the none form is compared as a whole by torture. */
static void sequence_form(struct rng *rng)
{
	static struct nst_pcs_table t;

	if (nst_pcs_table_init(&t, CAP) || nst_pcs_ensure(&t, nst_this_cpu()))
		check_broken("a table");
	for (int i = 0; i < 200000; i++) {
		switch (rng_below(rng, 8)) {
		case 0:
			push_same(&t);
			break;
		case 1:
			pop_many(&t, rng_below(rng, BULK));
			break;
		case 2:
			push_many(&t, rng_below(rng, BULK));
			break;
		case 3:
		case 4:
			pop_one(&t);
			break;
		default:
			push_one(&t);
		}
	}
	check(1, "200000 steps agree with the model", "-");
}

/* On stripes: what goes in comes out, each once. */
static void stripe_form(struct rng *rng)
{
	static struct nst_pcs_table t;
	static unsigned char in_table[1 << 20];
	unsigned int wrong = 0, n = 0;

	if (nst_pcs_table_init(&t, CAP) || nst_pcs_ensure(&t, nst_this_cpu()))
		check_broken("a table");
	for (int i = 0; i < 200000; i++) {
		if (rng_below(rng, 2)) {
			void *p = fresh();
			if (nst_pcs_push(&t, p) == NST_PUSH_OK) {
				in_table[(uintptr_t)p / 16]++;
				n++;
			}
		} else {
			void *p = nst_pcs_pop(&t);
			if (!p)
				continue;
			wrong += in_table[(uintptr_t)p / 16]-- != 1;
			n--;
		}
	}
	while (n && nst_pcs_pop(&t))
		n--;
	check(wrong == 0 && n == 0, "each object comes out once", "%u wrong, %u left", wrong, n);
}

int main(int argc, char **argv)
{
	struct rng rng = {seed_of(argc, argv)};

	run_on_cpu(0, cpu_nth(0));
	nst_free(nst_alloc(16, NST_NORMAL));
	if (nst_sys_rseq.usable)
		sequence_form(&rng);
	else
		stripe_form(&rng);
	numbers(&rng);
	return check_status();
}
