/* SPDX-License-Identifier: MIT */
/*
 * barn.c - whole sheaves change hands: this CPU's spares, the barn that all CPUs share, the strays.
 *
 *	full  (per-CPU stack)  <->  barn->full   <->  slabs
 *	empty (per-CPU stack)  <->  barn->empty  <->  the library's own memory
 *
 * Both have little room at first and get more by misses that more would have spared. A full sheaf that a CPU
 * had no room for is wanted again: this CPU may keep one more beside main. One that the barn had no room for
 * was emptied into slabs, and somebody goes to the slabs: the barn may keep twice as many. What then lies idle
 * goes back (drain.c), and the room with it.
 *
 * A sheaf has one owner at a time and each move is one commit, so a handler that interrupts finds
 * every sheaf somewhere, or in the hands of the code it interrupted. A no-lock caller that can place a
 * sheaf nowhere pushes it on the cache's list of strays, which every ordinary slow path empties.
 *
 * Sheaves: Vlastimil Babka's sheaves in Linux 6.18; magazines and depot: Bonwick and Adams, 2001.
 */
#include "mm.h"

#define BARN_FIRST 10u	/* (tune) sheaves a barn has room for at first */
#define BARN_PER_CPU 2u /* (tune) and for how many more, for each CPU, it may come to have */

struct nst_sheaf *nst_sheaf_new(struct nst_cache *c)
{
	struct nst_sheaf *s = nst_meta_alloc(nst_sheaf_bytes(c->batch));

	if (s)
		s->cap = c->batch;
	return s;
}

void nst_sheaf_delete(struct nst_sheaf *s)
{
	nst_meta_free(s, nst_sheaf_bytes(s->cap));
}

static struct nst_cache_node *local_node(struct nst_cache *c)
{
	return c->node[nst_this_node()];
}

/* Locks: need node->barn. */
static struct nst_sheaf *pop_locked(struct nst_cache_node *n, struct nst_sheaf **list, u32 *nr)
{
	struct nst_sheaf *s = *list;

	if (s) {
		*list = s->next;
		nst_hint_set(nr, *nr - 1);
		n->least_full = (u32)nst_min(n->least_full, n->nr_full);
		n->least_empty = (u32)nst_min(n->least_empty, n->nr_empty);
	}
	return s;
}

static int push_locked(struct nst_cache_node *n, struct nst_sheaf **list, u32 *nr,
		       struct nst_sheaf *s)
{
	if (*nr >= nst_hint(&n->most))
		return 0;
	s->next = *list;
	*list = s;
	nst_hint_set(nr, *nr + 1);
	return 1;
}

/* A sheaf off the barn's full or empty ones, if there is any and the lock can be had. */
NST_ALWAYS_INLINE struct nst_sheaf *from_barn(struct nst_cache_node *n, struct nst_sheaf **list,
					      u32 *nr, const int wait)
{
	struct nst_sheaf *s;

	if (!nst_hint(nr) || !nst_lock_or_try(&n->barn, wait)) /* a hint that saves the lock */
		return NULL;
	s = pop_locked(n, list, nr);
	nst_unlock(&n->barn);
	return s;
}

struct nst_sheaf *nst_sheaf_empty_tries(struct nst_cache *c)
{
	struct nst_sheaf *s = nst_pcs_pop(&c->empty);
	struct nst_cache_node *n = local_node(c);

	return s ? s : from_barn(n, &n->empty, &n->nr_empty, 0);
}

struct nst_sheaf *nst_sheaf_empty_waits(struct nst_cache *c)
{
	struct nst_sheaf *s = nst_sheaf_empty_tries(c);

	return s ? s : nst_sheaf_new(c);
}

struct nst_sheaf *nst_sheaf_full_tries(struct nst_cache *c, int only_this_cpu)
{
	struct nst_sheaf *s = nst_pcs_pop(&c->full);
	struct nst_cache_node *n = local_node(c);

	return s || only_this_cpu ? s : from_barn(n, &n->full, &n->nr_full, 0);
}

void nst_barn_init(struct nst_cache_node *n)
{
	n->full = n->empty = NULL;
	n->nr_full = n->nr_empty = n->least_full = n->least_empty = 0;
	n->most = BARN_FIRST;
}

/* This CPU may keep a sheaf more, if it has a place and nobody is at the stacks. */
static void widen_cpu(struct nst_cache *c)
{
	unsigned int cpu = nst_this_cpu();
	u32 cap = nst_pcs_cap(&c->full, cpu);

	if (!cap || cap >= c->spares || c->keeps || nst_hint(&c->stock) || !nst_trylock(&c->areas))
		return;
	nst_pcs_widen(&c->full, cpu);
	nst_pcs_widen(&c->empty, cpu);
	nst_unlock(&c->areas);
}

static void widen_barn(struct nst_cache_node *n)
{
	u32 limit = BARN_FIRST + BARN_PER_CPU * nst_sys_cpus.nr, most = nst_hint(&n->most);

	if (!nst_hint(&n->overflowed))
		return;
	nst_hint_set(&n->overflowed, 0u);
	if (most < limit) /* of two at once one may be lost */
		nst_hint_set(&n->most, (u32)nst_min(2 * most, limit));
}

struct nst_sheaf *nst_sheaf_full_waits(struct nst_cache *c)
{
	struct nst_sheaf *s = nst_pcs_pop(&c->full);
	struct nst_cache_node *n = local_node(c);

	if (s)
		return s;
	s = from_barn(n, &n->full, &n->nr_full, 1);
	if (s)
		widen_cpu(c);
	else
		widen_barn(n);
	return s;
}

static void push_stray(struct nst_cache *c, struct nst_sheaf *s)
{
	struct nst_sheaf *head;

	do {
		head = nst_load_relaxed(&c->stray); /* relaxed: the swap checks it */
		s->next = head;
		/* Pairs with: nst_exchange_acquire() in nst_stray_drain(). */
	} while (!nst_cas_release(&c->stray, head, s));
}

/* 1 if there was room, and the lock could be had. */
NST_ALWAYS_INLINE int into_barn(struct nst_cache_node *n, struct nst_sheaf *s, const int wait)
{
	int placed;

	if (!nst_lock_or_try(&n->barn, wait))
		return 0;
	placed = s->count ? push_locked(n, &n->full, &n->nr_full, s)
			  : push_locked(n, &n->empty, &n->nr_empty, s);
	nst_unlock(&n->barn);
	return placed;
}

static int onto_cpu(struct nst_cache *c, struct nst_sheaf *s)
{
	return nst_pcs_push(s->count ? &c->full : &c->empty, s) == NST_PUSH_OK;
}

void nst_sheaf_put_cpu(struct nst_cache *c, struct nst_sheaf *s)
{
	if (!onto_cpu(c, s))
		push_stray(c, s);
}

void nst_sheaf_put_tries(struct nst_cache *c, struct nst_sheaf *s)
{
	if (!onto_cpu(c, s) && !into_barn(local_node(c), s, 0))
		push_stray(c, s);
}

void nst_sheaf_put_waits(struct nst_cache *c, struct nst_sheaf *s)
{
	if (onto_cpu(c, s) || into_barn(local_node(c), s, 1))
		return;
	if (s->count) {
		nst_hint_set(&local_node(c)->overflowed, 1u);
		nst_sheaf_flush(c, s);
	}
	nst_sheaf_delete(s);
}

/* Those of @nr objects whose slab is on @node, under one hold of its lock; NULL: no object to give back. */
static void flush_to_node(struct nst_cache *c, unsigned int node, void **obj,
			  struct nst_page **slab, u32 nr)
{
	struct nst_cache_node *n = c->node[node];
	struct nst_page *gone[NST_SHEAF_MAX];
	u32 i, nr_gone = 0;

	nst_lock_wait(&n->slab);
	for (i = 0; i < nr; i++) {
		if (!slab[i] || nst_page_node(slab[i]) != node)
			continue;
		gone[nr_gone] = nst_slab_put_locked(c, n, slab[i], obj[i]);
		nr_gone += gone[nr_gone] != NULL;
	}
	nst_unlock(&n->slab);
	for (i = 0; i < nr_gone; i++)
		nst_slab_discard_waits(gone[i]);
}

/* The slab of an object that may go back to @c, or NULL: a larger class served the request, or no free at all. */
static struct nst_page *slab_to_flush(struct nst_cache *c, void *obj)
{
	struct nst_page *p = nst_slab_of_own(c, obj);

	if (nst_likely(p && nst_slab_slot(c, p, obj) >= 0))
		return p;
	p = nst_free_check(c, obj, (struct nst_site){"flush", NULL});
	if (!p || p->cache == c->id)
		return p;
	nst_to_slab_waits(nst_cache_number(p->cache), obj);
	return NULL;
}

/* The descriptors lie as far apart as the objects do: all are fetched before the first is looked at. */
void nst_sheaf_flush(struct nst_cache *c, struct nst_sheaf *s)
{
	struct nst_page *slab[NST_SHEAF_MAX];
	u32 node, i;

	for (i = 0; i < s->count; i++)
		__builtin_prefetch(nst_slab_near(s->obj[i], c->order), 1);
	for (i = 0; i < s->count; i++)
		slab[i] = slab_to_flush(c, s->obj[i]);
	for (node = 0; node < nst_sys_cpus.nr_nodes; node++)
		flush_to_node(c, node, s->obj, slab, s->count);
	nst_hint_set(&s->count, 0u);
	nst_count(NST_COUNT_FLUSH, 1);
}

void nst_stray_drain(struct nst_cache *c)
{
	struct nst_sheaf *s, *next;

	if (!nst_load_relaxed(&c->stray)) /* relaxed: a later pass sees it */
		return;
	/* Pairs with: nst_cas_release() in push_stray(). */
	for (s = nst_exchange_acquire(&c->stray, NULL); s; s = next) {
		next = s->next;
		nst_sheaf_put_waits(c, s);
	}
}

int nst_barn_add_ripe(struct nst_cache *c, struct nst_sheaf *s, u32 most)
{
	struct nst_cache_node *n = c->node[nst_page_node(nst_page_of(s->obj[0]))];
	int placed = 0;

	nst_lock_wait(&n->barn);
	if (n->nr_full < most) {
		s->next = n->full;
		n->full = s;
		nst_hint_set(&n->nr_full, n->nr_full + 1);
		placed = 1;
	}
	nst_unlock(&n->barn);
	return placed;
}

/* ---- for the worker and nst_stock() ---- */

int nst_barn_count(struct nst_cache_node *n, u32 floor, u32 *full, u32 *empty)
{
	int all;

	nst_lock_wait(&n->barn);
	all = n->least_full == n->nr_full;
	*full = n->least_full > floor ? n->least_full - floor : 0;
	*empty = n->least_empty;
	n->least_full = n->nr_full;
	n->least_empty = n->nr_empty;
	if (*full)
		nst_hint_set(&n->most, (u32)nst_max(BARN_FIRST, nst_hint(&n->most) / 2));
	nst_unlock(&n->barn);
	return all;
}

void nst_barn_flush(struct nst_cache *c, struct nst_cache_node *n, u32 full, u32 empty)
{
	struct nst_sheaf *s;

	for (; full && (s = from_barn(n, &n->full, &n->nr_full, 1)) != NULL; full--) {
		nst_sheaf_flush(c, s);
		nst_sheaf_delete(s);
	}
	for (; empty && (s = from_barn(n, &n->empty, &n->nr_empty, 1)) != NULL; empty--)
		nst_sheaf_delete(s);
}

struct nst_sheaf *nst_sheaf_filled(struct nst_cache *c, unsigned int node)
{
	struct nst_sheaf *s = nst_sheaf_new(c);

	if (!s)
		return NULL;
	while (s->count < s->cap) {
		size_t got = nst_cache_fill(c, node, s->obj + s->count, s->cap - s->count);

		if (!got) {
			nst_sheaf_put_waits(c, s);
			return NULL;
		}
		nst_hint_set(&s->count, s->count + (u32)got);
	}
	return s;
}

int nst_barn_wants_more(struct nst_cache *c, unsigned int node)
{
	return nst_hint(&c->node[node]->nr_full) < BARN_FIRST / 2; /* a hint */
}

int nst_barn_add_full(struct nst_cache *c, unsigned int node)
{
	struct nst_sheaf *s = nst_sheaf_filled(c, node);

	if (!s)
		return 0;
	if (into_barn(c->node[node], s, 1))
		return 1;
	nst_sheaf_put_waits(c, s);
	return 0;
}
