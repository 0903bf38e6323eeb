/* SPDX-License-Identifier: MIT */
/*
 * span.c - address space under a limit (RLIMIT_AS): what nobody uses is given back, and had again piece by
 * piece.
 *
 *	none, cold  -- cut -->  hole  -- mend -->  none
 *	the block, its descriptors, live bits and map: all mapped, or none of it
 *
 * The addresses of a hole stay the arena's: they are mapped again where they were, if nobody else has
 * been given them meanwhile; else the next are tried. Nothing is mapped over somebody else's.
 *
 * S1. A block becomes a hole, or is one no more, under the grow lock of its zone.
 * S2. Holes come in pairs, the first of which has an even number: map[] has a page for two blocks.
 */
#include "mm.h"

#define PAIR 2u
#define EXISTS (-17)
#define PASS_US 100000u /* what a request waits for a pass to end */

struct part {
	void *addr;
	size_t bytes;
};
#define NR_PARTS 4u
#define MAP_PART 3u

u32 nst_span_limited;

/* All that belongs to a row of blocks, in whole pages. */
static void parts_of(struct nst_arena *a, size_t block, size_t nr, struct part *part)
{
	size_t live = NST_BLOCK_BYTES / 16 / 8;

	part[0] = (struct part){(void *)(a->base + block * NST_BLOCK_BYTES), nr * NST_BLOCK_BYTES};
	part[1] = (struct part){&a->pages[block * NST_BLOCK_PAGES],
				nr * NST_BLOCK_PAGES * sizeof(struct nst_page)};
	part[2] = (struct part){(char *)a->live + block * live, nr * live};
	part[MAP_PART] =
		(struct part){&a->map[block * NST_BLOCK_PAGES], nr * NST_BLOCK_PAGES * sizeof(u32)};
}

static int release_parts(const struct part *part, unsigned int nr)
{
	int err = 0;

	while (nr--)
		err |= nst_sys_release(part[nr].addr, part[nr].bytes);
	return err;
}

static void set_state(struct nst_arena *a, size_t block, size_t nr, enum nst_block_state state)
{
	/* relaxed: nobody has an address in it */
	while (nr--)
		nst_store_relaxed(&a->block[block + nr], (u8)state);
}

/* ---- cut ---- */

static int is_free_pair(const struct nst_arena *a, size_t block)
{
	return a->block[block] <= NST_BLOCK_COLD && a->block[block + 1] <= NST_BLOCK_COLD;
}

/* What the kernel gives back in part only is nobody's from now on. Locks: needs z->grow. */
static void cut_row_locked(struct nst_arena *a, size_t block, size_t nr)
{
	struct part part[NR_PARTS];

	parts_of(a, block, nr, part);
	set_state(a, block, nr, NST_BLOCK_HOLE);
	if (release_parts(part, NR_PARTS))
		set_state(a, block, nr, NST_BLOCK_GUARD);
}

void nst_span_cut_locked(struct nst_arena *a, size_t first, size_t end)
{
	size_t b = nst_round_down(first, (size_t)PAIR), row = 0;

	for (end = nst_round_up(end, (size_t)PAIR); b < end; b += PAIR) {
		if (is_free_pair(a, b)) {
			row += PAIR;
			continue;
		}
		if (row)
			cut_row_locked(a, b - row, row);
		row = 0;
	}
	if (row)
		cut_row_locked(a, b - row, row);
}

static void cut_zone(struct nst_zone *z)
{
	size_t first, end;
	u32 i;

	nst_lock_wait(&z->grow);
	for (i = 0; i < nst_mm.nr_arenas; i++)
		if (nst_zone_part(z, &nst_arenas[i], &first, &end))
			nst_span_cut_locked(&nst_arenas[i], first, end);
	nst_unlock(&z->grow);
}

/* ---- mend ---- */

static int mend_row_locked(struct nst_zone *z, struct nst_arena *a, size_t block, size_t nr)
{
	struct part part[NR_PARTS];
	unsigned int i;
	int err = 0;

	parts_of(a, block, nr, part);
	for (i = 0; i < NR_PARTS && !err; i++)
		err = nst_sys_reserve_at(part[i].addr, part[i].bytes);
	if (err) {
		release_parts(part, i - 1);
		return err;
	}
	if (nst_sys_commit(part[MAP_PART].addr, part[MAP_PART].bytes)) {
		release_parts(part, NR_PARTS);
		return -12;
	}
	if (nst_sys_cpus.nr_nodes > 1)
		nst_sys_bind_node(part[0].addr, part[0].bytes, z->node);
	set_state(a, block, nr, NST_BLOCK_NONE);
	z->hint[a - nst_arenas] = nst_min(z->hint[a - nst_arenas], block);
	return 0;
}

int nst_span_mend_locked(struct nst_zone *z, struct nst_arena *a, size_t block, size_t nr)
{
	size_t b = nst_round_down(block, (size_t)PAIR),
	       end = nst_round_up(block + nr, (size_t)PAIR);
	size_t row = 0;
	int err = 0;

	for (; b < end && !err; b++) {
		if (a->block[b] == NST_BLOCK_HOLE) {
			row++;
			continue;
		}
		if (row)
			err = mend_row_locked(z, a, b - row, row);
		row = 0;
	}
	return row && !err ? mend_row_locked(z, a, b - row, row) : err;
}

/* One pair of one arena: 0; -ENOENT if there is none that can be had. */
static int mend_lowest_locked(struct nst_zone *z, struct nst_arena *a, size_t first, size_t end)
{
	size_t b;

	for (b = nst_round_up(first, (size_t)PAIR); b + PAIR <= end; b += PAIR) {
		int err = a->block[b] == NST_BLOCK_HOLE ? mend_row_locked(z, a, b, PAIR) : EXISTS;

		if (err != EXISTS)
			return err;
	}
	return -2;
}

int nst_span_mend_any_locked(struct nst_zone *z)
{
	size_t first, end;
	int err = -2;
	u32 i;

	if (!nst_hint(&nst_span_limited))
		return err;
	for (i = 0; i < nst_mm.nr_arenas && err; i++)
		if (nst_zone_part(z, &nst_arenas[i], &first, &end))
			err = mend_lowest_locked(z, &nst_arenas[i], first, end);
	return err;
}

/* ---- all of it ---- */

static size_t reserved_bytes(void)
{
	size_t bytes = 0;
	u32 i;

	for (i = 0; i < nst_mm.nr_arenas; i++)
		bytes += nst_arenas[i].bytes;
	return bytes;
}

void nst_span_cut_zone(struct nst_zone *z)
{
	if (nst_hint(&nst_span_limited))
		cut_zone(z);
}

static void give_back_free(struct nst_zone *z)
{
	nst_zone_age(z);
	nst_large_age(z, 1);
	nst_zone_shrink(z, (unsigned int)-1, 0);
	nst_zone_close_rests(z);
	nst_span_cut_zone(z);
}

int nst_span_reclaim(void)
{
	unsigned int i;
	int paused;

	if (!nst_hint(&nst_span_limited) && !nst_sys_data_is_limited() &&
	    !nst_option(NST_OPT_max) && !nst_group_limit())
		return 0;
	/* What a pass has in its hands is neither used nor free. */
	paused = nst_maintain_pause_us(PASS_US);
	nst_large_drain();
	for (i = 0; i < nst_sys_cpus.nr_nodes; i++)
		give_back_free(&nst_zones[i]);
	if (paused)
		nst_maintain_resume();
	return 1;
}

/* A limit that leaves eight times what is reserved is none. */
int nst_span_fit(void)
{
	size_t limit = nst_sys_limit_bytes();
	unsigned int i;

	if (nst_start())
		return -12;
	nst_fork_check();
	if (reserved_bytes() <= limit / 8)
		return 0;
	nst_hint_set(&nst_span_limited, 1u);
	nst_large_drain();
	for (i = 0; i < nst_sys_cpus.nr_nodes; i++) {
		nst_large_age(&nst_zones[i], 1);
		cut_zone(&nst_zones[i]);
	}
	nst_meta_cut();
	nst_cache_room_cut();
	return 0;
}
