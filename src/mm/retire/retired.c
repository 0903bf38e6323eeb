/* SPDX-License-Identifier: MIT */
/*
 * retired.c - deferred free as a whole: made ready once, waited for, bounded, and found again by a fork child.
 *
 * Locks: nst_rcu_use() takes nst_caches_lock, and in it a zone's grow lock and that of arenas.
 */
#include "../mm.h"
#include "retired.h"

u64 nst_retired_budget(void)
{
	u64 budget = nst_option(NST_OPT_rcu_budget), limit = nst_group_limit();
	u64 ram = nst_sys_reserve_default(1);

	return budget ? budget : (limit ? nst_min(ram, limit) : ram) / 4;
}

u64 nst_retired_call_pages(void)
{
	u64 pages = nst_option(NST_OPT_rcu_pages);

	return pages ? pages : nst_sys_reserve_default(1) / 1024 / NST_PAGE_BYTES;
}

void nst_retired_fences(void)
{
	nst_store_relaxed(&nst_retired.units, (size_t)0); /* periods give time to see it */
}

/* Who retires by the fast path makes no fence: he is let in while none is needed. */
static void open_fast_path(void)
{
	if (nst_load_relaxed(&nst_rcu_stamp_fences)) /* it stays so */
		return;
	/* Pairs with: nst_load_acquire() in nst_free_rcu(). */
	nst_store_release(&nst_retired.units, nst_mm.units);
	/* Pairs with: nst_fence_full() in let_all_fence(): it closes what this opens, or is seen here. */
	nst_fence_full();
	if (nst_load_relaxed(&nst_rcu_stamp_fences)) /* after the fence */
		nst_retired_fences();
}

int nst_retired_make_ready(void)
{
	int err = 0;

	nst_lock_wait(&nst_caches_lock);
	if (!nst_retired_is_ready()) {
		err = nst_dead_prepare_all();
		nst_hint_set(&nst_retired.failed, (u32)(err != 0));
		if (!err) {
			nst_hint_set(&nst_retired.budget, nst_retired_budget());
			nst_hint_set(&nst_retired.call_pages_most, nst_retired_call_pages());
			/* Pairs with: nst_load_acquire() in nst_retired_is_ready(). */
			nst_store_release(&nst_retired.ready, 1u);
			open_fast_path();
			nst_hint_set(&nst_retired.mixed.want, nst_ring_here() + 1);
			nst_hint_set(&nst_retired.calls.want, nst_ring_here() + 1);
		}
	}
	nst_unlock(&nst_caches_lock);
	return err;
}

int nst_rcu_use(void)
{
	int err = nst_start();

	nst_fork_check();
	if (!err)
		err = nst_retired_make_ready();
	if (!err)
		nst_maintain_pass(0);
	return err;
}

static int has_chained(void)
{
	u32 i;

	for (i = 0; i < NST_RCU_DOMAINS; i++)
		if (nst_load_relaxed(&nst_retired.runs[i])) /* the caller's are seen */
			return 1;
	return nst_load_relaxed(&nst_retired.heads) != NULL; /* as above */
}

int nst_rcu_barrier(void)
{
	u64 since;
	int err;

	nst_fork_check();
	if (nst_calls_are_mine())
		return -35;
	/* What was chained before all was made ready waits for that. */
	if (!nst_retired_is_ready() && has_chained() && nst_rcu_use())
		return -12;
	do {
		since = nst_retired_since();
		err = nst_retired_settle();
		nst_calls_settle();
	} while (nst_retired_has_left(since));
	return err;
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
	for (id = 1; id < NST_RCU_DOMAINS; id++)
		if (nst_channel_is_open(&nst_retired.others[id]))
			nst_ring_table_after_fork(&nst_retired.others[id].rings);
	nst_calls_after_fork(lost);
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
