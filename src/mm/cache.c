/* SPDX-License-Identifier: MIT */
/*
 * cache.c - the walk of an allocation and of a free through a cache.
 *
 *	allocation: main -> full sheaf of this CPU -> barn -> slab -> new slab -> NULL
 *	            who may sleep takes what is ripe before that (regain.c)
 *	free:       main -> empty sheaf of this CPU or the barn takes a batch and the object -> slab -> 0
 *
 * Each walk is written once and compiled twice: with tries for callers who wait for nothing, with waits for
 * the rest. An object moves between two places by one commit, or is in the hands of one frame; a
 * handler that interrupts that frame finds less stock, never a wrong one.
 */
#include "mm.h"
#include "retire/retired.h"
#include "claim/account.h"
#include "claim/debt.h"

/* ---- allocation ---- */

/* What a walk may do beyond this CPU. */
enum { ONLY_CPU, TRIES, WAITS };

NST_ALWAYS_INLINE void put_sheaf(struct nst_cache *c, struct nst_sheaf *s, const int how)
{
	if (how == WAITS)
		nst_sheaf_put_waits(c, s);
	else if (how == ONLY_CPU)
		nst_sheaf_put_cpu(c, s);
	else
		nst_sheaf_put_tries(c, s);
}

/* The top object of a full sheaf; the others to main, as far as there is room. */
NST_ALWAYS_INLINE void *open_sheaf(struct nst_cache *c, struct nst_sheaf *s, const int how)
{
	u32 left = s->count - 1;
	void *obj = s->obj[left];
	size_t moved = nst_pcs_pushn(&c->main, s->obj, left), i;

	for (i = moved; i < left; i++)
		s->obj[i - moved] = s->obj[i];
	nst_hint_set(&s->count, left - (u32)moved); /* statistics look at it */
	put_sheaf(c, s, how);
	nst_count(NST_COUNT_REFILL, 1);
	return obj;
}

/* Objects that found no room in main go back where they came from. */
NST_ALWAYS_INLINE void put_back(struct nst_cache *c, void **obj, size_t n, const int wait)
{
	struct nst_site site = {"refill", NULL};
	size_t i;

	for (i = 0; i < n; i++) {
		if (wait)
			nst_cache_put_waits(c, obj[i], site);
		else
			nst_cache_put_nolock(c, obj[i], site);
	}
}

/* One object to return, the others to main. */
NST_ALWAYS_INLINE void *keep_one(struct nst_cache *c, void **obj, size_t n, const int wait)
{
	size_t kept = n > 1 ? nst_pcs_pushn(&c->main, obj, n - 1) : 0;

	put_back(c, obj + kept, n - 1 - kept, wait);
	nst_count(NST_COUNT_REFILL, 1);
	return obj[n - 1];
}

static size_t batch_wanted(const struct nst_cache *c)
{
	return nst_pcs_has_stack(&c->main) ? c->batch : 1;
}

/* As many as are out already, and a page of them. */
static size_t batch_ahead(const struct nst_cache *c, unsigned int node)
{
	const struct nst_cache_node *n = c->node[node];
	size_t batch = batch_wanted(c), out;

	if (!nst_is_lean())
		return batch;
	out = (size_t)(nst_hint(&n->nr_slabs) * c->slots - nst_hint(&n->free_slots));
	return nst_min(batch, nst_max(out, nst_max(NST_PAGE_BYTES / c->slot, 1)));
}

/* A request for the pages of a slab: their mobility is the cache's. */
static nst_mode_t slab_mode(const struct nst_cache *c, nst_mode_t mode)
{
	mode &= ~(nst_mode_t)(NST_MOVABLE | NST_RECLAIMABLE | NST_ZERO);
	return c->mobility == NST_MOB_RECLAIMABLE ? mode | NST_RECLAIMABLE : mode;
}

/* From one node's slabs, or a slab made of that node's ready pages, all under one try. */
static size_t slab_tries(struct nst_cache *c, unsigned int node, nst_mode_t mode, void **obj,
			 enum nst_null_reason *why)
{
	struct nst_cache_node *n = c->node[node];
	size_t want = batch_wanted(c), got;
	struct nst_page *p;

	/* The answer NULL, without a lock, where a look says that both would be taken in vain. */
	if (!nst_hint(&n->free_slots) && nst_zone_looks_dry(&nst_zones[node], c->order, mode)) {
		nst_zone_want(&nst_zones[node], c->order);
		*why = NST_NULL_WATERMARK;
		return 0;
	}
	if (!nst_trylock(&n->slab)) {
		*why = NST_NULL_BUSY;
		return 0;
	}
	got = nst_slab_take_locked(c, n, obj, want);
	if (!got && (c->ctor || c->charged)) {
		*why = NST_NULL_CTOR;
	} else if (!got) {
		p = nst_zone_take_tries(&nst_zones[node], c->order, slab_mode(c, mode), why);
		if (p) {
			nst_slab_make(c, p);
			nst_slab_add_locked(c, n, p);
			got = nst_slab_take_locked(c, n, obj, want);
		}
	}
	nst_unlock(&n->slab);
	return got;
}

static void *all_slabs_tries(struct nst_cache *c, nst_mode_t mode, enum nst_null_reason *why)
{
	unsigned int first = nst_this_node(), i;
	void *obj[NST_SHEAF_MAX];

	for (i = 0; i < nst_nodes_for(mode); i++) {
		size_t got = slab_tries(c, nst_node_after(first, i), mode, obj, why);

		if (got) {
			nst_debt_bill(nst_node_after(first, i), got * c->slot);
			return keep_one(c, obj, got, 0);
		}
	}
	return NULL;
}

void *nst_cache_alloc_tries(struct nst_cache *c, nst_mode_t mode, enum nst_null_reason *why)
{
	void *obj = nst_pcs_pop(&c->main);
	struct nst_sheaf *s;

	if (obj)
		return obj;
	s = nst_sheaf_full_tries(c, mode & NST_FASTTRY);
	if (s)
		nst_debt_bill(nst_this_node(), (u64)s->count * c->slot);
	if (s)
		return mode & NST_FASTTRY ? open_sheaf(c, s, ONLY_CPU) : open_sheaf(c, s, TRIES);
	*why = NST_NULL_EMPTY;
	/* No sheaf was left: the worker had better fill some before the slabs are empty, too. */
	nst_cache_want(c);
	return mode & NST_FASTTRY ? NULL : all_slabs_tries(c, mode, why);
}

/* From a node's slabs, or from a slab made of whatever pages the mode can get. */
static size_t slab_waits(struct nst_cache *c, unsigned int node, nst_mode_t mode, void **obj,
			 size_t nr, enum nst_null_reason *why)
{
	struct nst_cache_node *n = c->node[node];
	struct nst_page *p;
	size_t got;

	nst_lock_wait(&n->slab);
	got = nst_slab_take_locked(c, n, obj, nr);
	nst_unlock(&n->slab);
	if (!got && nst_mode_row(mode)->sleeps && nst_slab_warm(c, n)) {
		nst_lock_wait(&n->slab);
		got = nst_slab_take_locked(c, n, obj, nr);
		nst_unlock(&n->slab);
	}
	if (got)
		return got;
	p = nst_page_take_waits(node, c->order, slab_mode(c, mode), why);
	if (!p)
		return 0;
	if (c->charged && nst_owners_make(c, p)) {
		nst_page_put_waits(p);
		*why = NST_NULL_NOMEM;
		return 0;
	}
	nst_slab_make(c, p);
	n = c->node[nst_page_node(p)];
	nst_lock_wait(&n->slab);
	nst_slab_add_locked(c, n, p);
	got = nst_slab_take_locked(c, n, obj, nr);
	nst_unlock(&n->slab);
	return got;
}

size_t nst_cache_fill(struct nst_cache *c, unsigned int node, void **out, size_t nr)
{
	enum nst_null_reason why;

	return slab_waits(c, node, NST_NORETRY, out, nr, &why);
}

void *nst_cache_alloc_waits(struct nst_cache *c, nst_mode_t mode, enum nst_null_reason *why)
{
	unsigned int node = nst_this_node();
	void *objs[NST_SHEAF_MAX], *obj;
	struct nst_sheaf *s;
	size_t got;

	nst_cache_ensure(c); /* benign: without stacks, objects come one by one */
	obj = nst_pcs_pop(&c->main);
	if (obj)
		return obj;
	nst_stray_drain(c);
	s = nst_mode_row(mode)->sleeps ? nst_regain(c) : NULL;
	if (!s)
		s = nst_sheaf_full_waits(c);
	if (s && !nst_mode_row(mode)->sleeps)
		nst_debt_bill(node, (u64)s->count * c->slot);
	if (s)
		return open_sheaf(c, s, WAITS);
	got = slab_waits(c, node, mode, objs, batch_ahead(c, node), why);
	if (got && !nst_mode_row(mode)->sleeps)
		nst_debt_bill(node, got * c->slot);
	return got ? keep_one(c, objs, got, 1) : NULL;
}

void *nst_object_start(struct nst_cache *c, void *obj, nst_mode_t mode, struct nst_site site)
{
	if (nst_mm.instrument)
		nst_debug_alloc(c, obj, site);
	if (mode & NST_ZERO)
		__builtin_memset(obj, 0, c->size);
	return obj;
}

void *nst_object_done(struct nst_cache *c, struct nst_account *a, void *obj, nst_mode_t mode,
		      enum nst_null_reason why, struct nst_site site)
{
	if (!obj) {
		if (a)
			nst_uncharge(a, c->slot);
		nst_count_null(mode, why);
		return NULL;
	}
	if (a)
		nst_owner_set(c, obj, a);
	return nst_object_start(c, obj, mode, site);
}

/* ---- free ---- */

/* @s takes a batch off main and @obj. 0 if this CPU has no main: then a sheaf would carry one object. */
static int fill_sheaf(struct nst_cache *c, struct nst_sheaf *s, void *obj)
{
	u32 n = (u32)nst_pcs_popn(&c->main, s->obj, s->cap - 1);

	if (!n)
		return 0;
	s->obj[n] = obj;
	nst_hint_set(&s->count, n + 1);
	nst_count(NST_COUNT_FLUSH, 1);
	return 1;
}

/* 1 if its slab took it; a slab that nobody uses any more becomes pages again. */
NST_ALWAYS_INLINE int to_slab(struct nst_cache *c, void *obj, const int wait)
{
	struct nst_page *slab = nst_slab_of(obj, c->order), *gone;
	struct nst_cache_node *n = c->node[nst_page_node(slab)];

	if (!nst_lock_or_try(&n->slab, wait))
		return 0;
	gone = nst_slab_put_locked(c, n, slab, obj);
	if (gone && c->charged && !wait) {
		nst_slab_keep_locked(c, n, gone);
		gone = NULL;
	}
	nst_unlock(&n->slab);
	if (gone && wait) {
		nst_slab_discard_waits(gone);
	} else if (gone) {
		nst_slab_unmake(gone);
		nst_page_put_nolock(gone);
	}
	return 1;
}

void nst_to_slab_waits(struct nst_cache *c, void *obj)
{
	to_slab(c, obj, 1);
}

/* 1 if main took it, or it was no free at all. */
static int to_main(struct nst_cache *c, void *obj, struct nst_site site)
{
	enum nst_push r = nst_pcs_push(&c->main, obj);

	if (r == NST_PUSH_SAME)
		nst_misuse_double(obj, site);
	return r != NST_PUSH_FULL;
}

/* 1: placed; 0: every lock was busy. */
static int put_tries(struct nst_cache *c, void *obj, struct nst_site site)
{
	struct nst_sheaf *s;

	if (to_main(c, obj, site))
		return 1;
	s = nst_sheaf_empty_tries(c);
	if (s) {
		int filled = fill_sheaf(c, s, obj);

		nst_sheaf_put_tries(c, s);
		if (filled)
			return 1;
	}
	return to_slab(c, obj, 0);
}

void nst_cache_put_nolock(struct nst_cache *c, void *obj, struct nst_site site)
{
	if (!put_tries(c, obj, site))
		nst_side_push(obj, nst_page_of(obj));
}

void nst_cache_put_waits(struct nst_cache *c, void *obj, struct nst_site site)
{
	struct nst_sheaf *s;
	int filled;

	nst_cache_ensure(c); /* benign: without stacks, objects go one by one */
	if (to_main(c, obj, site))
		return;
	nst_stray_drain(c);
	s = nst_sheaf_empty_waits(c);
	if (s) {
		filled = fill_sheaf(c, s, obj);
		nst_sheaf_put_waits(c, s);
		if (filled)
			return;
	}
	nst_to_slab_waits(c, obj);
}

/* empty is made last: who has it has all three. */
int nst_cache_ensure(struct nst_cache *c)
{
	if (nst_likely(nst_pcs_has_stack(&c->empty)))
		return 0;
	return nst_cache_ensure_on(c, nst_this_cpu());
}

int nst_cache_ensure_on(struct nst_cache *c, unsigned int cpu)
{
	int err;

	nst_stats_ensure(cpu);
	nst_lock_wait(&c->areas);
	err = nst_pcs_ensure(&c->main, cpu) || nst_pcs_ensure(&c->full, cpu) ||
	      nst_pcs_ensure(&c->empty, cpu);
	nst_unlock(&c->areas);
	return err ? -12 : 0;
}
