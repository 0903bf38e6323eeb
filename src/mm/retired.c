/* SPDX-License-Identifier: MIT */
/*
 * retired.c - deferred free as a whole: made ready once, waited for, bounded, and found again by a fork child.
 *
 * Locks: nst_rcu_use() takes nst_caches_lock, and in it a zone's grow lock and that of arenas.
 */
#include "mm.h"
#include "retired.h"

/* Every block that is in use gets its bits; those opened from now on get them with their descriptors. */
static int prepare_dead_bits(void)
{
	size_t block;
	int err = 0;
	u32 i;

	nst_lock_wait(&nst_arenas_lock);
	for (i = 0; i < nst_mm.nr_arenas && !err; i++)
		err = nst_dead_add_arena(&nst_arenas[i]);
	nst_hint_set(&nst_mm.dead_bits, !err);
	nst_unlock(&nst_arenas_lock);
	for (i = 0; i < nst_sys_cpus.nr_nodes && !err; i++) {
		struct nst_zone *z = &nst_zones[i];
		u32 k;

		nst_lock_wait(&z->grow);
		for (k = 0; k < nst_mm.nr_arenas && !err; k++) {
			size_t first, end;

			if (!nst_zone_part(z, &nst_arenas[k], &first, &end))
				continue;
			for (block = first; block < end && !err; block++)
				if (nst_block_is_split(&nst_arenas[k], block))
					err = nst_dead_prepare(&nst_arenas[k], block);
		}
		nst_unlock(&z->grow);
	}
	return err;
}

u64 nst_retired_budget(void)
{
	u64 budget = nst_option(NST_OPT_rcu_budget);

	return budget ? budget : nst_sys_reserve_default(1) / 4;
}

int nst_rcu_use(void)
{
	int err = nst_start();

	nst_fork_check();
	nst_lock_wait(&nst_caches_lock);
	if (!err && !nst_retired_is_ready()) {
		err = prepare_dead_bits();
		nst_hint_set(&nst_retired.budget, nst_retired_budget());
		if (!err) {
			/* Pairs with: nst_load_acquire() in nst_retired_is_ready(). */
			nst_store_release(&nst_retired.ready, 1u);
			nst_hint_set(&nst_retired.mixed.want, nst_ring_here() + 1);
			nst_hint_set(&nst_retired.calls.want, nst_ring_here() + 1);
		}
	}
	nst_unlock(&nst_caches_lock);
	if (!err)
		nst_maintain_pass(0);
	return err;
}

int nst_rcu_barrier(void)
{
	nst_fork_check();
	if (nst_calls_are_mine())
		return -35;
	/* Functions that were handed over before all was made ready wait for that. */
	if (!nst_retired_is_ready() && nst_load_relaxed(&nst_retired.heads) && nst_rcu_use())
		return -12;
	nst_retired_settle();
	nst_calls_settle();
	return 0;
}

void nst_retired_after_fork(int lost)
{
	u32 id;

	for (id = 1; id <= nst_nr_caches; id++)
		if (nst_cache_is_used(nst_cache_number(id)) &&
		    nst_channel_is_open(&nst_cache_number(id)->dead))
			nst_ring_table_after_fork(&nst_cache_number(id)->dead.rings);
	if (nst_channel_is_open(&nst_retired.mixed))
		nst_ring_table_after_fork(&nst_retired.mixed.rings);
	if (nst_channel_is_open(&nst_retired.calls))
		nst_ring_table_after_fork(&nst_retired.calls.rings);
	nst_calls_after_fork();
	nst_ripe_after_fork(lost);
}

u64 nst_retired_bytes(void)
{
	/* Of an open page whose first part was freed that is missing which is not yet counted: less than none. */
	int64_t bytes = (int64_t)nst_load_relaxed(&nst_retired.bytes);

	return bytes > 0 ? (u64)bytes : 0;
}

int nst_retired_is_over(void)
{
	u64 budget = nst_hint(&nst_retired.budget);

	return budget && nst_retired_bytes() > budget;
}
