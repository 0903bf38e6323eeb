/* SPDX-License-Identifier: MIT */
/*
 * large.c - mappings above the largest order: whole blocks side by side in the arena.
 *
 * Found from the top of a node's part downwards, while single blocks are opened from the bottom, so that
 * the two keep out of each other's way. Their pages become resident when touched, as with mmap: no
 * no-lock request can have one. Freeing queues the descriptor, because who frees may not enter the
 * kernel. The worker, nst_maintain() or the next large allocation lays the blocks by as they are: for a
 * program that frees a buffer to make the next, pages are dear. What nobody took for two looks of the
 * worker goes back, and what is too much to lay by at once.
 *
 * L1. block[first] is NST_BLOCK_LARGE, the others NST_BLOCK_LARGE_TAIL; only the first has a descriptor.
 * L2. z->kept blocks of the zone are NST_BLOCK_KEPT or NST_BLOCK_KEPT_LONG.
 * Locks: takes zone->grow.
 */
#include "mm.h"

#define KEPT_MOST (((size_t)64 << 20) / NST_BLOCK_BYTES) /* (tune) blocks laid by in a zone */
#define KEEP_MOST (((size_t)32 << 20) / NST_BLOCK_BYTES) /* (tune) of them, of one mapping */
#define AGE_BLOCKS 16u					 /* given back in a look, at most */

u64 nst_large_count, nst_large_pages;
static struct nst_page *freed; /* CAS push, exchange take */

static size_t blocks_for(u64 bytes)
{
	return (bytes + NST_BLOCK_BYTES - 1) / NST_BLOCK_BYTES;
}

static int is_free(u8 state)
{
	return state <= NST_BLOCK_FREE_LAST || state == NST_BLOCK_HOLE;
}

/* Highest run of @nr blocks that are free and aligned; the block number or 0. Locks: needs z->grow. */
static size_t find_run_locked(struct nst_arena *a, size_t first, size_t end, size_t nr,
			      size_t align)
{
	size_t b, run = 0;

	for (b = end; b-- > first;) {
		run = is_free(a->block[b]) ? run + 1 : 0;
		if (run >= nr && ((a->base + b * NST_BLOCK_BYTES) & (align - 1)) == 0)
			return b;
	}
	return 0;
}

static int is_kept(const struct nst_arena *a, size_t b)
{
	return a->block[b] == NST_BLOCK_KEPT || a->block[b] == NST_BLOCK_KEPT_LONG;
}

int nst_large_unkeep_locked(struct nst_zone *z, const struct nst_arena *a, size_t b)
{
	int kept = is_kept(a, b);

	nst_hint_set(&z->kept, z->kept - (size_t)kept);
	return kept;
}

/* 0: zeroes, 1: what some of it held before, or -errno. */
static int take_run_locked(struct nst_zone *z, struct nst_arena *a, size_t block, size_t nr)
{
	int dirty = 0, committed = 1;
	size_t i;

	for (i = 0; i < nr; i++)
		committed &= is_kept(a, block + i);
	if (!committed &&
	    nst_sys_commit((void *)(a->base + block * NST_BLOCK_BYTES), nr * NST_BLOCK_BYTES))
		return -12;
	if (nst_block_prepare(a, block))
		return -12;
	/* relaxed: read by nst_page_of() for addresses handed out later */
	for (i = 0; i < nr; i++) {
		dirty |= nst_large_unkeep_locked(z, a, block + i);
		nst_store_relaxed(&a->block[block + i],
				  (u8)(i ? NST_BLOCK_LARGE_TAIL : NST_BLOCK_LARGE));
	}
	return dirty;
}

/* The highest run that can be had; the block number or 0. *@dirty as take_run_locked(). Locks: needs z->grow. */
static size_t take_highest_locked(struct nst_zone *z, struct nst_arena *a, size_t nr, size_t align,
				  int *dirty)
{
	size_t first, end, block;
	int err;

	if (!nst_zone_part(z, a, &first, &end))
		return 0;
	while ((block = find_run_locked(a, first, end, nr, align)) != 0) {
		err = nst_span_mend_locked(z, a, block, nr);
		*dirty = err ? err : take_run_locked(z, a, block, nr);
		if (*dirty >= 0)
			return block;
		if (err != -17)
			break;
		end = block + nr - 1; /* somebody else has addresses of a hole in it */
	}
	return 0;
}

static struct nst_page *take_from_zone(struct nst_zone *z, size_t nr, size_t align, int *dirty)
{
	struct nst_page *p = NULL;
	u32 i;

	nst_lock_wait(&z->grow);
	for (i = 0; i < nst_mm.nr_arenas && !p; i++) {
		struct nst_arena *a = &nst_arenas[i];
		size_t block = take_highest_locked(z, a, nr, align, dirty);

		if (block)
			p = &a->pages[block * NST_BLOCK_PAGES];
	}
	nst_unlock(&z->grow);
	return p;
}

static struct nst_page *take_anywhere(size_t nr, size_t align, nst_mode_t mode, int *dirty)
{
	unsigned int first = nst_this_node(), i;
	struct nst_page *p = NULL;

	for (i = 0; i < nst_nodes_for(mode) && !p; i++)
		p = take_from_zone(&nst_zones[nst_node_after(first, i)], nr, align, dirty);
	return p;
}

/* Cheaper by the kernel: what was not resident does not become so. */
static void wipe(void *addr, size_t bytes)
{
	if (nst_sys_purge(addr, bytes))
		__builtin_memset(addr, 0, bytes);
}

void *nst_large_alloc(size_t bytes, size_t align, nst_mode_t mode, enum nst_null_reason *why)
{
	size_t nr = blocks_for(bytes);
	u64 pages = nst_pages_of(bytes), max = nst_option(NST_OPT_max) >> NST_PAGE_SHIFT;
	struct nst_page *p;
	int dirty;

	nst_large_drain();
	/* What can never be had is told from what cannot be had now: NOFAIL waits for the latter only. */
	*why = NST_NULL_SIZE;
	if (nr + 1 > nst_arenas[0].blocks_per_node || (max && pages > max) ||
	    (nst_group_limit() && bytes > nst_group_limit()))
		return NULL;
	*why = NST_NULL_NOMEM;
	nst_group_ask(pages);
	if (!nst_zone_may_add(pages) && !(nst_span_reclaim() && nst_zone_may_add(pages)))
		return NULL;
	p = take_anywhere(nr, nst_max(align, NST_BLOCK_BYTES), mode, &dirty);
	/* Free blocks that wait for the worker may be all that a limit leaves. */
	if (!p && nst_span_reclaim())
		p = take_anywhere(nr, nst_max(align, NST_BLOCK_BYTES), mode, &dirty);
	if (!p)
		return NULL;
	if (dirty && mode & NST_ZERO)
		wipe(nst_page_address(p), pages << NST_PAGE_SHIFT);
	p->free[NST_PAGE_BYTES_WORD] = pages << NST_PAGE_SHIFT;
	p->order = NST_BLOCK_ORDER;
	nst_page_set_state(p, NST_PAGE_LARGE); /* the address is not known to others yet */
	nst_add_relaxed(&nst_large_count, 1);
	nst_add_relaxed(&nst_large_pages, pages);
	nst_resident_add(pages);
	return nst_page_address(p);
}

int nst_large_extend(struct nst_page *p, size_t bytes)
{
	u64 have = p->free[NST_PAGE_BYTES_WORD] >> NST_PAGE_SHIFT, pages = nst_pages_of(bytes);

	if (pages > have)
		nst_group_ask(pages - have);
	if (pages < have || pages > nst_round_up(have, NST_BLOCK_PAGES) ||
	    !nst_zone_may_add(pages - have))
		return 0;
	p->free[NST_PAGE_BYTES_WORD] = pages << NST_PAGE_SHIFT;
	nst_add_relaxed(&nst_large_pages, pages - have);
	nst_resident_add(pages - have);
	return 1;
}

void nst_large_free(struct nst_page *p)
{
	struct nst_page *head;
	int much = blocks_for(p->free[NST_PAGE_BYTES_WORD]) > KEEP_MOST;

	nst_page_set_state(p, NST_PAGE_LARGE_FREED); /* so that a second free is seen */
	do {
		head = nst_load_relaxed(&freed); /* relaxed: the swap checks it */
		p->free[NST_PAGE_LINK_WORD] = (u64)(uintptr_t)head;
		/* Pairs with: nst_exchange_acquire() in nst_large_drain(). */
	} while (!nst_cas_release(&freed, head, p));
	if (much)
		nst_worker_flag();
}

/* 1 if the kernel took the blocks from @b on; they may hold something, or not. */
static int purge_blocks(struct nst_zone *z, const struct nst_arena *a, size_t b, size_t nr)
{
	void *addr = (void *)(a->base + b * NST_BLOCK_BYTES);

	if (nst_sys_purge(addr, nr * NST_BLOCK_BYTES)) {
		nst_add_relaxed(&z->purge_failed, 1);
		return 0;
	}
	nst_add_relaxed(&nst_given_back, (u64)nr * NST_BLOCK_PAGES);
	nst_sys_uncommit(addr, nr * NST_BLOCK_BYTES);
	return 1;
}

/* Locks: needs z->grow. */
static void set_free_locked(struct nst_zone *z, struct nst_arena *a, size_t block, size_t nr,
			    enum nst_block_state state)
{
	size_t i;

	for (i = 0; i < nr; i++)
		nst_store_relaxed(&a->block[block + i], (u8)state); /* nobody has an address */
	if (state == NST_BLOCK_COLD)
		nst_block_forget(a, block, nr);
	z->hint[a - nst_arenas] = nst_min(z->hint[a - nst_arenas], block);
}

/* With a limit on memory nothing is laid by: it would count. */
static int may_keep(const struct nst_zone *z, size_t nr)
{
	return nr <= KEEP_MOST && nst_hint(&z->kept) + nr <= KEPT_MOST &&
	       !nst_option(NST_OPT_max) && !nst_sys_data_is_limited() &&
	       !nst_hint(&nst_span_limited);
}

/* 1 if the blocks are free then: laid by, or the kernel's. */
static int put_away(struct nst_page *p)
{
	struct nst_arena *a = nst_arena_of_page(p);
	struct nst_zone *z = &nst_zones[nst_page_node(p)];
	u64 bytes = p->free[NST_PAGE_BYTES_WORD], pages = bytes >> NST_PAGE_SHIFT;
	size_t block = (size_t)(p - a->pages) / NST_BLOCK_PAGES, nr = blocks_for(bytes);
	int keep = may_keep(z, nr);

	if (!keep && !purge_blocks(z, a, block, nr))
		return 0;
	nst_lock_wait(&z->grow);
	nst_page_set_state(p, NST_PAGE_TAIL);
	set_free_locked(z, a, block, nr, keep ? NST_BLOCK_KEPT : NST_BLOCK_COLD);
	nst_hint_set(&z->kept, z->kept + (keep ? nr : 0));
	if (keep)
		nst_group_keep(pages);
	if (nst_hint(&nst_span_limited))
		nst_span_cut_locked(a, block, block + nr);
	nst_unlock(&z->grow);
	nst_sub_relaxed(&nst_large_count, 1);
	nst_sub_relaxed(&nst_large_pages, pages);
	nst_resident_sub(pages);
	return 1;
}

/* The run of blocks kept long that ends before @end: how many. Others that are kept are kept long from here on. */
static size_t kept_long_locked(struct nst_arena *a, size_t first, size_t end)
{
	size_t n = 0;

	while (end - n > first && n < AGE_BLOCKS && a->block[end - n - 1] == NST_BLOCK_KEPT_LONG)
		n++;
	if (!n && a->block[end - 1] == NST_BLOCK_KEPT)
		nst_store_relaxed(&a->block[end - 1], (u8)NST_BLOCK_KEPT_LONG); /* free */
	return n;
}

/* Locks: needs z->grow, which is where a mapping would come from meanwhile. */
static size_t age_locked(struct nst_zone *z, struct nst_arena *a, size_t most)
{
	size_t first, end, n, gone = 0;

	if (!nst_zone_part(z, a, &first, &end))
		return 0;
	for (; end > first && z->kept && gone < most; end -= nst_max(n, 1)) {
		n = kept_long_locked(a, first, end);
		if (!n)
			continue;
		if (!purge_blocks(z, a, end - n, n))
			break;
		set_free_locked(z, a, end - n, n, NST_BLOCK_COLD);
		nst_hint_set(&z->kept, z->kept - n);
		gone += n;
	}
	return gone;
}

unsigned int nst_large_age(struct nst_zone *z, int all)
{
	size_t gone = 0;
	u32 i, look;

	if (!nst_hint(&z->kept))
		return 0;
	nst_lock_wait(&z->grow);
	for (look = 0; look <= (u32)all; look++)
		for (i = 0; i < nst_mm.nr_arenas; i++)
			gone += age_locked(z, &nst_arenas[i], all ? SIZE_MAX : AGE_BLOCKS);
	nst_unlock(&z->grow);
	return (unsigned int)gone;
}

unsigned int nst_large_drain(void)
{
	struct nst_page *p, *next;
	unsigned int n = 0;

	if (!nst_load_relaxed(&freed)) /* relaxed: a later look sees it */
		return 0;
	/* Pairs with: nst_cas_release() in nst_large_free(). */
	for (p = nst_exchange_acquire(&freed, NULL); p; p = next) {
		next = (struct nst_page *)(uintptr_t)p->free[NST_PAGE_LINK_WORD];
		if (put_away(p))
			n++;
		else
			nst_large_free(p); /* kept, and tried again by a later pass */
	}
	return n;
}
