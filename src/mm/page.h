/* SPDX-License-Identifier: MIT */
/*
 * page.h - pages: descriptors, blocks, arenas, zones, and who makes them ready and hands them out.
 *
 * mm.h draws where they are and states what always holds (M1 to M3), and the order of locks.
 */
#ifndef NST_MM_PAGE_H
#define NST_MM_PAGE_H

#include "../percpu/percpu.h"
#include "mode.h"
#include "count.h"
#include <nostall/nostall.h>

#define NST_NR_NODES NST_STATS_NODES
#define NST_NR_MOBILITIES NST_STATS_MOBILITIES
#define NST_NR_ORDERS NST_STATS_ORDERS
#define NST_BLOCK_ORDER 9u
#define NST_BLOCK_PAGES ((size_t)512)
#define NST_BLOCK_BYTES ((size_t)2 << 20)
#define NST_PAGE_SHIFT 12
#define NST_MAX_ARENAS 8u
#define NST_ARENA_LEAST (16 * NST_BLOCK_BYTES) /* a node's part of one */

enum nst_mobility { NST_MOB_UNMOVABLE, NST_MOB_RECLAIMABLE, NST_MOB_MOVABLE };

/* What a page is. The first page of something carries its state, the others are PAGE_TAIL (M2). */
enum nst_page_state {
	NST_PAGE_TAIL,
	NST_PAGE_FREE, /* in a buddy list */
	NST_PAGE_COLD, /* on its zone's list: without memory, while its block is in use */
	NST_PAGE_PCP,  /* in a per-CPU stack, or on its way */
	NST_PAGE_RUN,  /* a user's */
	NST_PAGE_SLAB,
	NST_PAGE_LARGE,	      /* first page of a mapping above the largest order */
	NST_PAGE_LARGE_FREED, /* the same, waiting to be given back */
	NST_PAGE_RUN_RETIRED, /* a run that waits for a grace period; a mapping */
	NST_PAGE_LARGE_RETIRED,
	NST_PAGE_MOVABLE, /* a user's run that its owner can move: movable.c; and from here on such */
	NST_PAGE_MOVING,
	NST_PAGE_MOVING_FREED,
	NST_PAGE_MOVING_RETIRED
};

/** struct nst_page - descriptor of a page; written by the owner of the page, list by the list's lock */
struct nst_page {
	u8 state, order, mobility;
	u8 gen;	    /* of the lists it is on; another than theirs: on none (fork.c) */
	u16 cache;  /* of a slab; a movable run: its mover */
	u8 on_full; /* slab: on the list of full slabs */
	u8 reserve; /* whose it is while it is in use: reserve.c; 0: nobody's */
	u16 inuse;  /* slab: slots handed out */
	u16 pages;  /* a user's run that was cut down to so many; 0 for all else: 2^order */
	u32 owner; /* a user's: its account; a slab of charged objects: where its owners are; 0: none (charge.c) */
	struct nst_list list;
	u64 free[4]; /* slab: a bit per slot of 256; large: bytes, link */
};
nst_static_assert(sizeof(struct nst_page) == 64, "at most 64 bytes a page");

/* Others look at state and order of pages they do not own (page.c, buddy.c), so both are relaxed. */
static inline void nst_page_set_state(struct nst_page *p, enum nst_page_state state)
{
	nst_store_relaxed(&p->state, (u8)state);
}
static inline enum nst_page_state nst_page_state(const struct nst_page *p)
{
	return (enum nst_page_state)nst_load_relaxed(&p->state);
}

/* Words of free[] in a run or mapping. */
#define NST_PAGE_BYTES_WORD 0
#define NST_PAGE_LINK_WORD 1
#define NST_PAGE_CHECK_WORD 2
#define NST_PAGE_DATA_WORD 3 /* of a movable run */

enum nst_block_state {
	NST_BLOCK_NONE, /* PROT_NONE */
	NST_BLOCK_COLD, /* was used before, not resident */
	NST_BLOCK_KEPT, /* of a mapping that was freed: as it was left */
	NST_BLOCK_KEPT_LONG,
	NST_BLOCK_OPEN, /* being made ready step by step */
	NST_BLOCK_READY,
	NST_BLOCK_LARGE, /* first of a mapping */
	NST_BLOCK_LARGE_TAIL,
	NST_BLOCK_GUARD,
	NST_BLOCK_HOLE /* not mapped: span.c */
};
#define NST_BLOCK_FREE_LAST NST_BLOCK_KEPT_LONG /* up to here: belongs to nobody */

/** struct nst_arena - a stretch of address space with arrays beside it; never released */
struct nst_arena {
	uintptr_t base;
	size_t bytes, nr_blocks, blocks_per_node;
	struct nst_page *pages; /* committed with their block */
	u32 *map;		/* as nst_mm.map */
	u8 *block;		/* enum nst_block_state; by the zone's grow lock */
	u8 *block_mob;		/* enum nst_mobility; by the zone's lock */
	u16 *block_idle;	/* pages of it that are free, or cold; by the zone's lock */
	u16 *block_movable;	/* pages of it that are of movable runs; relaxed counters */
	u64 *live;	/* debug: a bit per 16 bytes, 1 is handed out; committed with their block */
	u64 *dead;	/* dead.c: the same, 1 is retired; NULL before nst_rcu_use() */
	u8 *block_dead; /* 1: some bit of the block is set */
	unsigned int first_node;
};

/** struct nst_zone - the pages of one node */
struct nst_zone {
	struct nst_lock lock;
	struct nst_lock grow;
	u8 node, gen;
	u8 lean; /* the watermarks are those of a lean program; the worker's */
	/* Orders of which a no-lock request found too little, and where; hints, the worker clears them. */
	u32 want, want_cpu;
	u32 stocked; /* by nst_pages_stock(): a hint for the worker */
	/* by lock: */
	struct nst_list free[NST_NR_MOBILITIES][NST_NR_ORDERS];
	u64 nr_free[NST_NR_MOBILITIES][NST_NR_ORDERS]; /* blocks */
	u64 free_pages, lowest_free;		       /* the latter since the worker's last pass */
	struct nst_list cold, cold_small; /* runs of state PAGE_COLD; those below 8 pages */
	u64 taken[NST_NR_MOBILITIES], fallback[NST_NR_MOBILITIES], stolen;
	u64 min, low, high; /* watermarks, pages; hints */
	u64 base;	    /* high, without reserves: those follow from it and these, by lock: */
	u64 reserved, owed; /* pages that reserves have, and that they lack */
	u64 claimed;	    /* pages that who reclaims is about to take: reclaim.c */
	/* by grow: */
	struct nst_arena *open_arena;
	size_t open_block, open_next; /* page of the block to make ready next */
	size_t hint[NST_MAX_ARENAS];  /* no block below it is free to open */
	size_t kept;		      /* blocks of mappings that were freed */
	size_t top[NST_MAX_ARENAS];   /* no block from it on was ever opened */
	u64 purge_failed;
	u32 quiet, since_runs; /* times that no block was given back, and no run; the worker's */
	u32 still;	       /* looks since a whole block was given back, the worker's */
	u32 more_idle; /* the last pass that gave back had done enough before all that was idle had gone; the worker's */
	u64 ready_pages; /* relaxed counter */
	/* by sequences: */
	struct nst_pcs_table pcp[NST_NR_MOBILITIES][NST_ORDER_NOLOCK_MAX + 2];
};

/* A count that its lock's holder changes and others read as a hint. */
#define nst_hint_set(p, v) nst_store_relaxed(p, v)
#define nst_hint(p) nst_load_relaxed(p)

extern struct nst_arena nst_arenas[NST_MAX_ARENAS] NST_HIDDEN;
extern struct nst_zone nst_zones[NST_NR_NODES] NST_HIDDEN;

/* Who calls, for reports. */
struct nst_site {
	const char *function;
	const void *address;
};
#define NST_SITE(name) ((struct nst_site){name, __builtin_return_address(0)})

/* Where the descriptor of the run of @order around @addr is, if there is one. */
static inline struct nst_page *nst_run_at(const struct nst_arena *a, const void *addr,
					  unsigned int order)
{
	size_t page = ((uintptr_t)addr - a->base) >> NST_PAGE_SHIFT;

	return &a->pages[page & ~(((size_t)1 << order) - 1)];
}

/* ---- page.c: arenas, descriptors ---- */

/* 0 or -errno. */
int nst_arena_add(size_t bytes, unsigned int first_node, unsigned int nr_nodes);
/* Descriptor of the run, slab or mapping that @addr lies in, any part of it; NULL if it is not ours. */
struct nst_page *nst_page_of(const void *addr);
/* The same, sooner if that is a slab of @order, as it most likely is. */
struct nst_page *nst_slab_of(const void *addr, unsigned int order);
struct nst_arena *nst_arena_of(const void *addr);
struct nst_arena *nst_arena_of_page(const struct nst_page *p);
void *nst_page_address(const struct nst_page *p);
unsigned int nst_page_node_of_many(const struct nst_page *p);
static inline unsigned int nst_page_node(const struct nst_page *p)
{
	return nst_sys_cpus.nr_nodes == 1 ? 0 : nst_page_node_of_many(p);
}
/* Is it cut into runs? Locks: none, if it cannot change. */
int nst_block_is_split(const struct nst_arena *a, size_t block);
/* Make a block's descriptors and map resident; 0 or -errno. */
int nst_block_prepare(struct nst_arena *a, size_t block);
/*
 * @nr blocks that were closed give their descriptors back, and their pages of the map unless one that a block in use
 * shares: who opens them prepares them. Refused: they stay, and are as good. Locks: needs the zone's grow.
 */
void nst_block_forget(struct nst_arena *a, size_t block, size_t nr);
/* What a slab's pages say of their cache; NULL: no slab. */
void nst_map_set(const struct nst_page *head, const struct nst_cache *c);

/* ---- lean.c: little is kept ahead of need while nobody makes no-lock requests ---- */

extern u32 nst_lean; /* a hint */
void nst_lean_init(void);
/* Somebody does, or may come to. Context: any. */
void nst_lean_end(void);
static inline int nst_is_lean(void)
{
	return nst_hint(&nst_lean) != 0;
}

/* ---- buddy.c: free lists of a zone. Locks: need zone->lock. ---- */

struct nst_page *nst_buddy_take_locked(struct nst_zone *z, unsigned int order, unsigned int mob);
/* Pages of the free runs of a block; with @chain they are taken, as by the above, and put on it. */
u64 nst_buddy_block_locked(struct nst_zone *z, struct nst_arena *a, size_t block,
			   struct nst_list *chain);
/* @pages of @p's block became free or cold, or no longer are. */
void nst_buddy_idle_locked(const struct nst_page *p, int pages);
/* At most @nr runs, while @floor pages stay; how many. */
size_t nst_buddy_take_batch_locked(struct nst_zone *z, unsigned int order, unsigned int mob,
				   u64 floor, struct nst_page **runs, size_t nr);
/* Of its block. */
u8 nst_buddy_mobility_locked(const struct nst_page *p);
/* This free run off its list, cut down to @order. */
void nst_buddy_take_at_locked(struct nst_zone *z, struct nst_page *p, unsigned int order);
void nst_buddy_put_locked(struct nst_zone *z, struct nst_page *p, unsigned int order);
/* @p and its buddies of @state (free or cold), off their lists, as one run: its first page, and *order. */
struct nst_page *nst_buddy_join_locked(struct nst_zone *z, struct nst_page *p, unsigned int *order,
				       enum nst_page_state state);
void nst_buddy_check(struct nst_zone *z);

/* ---- zone.c: watermarks, growing and shrinking ---- */

extern struct nst_lock nst_arenas_lock; /* serialises who adds an arena */
void nst_zone_init(struct nst_zone *z, unsigned int node);
/* The watermarks as they are where there are no-lock callers, if there are. Context: thread. Waits: sleeps. */
void nst_zone_end_lean(struct nst_zone *z);
/* The watermarks, from what reserves have. Locks: needs z->lock. */
void nst_zone_marks_locked(struct nst_zone *z);
/* Pages of the reserve that @mode leaves alone. */
u64 nst_zone_floor(const struct nst_zone *z, nst_mode_t mode);
/* First block of @z's part of arena @a, and one past its last; 0 if it has none. */
int nst_zone_part(const struct nst_zone *z, const struct nst_arena *a, size_t *first, size_t *end);
/* Pages made ready at once. */
size_t nst_zone_step(const struct nst_zone *z);
/* A block to make ready, where none is open. Locks: needs z->grow. */
int nst_zone_open_locked(struct nst_zone *z);
/* Make at least a run of @order ready. Context: thread. Waits: sleeps. 0 or -errno. */
int nst_zone_grow(struct nst_zone *z, unsigned int order);
/*
 * Give idle blocks back, and idle runs between what is in use, the largest first: at most so many of each.
 * How many went. Context: thread. Waits: sleeps.
 */
unsigned int nst_zone_shrink(struct nst_zone *z, unsigned int blocks, unsigned int runs);
/*
 * Blocks of which a part was given back, and all the rest is free, become whole: at most so many, each after as many
 * pages were made ready in a block that is in use. How many. Context: thread. Waits: sleeps.
 */
unsigned int nst_zone_compact(struct nst_zone *z, unsigned int blocks);
/* The same of all of them, as far as there are pages above the high mark, and none made ready. */
void nst_zone_close_rests(struct nst_zone *z);
/* A page that the kernel has, and that is on no list, is cold. Context: thread. */
void nst_zone_lay(struct nst_zone *z, struct nst_page *p);
/* In a child whose zone has lost its lists: no block is known to be idle. */
void nst_zone_forget_idle(struct nst_zone *z);
/* Bytes of a block that was open a moment ago that are ready already. Locks: takes grow. */
size_t nst_zone_open_bytes(struct nst_arena *a, size_t block);
/* 1 if @pages more may become ready under the option max, and the quota of the control group. */
int nst_zone_may_add(u64 pages);
/* All that is free now has been so for long. */
void nst_zone_age(struct nst_zone *z);
extern u64 nst_resident_pages, nst_resident_peak;
void nst_resident_add(u64 pages);
void nst_resident_sub(u64 pages);

/* ---- pressure.c: the limit of the control group ---- */

extern struct nst_lock nst_group_lock;
/* What may be resident before somebody looks again, in pages; ~0: there is no limit. A hint. */
extern u64 nst_group_quota NST_HIDDEN;
extern u64 nst_given_back NST_HIDDEN; /* pages that the kernel got */
void nst_group_init(void);
void nst_group_look(u64 pages);
/* @pages are laid by, and no longer among nst_resident_pages. */
void nst_group_keep(u64 pages);
static inline int nst_group_has(u64 pages)
{
	return nst_load_relaxed(&nst_resident_pages) + pages <=
	       nst_hint(&nst_group_quota); /* a counter */
}
/* @pages more may be wanted: the quota is raised, if there is room. Context: thread. Waits: sleeps. Locks: takes nst_group_lock. */
static inline void nst_group_ask(u64 pages)
{
	if (nst_unlikely(!nst_group_has(pages)))
		nst_group_look(pages);
}
/* Bytes; 0: none is known. */
u64 nst_group_limit(void);
size_t nst_group_text(char *buf, size_t len);

/* ---- cold.c: pages without memory in blocks that are in use ---- */

/* Of a cold run of @order or more a step, or @order, is made ready: 0 or -ENOMEM. Locks: needs z->grow. */
int nst_cold_warm_locked(struct nst_zone *z, unsigned int order);
/*
 * A run that the kernel has joins its cold buddies. The whole block, if that is what they are now: it is on no list,
 * and its pages can go like those of one that was given back whole. Else NULL.
 */
struct nst_page *nst_cold_lay(struct nst_zone *z, struct nst_page *p, unsigned int order);
/*
 * @pages from @p on, all of them free or cold, off the lists and ready, as the inside of a run: 0, -EAGAIN if they are
 * not all, or -ENOMEM. Cold ones only while there is no free run of @instead. Context: thread. Waits: sleeps.
 */
int nst_cold_take(struct nst_zone *z, struct nst_page *p, size_t pages, unsigned int instead);
/* A run cut down to @pages, or up to 7 more, of what is free, cold, or a block. Context: thread. Waits: sleeps. */
struct nst_page *nst_cold_run(struct nst_zone *z, size_t pages);

/* ---- pcp.c: per-CPU page stacks ---- */

/* Its index in zone->pcp[mob], or -1. */
int nst_pcp_index(unsigned int order);
void nst_pcp_init(struct nst_zone *z);
/* Runs moved at once; at most NST_PCP_BATCH. */
#define NST_PCP_BATCH 31u
u32 nst_pcp_batch(unsigned int order);
/* Context: any. Locks: none. */
struct nst_page *nst_pcp_take(struct nst_zone *z, unsigned int order, unsigned int mob);
int nst_pcp_put(struct nst_zone *z, struct nst_page *p, unsigned int order);
enum nst_pcp_found {
	NST_PCP_FILLED = 1,
	NST_PCP_SHORT = 2 /* the zone has not enough for a stock */
};
/*
 * Runs of the orders in @want to CPUs' lists that have none: who may not try a lock has no other way. And
 * stocks are topped up: those a quarter gone, with @brim all. Context: thread.
 */
int nst_pcp_fill(struct nst_zone *z, u32 want, int brim);
/* @n runs in stack @i (a CPU, or beyond them a stripe), and room for as many. 0 or -ENOMEM. Context: thread. */
int nst_pcp_stock(struct nst_zone *z, unsigned int order, unsigned int i, u32 n);
/* The pages of every stack but its stock to the buddy lists. Context: thread. */
void nst_pcp_drain(struct nst_zone *z);

/* ---- page_alloc.c: front door of pages ---- */

/* Context: any. Waits: never. NULL with *why set. */
struct nst_page *nst_page_take_tries(unsigned int order, nst_mode_t mode,
				     enum nst_null_reason *why);
/* Would a no-lock request certainly get none of this zone on this CPU? A hint. */
int nst_zone_looks_dry(struct nst_zone *z, unsigned int order, nst_mode_t mode);
/* The same of one zone. */
struct nst_page *nst_zone_take_tries(struct nst_zone *z, unsigned int order, nst_mode_t mode,
				     enum nst_null_reason *why);
/* The same, of @pages: cut down to them, or to what was made ready for it. */
struct nst_page *nst_run_take_waits(unsigned int node, size_t pages, nst_mode_t mode,
				    enum nst_null_reason *why);
/* From @node first. Context: thread. Waits: as the mode says. */
struct nst_page *nst_page_take_waits(unsigned int node, unsigned int order, nst_mode_t mode,
				     enum nst_null_reason *why);
/* To the side list if the lock is busy. Context: any. Waits: never. */
void nst_page_put_nolock(struct nst_page *p);
/* Context: thread. Waits: short lock. */
void nst_page_put_waits(struct nst_page *p);
static inline size_t nst_pages_of(size_t bytes)
{
	return (bytes + NST_PAGE_BYTES - 1) >> NST_PAGE_SHIFT;
}
/* A run becomes the caller's: noted, zeroed if asked for. Its address. */
void *nst_run_start(struct nst_page *p, nst_mode_t mode, struct nst_site site);
/* All but the first @pages of a run back to the zone. Context: thread. Waits: short lock. */
void nst_run_cut(struct nst_page *p, size_t pages);
/* A user's run becomes one of @pages, more than it has, where it is: 1; or 0. Context: thread. Waits: sleeps. */
int nst_run_extend(struct nst_page *p, size_t pages);
static inline size_t nst_run_bytes(const struct nst_page *p)
{
	return p->pages ? (size_t)p->pages << NST_PAGE_SHIFT : NST_PAGE_BYTES << p->order;
}

/* ---- movable.c: runs that their owner can move ---- */

/* A live movable run, or one that was a moment ago: who frees or retires it is to say so first. */
static inline int nst_page_is_movable(const struct nst_page *p)
{
	return nst_page_state(p) >= NST_PAGE_MOVABLE;
}
enum nst_movable_end {
	NST_MOVABLE_YOURS,  /* an ordinary run from here on, to be placed */
	NST_MOVABLE_MOVING, /* who moves it places it */
	NST_MOVABLE_TWICE,  /* it was freed before */
};
/* Its owner frees it. Context: any. Waits: never. */
enum nst_movable_end nst_movable_freed(struct nst_page *p);
/* The same, to be freed after a grace period of domain number @domain. */
enum nst_movable_end nst_movable_retired(struct nst_page *p, u32 domain);
/* How many runs there are. A hint. */
u64 nst_movable_runs(void);
enum nst_moved {
	NST_MOVED,	     /* @from is free, as is off all lists, and @to is in use */
	NST_MOVED_ELSEWHERE, /* @to is in use, and @from is placed */
	NST_MOVED_NOT,	     /* @to is as it was */
};
/* The next run of a block from page *at on, isolated, and *at behind it: NULL if there is none. Locks: needs z->grow. */
struct nst_page *nst_movable_isolate_locked(struct nst_arena *a, size_t block, size_t *at,
					    nst_mode_t mode);
/* Calls its mover: @to is off all lists, and as large. Context: thread. Waits: sleeps. */
enum nst_moved nst_movable_move(struct nst_page *from, struct nst_page *to);
/* It stays where it is. Context: thread. */
void nst_movable_leave(struct nst_page *p);
void nst_movable_after_fork(void);

/* ---- compact.c: blocks that are in use for a few movable runs become free ---- */

/* One look of the worker at a zone: is it worth a compaction, and is the zone quiet? */
void nst_compact_look(struct nst_zone *z);
/* Memory is short: all that can be compacted is to be. Context: thread. */
void nst_compact_want(void);
/* Where there is no thread for it: 1 if it moved anything. Context: thread, no lock held. Waits: sleeps. */
int nst_compact_help(void);
void nst_compact_after_fork(void);

#endif
