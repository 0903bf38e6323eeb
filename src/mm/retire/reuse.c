/* SPDX-License-Identifier: MIT */
/*
 * reuse.c - what is ripe goes where it can be allocated from again.
 *
 *	page of a cache's ring	a full sheaf of its barn, untouched, which any CPU draws from; past the cap, slabs
 *	mixed page, dead word	object by object, as by nst_free()
 *	run, mapping		as by nst_free()
 *	page of functions	to the thread that calls them
 *
 * Fork: each leaves its list before it is dealt with, so that a child whose parent was in the midst of it goes on
 * with the next, and loses one page, object or run.
 *
 * Context: who has the pass. Locks: a cache's barn and slab, zone.
 */
#include "../mm.h"
#include "retired.h"

#define RIPE_SHEAVES 256u /* (tune) of ripe ones in a barn; more go to their slabs */

/* An object of any kind, as its owner would have freed it. */
static void free_object(void *obj)
{
	struct nst_site site = {"nst_free_rcu", NULL};

	if (nst_mm.debug)
		site.address = nst_debug_unretire(obj);
	nst_free_slow(NULL, obj, site);
}

static void free_objects(struct nst_sheaf *s)
{
	u32 i;

	for (i = 0; i < s->count; i++)
		free_object(s->obj[i]);
	s->count = 0;
}

void nst_reuse_sheaf(struct nst_cache *c, struct nst_sheaf *s)
{
	if (nst_mm.instrument || c->charged)
		free_objects(s);
	if (!s->count || !nst_barn_add_ripe(c, s, RIPE_SHEAVES))
		nst_sheaf_put_waits(c, s);
}

void nst_reuse_each(struct nst_sheaf *s, int mixed)
{
	u32 i;

	for (i = 0; mixed && i < s->count; i++)
		nst_retired_freed(nst_cache_number(nst_page_of(s->obj[i])->cache)->slot);
	free_objects(s);
}

void nst_reuse_mixed(struct nst_sheaf *s)
{
	nst_reuse_each(s, 1);
	nst_page_put_waits(nst_page_of(s));
}

static void page_left(const struct nst_cache *c)
{
	nst_sub_relaxed(&nst_retired.page_bytes, nst_channel_page_bytes(c)); /* a count */
}

static struct nst_sheaf *pop(struct nst_sheaf **list)
{
	struct nst_sheaf *s = *list;

	if (!s)
		return NULL;
	*list = s->next;
	nst_barrier(); /* a child sees one cut in program order */
	return s;
}

void nst_reuse_let_go(struct nst_rcu_domain *d, u32 n)
{
	if (d != nst_rcu_own && n)
		nst_rcu_domain_let_go(d, n);
}

void nst_reuse_pages(struct nst_retired_pages *p, struct nst_rcu_domain *d)
{
	struct nst_sheaf *s;
	u32 n;

	while ((s = pop(&p->cache)) != NULL) {
		struct nst_cache *c = nst_cache_number(nst_page_of(s->obj[0])->cache);

		nst_retired_freed((u64)s->count * c->slot);
		page_left(c);
		nst_reuse_sheaf(c, s);
	}
	while ((s = pop(&p->mixed)) != NULL) {
		page_left(NULL);
		n = s->count;
		nst_reuse_mixed(s);
		nst_reuse_let_go(d, n);
	}
	while ((s = pop(&p->calls)) != NULL) {
		nst_calls_add_page(s);
	}
}

void nst_reuse_word(struct nst_dead_word *w)
{
	while (w->bits) {
		void *obj = nst_dead_object(w, nst_lowest_bit(w->bits));

		w->bits &= w->bits - 1;
		nst_barrier(); /* as above */
		nst_retired_freed(nst_cache_number(nst_page_of(obj)->cache)->slot);
		free_object(obj);
	}
}

void nst_reuse_runs(struct nst_page **list, struct nst_rcu_domain *d)
{
	struct nst_page *p;

	while ((p = *list) != NULL) {
		int run = nst_page_state(p) == NST_PAGE_RUN_RETIRED;

		*list = (struct nst_page *)(uintptr_t)p->free[NST_PAGE_LINK_WORD];
		nst_barrier(); /* as above */
		nst_page_set_state(p, run ? NST_PAGE_RUN : NST_PAGE_LARGE);
		nst_retired_freed(run ? nst_run_bytes(p) : p->free[NST_PAGE_BYTES_WORD]);
		free_object(nst_page_address(p));
		nst_reuse_let_go(d, 1);
	}
}
