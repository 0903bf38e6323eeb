/* SPDX-License-Identifier: MIT */
/*
 * ring.c - the sequences of rings give the results that rseq_ops.h lists for them, one step at a time.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include "alone.h"
#include "common/check.h"

#define CAP 4u
#define SLOTS 4u
#define RING_BYTES (2 * NST_LINE) /* aligned_alloc() wants whole lines */

_Static_assert(offsetof(struct nst_ring, page) + SLOTS * sizeof(void *) <= RING_BYTES, "room");

static struct nst_sheaf no_page;
static struct nst_ring none = {.mask = 1, .page = {&no_page, NULL}};
static u64 started = 7;
static int objects[2 * CAP];

static void *obj(unsigned int i)
{
	return &objects[i];
}

/* Holds before the library has started and where rseq is missing: nothing fits, nothing is ready. */
static void refuses(struct nst_ring *const *table, intptr_t id, const char *when)
{
	void *o = obj(0);

	check(nst_seq_retire_by(table, id, &started, o) == NST_PUSH_FULL &&
		      !nst_seq_retiren_by(table, id, &started, &o, 1) &&
		      nst_seq_advance_by(table, id) == NST_ADVANCE_NOTHING_READY && !none.open &&
		      !no_page.count && !no_page.stamp,
	      when, "something was taken");
}

static void one_page(struct nst_ring *const *table, const struct nst_sheaf *p, intptr_t id)
{
	for (unsigned int i = 0; i < CAP; i++) {
		started = 10 + i;
		check_quiet((i & 1 ? nst_seq_retire_by(table, id, &started, obj(i))
				   : nst_seq_retire(table, &started, obj(i))) == NST_PUSH_OK &&
				    p->count == i + 1 && p->obj[i] == obj(i) && p->stamp == started,
			    "retire", "object %u: count %u", i, p->count);
		if (i + 1 < CAP)
			check_quiet(nst_seq_advance_by(table, id) == NST_ADVANCE_NOT_FULL,
				    "advance with room left", "after %u", i + 1);
	}
	started = 20;
	check(nst_seq_retire(table, &started, obj(0)) == NST_PUSH_FULL &&
		      nst_seq_retire_by(table, id, &started, obj(0)) == NST_PUSH_FULL &&
		      p->count == CAP && p->stamp == 10 + CAP - 1,
	      "a full page takes no more, and keeps its stamp", "count %u", p->count);
}

/* Position 2^32 - 1 is followed by 0. */
static void next_page(struct nst_ring *const *table, struct nst_ring *r, struct nst_sheaf *next,
		      intptr_t id)
{
	u32 at = r->open;

	check(nst_seq_advance_by(table, id) == NST_ADVANCE_NOTHING_READY && r->open == at,
	      "no page is ready", "open %u", r->open);
	r->page[(at + 1) % SLOTS] = next;
	check(nst_seq_advance_by(table, id) == NST_ADVANCE_OK && r->open == at + 1,
	      "the next page is opened", "open %u", r->open);
	check(nst_seq_advance_by(table, id) == NST_ADVANCE_NOT_FULL && r->open == at + 1,
	      "and is not left before it is full", "open %u", r->open);
}

static void batches(struct nst_ring *const *table, const struct nst_sheaf *p, intptr_t id)
{
	void *in[2 * CAP];

	for (unsigned int i = 0; i < 2 * CAP; i++)
		in[i] = obj(i);
	started = 30;
	check(nst_seq_retiren_by(table, id, &started, in, 0) == 0 && p->count == 0 && !p->stamp,
	      "none of none", "count %u", p->count);
	check(nst_seq_retiren_by(table, id, &started, in, 3) == 3 && p->count == 3 &&
		      !memcmp(p->obj, in, 3 * sizeof(in[0])) && p->stamp == 30,
	      "retiren", "count %u", p->count);
	started = 31;
	check(nst_seq_retiren_by(table, id, &started, in + 3, 3) == 1 && p->count == CAP &&
		      p->obj[3] == in[3] && p->stamp == 31,
	      "retiren ends where the page does", "count %u", p->count);
	started = 32;
	check(nst_seq_retiren_by(table, id, &started, in, 1) == 0 && p->stamp == 31,
	      "retiren to a full page", "stamp %u", (unsigned int)p->stamp);
}

/* A thread that the kernel does not number reads -1 or -2 there. */
static void unregistered(struct nst_ring *const *table)
{
	static __thread int word;
	intptr_t id = (intptr_t)((uintptr_t)&word - nst_thread_pointer());

	for (word = -1; word >= -2; word--)
		refuses(table, id, word == -1 ? "number -1 finds the full ring" : "number -2 too");
}

static struct nst_sheaf *page(void)
{
	struct nst_sheaf *p = calloc(1, sizeof(*p) + CAP * sizeof(void *));

	if (!p)
		check_broken("calloc");
	p->cap = CAP;
	return p;
}

static struct nst_ring **table_of(struct nst_ring *r)
{
	return (struct nst_ring **)(void *)alone_table((struct nst_pcs *)(void *)r);
}

static struct nst_ring *ring(struct nst_sheaf *first, u32 open)
{
	struct nst_ring *r = aligned_alloc(NST_LINE, RING_BYTES);

	if (!r)
		check_broken("aligned_alloc");
	memset(r, 0, RING_BYTES);
	r->mask = SLOTS - 1;
	r->open = open;
	r->page[open % SLOTS] = first;
	return r;
}

int main(void)
{
	struct nst_sheaf *first = page(), *second = page();
	struct nst_ring **table, *r = ring(first, ~0u);
	const char *why;
	intptr_t id;

	table = table_of(&none);
	alone_before();
	check(nst_seq_retire(table, &started, obj(0)) == NST_PUSH_FULL, "full before the start",
	      "it was taken");
	refuses(table, alone_cpu_id(), "nothing before the start");
	why = alone_start();
	if (check_status())
		return 1;
	if (why)
		check_skip("%s", why);
	/* All CPUs lead to one ring: this thread is alone, wherever it runs. */
	table = table_of(r);
	table[-1] = table[-2] = &none;
	id = alone_cpu_id();
	one_page(table, first, id);
	next_page(table, r, second, id);
	batches(table, second, id);
	unregistered(table);
	free(r);
	free(first);
	free(second);
	return check_status();
}
