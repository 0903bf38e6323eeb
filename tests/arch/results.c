/* SPDX-License-Identifier: MIT */
/*
 * results.c - each sequence gives the results that rseq_ops.h lists for it, one step at a time.
 */
#define _GNU_SOURCE
#include <string.h>
#include "alone.h"
#include "common/check.h"

#define CAP 4u

static struct nst_pcs none;
static int objects[8];

static void *obj(unsigned int i)
{
	return &objects[i];
}

/* Holds before the library has started and where rseq is missing: nothing is there, nothing fits. */
static void before_start(void)
{
	struct nst_pcs **table = alone_table(&none);
	void *o = obj(0), *out[2];
	intptr_t id;

	alone_before();
	id = alone_cpu_id();
	check(!nst_seq_pop(table) && !nst_seq_pop_by(table, id), "nothing to pop before the start",
	      "a pop gave an object");
	check(nst_seq_push(table, o) == NST_PUSH_FULL &&
		      nst_seq_push_by(table, id, o) == NST_PUSH_FULL,
	      "no room before the start", "a push was taken");
	check(!nst_seq_popn_by(table, id, out, 2) && !nst_seq_pushn_by(table, id, &o, 1),
	      "no batch before the start", "some objects moved");
	check(none.count == 0 && none.cap == 0, "the empty stack is as it was", "count %u, cap %u",
	      none.count, none.cap);
}

static void stack_of_one_cpu(struct nst_pcs *const *table, const struct nst_pcs *s)
{
	check(!nst_seq_pop(table), "pop of an empty stack", "it gave an object");
	for (unsigned int i = 0; i < CAP; i++)
		check_quiet(nst_seq_push(table, obj(i)) == NST_PUSH_OK && s->count == i + 1 &&
				    s->obj[i] == obj(i),
			    "push", "object %u: count %u", i, s->count);
	check(nst_seq_push(table, obj(CAP)) == NST_PUSH_FULL && s->count == CAP,
	      "push to a full stack", "count %u", s->count);
	for (unsigned int i = CAP; i > 0; i--)
		check_quiet(nst_seq_pop(table) == obj(i - 1) && s->count == i - 1, "pop",
			    "object %u: count %u", i - 1, s->count);
	check(!nst_seq_pop(table) && s->count == 0, "the last comes off first, then none",
	      "count %u", s->count);
}

static void same_as_the_top(struct nst_pcs *const *table, const struct nst_pcs *s, intptr_t id)
{
	check(nst_seq_push(table, obj(1)) == NST_PUSH_OK &&
		      nst_seq_push(table, obj(1)) == NST_PUSH_SAME &&
		      nst_seq_push_by(table, id, obj(1)) == NST_PUSH_SAME && s->count == 1,
	      "push of the top object", "count %u", s->count);
	check(nst_seq_push(table, obj(2)) == NST_PUSH_OK &&
		      nst_seq_push(table, obj(1)) == NST_PUSH_OK,
	      "push of an object below the top", "it was refused");
	while (nst_seq_pop(table))
		;
}

static void by_index_word(struct nst_pcs *const *table, const struct nst_pcs *s, intptr_t id)
{
	check(nst_seq_push_by(table, id, obj(3)) == NST_PUSH_OK && s->obj[0] == obj(3) &&
		      nst_seq_pop_by(table, id) == obj(3) && !nst_seq_pop_by(table, id),
	      "by the distance of cpu_id", "not the stack of this CPU: count %u", s->count);
}

static void batches(struct nst_pcs *const *table, const struct nst_pcs *s, intptr_t id)
{
	void *in[6], *out[6] = {NULL};

	for (unsigned int i = 0; i < 6; i++)
		in[i] = obj(i);
	check(nst_seq_pushn_by(table, id, in, 0) == 0 && nst_seq_pushn_by(table, id, in, 3) == 3 &&
		      s->count == 3 && !memcmp(s->obj, in, 3 * sizeof(in[0])),
	      "pushn", "count %u", s->count);
	check(nst_seq_pushn_by(table, id, in + 3, 3) == 1 && s->count == CAP && s->obj[3] == obj(3),
	      "pushn ends where the stack does", "count %u", s->count);
	check(nst_seq_pushn_by(table, id, in, 1) == 0, "pushn to a full stack", "count %u",
	      s->count);
	check(nst_seq_popn_by(table, id, out, 0) == 0 && nst_seq_popn_by(table, id, out, 3) == 3 &&
		      s->count == 1 && out[0] == obj(1) && out[2] == obj(3) && !out[3],
	      "popn: the top last", "count %u", s->count);
	check(nst_seq_popn_by(table, id, out, 6) == 1 && s->count == 0 && out[0] == obj(0) &&
		      out[1] == obj(2),
	      "popn ends where the stack does", "count %u", s->count);
	check(nst_seq_popn_by(table, id, out, 6) == 0, "popn of an empty stack", "count %u",
	      s->count);
}

/* A thread that the kernel does not number reads -1 or -2 there. */
static void unregistered(struct nst_pcs *const *table)
{
	static __thread int word;
	intptr_t id = (intptr_t)((uintptr_t)&word - nst_thread_pointer());
	void *o = obj(0), *out[1];

	for (word = -1; word >= -2; word--)
		check(!nst_seq_pop_by(table, id) &&
			      nst_seq_push_by(table, id, o) == NST_PUSH_FULL &&
			      !nst_seq_popn_by(table, id, out, 1) &&
			      !nst_seq_pushn_by(table, id, &o, 1),
		      word == -1 ? "number -1 finds the empty stack" : "number -2 finds it too",
		      "something moved");
}

int main(void)
{
	struct nst_pcs **table, *s = alone_stack(CAP);
	const char *why;
	intptr_t id;

	before_start();
	why = alone_start();
	if (check_status())
		return 1;
	if (why)
		check_skip("%s", why);
	/* All CPUs lead to one stack: this thread is alone, wherever it runs. */
	table = alone_table(s);
	table[-1] = table[-2] = &none;
	id = alone_cpu_id();
	stack_of_one_cpu(table, s);
	same_as_the_top(table, s, id);
	by_index_word(table, s, id);
	batches(table, s, id);
	unregistered(table);
	return check_status();
}
