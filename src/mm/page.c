/* SPDX-License-Identifier: MIT */
/*
 * page.c - arenas and page descriptors: from an address to what it belongs to.
 *
 *	address - base = offset;  offset >> 12 = page number;  >> 21 = block number
 *
 * Runs are aligned to their size and every page inside one is PAGE_TAIL (M2), so the first page is
 * found by clearing low bits of the page number until one is no tail: ten steps at most.
 *
 * map[], block[] and block_mob[] are writable from the start and read 0 where untouched; pages[] and
 * live[] are committed block by block, and looked at only after block[] says so.
 *
 * Context: any, but nst_arena_add() and nst_block_prepare().
 */
#include "mm.h"
#include "retire/retired.h"

struct nst_arena nst_arenas[NST_MAX_ARENAS];

static struct nst_arena *arena_with(uintptr_t addr)
{
	/* Pairs with: nst_store_release() in nst_arena_add(). */
	u32 i, n = nst_load_acquire(&nst_mm.nr_arenas);

	for (i = 0; i < n; i++)
		if (addr - nst_arenas[i].base < nst_arenas[i].bytes)
			return &nst_arenas[i];
	return NULL;
}

struct nst_arena *nst_arena_of(const void *addr)
{
	return arena_with((uintptr_t)addr);
}

struct nst_arena *nst_arena_of_page(const struct nst_page *p)
{
	u32 i, n = nst_load_acquire(&nst_mm.nr_arenas); /* Pairs with: nst_arena_add(). */

	for (i = 0; i < n; i++)
		if ((size_t)(p - nst_arenas[i].pages) < nst_arenas[i].nr_blocks * NST_BLOCK_PAGES)
			return &nst_arenas[i];
	return NULL;
}

void *nst_page_address(const struct nst_page *p)
{
	struct nst_arena *a = nst_arena_of_page(p);

	return (void *)(a->base + ((size_t)(p - a->pages) << NST_PAGE_SHIFT));
}

unsigned int nst_page_node_of_many(const struct nst_page *p)
{
	struct nst_arena *a = nst_arena_of_page(p);
	size_t block = (size_t)(p - a->pages) / NST_BLOCK_PAGES;
	return a->first_node + (unsigned int)(block / a->blocks_per_node);
}

static struct nst_page *large_head(struct nst_arena *a, size_t block)
{
	while (nst_load_relaxed(&a->block[block]) == NST_BLOCK_LARGE_TAIL) /* as in nst_page_of() */
		block--;
	return &a->pages[block * NST_BLOCK_PAGES];
}

static int is_split(u8 block_state)
{
	return block_state == NST_BLOCK_OPEN || block_state == NST_BLOCK_READY;
}

struct nst_page *nst_page_of(const void *addr)
{
	struct nst_arena *a = arena_with((uintptr_t)addr);
	unsigned int order;
	size_t block;
	u8 state;

	if (!a)
		return NULL;
	block = ((uintptr_t)addr - a->base) / NST_BLOCK_BYTES;
	state = nst_load_relaxed(&a->block[block]); /* relaxed: a live object's block is settled */
	if (state == NST_BLOCK_LARGE || state == NST_BLOCK_LARGE_TAIL)
		return large_head(a, block);
	if (!is_split(state))
		return NULL;
	for (order = 0; order <= NST_BLOCK_ORDER; order++) {
		struct nst_page *p = nst_run_at(a, addr, order);

		if (nst_page_state(p) != NST_PAGE_TAIL)
			return nst_load_relaxed(&p->order) >= order ? p : NULL; /* as state */
	}
	return NULL;
}

struct nst_page *nst_slab_of(const void *addr, unsigned int order)
{
	const struct nst_arena *a = arena_with((uintptr_t)addr);
	struct nst_page *p;

	if (!a)
		return NULL;
	p = nst_run_at(a, addr, order);
	/* relaxed: as in nst_page_of() */
	if (is_split(nst_load_relaxed(&a->block[((uintptr_t)addr - a->base) / NST_BLOCK_BYTES])) &&
	    nst_page_state(p) == NST_PAGE_SLAB && nst_load_relaxed(&p->order) == order)
		return p;
	return nst_page_of(addr);
}

static size_t whole_pages(size_t bytes)
{
	return nst_round_up(bytes, NST_PAGE_BYTES);
}

/* The page of map[] that two blocks share. */
static void *map_page_of(struct nst_arena *a, size_t block)
{
	return (void *)nst_round_down((uintptr_t)&a->map[block * NST_BLOCK_PAGES], NST_PAGE_BYTES);
}

static void *idle_page_of(struct nst_arena *a, size_t block)
{
	return (void *)nst_round_down((uintptr_t)&a->block_idle[block], NST_PAGE_BYTES);
}

static void *movable_page_of(struct nst_arena *a, size_t block)
{
	return (void *)nst_round_down((uintptr_t)&a->block_movable[block], NST_PAGE_BYTES);
}

int nst_block_prepare(struct nst_arena *a, size_t block)
{
	size_t bytes = NST_BLOCK_PAGES * sizeof(struct nst_page);
	char *pages = (char *)&a->pages[block * NST_BLOCK_PAGES];

	if (nst_sys_commit(pages, bytes) || nst_sys_populate(pages, bytes) ||
	    nst_sys_populate(map_page_of(a, block), NST_PAGE_BYTES) ||
	    nst_sys_populate(idle_page_of(a, block), NST_PAGE_BYTES) ||
	    nst_sys_populate(movable_page_of(a, block), NST_PAGE_BYTES))
		return -12;
	return nst_mm.debug ? nst_live_prepare(a, block) : 0;
}

int nst_block_is_split(const struct nst_arena *a, size_t block)
{
	return is_split(a->block[block]);
}

static int is_free_block(const struct nst_arena *a, size_t block)
{
	return block < a->nr_blocks && a->block[block] <= NST_BLOCK_FREE_LAST;
}

void nst_block_forget(struct nst_arena *a, size_t block, size_t nr)
{
	size_t first = block, end = block + nr;

	nst_sys_purge(&a->pages[block * NST_BLOCK_PAGES],
		      nr * NST_BLOCK_PAGES * sizeof(struct nst_page));
	/* A neighbour is of the same zone, or a guard, which is not free. */
	if (first % 2)
		first = is_free_block(a, first - 1) ? first - 1 : first + 1;
	if (end % 2)
		end = is_free_block(a, end) ? end + 1 : end - 1;
	if (first < end)
		nst_sys_purge(&a->map[first * NST_BLOCK_PAGES],
			      (end - first) * NST_BLOCK_PAGES * sizeof(u32));
}

void nst_map_set(const struct nst_page *head, const struct nst_cache *c)
{
	u32 entry = c ? (u32)(nst_pcs_fast_open(&c->main) - nst_mm.no_stacks) : 0;
	struct nst_arena *a = nst_arena_of_page(head);
	size_t page = (size_t)(head - a->pages), i;

	for (i = 0; i < (size_t)1 << head->order; i++)
		nst_store_relaxed(&a->map[page + i],
				  entry); /* set before an object is handed out */
}

/* First block of each node's part and the last of all: never opened. */
static void set_guards(struct nst_arena *a)
{
	size_t i;

	for (i = 0; i < a->nr_blocks; i += a->blocks_per_node)
		a->block[i] = NST_BLOCK_GUARD;
	a->block[a->nr_blocks - 1] = NST_BLOCK_GUARD;
}

/* The arrays by page: descriptors, live bits, map. */
static size_t by_page_bytes(const struct nst_arena *a)
{
	size_t nr_pages = a->nr_blocks * NST_BLOCK_PAGES;

	return whole_pages(nr_pages * sizeof(struct nst_page)) + whole_pages(a->bytes / 16 / 8) +
	       whole_pages(nr_pages * sizeof(u32));
}

static void lay_by_page(struct nst_arena *a, char *at)
{
	size_t pages = whole_pages(a->nr_blocks * NST_BLOCK_PAGES * sizeof(struct nst_page));

	a->pages = (struct nst_page *)(void *)at;
	a->live = (u64 *)(void *)(at + pages);
	a->map = (u32 *)(void *)(at + pages + whole_pages(a->bytes / 16 / 8));
}

/* Those by block: state, mobility, idle pages, movable pages. */
static size_t by_block_bytes(const struct nst_arena *a)
{
	return 2 * whole_pages(a->nr_blocks) + 2 * whole_pages(a->nr_blocks * sizeof(u16));
}

static void lay_by_block(struct nst_arena *a, char *at)
{
	a->block = (u8 *)at;
	a->block_mob = a->block + whole_pages(a->nr_blocks);
	a->block_idle = (u16 *)(void *)(a->block_mob + whole_pages(a->nr_blocks));
	a->block_movable =
		(u16 *)(void *)((char *)a->block_idle + whole_pages(a->nr_blocks * sizeof(u16)));
}

/* All arrays in one reservation beside the memory, so that one refusal undoes all. */
static int reserve_arrays(struct nst_arena *a)
{
	size_t by_page = by_page_bytes(a), by_block = by_block_bytes(a);
	char *at = nst_sys_reserve(by_page + by_block, NST_PAGE_BYTES);

	if (!at)
		return -12;
	lay_by_page(a, at);
	lay_by_block(a, at + by_page);
	if (nst_sys_commit(a->map, (size_t)(at + by_page + by_block - (char *)a->map)) == 0 &&
	    nst_sys_populate(a->map, NST_PAGE_BYTES) == 0)
		return 0;
	nst_sys_release(at, by_page + by_block);
	return -12;
}

static int reserve_all(struct nst_arena *a)
{
	void *base = nst_sys_reserve(a->bytes, NST_BLOCK_BYTES);
	u32 i;

	a->base = (uintptr_t)base;
	/* Not where another has holes. */
	for (i = 0; base && &nst_arenas[i] != a; i++)
		if (a->base - nst_arenas[i].base < nst_arenas[i].bytes ||
		    nst_arenas[i].base - a->base < a->bytes)
			goto out_release;
	if (base && reserve_arrays(a) == 0)
		return 0;
out_release:
	if (base)
		nst_sys_release(base, a->bytes);
	return -12;
}

/* Under a limit: all of it a hole, but the arrays by block. */
static int claim_all(struct nst_arena *a)
{
	size_t by_block = by_block_bytes(a);
	char *base = nst_sys_claim(a->bytes + by_page_bytes(a), NST_BLOCK_BYTES);
	char *at = base ? nst_sys_reserve(by_block, NST_PAGE_BYTES) : NULL;

	if (!at)
		return -12;
	if (nst_sys_commit(at, by_block)) {
		nst_sys_release(at, by_block);
		return -12;
	}
	a->base = (uintptr_t)base;
	lay_by_page(a, base + a->bytes);
	lay_by_block(a, at);
	__builtin_memset(a->block, NST_BLOCK_HOLE, a->nr_blocks);
	return 0;
}

int nst_arena_add(size_t bytes, unsigned int first_node, unsigned int nr_nodes)
{
	u32 n = nst_mm.nr_arenas;
	struct nst_arena *a = &nst_arenas[n];
	unsigned int i;

	if (n == NST_MAX_ARENAS)
		return -12;
	bytes = nst_max(nst_round_down(bytes / nr_nodes, NST_BLOCK_BYTES), NST_ARENA_LEAST);
	a->first_node = first_node;
	a->blocks_per_node = bytes / NST_BLOCK_BYTES;
	a->nr_blocks = a->blocks_per_node * nr_nodes + 1;
	a->bytes = a->nr_blocks * NST_BLOCK_BYTES;
	if ((n || !nst_span_limited || claim_all(a)) && reserve_all(a)) {
		a->base = 0;
		a->bytes = 0;
		return -12;
	}
	if (nst_hint(&nst_mm.dead_bits) && nst_dead_add_arena(a))
		return -12; /* it is not counted, and tried anew */
	set_guards(a);
	for (i = 0; i < nr_nodes && nst_sys_cpus.nr_nodes > 1; i++)
		nst_sys_bind_node((void *)(a->base + i * bytes), bytes, first_node + i);
	/* Pairs with: nst_load_acquire() in arena_with() and nst_arena_of_page(). */
	nst_store_release(&nst_mm.nr_arenas, n + 1);
	return 0;
}
