/* SPDX-License-Identifier: MIT */
/*
 * count.h - what is counted, and who asks: stats.c.
 *
 * A counter belongs to a CPU and is added to without a lock; a snapshot adds them up. What fast paths serve is
 * counted only where every call is watched (stats:full).
 */
#ifndef NST_MM_COUNT_H
#define NST_MM_COUNT_H

#include <nostall/stats.h>
#include "mode.h"

/* Ways of what is retired; what goes into a page of its cache's ring is not counted, but those pages are. */
enum nst_retired_way {
	NST_RETIRED_SEALED,  /* pages of caches' rings */
	NST_RETIRED_MIXED,   /* objects */
	NST_RETIRED_BROUGHT, /* pages brought by who retired */
	NST_RETIRED_DEAD,    /* objects: by their dead bits */
	NST_RETIRED_RUN,     /* runs and mappings */
	NST_RETIRED_HEAD,
	NST_RETIRED_CALL,
	NST_RETIRED_FOREIGN,
	NST_RETIRED_REFUSED,
	NST_RETIRED_OTHERS, /* objects in pages of a domain that is not ours */
	NST_NR_RETIRED_WAYS
};

enum nst_count {
	NST_COUNT_REFILL,
	NST_COUNT_FLUSH,
	NST_COUNT_SLAB_MADE,
	NST_COUNT_SLAB_FREED,
	NST_COUNT_NEXT_CLASS,
	NST_COUNT_SIDE_PUSHED,
	NST_COUNT_SIDE_DRAINED,
	NST_COUNT_SIDE_CORRUPT,
	NST_COUNT_MISUSE,
	NST_COUNT_WAKEUP,
	NST_COUNT_FOUND_WORK,
	NST_COUNT_ABANDONED,
	NST_COUNT_PREFILLED,	    /* objects that came into prefilled sheaves, */
	NST_COUNT_PREFILL_RETURNED, /* and that were left in them */
	NST_COUNT_POOL_CACHE,	    /* requests to pools that the cache served, */
	NST_COUNT_POOL_KEPT,	    /* the pool, */
	NST_COUNT_POOL_WAIT,	    /* and those that waited */
	NST_COUNT_RECLAIM_ROUND,
	NST_COUNT_RECLAIM_BACKGROUND,
	NST_COUNT_RECLAIM_SERVED,
	NST_COUNT_SHRUNK,
	NST_COUNT_COMPACT_RUN,	   /* that were moved, */
	NST_COUNT_COMPACT_REFUSED, /* that their mover refused to move, */
	NST_COUNT_COMPACT_FREED,   /* or that were freed meanwhile */
	NST_COUNT_COMPACT_BLOCK,   /* that no run is left in */
	NST_COUNT_NOTIFY_BEGIN,
	NST_COUNT_NOTIFY_REFUSED,
	NST_COUNT_NOTIFY_INVALIDATE,
	NST_COUNT_OOM_CALL,
	NST_COUNT_OOM_AGAIN,
	NST_COUNT_OOM_PASSED,
	NST_COUNT_OOM_BYTES,
	NST_COUNT_DEBT_BILLED, /* bytes, as the next three */
	NST_COUNT_DEBT_PAID,
	NST_COUNT_DEBT_LAPSED,
	NST_COUNT_DEBT_SLEPT_OFF,
	NST_COUNT_DEBT_SLEEP,
	NST_COUNT_DEBT_SLEPT_US,
	NST_COUNT_PRESSURE_RELIEF,
	NST_COUNT_PRESSURE_BYTES,
	NST_COUNT_PRESSURE, /* by enum nst_pressure_source */
	NST_COUNT_PRESSURE_LAST = NST_COUNT_PRESSURE + NST_NR_PRESSURES - 1,
	NST_COUNT_RETIRED, /* by enum nst_retired_way */
	NST_COUNT_RETIRED_LAST = NST_COUNT_RETIRED + NST_NR_RETIRED_WAYS - 1,
	NST_COUNT_SPECULATE, /* by enum nst_speculate_count */
	NST_COUNT_SPECULATE_LAST = NST_COUNT_SPECULATE + NST_NR_SPECULATE_COUNTS - 1,
	NST_COUNT_REQUEST,
	NST_COUNT_REFUSED = NST_COUNT_REQUEST + NST_NR_MODES, /* modes that are none */
	NST_COUNT_NULL,					      /* by mode and reason */
	NST_NR_COUNTS = NST_COUNT_NULL + NST_NR_MODES * NST_NR_NULLS
};
/* Bytes that are somebody's ahead of need, for bound.c: relaxed counts. */
struct nst_set_aside {
	u64 prefilled, pools, owners;
};
extern struct nst_set_aside nst_set_aside NST_HIDDEN;
int nst_stats_init(void);
/* Counters of its own for a CPU; benign without memory. Context: thread. */
void nst_stats_ensure(unsigned int cpu);
/* Cache number @id: 0, or -ENOENT if there is none. Context: thread. */
int nst_stats_cache(u32 id, struct nst_cache_stats *out);
void nst_count(unsigned int what, u64 n);
/* The same of what goes on in an idle process, too: nothing to publish. */
void nst_count_idle(unsigned int what);
/* Has anything moved since somebody settled? A hint. Context: any. */
void nst_stats_move(void);
int nst_stats_moved(void);
void nst_stats_settle(void);
/* As nst_stats_read(), but waits for no lock longer than 10 ms: 1, or 0 and gives up. Context: thread. */
int nst_stats_try(struct nst_stats *out);
/* The same of at most @nr caches that have slabs or a stock: how many, or -1. All there are: *nr_caches. */
int nst_stats_try_caches(struct nst_cache_stats *out, u32 nr, u32 *nr_caches);
/* @mode is valid. */
static inline void nst_count_null(nst_mode_t mode, enum nst_null_reason why)
{
	unsigned int row = nst_lowest_bit(mode & NST_MODE_MASK) * NST_NR_NULLS;

	nst_count(NST_COUNT_NULL + row + why, 1);
}
/* A request that is refused for its size before it counts as one. */
static inline void nst_count_size(nst_mode_t mode)
{
	nst_count(NST_COUNT_REQUEST + nst_lowest_bit(mode & NST_MODE_MASK), 1);
	nst_count_null(mode, NST_NULL_SIZE);
}
/* Takes @n from this CPU's no-lock budget: how many of them may be served. Context: any. */
size_t nst_budget_take(size_t n);
void nst_budget_refill(void);

#endif
