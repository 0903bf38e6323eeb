/* SPDX-License-Identifier: MIT */
/*
 * dead.c - a bit per 16 bytes: the object that begins here was retired, and no page had room for it.
 *
 *	any_dead 1 -> block_dead[b] 1 -> dead words of block b
 *
 * The bits are resident with their block, so that setting one needs no memory and takes no lock, whatever
 * is exhausted. Who sets goes from right to left, who takes from left to right: a bit is seen by the taker that
 * clears the marks above it, or its marks are set again after that and the next one sees it.
 *
 * Price: 1/128 of the memory that is in use, from nst_rcu_use() on.
 */
#include "../mm.h"
#include "retired.h"

#define BLOCK_BITS_BYTES (NST_BLOCK_BYTES / 16 / 8)
#define BLOCK_WORDS (BLOCK_BITS_BYTES / 8)

static char *bits_of(const struct nst_arena *a, size_t block)
{
	return (char *)a->dead + block * BLOCK_BITS_BYTES;
}

int nst_dead_populate(struct nst_arena *a, size_t block)
{
	void *mark = (void *)nst_round_down((uintptr_t)&a->block_dead[block], NST_PAGE_BYTES);

	if (nst_sys_populate(bits_of(a, block), BLOCK_BITS_BYTES))
		return -12;
	return nst_sys_populate(mark, NST_PAGE_BYTES);
}

int nst_dead_prepare(struct nst_arena *a, size_t block)
{
	if (nst_sys_commit(bits_of(a, block), BLOCK_BITS_BYTES) || nst_dead_populate(a, block))
		return -12;
	nst_add_relaxed(&nst_retired.bits_bytes, BLOCK_BITS_BYTES); /* a count */
	return 0;
}

void nst_dead_forget(struct nst_arena *a, size_t block, size_t nr)
{
	nst_sys_purge(bits_of(a, block), nr * BLOCK_BITS_BYTES);
	nst_sub_relaxed(&nst_retired.bits_bytes, nr * BLOCK_BITS_BYTES); /* a count */
}

int nst_dead_add_arena(struct nst_arena *a)
{
	size_t marks = nst_round_up(a->nr_blocks, NST_PAGE_BYTES);

	/* What an attempt that failed later has got already is kept. */
	if (!a->block_dead)
		a->block_dead = nst_sys_reserve(marks, NST_PAGE_BYTES);
	if (!a->block_dead || nst_sys_commit(a->block_dead, marks))
		return -12;
	if (!a->dead)
		a->dead = nst_sys_reserve(a->nr_blocks * BLOCK_BITS_BYTES, NST_PAGE_BYTES);
	return a->dead ? 0 : -12;
}

static int prepare_zone_locked(const struct nst_zone *z)
{
	size_t block, first, end;
	int err = 0;
	u32 k;

	for (k = 0; k < nst_mm.nr_arenas && !err; k++) {
		if (!nst_zone_part(z, &nst_arenas[k], &first, &end))
			continue;
		for (block = first; block < end && !err; block++)
			if (nst_block_is_split(&nst_arenas[k], block))
				err = nst_dead_prepare(&nst_arenas[k], block);
	}
	return err;
}

/* Some blocks have bits and some have not: none has. */
static void drop_dead_bits(void)
{
	u32 i;

	nst_hint_set(&nst_mm.dead_bits, 0);
	for (i = 0; i < nst_mm.nr_arenas; i++)
		if (nst_arenas[i].dead)
			nst_dead_forget(&nst_arenas[i], 0, nst_arenas[i].nr_blocks);
	nst_store_relaxed(&nst_retired.bits_bytes, (u64)0); /* a count */
}

int nst_dead_prepare_all(void)
{
	int err = 0;
	u32 i;

	nst_lock_wait(&nst_arenas_lock);
	for (i = 0; i < nst_mm.nr_arenas && !err; i++)
		err = nst_dead_add_arena(&nst_arenas[i]);
	nst_hint_set(&nst_mm.dead_bits, !err);
	nst_unlock(&nst_arenas_lock);
	for (i = 0; i < nst_sys_cpus.nr_nodes && !err; i++) {
		nst_lock_wait(&nst_zones[i].grow);
		err = prepare_zone_locked(&nst_zones[i]);
		nst_unlock(&nst_zones[i].grow);
	}
	if (err)
		drop_dead_bits();
	return err;
}

int nst_dead_set(const void *obj)
{
	struct nst_arena *a = nst_arena_of(obj);
	size_t unit = ((uintptr_t)obj - a->base) / 16;
	u64 bit = 1ull << (unit % 64);

	/* Pairs with: nst_exchange_acq_rel() in take_block(). */
	if (nst_or_release(&a->dead[unit / 64], bit) & bit)
		return 1;
	/* Pairs with: nst_exchange_acq_rel() in take_block() and nst_dead_take(). */
	nst_store_release(&a->block_dead[unit / 64 / BLOCK_WORDS], (u8)1);
	nst_store_release(&nst_retired.any_dead, 1u);
	return 0;
}

static void take_block(struct nst_arena *a, size_t block, struct nst_dead_word *out, u32 nr, u32 *n)
{
	size_t i, first = block * BLOCK_WORDS;

	/* Pairs with: nst_store_release() in nst_dead_set(). */
	if (!nst_load_relaxed(&a->block_dead[block]) ||
	    !nst_exchange_acq_rel(&a->block_dead[block], (u8)0))
		return;
	for (i = first; i < first + BLOCK_WORDS; i++) {
		if (!nst_load_relaxed(&a->dead[i])) /* relaxed: a later look sees it */
			continue;
		if (*n == nr) { /* the rest at the next look */
			nst_store_release(&a->block_dead[block], (u8)1);
			nst_store_release(&nst_retired.any_dead, 1u);
			break;
		}
		out[*n].base = (char *)(a->base + i * 64 * 16);
		/* Pairs with: nst_or_release() in nst_dead_set(). */
		out[*n].bits = nst_exchange_acq_rel(&a->dead[i], (u64)0);
		nst_barrier(); /* a fork child has so many */
		++*n;
	}
}

/* Slots are of 16 bytes and more, and aligned to 8: of two addresses one is an object's. */
void *nst_dead_object(const struct nst_dead_word *w, unsigned int bit)
{
	char *at = w->base + 16 * (size_t)bit;
	struct nst_page *p = nst_page_of(at);

	return nst_slab_slot(nst_cache_number(p->cache), p, at) < 0 ? at + 8 : at;
}

void nst_dead_take(struct nst_dead_word *out, u32 nr, u32 *n)
{
	size_t block;
	u32 i;

	/* Pairs with: nst_store_release() in nst_dead_set(). */
	if (!nst_load_relaxed(&nst_retired.any_dead) ||
	    !nst_exchange_acq_rel(&nst_retired.any_dead, 0u))
		return;
	for (i = 0; i < nst_mm.nr_arenas; i++)
		for (block = 0; block < nst_arenas[i].nr_blocks; block++)
			take_block(&nst_arenas[i], block, out, nr, n);
}

void nst_dead_after_fork(void)
{
	size_t block;
	u32 i;

	for (i = 0; i < nst_mm.nr_arenas; i++)
		for (block = 0; nst_arenas[i].block_dead && block < nst_arenas[i].nr_blocks;
		     block++)
			if (nst_block_is_split(&nst_arenas[i], block))
				nst_arenas[i].block_dead[block] = 1;
	nst_retired.any_dead = 1;
}
