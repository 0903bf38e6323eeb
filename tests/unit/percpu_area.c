/* SPDX-License-Identifier: MIT */
/*
 * percpu_area.c - the library's own memory, and stacks that are made, taken, grown and put back.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "percpu/percpu.h"
#include "common/check.h"
#include "common/owner.h"
#include "common/trap.h"
#include <nostall/nostall.h>

#define NR 500u

static void own_memory(struct rng *rng)
{
	static struct {
		unsigned char *p;
		size_t bytes;
	} m[NR];

	for (int round = 0; round < 20000; round++) {
		unsigned int i = rng_below(rng, NR);

		if (m[i].p) {
			owner_give(m[i].p, m[i].bytes, 1);
			memset(m[i].p, 0xff, m[i].bytes);
			nst_meta_free(m[i].p, m[i].bytes);
			m[i].p = NULL;
			continue;
		}
		m[i].bytes = rng_size(rng, 1, 20000);
		m[i].p = nst_meta_alloc(m[i].bytes);
		if (!m[i].p)
			check_broken("nst_meta_alloc");
		owner_take(m[i].p, m[i].bytes, 1);
		check_quiet(((uintptr_t)m[i].p & 63) == 0, "aligned to a line", "%p",
			    (void *)m[i].p);
		unsigned char in_core[8] = {1, 1, 1, 1, 1, 1, 1, 1};
		mincore((void *)((uintptr_t)m[i].p & ~(uintptr_t)4095), 4096, in_core);
		check_quiet(in_core[0] & 1, "resident", "%p", (void *)m[i].p);
		for (size_t b = 0; b < m[i].bytes; b++)
			if (m[i].p[b]) {
				check_quiet(0, "zeroed", "byte %zu of %zu", b, m[i].bytes);
				break;
			}
	}
	for (unsigned int i = 0; i < NR; i++)
		nst_meta_free(m[i].p, m[i].bytes);
	check(owner_errors() == 0, "no two overlap", "%llu", (unsigned long long)owner_errors());
	check(nst_meta_bytes() > 0, "and all is counted", "0 bytes");
}

static void *fake(uintptr_t i)
{
	return (void *)(i * 16 + 16);
}

static unsigned int own_stack(const struct nst_pcs_table *t)
{
	for (unsigned int i = 0; i < nst_pcs_nr_stacks(t); i++)
		if (nst_pcs_count(t, i))
			return i;
	return 0;
}

static void stacks(void)
{
	static struct nst_pcs_table t;
	struct nst_pcs *s;
	unsigned int i, at;

	check(nst_pcs_table_init(&t, 10) == 0, "a table", "failed");
	check(!nst_pcs_pop(&t) && nst_pcs_push(&t, fake(0)) == NST_PUSH_FULL,
	      "before its first stack a table is empty and full", "it is not");
	check(nst_pcs_ensure(&t, nst_this_cpu()) == 0 && nst_pcs_ensure(&t, nst_this_cpu()) == 0,
	      "a stack, once", "failed");
	for (i = 0; i < 5; i++)
		check_quiet(nst_pcs_push(&t, fake(i)) == NST_PUSH_OK, "push", "number %u", i);
	at = own_stack(&t);
	s = nst_pcs_take(&t, at);
	check(s && s->count == 5 && s->cap == 10, "taken, with what it holds", "%u",
	      s ? s->count : 0);
	if (nst_sys_rseq.usable)
		check(!nst_pcs_pop(&t), "while taken its CPU finds nothing", "an object");
	s = nst_pcs_grow(s, 40);
	check(s && s->count == 5 && s->cap == 40, "grown, with what it held", "%u",
	      s ? s->count : 0);
	nst_pcs_put(&t, at, s);
	for (i = 5; i-- > 0;)
		check_quiet(nst_pcs_pop(&t) == fake(i), "the same objects, the last first",
			    "number %u", i);
	check(!nst_pcs_pop(&t), "and no more", "one more");
	nst_pcs_table_instrument(&t, 1);
	check(t.fast != t.real, "instrumented: the inlined sequences find nothing", "they do");
	check(nst_pcs_push(&t, fake(3)) == NST_PUSH_OK && nst_pcs_pop(&t) == fake(3),
	      "and the others go on", "they do not");
	nst_pcs_table_exit(&t);
}

int main(int argc, char **argv)
{
	struct rng rng = {seed_of(argc, argv)};

	run_on_cpu(0, cpu_nth(0));
	owner_start();
	nst_free(nst_alloc(16, NST_NORMAL));
	own_memory(&rng);
	stacks();
	return check_status();
}
