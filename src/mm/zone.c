/* SPDX-License-Identifier: MIT */
/*
 * zone.c - watermarks, and pageblocks from the kernel and back.
 *
 *	free pages	what happens
 *	> high		the worker gives free blocks and runs back, if they were free since its last pass
 *	< low		the worker makes memory ready, up to high
 *	< min		only who may use the reserve takes any: ATOMIC half of it, NOFAIL all but what is of reserves
 *			that were made by name (reserve.c): these count on top of all three
 *
 * A block becomes ready in steps of 128 KiB: a step is populated with no lock but grow held, and then
 * enters the buddy lists as one run. No caller gives memory back to the kernel; a refused purge keeps
 * the block, counts it, and is tried again.
 */
#include "mm.h"
#include "retire/retired.h"

#define STEP_ORDER 5u /* (tune) 128 KiB, which a caller may wait for */
#define COLD_ORDER 3u /* (tune) 32 KiB: the smallest run that is given back alone */
#define ALL_QUIET 4u  /* (tune) and where no block has gone for so many looks of the worker any */
#define STEP_PAGES ((size_t)1 << STEP_ORDER)
#define LEAN_HIGH ((u64)32)    /* (tune) pages */
#define LEAN_STEP ((size_t)16) /* (tune) pages */

struct nst_zone nst_zones[NST_NR_NODES];
u64 nst_resident_pages, nst_resident_peak;

struct nst_lock nst_arenas_lock = {.lock_class = NST_LOCK_META, .subclass = 1};

void nst_zone_marks_locked(struct nst_zone *z)
{
	nst_hint_set(&z->min, z->base / 4 + z->reserved);
	nst_hint_set(&z->low, z->base / 2 + z->reserved + z->owed);
	nst_hint_set(&z->high, z->base + z->reserved + z->owed);
}

void nst_zone_init(struct nst_zone *z, unsigned int node)
{
	unsigned int m, o;

	nst_lock_init(&z->lock, NST_LOCK_ZONE);
	nst_lock_init(&z->grow, NST_LOCK_GROW);
	nst_list_init(&z->cold);
	nst_list_init(&z->cold_small);
	z->node = (u8)node;
	z->gen = 1;
	for (m = 0; m < NST_NR_MOBILITIES; m++)
		for (o = 0; o < NST_NR_ORDERS; o++)
			nst_list_init(&z->free[m][o]);
	z->lean = nst_is_lean() && !nst_option_is_given(NST_OPT_high);
	z->base = z->lean ? LEAN_HIGH : nst_option(NST_OPT_high) >> NST_PAGE_SHIFT;
	nst_zone_marks_locked(z);
}

void nst_zone_end_lean(struct nst_zone *z)
{
	u64 high = nst_option(NST_OPT_high) >> NST_PAGE_SHIFT;

	if (nst_is_lean() || !z->lean)
		return;
	z->lean = 0;
	/* The reserves rise when they are there. */
	nst_hint_set(&z->high, high);
	while (nst_hint(&z->free_pages) < high && nst_zone_grow(z, 0) == 0)
		;
	nst_lock_wait(&z->lock);
	z->base = high;
	nst_zone_marks_locked(z);
	nst_unlock(&z->lock);
}

/* Has this thread freed what it wants to take? */
static int has_earned(void)
{
	return nst_unlikely(nst_thread.claimed) && nst_thread.earned >= nst_thread.claimed;
}

u64 nst_zone_floor(const struct nst_zone *z, nst_mode_t mode)
{
	const struct nst_mode_row *row = nst_mode_row(mode);
	u64 min = nst_hint(&z->min), reserved = nst_hint(&z->reserved), low = min, claimed;

	/* relaxed: a hint */
	claimed = row->sleeps ? 0 : nst_load_relaxed(&z->claimed);
	if (min > reserved)
		low = reserved + (min - reserved) / 2;
	if ((mode & NST_NOMEMALLOC) || !row->reserve)
		return claimed + (row->sleeps && has_earned() ? low : min);
	return claimed + (row->reserve == 1 ? low : reserved);
}

void nst_resident_add(u64 pages)
{
	u64 now = nst_add_relaxed(&nst_resident_pages, pages) + pages;

	nst_max_relaxed(&nst_resident_peak, now);
}

void nst_resident_sub(u64 pages)
{
	nst_sub_relaxed(&nst_resident_pages, pages);
}

int nst_zone_may_add(u64 pages)
{
	u64 max = nst_option(NST_OPT_max) >> NST_PAGE_SHIFT;
	u64 resident = nst_load_relaxed(&nst_resident_pages); /* relaxed: a counter */

	return resident + pages <= nst_hint(&nst_group_quota) && (!max || resident + pages <= max);
}

void nst_zone_age(struct nst_zone *z)
{
	nst_lock_wait(&z->lock);
	z->lowest_free = z->free_pages;
	nst_unlock(&z->lock);
}

int nst_zone_part(const struct nst_zone *z, const struct nst_arena *a, size_t *first, size_t *end)
{
	size_t i = (size_t)z->node - a->first_node;

	if (z->node < a->first_node || i >= (a->nr_blocks - 1) / a->blocks_per_node)
		return 0;
	*first = i * a->blocks_per_node;
	*end = *first + a->blocks_per_node;
	return 1;
}

/* The lowest block that can be opened. Locks: needs z->grow. */
static int find_block_locked(struct nst_zone *z, struct nst_arena **arena, size_t *block)
{
	u32 i;

	for (i = 0; i < nst_mm.nr_arenas; i++) {
		struct nst_arena *a = &nst_arenas[i];
		size_t b, end;

		if (!nst_zone_part(z, a, &b, &end))
			continue;
		for (b = nst_max(b, z->hint[i]); b < end; b++) {
			if (a->block[b] > NST_BLOCK_FREE_LAST)
				continue;
			z->hint[i] = b;
			*arena = a;
			*block = b;
			return 0;
		}
		z->hint[i] = end;
	}
	return -12;
}

/* As large as the first; under a limit on address space, what of that can still be had. */
static int add_arena(struct nst_zone *z)
{
	size_t bytes = nst_arenas[0].bytes;
	int err;

	nst_lock_wait(&nst_arenas_lock);
	do {
		err = nst_arena_add(bytes, z->node, 1);
		bytes /= 2;
	} while (err && bytes >= NST_ARENA_LEAST);
	nst_unlock(&nst_arenas_lock);
	return err;
}

/* Locks: needs z->grow. */
int nst_zone_open_locked(struct nst_zone *z)
{
	struct nst_arena *a;
	size_t block;
	void *addr;

	if (find_block_locked(z, &a, &block) &&
	    ((nst_span_mend_any_locked(z) && add_arena(z)) || find_block_locked(z, &a, &block)))
		return -12;
	addr = (void *)(a->base + block * NST_BLOCK_BYTES);
	/* A cold block may have been the inside of a mapping, which has no descriptors: prepared always. */
	if (nst_sys_commit(addr, NST_BLOCK_BYTES) || nst_block_prepare(a, block) ||
	    (nst_hint(&nst_mm.dead_bits) && nst_dead_prepare(a, block)))
		return -12;
	nst_large_unkeep_locked(z, a, block);
	a->block_mob[block] = NST_MOB_MOVABLE;
	/* relaxed: read by nst_page_of() for addresses handed out later */
	nst_store_relaxed(&a->block[block], (u8)NST_BLOCK_OPEN);
	nst_hint_set(&z->open_arena, a);
	z->open_block = block;
	if (block >= z->top[a - nst_arenas])
		nst_hint_set(&z->top[a - nst_arenas], block + 1);
	z->open_next = 0;
	return 0;
}

/* Pages made ready at once. What is ready and not used is lost to others: where nobody counts on it, an eighth. */
size_t nst_zone_step(const struct nst_zone *z)
{
	u64 eighth = nst_load_relaxed(&z->ready_pages) / 8; /* relaxed: a counter */

	if (!nst_is_lean())
		return STEP_PAGES;
	return (size_t)1 << nst_log2(nst_max(LEAN_STEP, nst_min(eighth, STEP_PAGES)));
}

/* Make the next @pages of the open block ready. Locks: needs z->grow. */
static int step_locked(struct nst_zone *z, size_t pages)
{
	struct nst_arena *a = z->open_arena;
	size_t page = z->open_block * NST_BLOCK_PAGES + z->open_next;
	void *addr = (void *)(a->base + (page << NST_PAGE_SHIFT));

	if (nst_sys_populate(addr, pages << NST_PAGE_SHIFT))
		return -12;
	nst_resident_add(pages);
	nst_add_relaxed(&z->ready_pages, pages);
	z->open_next += pages;
	if (z->open_next == NST_BLOCK_PAGES) {
		nst_store_relaxed(&a->block[z->open_block], (u8)NST_BLOCK_READY); /* as above */
		nst_hint_set(&z->open_arena, (struct nst_arena *)NULL);
	}
	nst_lock_wait(&z->lock);
	nst_buddy_put_locked(z, &a->pages[page], nst_log2(pages));
	nst_unlock(&z->lock);
	return 0;
}

/* The pages to make ready next in the open block, aligned as a run of them is. Locks: needs z->grow. */
static size_t next_step_locked(const struct nst_zone *z, size_t pages)
{
	size_t room = z->open_arena && z->open_next ? z->open_next & (~z->open_next + 1) : pages;

	return nst_min(pages, room);
}

/* Of the open block, or of the next. Locks: needs z->grow. */
static int grow_locked(struct nst_zone *z, size_t pages)
{
	pages = next_step_locked(z, pages);
	if (!nst_zone_may_add(pages) || (!z->open_arena && nst_zone_open_locked(z)))
		return -12;
	return step_locked(z, pages);
}

/* The open block has no place for a run of @pages; a whole block begins at a fresh one. Locks: needs z->grow. */
static int is_in_the_way(const struct nst_zone *z, size_t pages)
{
	return z->open_arena &&
	       (pages == NST_BLOCK_PAGES ? z->open_next != 0 : next_step_locked(z, pages) < pages);
}

int nst_zone_grow(struct nst_zone *z, unsigned int order)
{
	size_t least = order > STEP_ORDER ? NST_BLOCK_PAGES : (size_t)1 << order;
	int err = 0;

	nst_group_ask(least + STEP_PAGES);
	nst_lock_wait(&z->grow);
	if (order <= STEP_ORDER && nst_cold_warm_locked(z, order) == 0)
		goto out_unlock;
	/* What is open is gone on with until there is one, so that no block stays half. */
	while (!err && is_in_the_way(z, least))
		err = grow_locked(z, STEP_PAGES);
	if (!err)
		err = grow_locked(z, nst_max(least, nst_zone_step(z)));
out_unlock:
	nst_unlock(&z->grow);
	return err;
}

/* One that is larger will be cut: then less than that is idle. Locks: needs z->lock. */
static int has_run_locked(const struct nst_zone *z, unsigned int mob, unsigned int order)
{
	while (order < NST_NR_ORDERS && !z->nr_free[mob][order])
		order++;
	return order < NST_NR_ORDERS;
}

/* A free run of @order, out of the lists, if that many pages were idle; or NULL. */
static struct nst_page *take_idle(struct nst_zone *z, unsigned int order)
{
	struct nst_page *p = NULL;
	unsigned int m;

	nst_lock_wait(&z->lock);
	for (m = 0; m < NST_NR_MOBILITIES && !p; m++) {
		if (z->lowest_free <= nst_hint(&z->high) + (1u << order) ||
		    !has_run_locked(z, m, order))
			continue;
		z->lowest_free -= 1u << order; /* the rest has been idle as long */
		p = nst_buddy_take_locked(z, order, m);
		z->taken[m] -= 1u << order;
	}
	nst_unlock(&z->lock);
	return p;
}

/* The kernel has a whole block back: it may be opened again, here or in a mapping. */
static void close_block(struct nst_zone *z, struct nst_page *p)
{
	struct nst_arena *a = nst_arena_of_page(p);
	size_t block = (size_t)(p - a->pages) / NST_BLOCK_PAGES;

	nst_page_set_state(p, NST_PAGE_TAIL);
	nst_sys_uncommit((void *)(a->base + block * NST_BLOCK_BYTES), NST_BLOCK_BYTES);
	nst_lock_wait(&z->grow);
	nst_store_relaxed(&a->block[block], (u8)NST_BLOCK_COLD); /* no live object is in it */
	z->hint[a - nst_arenas] = nst_min(z->hint[a - nst_arenas], block);
	nst_block_forget(a, block, 1);
	if (nst_hint(&nst_mm.dead_bits))
		nst_dead_forget(a, block, 1);
	nst_unlock(&z->grow);
}

void nst_zone_lay(struct nst_zone *z, struct nst_page *p)
{
	p = nst_cold_lay(z, p, 0);
	if (p)
		close_block(z, p);
}

/* 1 if the kernel took it back. */
static int purge(struct nst_zone *z, struct nst_page *p, unsigned int order)
{
	u64 pages = 1ull << order;

	if (nst_sys_purge(nst_page_address(p), pages << NST_PAGE_SHIFT)) {
		nst_add_relaxed(&z->purge_failed, 1);
		nst_lock_wait(&z->lock);
		nst_buddy_put_locked(z, p, order);
		nst_unlock(&z->lock);
		return 0;
	}
	nst_resident_sub(pages);
	nst_add_relaxed(&nst_given_back, pages);
	nst_sub_relaxed(&z->ready_pages, pages);
	if (order < NST_BLOCK_ORDER)
		p = nst_cold_lay(z, p, order);
	if (p)
		close_block(z, p);
	return 1;
}

/* 1 if a run of @order went; 0: none is idle, or the kernel refused it. */
static int give_back(struct nst_zone *z, unsigned int order)
{
	struct nst_page *p = take_idle(z, order);

	return p && purge(z, p, order);
}

unsigned int nst_zone_shrink(struct nst_zone *z, unsigned int blocks, unsigned int runs)
{
	unsigned int least = z->still < ALL_QUIET ? COLD_ORDER : 0, order, n = 0, k = 0;

	while (n < blocks && give_back(z, NST_BLOCK_ORDER))
		n++;
	for (order = NST_BLOCK_ORDER; order-- > least;)
		while (k < runs && give_back(z, order))
			k++;
	if (n) {
		z->still = 0;
		nst_span_cut_zone(z);
	}
	z->more_idle = (blocks && n == blocks) || (runs && k == runs);
	if (z->more_idle)
		return n + k;
	nst_lock_wait(&z->lock);
	z->lowest_free = z->free_pages;
	nst_unlock(&z->lock);
	return n + k;
}

/* All of it is free or cold, and not in one piece. */
static int is_rest(struct nst_arena *a, size_t block)
{
	struct nst_page *p = &a->pages[block * NST_BLOCK_PAGES];

	if (nst_load_relaxed(&a->block[block]) !=
		    NST_BLOCK_READY || /* a hint, until z->lock is held */
	    nst_hint(&a->block_idle[block]) != NST_BLOCK_PAGES)
		return 0;
	return nst_page_state(p) != NST_PAGE_FREE || nst_load_relaxed(&p->order) != NST_BLOCK_ORDER;
}

/* The first such block from *block of arena *i on; 0 if there is none. */
static int find_rest(const struct nst_zone *z, u32 *i, size_t *block)
{
	size_t first, end;

	for (; *i < nst_mm.nr_arenas; (*i)++, *block = 0) {
		if (!nst_zone_part(z, &nst_arenas[*i], &first, &end))
			continue;
		for (*block = nst_max(*block, first); *block < nst_hint(&z->top[*i]); (*block)++)
			if (is_rest(&nst_arenas[*i], *block))
				return 1;
	}
	return 0;
}

/* The zone has @pages more than the high mark, if there is memory. */
static int grow_beyond(struct nst_zone *z, u64 pages)
{
	int err = 0;

	nst_lock_wait(&z->grow);
	while (!err && nst_hint(&z->free_pages) < nst_hint(&z->high) + pages)
		err = grow_locked(z, STEP_PAGES);
	nst_unlock(&z->grow);
	return !err;
}

/* Its pages that are free, not cold. */
static u64 rest_pages(struct nst_zone *z, struct nst_arena *a, size_t block)
{
	u64 pages;

	nst_lock_wait(&z->lock);
	pages = nst_buddy_block_locked(z, a, block, NULL);
	nst_unlock(&z->lock);
	return pages;
}

/* 1 if the block went. */
static int close_rest(struct nst_zone *z, struct nst_arena *a, size_t block)
{
	struct nst_list chain;
	int went = 0;

	nst_list_init(&chain);
	nst_lock_wait(&z->lock);
	if (is_rest(a, block))
		nst_buddy_block_locked(z, a, block, &chain);
	nst_unlock(&z->lock);
	while (!nst_list_empty(&chain)) {
		struct nst_page *p = nst_container_of(chain.next, struct nst_page, list);

		nst_list_del(&p->list);
		went |= purge(z, p, p->order);
	}
	return went;
}

unsigned int nst_zone_compact(struct nst_zone *z, unsigned int blocks)
{
	unsigned int n = 0;
	size_t block = 0, next;
	u32 i = 0, k;

	for (; n < blocks && find_rest(z, &i, &block); block++) {
		k = i;
		next = block + 1;
		/* Of two the pages fit into one, and there is always one that is open, or comes to be. */
		if (!nst_hint(&z->open_arena) && !n && !find_rest(z, &k, &next))
			break;
		if (grow_beyond(z, rest_pages(z, &nst_arenas[i], block)))
			n += (unsigned int)close_rest(z, &nst_arenas[i], block);
	}
	return n;
}

void nst_zone_close_rests(struct nst_zone *z)
{
	size_t block = 0;
	u32 i = 0;

	for (; find_rest(z, &i, &block); block++)
		if (nst_hint(&z->free_pages) >=
		    nst_hint(&z->high) + rest_pages(z, &nst_arenas[i], block))
			close_rest(z, &nst_arenas[i], block);
}

void nst_zone_forget_idle(struct nst_zone *z)
{
	size_t block, end;
	u32 i;

	for (i = 0; i < nst_mm.nr_arenas; i++)
		if (nst_zone_part(z, &nst_arenas[i], &block, &end))
			for (; block < z->top[i]; block++)
				if (nst_arenas[i].block[block] == NST_BLOCK_READY ||
				    nst_arenas[i].block[block] == NST_BLOCK_OPEN)
					nst_arenas[i].block_idle[block] = 0;
}

size_t nst_zone_open_bytes(struct nst_arena *a, size_t block)
{
	size_t bytes = 0; /* left half open by a thread that a fork lost */
	unsigned int i;

	for (i = 0; i < nst_sys_cpus.nr_nodes && !bytes; i++) {
		struct nst_zone *z = &nst_zones[i];

		nst_lock_wait(&z->grow);
		if (z->open_arena == a && z->open_block == block)
			bytes = z->open_next << NST_PAGE_SHIFT;
		nst_unlock(&z->grow);
	}
	/* Meanwhile all of it may be. relaxed: the lock was taken after it was set. */
	return nst_load_relaxed(&a->block[block]) == NST_BLOCK_READY ? NST_BLOCK_BYTES : bytes;
}
