/* SPDX-License-Identifier: MIT */
/*
 * large.c - mappings above the largest order: whole blocks side by side in the arena.
 *
 * Found from the top of a node's part downwards, while single blocks are opened from the bottom, so that
 * the two keep out of each other's way. Their pages become resident when touched, as with mmap: no
 * no-lock request can have one. Freeing queues the descriptor; the worker, nst_maintain() or the next
 * large allocation gives the pages back, because only they may enter the kernel.
 *
 * L1. block[first] is NST_BLOCK_LARGE, the others NST_BLOCK_LARGE_TAIL; only the first has a descriptor.
 * Locks: takes zone->grow.
 */
#include "mm.h"

u64 nst_large_count, nst_large_pages;
static struct nst_page *freed; /* CAS push, exchange take */

/* Highest run of @nr blocks that are free and aligned; the block number or 0. Locks: needs z->grow. */
static size_t find_run_locked(struct nst_arena *a, size_t first, size_t end, size_t nr,
			      size_t align)
{
	size_t b, run = 0;

	for (b = end; b-- > first;) {
		run = a->block[b] <= NST_BLOCK_COLD ? run + 1 : 0;
		if (run >= nr && ((a->base + b * NST_BLOCK_BYTES) & (align - 1)) == 0)
			return b;
	}
	return 0;
}

static int take_run_locked(struct nst_arena *a, size_t block, size_t nr)
{
	size_t i;

	if (nst_sys_commit((void *)(a->base + block * NST_BLOCK_BYTES), nr * NST_BLOCK_BYTES) ||
	    nst_block_prepare(a, block))
		return -12;
	/* relaxed: read by nst_page_of() for addresses handed out later */
	for (i = 1; i < nr; i++)
		nst_store_relaxed(&a->block[block + i], (u8)NST_BLOCK_LARGE_TAIL);
	nst_store_relaxed(&a->block[block], (u8)NST_BLOCK_LARGE);
	return 0;
}

static struct nst_page *take_from_zone(struct nst_zone *z, size_t nr, size_t align)
{
	struct nst_page *p = NULL;
	u32 i;

	nst_lock_wait(&z->grow);
	for (i = 0; i < nst_mm.nr_arenas && !p; i++) {
		struct nst_arena *a = &nst_arenas[i];
		size_t first, end, block;

		if (!nst_zone_part(z, a, &first, &end))
			continue;
		block = find_run_locked(a, first, end, nr, align);
		if (block && take_run_locked(a, block, nr) == 0)
			p = &a->pages[block * NST_BLOCK_PAGES];
	}
	nst_unlock(&z->grow);
	return p;
}

static struct nst_page *take_anywhere(size_t nr, size_t align, nst_mode_t mode)
{
	unsigned int first = nst_this_node(), i;
	struct nst_page *p = NULL;

	for (i = 0; i < nst_nodes_for(mode) && !p; i++)
		p = take_from_zone(&nst_zones[nst_node_after(first, i)], nr, align);
	return p;
}

void *nst_large_alloc(size_t bytes, size_t align, nst_mode_t mode, enum nst_null_reason *why)
{
	size_t nr = (bytes + NST_BLOCK_BYTES - 1) / NST_BLOCK_BYTES;
	u64 pages = nst_pages_of(bytes), max = nst_option(NST_OPT_max) >> NST_PAGE_SHIFT;
	struct nst_page *p;

	nst_large_drain();
	/* What can never be had is told from what cannot be had now: NOFAIL waits for the latter only. */
	*why = NST_NULL_SIZE;
	if (nr + 1 > nst_arenas[0].blocks_per_node || (max && pages > max))
		return NULL;
	*why = NST_NULL_NOMEM;
	if (!nst_zone_may_add(pages))
		return NULL;
	p = take_anywhere(nr, nst_max(align, NST_BLOCK_BYTES), mode);
	if (!p)
		return NULL;
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

	nst_page_set_state(p, NST_PAGE_LARGE_FREED); /* so that a second free is seen */
	do {
		head = nst_load_relaxed(&freed); /* relaxed: the swap checks it */
		p->free[NST_PAGE_LINK_WORD] = (u64)(uintptr_t)head;
		/* Pairs with: nst_exchange_acquire() in nst_large_drain(). */
	} while (!nst_cas_release(&freed, head, p));
	nst_worker_flag();
}

/* 1 if the kernel took the pages; the blocks are free then. */
static int give_back(struct nst_page *p)
{
	struct nst_arena *a = nst_arena_of_page(p);
	struct nst_zone *z = &nst_zones[nst_page_node(p)];
	size_t block = (size_t)(p - a->pages) / NST_BLOCK_PAGES;
	u64 bytes = p->free[NST_PAGE_BYTES_WORD];
	size_t nr = (bytes + NST_BLOCK_BYTES - 1) / NST_BLOCK_BYTES;

	if (nst_sys_purge((void *)(a->base + block * NST_BLOCK_BYTES), bytes)) {
		nst_add_relaxed(&z->purge_failed, 1);
		return 0;
	}
	nst_sys_uncommit((void *)(a->base + block * NST_BLOCK_BYTES), nr * NST_BLOCK_BYTES);
	nst_lock_wait(&z->grow);
	nst_page_set_state(p, NST_PAGE_TAIL);
	while (nr--)
		nst_store_relaxed(&a->block[block + nr],
				  (u8)NST_BLOCK_COLD); /* nobody has an address */
	z->hint[a - nst_arenas] = nst_min(z->hint[a - nst_arenas], block);
	nst_unlock(&z->grow);
	nst_sub_relaxed(&nst_large_count, 1);
	nst_sub_relaxed(&nst_large_pages, bytes >> NST_PAGE_SHIFT);
	nst_resident_sub(bytes >> NST_PAGE_SHIFT);
	return 1;
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
		if (give_back(p))
			n++;
		else
			nst_large_free(p); /* kept, and tried again by a later pass */
	}
	return n;
}
