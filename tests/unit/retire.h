/* SPDX-License-Identifier: MIT */
/*
 * retire.h - what the tests of retiring share: what was counted, what is still in use, what frees.
 *
 * One thread, no worker: nothing is freed but by pass() and settle(), which are nst_maintain_pass(), and nothing
 * moves between two looks. Without sequences this thread's stripe stands for its CPU.
 */
#ifndef TEST_RETIRE_H
#define TEST_RETIRE_H

#include <string.h>
#include "mm/mm.h"
#include "mm/retire/retired.h"
#include "common/check.h"
#include "common/trap.h"

#define MOST_PASSES 1000u

static struct nst_retired_stats ways_before;

static inline struct nst_retired_stats ways_now(void)
{
	static struct nst_stats s;

	nst_stats_read(&s, sizeof(s));
	return s.retired;
}

static inline void ways_look(void)
{
	ways_before = ways_now();
}

/* Since ways_look() each way was taken as often as @want says; bytes are not compared. */
static inline void ways_check(const char *name, struct nst_retired_stats want)
{
	static const char *const way[] = {"sealed", "mixed", "brought", "dead",	  "runs",
					  "heads",  "calls", "foreign", "refused"};
	struct nst_retired_stats now = ways_now();
	const uint64_t *a = &now.sealed_pages, *b = &ways_before.sealed_pages,
		       *w = &want.sealed_pages;
	unsigned int i, bad = 0;

	for (i = 1; i < NST_ARRAY_SIZE(way); i++)
		if (a[i] - b[i] != w[i] && a[bad] - b[bad] == w[bad])
			bad = i;
	check(a[bad] - b[bad] == w[bad], name, "%s: %llu, not %llu", way[bad],
	      (unsigned long long)(a[bad] - b[bad]), (unsigned long long)w[bad]);
	ways_before = now;
}

/* Nothing is found to be idle: no ring goes. */
static inline void clock_stands(void)
{
	nst_test_now_ns = 1000000000;
}

/* One pass, of which there is none under way. */
static inline void pass(void)
{
	nst_maintain_pass(0);
}

/* So many passes that all would be freed if nobody were reading. */
static inline void passes(void)
{
	for (unsigned int i = 0; i < 50; i++)
		pass();
}

/* Objects of @c that are nowhere free. */
static inline u64 in_use(const struct nst_cache *c)
{
	struct nst_cache_stats s;

	nst_debug_quarantine_flush();
	nst_stats_cache(c->id, &s);
	return s.objects - s.in_slabs - s.in_cpus - s.in_barn;
}

/* The ring this thread retires to, or NULL. */
static inline struct nst_ring *ring_here(const struct nst_channel *ch)
{
	return nst_channel_is_open(ch) ? nst_ring_number(&ch->rings, nst_ring_here()) : NULL;
}

/* In a mode that does not sleep: it takes nothing that was retired (mm/retire/regain.c). Memory for it is had beforehand. */
static inline void *object_of(struct nst_cache *c)
{
	void *p = nst_cache_alloc(c, NST_ATOMIC);

	while (!p && nst_zone_grow(&nst_zones[nst_this_node()], c->order) == 0)
		p = nst_cache_alloc(c, NST_ATOMIC);
	if (!p)
		check_broken("an object");
	return p;
}

static inline struct nst_cache *cache_of(const char *name, size_t size)
{
	struct nst_cache *c = nst_cache_create(name, size, 0, 0, NULL);

	if (!c)
		check_broken("a cache");
	return c;
}

/* Pointers that @r has room for. */
static inline unsigned int ring_room(struct nst_ring *r)
{
	const struct nst_sheaf *open = nst_ring_look(r).page;

	return open->cap - open->count + nst_ring_ready(r) * open->cap;
}

/* A ring of @c for this thread, with pages ready. */
static inline struct nst_ring *ring_for(struct nst_cache *c, struct nst_channel *ch)
{
	nst_maintain_pause();
	nst_hint_set(&ch->want, nst_ring_here() + 1);
	nst_channel_ring_wanted(c, ch);
	nst_maintain_resume();
	if (!ring_here(ch))
		check_broken("a ring");
	return ring_here(ch);
}

/* Pages of no order are left on any CPU's list. */
static inline void no_pages_at_hand(void)
{
	for (unsigned int i = 0; i < nst_sys_cpus.nr_nodes; i++)
		nst_pcp_drain(&nst_zones[i]);
}

/* One page of order 0 is on this CPU's list. */
static inline void page_at_hand(void)
{
	no_pages_at_hand();
	nst_pages_free(nst_pages_alloc(0, NST_NORMAL));
}

#endif
