/* SPDX-License-Identifier: MIT */
/*
 * page_alloc.c - front door of pages: mode -> zone policy -> pcp -> buddy.
 *
 * The walk of one zone: this CPU's list of the wanted mobility, then of the other mobilities, then the
 * buddy lists under the zone's lock, from which a batch is brought along. FASTTRY stops before the
 * lock. Then the next node, unless THISNODE. Modes that may sleep then make memory ready and walk again. Who holds a
 * ticket of a reserve has a page of that last.
 *
 * The walk is written once and compiled twice, with tries and with waits, so that the no-lock copy
 * contains no call that could wait: check-nolock sees to it.
 */
#include "mm.h"
#include "reclaim/reclaim.h"

#define LEAN_PART 512u /* (tune) of a zone's pages, in a batch */

static struct nst_page *from_pcp(struct nst_zone *z, unsigned int order, unsigned int mob)
{
	struct nst_page *p = nst_pcp_take(z, order, mob);
	unsigned int m;

	for (m = 0; m < NST_NR_MOBILITIES && !p; m++)
		if (m != mob)
			p = nst_pcp_take(z, order, m);
	return p;
}

/* Put runs that found no room on this CPU back. Locks: takes or tries z->lock. */
NST_ALWAYS_INLINE void put_back(struct nst_page **runs, size_t n, const int wait)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (wait)
			nst_page_put_waits(runs[i]);
		else
			nst_page_put_nolock(runs[i]);
	}
}

/* Runs that an ordinary caller brings along: of a lean program's no more than there is in proportion. */
static u32 batch_ahead(const struct nst_zone *z, unsigned int order)
{
	u64 ready = nst_load_relaxed(&z->ready_pages); /* relaxed: a counter */
	u32 batch = nst_pcp_batch(order);

	if (nst_unlikely(nst_thread.claimed)) /* it takes what it has earned */
		return 1;
	if (!nst_is_lean())
		return batch;
	return (u32)nst_min(batch, nst_max(ready / LEAN_PART >> order, 1));
}

/* A batch from the buddy lists; how many runs. */
NST_ALWAYS_INLINE size_t batch_of(struct nst_zone *z, unsigned int order, nst_mode_t mode,
				  struct nst_page **runs, enum nst_null_reason *why, const int wait)
{
	int short_of_pages;
	size_t n;

	if (nst_test_should_fail(NST_FAIL_PAGE)) {
		*why = NST_NULL_WATERMARK;
		return 0;
	}
	if (!nst_lock_or_try(&z->lock, wait)) {
		*why = NST_NULL_BUSY;
		return 0;
	}
	n = nst_buddy_take_batch_locked(z, order, nst_mode_mobility(mode), nst_zone_floor(z, mode),
					runs, wait ? batch_ahead(z, order) : nst_pcp_batch(order));
	short_of_pages = z->free_pages < nst_hint(&z->low);
	nst_unlock(&z->lock);
	if (short_of_pages)
		nst_zone_want(z, order);
	if (!n)
		*why = NST_NULL_WATERMARK;
	return n;
}

/* Runs to this CPU's list, as many as it has room for. */
NST_ALWAYS_INLINE void keep(struct nst_zone *z, unsigned int order, nst_mode_t mode,
			    struct nst_page **runs, size_t n, const int wait)
{
	struct nst_pcs_table *t = &z->pcp[nst_mode_mobility(mode)][nst_pcp_index(order)];
	size_t kept = n ? nst_pcs_pushn(t, (void **)runs, n) : 0;

	put_back(runs + kept, n - kept, wait);
}

/* A batch from the buddy lists: one to return, the rest to this CPU's list. */
NST_ALWAYS_INLINE struct nst_page *from_buddy(struct nst_zone *z, unsigned int order,
					      nst_mode_t mode, enum nst_null_reason *why,
					      const int wait)
{
	struct nst_page *runs[NST_PCP_BATCH];
	size_t n = batch_of(z, order, mode, runs, why, wait);

	if (!n)
		return NULL;
	if (n > 1)
		keep(z, order, mode, runs + 1, n - 1, wait);
	return runs[0];
}

/*
 * A no-lock caller that finds the lock free brings a batch before this CPU's list is empty: then it has
 * many tries, and not one, before a busy lock means NULL.
 */
static void refill_early(struct nst_zone *z, unsigned int order, nst_mode_t mode)
{
	struct nst_pcs_table *t = &z->pcp[nst_mode_mobility(mode)][nst_pcp_index(order)];
	u32 batch = nst_pcp_batch(order);
	struct nst_page *runs[NST_PCP_BATCH];
	enum nst_null_reason why;

	if (!nst_pcs_by_sequence() || nst_pcs_count(t, nst_this_cpu()) >= (batch + 1) / 2)
		return;
	if (nst_hint(&z->lock.owner) ||
	    nst_hint(&z->free_pages) < nst_zone_floor(z, mode) + ((u64)batch << order))
		return;
	keep(z, order, mode, runs, batch_of(z, order, mode, runs, &why, 0), 0);
}

NST_ALWAYS_INLINE struct nst_page *walk_zone(struct nst_zone *z, unsigned int order,
					     nst_mode_t mode, enum nst_null_reason *why,
					     const int wait)
{
	struct nst_page *p = from_pcp(z, order, nst_mode_mobility(mode));

	if (p && !wait && !(mode & NST_FASTTRY))
		refill_early(z, order, mode);
	if (p)
		return p;
	if (mode & NST_FASTTRY) {
		*why = NST_NULL_EMPTY;
		return NULL;
	}
	return from_buddy(z, order, mode, why, wait);
}

NST_ALWAYS_INLINE struct nst_page *walk(unsigned int first, unsigned int order, nst_mode_t mode,
					enum nst_null_reason *why, const int wait)
{
	unsigned int i;

	for (i = 0; i < nst_nodes_for(mode); i++) {
		struct nst_zone *z = &nst_zones[nst_node_after(first, i)];
		struct nst_page *p = walk_zone(z, order, mode, why, wait);

		if (p)
			return p;
		nst_zone_want(z, order);
	}
	return NULL;
}

int nst_zone_looks_dry(struct nst_zone *z, unsigned int order, nst_mode_t mode)
{
	int i = nst_pcp_index(order);
	unsigned int m, cpu = nst_this_cpu();

	for (m = 0; m < NST_NR_MOBILITIES && i >= 0; m++)
		if (nst_pcs_by_sequence() ? nst_pcs_count(&z->pcp[m][i], cpu) != 0
					  : nst_pcs_has_stack(&z->pcp[m][i]))
			return 0;
	return nst_hint(&z->free_pages) < nst_zone_floor(z, mode) + (1ull << order);
}

struct nst_page *nst_zone_take_tries(struct nst_zone *z, unsigned int order, nst_mode_t mode,
				     enum nst_null_reason *why)
{
	return walk_zone(z, order, mode, why, 0);
}

struct nst_page *nst_page_take_tries(unsigned int order, nst_mode_t mode, enum nst_null_reason *why)
{
	if (order > NST_ORDER_NOLOCK_MAX) {
		*why = NST_NULL_SIZE;
		return NULL;
	}
	return walk(nst_this_node(), order, mode, why, 0);
}

/*
 * This CPU's lists of the zone, made if there are none; benign if not: then runs come one by one.
 * Who grows the zone may hold the lock for as long as the kernel takes: only sleepers wait for it.
 */
static void ensure_pcp(struct nst_zone *z, unsigned int order, nst_mode_t mode)
{
	int i = nst_pcp_index(order);
	struct nst_pcs_table *t;

	if (i < 0)
		return;
	t = &z->pcp[nst_mode_mobility(mode)][i];
	if (nst_pcs_has_stack(t) || !nst_lock_or_try(&z->grow, nst_mode_row(mode)->sleeps))
		return;
	nst_pcs_ensure(t, nst_this_cpu());
	nst_unlock(&z->grow);
}

/* Memory ready for a mode that may sleep: 0, or -errno when no node has any more. */
static int grow_somewhere(unsigned int first, unsigned int order, nst_mode_t mode)
{
	unsigned int i;

	for (i = 0; i < nst_nodes_for(mode); i++)
		if (nst_zone_grow(&nst_zones[nst_node_after(first, i)], order) == 0)
			return 0;
	return -12;
}

/* Runs parked on CPUs' lists, merged again: the last resort before NULL. */
static void drain_all(void)
{
	unsigned int i;

	for (i = 0; i < nst_sys_cpus.nr_nodes; i++)
		nst_pcp_drain(&nst_zones[i]);
}

/* Above a step as much is made ready as is asked for, and no more. */
static struct nst_page *run_somewhere(unsigned int first, size_t pages, nst_mode_t mode)
{
	struct nst_page *p = NULL;
	unsigned int i;

	for (i = 0; i < nst_nodes_for(mode) && !p; i++)
		p = nst_cold_run(&nst_zones[nst_node_after(first, i)], pages);
	return p;
}

struct nst_page *nst_run_take_waits(unsigned int node, size_t pages, nst_mode_t mode,
				    enum nst_null_reason *why)
{
	unsigned int drained = 0, order = nst_log2_up(pages);
	int exact = (size_t)1 << order > nst_zone_step(&nst_zones[node]);
	struct nst_page *p;

	ensure_pcp(&nst_zones[node], order, mode);
	for (;;) {
		p = walk(node, order, mode, why, 1);
		if (!p && exact && nst_mode_row(mode)->sleeps)
			p = run_somewhere(node, pages, mode);
		if (p || !nst_mode_row(mode)->sleeps)
			break;
		if (!exact && grow_somewhere(node, order, mode) == 0)
			continue;
		*why = NST_NULL_NOMEM;
		if (drained)
			break;
		drain_all();
		drained = 1;
	}
	if (!p || nst_hint(&nst_zones[node].free_pages) < nst_hint(&nst_zones[node].low))
		nst_worker_kick();
	if (!p && nst_unlikely(mode & NST_MEMALLOC))
		p = nst_reserve_take(order, mode);
	return p;
}

struct nst_page *nst_page_take_waits(unsigned int node, unsigned int order, nst_mode_t mode,
				     enum nst_null_reason *why)
{
	return nst_run_take_waits(node, (size_t)1 << order, mode, why);
}

/* The oldest runs of this CPU's list and @p to the buddy lists. */
NST_ALWAYS_INLINE int put_buddy(struct nst_zone *z, struct nst_page *p, unsigned int order,
				const int wait)
{
	struct nst_page *runs[NST_PCP_BATCH];
	int i = nst_pcp_index(order);
	size_t n = 0, k;

	if (!nst_lock_or_try(&z->lock, wait))
		return 0;
	if (i >= 0)
		n = nst_pcs_popn(&z->pcp[p->mobility][i], (void **)runs, nst_pcp_batch(order));
	nst_buddy_put_locked(z, p, order);
	for (k = 0; k < n; k++)
		nst_buddy_put_locked(z, runs[k], order);
	nst_unlock(&z->lock);
	return 1;
}

/* A run that was cut down, in pieces of a power of two, the last first: they merge with what was cut off. */
NST_ALWAYS_INLINE int put_cut(struct nst_zone *z, struct nst_page *p, const int wait)
{
	size_t pages = p->pages;

	if (!nst_lock_or_try(&z->lock, wait))
		return 0;
	p->pages = 0;
	while (pages) {
		unsigned int order = nst_lowest_bit(pages);

		pages &= pages - 1;
		nst_buddy_put_locked(z, p + pages, order);
	}
	nst_unlock(&z->lock);
	return 1;
}

void nst_run_cut(struct nst_page *p, size_t pages)
{
	struct nst_zone *z = &nst_zones[nst_page_node(p)];
	size_t at, end = nst_run_bytes(p) >> NST_PAGE_SHIFT;
	unsigned int order;

	if (pages == end)
		return;
	p->pages = (u16)pages;
	if (p->reserve) /* what a reserve lacks it has again in one */
		return;
	nst_lock_wait(&z->lock);
	for (at = pages; at < end; at += (size_t)1 << order) {
		order = (unsigned int)nst_min(nst_lowest_bit(at), nst_log2(end - at));
		nst_buddy_put_locked(z, p + at, order);
	}
	nst_unlock(&z->lock);
}

int nst_run_extend(struct nst_page *p, size_t pages)
{
	size_t number = (size_t)(p - nst_arena_of_page(p)->pages);
	size_t have = nst_run_bytes(p) >> NST_PAGE_SHIFT;
	unsigned int order = nst_log2_up(pages);

	if (p->reserve || order > NST_BLOCK_ORDER || number & (((size_t)1 << order) - 1) ||
	    nst_cold_take(&nst_zones[nst_page_node(p)], p + have, pages - have, order))
		return 0;
	nst_store_relaxed(&p->order, (u8)order); /* see nst_page_set_state() */
	p->pages = (u16)(pages == (size_t)1 << order ? 0 : pages);
	return 1;
}

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 28
/* It goes to this CPU's list as any other. */
static int is_of_reserve(const struct nst_page *p)
{
	(void)p;
	return 0;
}
#else
static int is_of_reserve(const struct nst_page *p)
{
	return p->reserve != 0;
}
#endif

/* Past this CPU's list, where anybody would take it. */
NST_ALWAYS_INLINE int put_reserved(struct nst_zone *z, struct nst_page *p, unsigned int order,
				   const int wait)
{
	p->pages = 0;
	if (!nst_lock_or_try(&z->lock, wait)) {
		nst_reserve_push(p);
		return 1;
	}
	nst_reserve_put_locked(z, p);
	nst_buddy_put_locked(z, p, order);
	nst_unlock(&z->lock);
	return 1;
}

/* 1 if a place was found. */
NST_ALWAYS_INLINE int put(struct nst_page *p, const int wait)
{
	struct nst_zone *z = &nst_zones[nst_page_node(p)];
	unsigned int order = p->order;

	nst_page_set_state(p, NST_PAGE_PCP);
	if (nst_unlikely(is_of_reserve(p)))
		return put_reserved(z, p, order, wait);
	if (nst_unlikely(p->pages))
		return put_cut(z, p, wait);
	/* relaxed: a hint that somebody works for what is freed now (reclaim.c) */
	if (nst_unlikely(nst_load_relaxed(&z->claimed)) && put_buddy(z, p, order, wait)) {
		nst_thread.earned += 1u << order;
		return 1;
	}
	return nst_pcp_put(z, p, order) || put_buddy(z, p, order, wait);
}

void nst_page_put_nolock(struct nst_page *p)
{
	if (!put(p, 0))
		nst_side_push(nst_page_address(p), p);
}

void nst_page_put_waits(struct nst_page *p)
{
	put(p, 1);
}

void *nst_run_start(struct nst_page *p, nst_mode_t mode, struct nst_site site)
{
	void *addr = nst_page_address(p);

	nst_page_set_state(p, NST_PAGE_RUN);
	if (mode & NST_ZERO)
		__builtin_memset(addr, 0, nst_run_bytes(p));
	if (nst_mm.instrument)
		nst_debug_alloc(NULL, addr, site);
	return addr;
}
