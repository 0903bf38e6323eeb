/* SPDX-License-Identifier: MIT */
/*
 * stock.c - objects and runs put in CPUs' own lists ahead of need, and kept there.
 *
 * A CPU's stock lies in its stack of full sheaves, made large enough. What was asked for is noted with the
 * stack, and the worker tops it up: it fills that much and never adds to it. Sheaves are filled first, at leisure; then the stack is taken from its CPU for as long as it takes to store
 * their pointers: some microseconds in which a no-lock request there goes on to the barn. Runs: pcp.c.
 *
 * Locks: takes cache->areas; slab and zone while filling.
 */
#include "mm.h"
#include "claim/account.h"

#define STOCK_MAX 1048576u

static void put_chain(struct nst_cache *c, struct nst_sheaf *s)
{
	while (s) {
		struct nst_sheaf *next = s->next;

		nst_sheaf_put_waits(c, s);
		s = next;
	}
}

static struct nst_sheaf *filled_chain(struct nst_cache *c, unsigned int node, size_t nr)
{
	struct nst_sheaf *chain = NULL, *s;

	for (; nr; nr--) {
		s = nst_sheaf_filled(c, node);
		if (!s) {
			put_chain(c, chain);
			return NULL;
		}
		s->next = chain;
		chain = s;
	}
	return chain;
}

static size_t objects_in(const struct nst_pcs *s)
{
	size_t n = 0;
	u32 i;

	for (i = 0; i < s->count; i++)
		n += ((const struct nst_sheaf *)s->obj[i])->count;
	return n;
}

enum how { KEEP, GROW };
#define GROW_ROUNDS 4 /* of filling, while its CPU goes on taking */

static size_t sheaves_for(const struct nst_cache *c, size_t objects)
{
	return (objects + c->batch - 1) / c->batch;
}

/* Capacity for @n objects in all: the sheaves there are, as full as they are, and full ones. */
static u32 cap_for(const struct nst_cache *c, const struct nst_pcs *s, size_t have, size_t n)
{
	return s->count + (u32)sheaves_for(c, n - have) + 1;
}

/* Stack @s, or a larger one in its place, is to hold @stock sheaves from now on. */
static struct nst_pcs *room_for_stock(struct nst_pcs *s, u32 stock)
{
	struct nst_pcs *grown = s->cap < stock ? nst_pcs_grow(s, stock) : NULL;

	s = grown ? grown : s;
	if (s->cap >= stock)
		nst_pcs_set_stock(s, stock);
	return s;
}

/*
 * Give stack @i sheaves off *chain until it holds @n objects or is full; with GROW a larger stack if
 * needed. How many objects are missing. Locks: areas.
 */
static size_t top_up_locked(struct nst_cache *c, unsigned int i, size_t n, enum how how,
			    struct nst_sheaf **chain)
{
	struct nst_pcs *s = nst_pcs_take(&c->full, i);
	size_t have;

	if (!s)
		return n;
	have = objects_in(s);
	if (how == GROW && have < n)
		s = room_for_stock(s, cap_for(c, s, have, n));
	while (have < n && *chain && s->count < s->cap) {
		struct nst_sheaf *sheaf = *chain;

		*chain = sheaf->next;
		have += sheaf->count;
		nst_stack_pushn(s, (void **)&sheaf, 1);
	}
	nst_pcs_put(&c->full, i, s);
	return have < n ? n - have : 0;
}

/* Room for the sheaves that the stock will leave empty. Locks: areas. */
static void room_for_empties_locked(struct nst_cache *c, unsigned int i, u32 need)
{
	struct nst_pcs *s = nst_pcs_take(&c->empty, i), *grown = NULL;

	if (!s)
		return;
	if (s->cap < need)
		grown = nst_pcs_grow(s, need);
	nst_pcs_put(&c->empty, i, grown ? grown : s);
}

/*
 * At first as many sheaves are filled as a look at the stack says are missing; it may hold some that are
 * not full, so what is missing after that is filled again.
 */
static int stock_stack(struct nst_cache *c, unsigned int i, unsigned int node, size_t n,
		       enum how how)
{
	int round, rounds = how == GROW ? GROW_ROUNDS : 1;
	size_t there, missing;

	nst_lock_wait(&c->areas); /* it is not replaced while it is looked at */
	there = (size_t)nst_pcs_count(&c->full, i) * c->batch;
	nst_unlock(&c->areas);
	missing = n > there ? n - there : 0;
	for (round = 0; round < rounds; round++) {
		struct nst_sheaf *chain = filled_chain(c, node, sheaves_for(c, missing));

		if (missing && !chain)
			return -12;
		nst_lock_wait(&c->areas);
		room_for_empties_locked(c, i, (u32)sheaves_for(c, n) + 2);
		missing = top_up_locked(c, i, n, how, &chain);
		nst_unlock(&c->areas);
		put_chain(c, chain);
		if (!missing)
			return 0;
	}
	return -12;
}

/* Stack @i of a cache's sheaves, or of an order's runs, gets @n; the node is that of its CPU. */
typedef int stock_fn(void *of, unsigned int i, unsigned int node, size_t n);

static int stock_cpu(stock_fn *stock, void *of, unsigned int cpu, size_t n)
{
	return stock(of, cpu, nst_sys_cpus.node[cpu], n);
}

/* Without sequences a thread looks through every stripe: the stock is spread over them. */
static int stock_stripes(stock_fn *stock, void *of, size_t n)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < NST_STRIPES && !err; i++)
		err = stock(of, nst_sys_cpus.nr + i, 0, (n + NST_STRIPES - 1) / NST_STRIPES);
	return err;
}

static int stock_cpus(stock_fn *stock, void *of, size_t n, int cpus)
{
	unsigned int cpu;
	int err = 0;

	if (!nst_sys_rseq.usable)
		return stock_stripes(stock, of, cpus == NST_CPU_ALL ? n * nst_sys_cpus.nr : n);
	if (cpus == NST_CPU_THIS)
		return stock_cpu(stock, of, nst_this_cpu(), n);
	if (cpus >= 0)
		return stock_cpu(stock, of, (unsigned int)cpus, n);
	for (cpu = 0; cpu < nst_sys_cpus.nr && !err; cpu++)
		err = stock_cpu(stock, of, cpu, n);
	return err;
}

/* 0, or -EINVAL, or -ENOMEM when the library cannot start. */
static int stock_enter(size_t n, int cpus)
{
	if (n == 0 || n > STOCK_MAX || cpus < NST_CPU_ALL)
		return -22;
	if (nst_start())
		return -12;
	nst_fork_check();
	nst_lean_end();
	return cpus >= (int)nst_sys_cpus.nr ? -22 : 0;
}

static int stock_sheaves(void *of, unsigned int i, unsigned int node, size_t n)
{
	struct nst_cache *c = of;

	if (nst_sys_rseq.usable ? nst_cache_ensure_on(c, i) : nst_cache_ensure(c))
		return -12;
	return stock_stack(c, i, node, n, GROW);
}

int nst_stock(struct nst_cache *cache, size_t n, int cpus)
{
	int err = cache ? stock_enter(n, cpus) : -22;

	if (err)
		return err;
	if (nst_account_of(0) && cache->twin)
		cache = nst_cache_charged(cache);
	nst_hint_set(&cache->stock, (u32)n);
	return stock_cpus(stock_sheaves, cache, n, cpus);
}

static int stock_runs(void *of, unsigned int i, unsigned int node, size_t n)
{
	return nst_pcp_stock(&nst_zones[node], *(const unsigned int *)of, i, (u32)n);
}

int nst_pages_stock(unsigned int order, size_t n, int cpus)
{
	int err = order <= NST_ORDER_NOLOCK_MAX ? stock_enter(n, cpus) : -22;

	return err ? err : stock_cpus(stock_runs, &order, n, cpus);
}

/* Does stack @i want a quarter of its stock or more? @n: how many objects that is, in all. */
static int is_short(struct nst_cache *c, unsigned int i, size_t *n)
{
	u32 have, want;

	nst_lock_wait(&c->areas); /* it is not replaced while it is looked at */
	have = nst_pcs_count(&c->full, i);
	want = nst_pcs_stock(&c->full, i);
	nst_unlock(&c->areas);
	*n = want > 1 ? (size_t)(want - 1) * c->batch : 0;
	return want > 1 && have < want - want / 4 - 1;
}

/* Top up what was stocked and is a quarter gone; 1 if anything was. Context: thread (the worker). */
int nst_stock_keep(struct nst_cache *c)
{
	unsigned int i, found = 0;

	if (!nst_hint(&c->stock))
		return 0;
	for (i = 0; i < nst_pcs_nr_stacks(&c->full); i++) {
		size_t n;

		if (!is_short(c, i, &n))
			continue;
		stock_stack(c, i, i < nst_sys_cpus.nr ? nst_sys_cpus.node[i] : 0, n, KEEP);
		found = 1;
	}
	return (int)found;
}
