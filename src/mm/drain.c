/* SPDX-License-Identifier: MIT */
/*
 * drain.c - what lies in lists goes back: all of a cache to its slabs, or what is idle.
 *
 * Idle, at the worker's looks ten times a second, is
 *
 *	a CPU's lists of a cache, or list of runs	that held the same at some looks in a row
 *	a barn's sheaves, a node's unused slabs		as many as were there all that time
 *
 * So nothing strands: not on CPUs where a thread was once, not in a barn that was filled by who only frees.
 * Nothing is asked of the fast paths. Lists whose owner takes and puts in turn may look idle; they lose what they
 * hold, which costs a slow path. Left alone is what was stocked, or made for no-lock requests.
 *
 * Locks: takes a cache's areas, or a zone's grow, to take stacks; barn, slab and zone for what is in them.
 */
#include "mm.h"

#define BARN_KEPT 10u	 /* sheaves left to a cache made for no-lock requests */
#define MOST_SHEAVES 32u /* of a barn at one look */
#define MOST_SLABS 32u

static void flush_stack(struct nst_cache *c, struct nst_pcs *s)
{
	union {
		struct nst_sheaf sheaf;
		void *room[3 + NST_SHEAF_MAX];
	} u = {.sheaf = {.cap = NST_SHEAF_MAX}};

	while ((u.sheaf.count = (u32)nst_stack_popn(s, u.sheaf.obj, NST_SHEAF_MAX)) != 0)
		nst_sheaf_flush(c, &u.sheaf);
}

static void flush_sheaves(struct nst_cache *c, struct nst_pcs *s)
{
	struct nst_sheaf *sheaf;

	while (nst_stack_popn(s, (void **)&sheaf, 1)) {
		nst_sheaf_flush(c, sheaf);
		nst_sheaf_delete(sheaf);
	}
}

/* Locks: needs areas. */
static void empty_locked(struct nst_cache *c, struct nst_pcs_table *t, unsigned int i,
			 void (*flush)(struct nst_cache *c, struct nst_pcs *s))
{
	struct nst_pcs *s = nst_pcs_count(t, i) ? nst_pcs_take(t, i) : NULL;

	if (!s)
		return;
	flush(c, s);
	nst_pcs_narrow(t, s);
	nst_pcs_put(t, i, s);
}

static void empty_cpu_locked(struct nst_cache *c, unsigned int i)
{
	empty_locked(c, &c->main, i, flush_stack);
	empty_locked(c, &c->full, i, flush_sheaves);
	empty_locked(c, &c->empty, i, flush_sheaves);
}

static void free_unused_slabs(struct nst_cache *c, struct nst_cache_node *n, u64 most)
{
	struct nst_page *p = NULL;

	do {
		nst_lock_wait(&n->slab);
		p = most-- ? nst_slab_take_unused_locked(c, n) : NULL;
		nst_unlock(&n->slab);
		if (p)
			nst_slab_discard_waits(p);
	} while (p);
}

void nst_cache_drain(struct nst_cache *c)
{
	unsigned int i;

	nst_stray_drain(c);
	nst_lock_wait(&c->areas);
	for (i = 0; i < nst_pcs_nr_stacks(&c->main); i++)
		empty_cpu_locked(c, i);
	nst_unlock(&c->areas);
	for (i = 0; i < nst_sys_cpus.nr_nodes; i++) {
		nst_barn_flush(c, c->node[i], UINT32_MAX, UINT32_MAX);
		free_unused_slabs(c, c->node[i], UINT64_MAX);
	}
}

/* ---- what is idle ---- */

static int has_slabs(const struct nst_cache *c)
{
	unsigned int i;

	for (i = 0; i < nst_sys_cpus.nr_nodes; i++)
		if (nst_hint(&c->node[i]->nr_slabs))
			return 1;
	return 0;
}

/* Locks: needs areas. */
static int cpu_is_idle_locked(const struct nst_cache *c, unsigned int i)
{
	u32 main = nst_pcs_still(&c->main, i), full = nst_pcs_still(&c->full, i);

	return (main || full) && (!main || main > NST_STILL_LOOKS) &&
	       (!full || full > NST_STILL_LOOKS);
}

static unsigned int decay_cpus(struct nst_cache *c, unsigned int most)
{
	unsigned int i, n = 0;

	nst_lock_wait(&c->areas);
	for (i = 0; i < nst_pcs_nr_stacks(&c->main) && n < most; i++) {
		if (!cpu_is_idle_locked(c, i))
			continue;
		empty_cpu_locked(c, i);
		n++;
	}
	nst_unlock(&c->areas);
	return n;
}

/* How many slabs nobody used since the last count. */
static u64 count_unused(struct nst_cache_node *n, int *all)
{
	u64 idle;

	nst_lock_wait(&n->slab);
	idle = n->least_unused;
	*all = idle == n->nr_unused;
	n->least_unused = n->nr_unused;
	nst_unlock(&n->slab);
	return idle;
}

/* Where nothing was taken from barn or slabs, what the barn's sheaves leave unused need not be looked at for as long. */
static unsigned int decay_node(struct nst_cache *c, struct nst_cache_node *n, int keeps)
{
	u32 full, empty;
	u64 unused;
	int all;

	if (++n->looks <= NST_STILL_LOOKS)
		return 0;
	n->looks = 0;
	unused = count_unused(n, &all);
	all &= nst_barn_count(n, keeps ? BARN_KEPT : 0, &full, &empty);
	nst_barn_flush(c, n, (u32)nst_min(full, MOST_SHEAVES), (u32)nst_min(empty, MOST_SHEAVES));
	if (!keeps)
		free_unused_slabs(c, n, all ? MOST_SLABS : nst_min(unused, MOST_SLABS));
	return full || empty || unused;
}

unsigned int nst_cache_decay(struct nst_cache *c, unsigned int most)
{
	int keeps = c->keeps || nst_hint(&c->stock);
	unsigned int i, n;

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 6 /* what CPUs have strands */
	return 0;
#endif
	if (!has_slabs(c))
		return 0;
	n = keeps ? 0 : decay_cpus(c, most);
	for (i = 0; i < nst_sys_cpus.nr_nodes; i++)
		n += decay_node(c, c->node[i], keeps);
	return n;
}
