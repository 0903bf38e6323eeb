/* SPDX-License-Identifier: MIT */
/*
 * mm.h - FLOOR 6: the types of memory, drawn before they are declared.
 *
 * Where memory is:
 *
 *	arena   | guard | node 0: block block block ... | guard | node 1: block ... | guard |
 *	block   2 MiB = 512 pages; from the kernel and back in these. Made ready (resident) in steps.
 *	zone    the free ready pages of a node: buddy lists by mobility and order, one lock
 *	pcp     per zone, mobility and order 0..3 and 9: a per-CPU stack of runs
 *	slab    a run cut into slots of one cache; a bit per slot in the descriptors: 1 is free
 *
 * Where an object goes when freed, and comes from, in this order:
 *
 *	main (per-CPU stack) <-> full, empty (per-CPU stacks of whole sheaves) <-> barn <-> slab <-> pages
 *
 * How an address finds its descriptor: subtract the arena's base; a page number indexes pages[] and
 * map[]. map[] leads to the fast table of a slab page's cache; 0, for all else, to one whose stacks are
 * always empty and full, so that what is no slab object takes the slow path unasked.
 *
 * M1. Only ready pages are in buddy lists, pcp and slabs: what a no-lock caller gets is resident.
 * M2. Every page that is not the first of its block, run or slab has state PAGE_TAIL.
 * M3. Metadata lies out of band, in memory of its own (percpu/area.c and the arena's arrays).
 *
 * Lock order: a cache's areas, then barn, slab, grow, arenas, zone, meta. No-lock code only tries, so
 * it has no order. Nothing is called back with a lock held.
 *
 * Fork: fork.c. Signal: the no-lock entries (nolock.c) are legal at any instruction. Exit: memory stays
 * valid to the last destructor; nothing is given back.
 */
#ifndef NST_MM_MM_H
#define NST_MM_MM_H

#include "../percpu/percpu.h"
#include "../rcu/rcu.h"
#include "../percpu/ring.h"
#include "page.h"
#include <nostall/nostall.h>

/** struct nst_cache_node - what a cache holds of one node */
struct nst_cache_node {
	struct nst_lock barn; /* protects the sheaves: */
	struct nst_sheaf *full, *empty;
	u32 nr_full, nr_empty;
	u32 least_full, least_empty; /* since the worker last counted */
	u32 most;	/* full ones, and empty ones, that it has room for; a hint to others */
	u32 overflowed; /* a full one found none; a hint */
	struct nst_lock slab; /* protects the slabs: */
	struct nst_list partial, filled, unused, cooled;
	u64 nr_slabs, nr_unused, free_slots;
	u64 least_unused; /* since the worker last counted */
	u32 looks;	  /* since then; the worker's */
	u32 quiet_looks; /* in which free_slots was the same; this and the next two the worker's (cool.c) */
	u64 free_before, uncooled;
	u8 gen;
};

/** struct nst_channel - a place for what is retired */
struct nst_channel {
	struct nst_ring_table rings;
	u32 open; /* it has rings */
	u32 want; /* 1 + the number of a ring that is missing, or has no page ready; a hint */
};

/** struct nst_cache - objects of one size. main.fast is its first word: the fast paths load it */
struct nst_cache {
	struct nst_pcs_table main, full, empty;
	struct nst_cache_node *node[NST_NR_NODES];
	struct nst_sheaf *stray; /* sheaves nobody had room for; CAS push, exchange take */
	void (*ctor)(void *obj);
	u32 size, slot;	  /* bytes: what the user may use, and from one object to the next */
	u32 slots, magic; /* slots in a slab; 2^32 / slot, rounded up, to divide by */
	u16 id, batch;	  /* number in the map; pointers moved at once */
	u32 main_cap;	  /* room of a main stack, in pointers */
	u32 spares;	  /* full sheaves a CPU may come to keep beside it */
	u8 order, mobility, is_class;
	u8 charged; /* its objects have owners (charge.c) */
	u16 twin,
		base; /* the cache of such objects beside this one, once there are accounts; the other way */
	u32 align;
	u32 want;		 /* as in the zone */
	u32 stock;		 /* per CPU, by nst_stock() */
	u32 keeps;		 /* NST_CACHE_NOLOCK: its lists are left alone when it is idle */
	struct nst_channel dead; /* what was retired of it */
	struct nst_lock areas;	 /* serialises who takes or adds stacks */
	char name[32];
	u32 used; /* stored last when it is made; the last field, so that it can be kept while the rest is cleared */
};
#define NST_CACHE_SHIFT 9
nst_static_assert(sizeof(struct nst_cache) <= (1 << NST_CACHE_SHIFT), "caches lie 512 bytes apart");
#define NST_MAX_CACHES 65536u
#define NST_CACHES_STEP 65536u /* bytes of them made writable at once */

static inline int nst_cache_is_used(const struct nst_cache *c)
{
	/* Pairs with: nst_store_release() in nst_cache_make(). */
	return nst_load_acquire(&c->used) != 0;
}

/* What every fast path reads; one line, constant after start. */
struct nst_mm {
	uintptr_t base; /* of the first arena */
	size_t units;	/* its size in 16 bytes */
	u32 *map; /* by page: its cache's fast table, counted in entries from no_stacks; 0: no slab */
	struct nst_pcs **no_stacks; /* the fast table whose stacks have and take nothing */
	char *caches;		    /* cache number i is at caches + (i << NST_CACHE_SHIFT) */
	u32 started;
	u32 instrument; /* enum nst_instrument: why every call takes the slow path */
	u32 dead_bits;	/* blocks that are opened get theirs */
	u32 nr_arenas;
	u32 debug;
	u32 accounts; /* there are some, and all fast tables are closed (charge.c) */
} NST_LINE_ALIGNED;
extern struct nst_mm nst_mm NST_HIDDEN;
/* A fast table of CPU 0 alone, whose stack has and takes nothing: before start. */
extern struct nst_pcs *nst_boot_table[NST_BESIDE + 1] NST_HIDDEN;
#define NST_BOOT_FAST (&nst_boot_table[NST_BESIDE])

enum nst_instrument {
	NST_INSTRUMENT_DEBUG = 1,
	NST_INSTRUMENT_STATS = 2,
	NST_INSTRUMENT_BUDGET = 4,
	NST_INSTRUMENT_TOOL = 8,   /* ASan, valgrind */
	NST_INSTRUMENT_CHECK = 16, /* the validator */
};

static inline struct nst_cache *nst_cache_number(unsigned int id)
{
	return (struct nst_cache *)(void *)(nst_mm.caches + ((size_t)id << NST_CACHE_SHIFT));
}

/*
 * The fast table of the cache of a slab object of the first arena; for other memory there one whose stacks have and take
 * nothing; NULL for what is elsewhere or not aligned to 16: rotating the low bits lets one comparison see both.
 */
static inline struct nst_pcs **nst_fast_within(const void *p, size_t units)
{
	uintptr_t offset = (uintptr_t)p - nst_mm.base;
	size_t unit = offset >> 4 | offset << 60;
	struct nst_pcs **fast;

	if (nst_unlikely(unit >= units))
		return NULL;
	fast = nst_mm.no_stacks + nst_mm.map[unit >> (NST_PAGE_SHIFT - 4)];
	if (!fast)
		__builtin_unreachable(); /* saves the caller its test */
	return fast;
}
static inline struct nst_pcs **nst_fast_of_pointer(const void *p)
{
	return nst_fast_within(p, nst_mm.units);
}

/* What an object behind such a table has room for; 0: that table's stacks have and take nothing. And its cache's number. */
static inline size_t nst_bytes_beside(struct nst_pcs **fast)
{
	return (u32)(uintptr_t)fast[NST_NUMBER_BESIDE];
}
static inline u32 nst_id_beside(struct nst_pcs **fast)
{
	return (u32)((u64)(uintptr_t)fast[NST_NUMBER_BESIDE] >> 32);
}

/* That of a slab, to fetch it ahead; NULL: not in the first arena. */
static inline struct nst_page *nst_slab_near(const void *obj, unsigned int order)
{
	return ((uintptr_t)obj - nst_mm.base) >> 4 < nst_mm.units
		       ? nst_run_at(nst_arenas, obj, order)
		       : NULL;
}

/* The slab of an object of @c that lies in the first arena; NULL: look further, with nst_slab_of(). */
static inline struct nst_page *nst_slab_of_own(const struct nst_cache *c, const void *obj)
{
	struct nst_pcs **fast = nst_fast_of_pointer(obj);

	return fast == c->main.fast && nst_bytes_beside(fast)
		       ? nst_run_at(nst_arenas, obj, c->order)
		       : NULL;
}

/* How many nodes a request may ask, and which: this CPU's own first, then the others in turn. */
static inline unsigned int nst_nodes_for(nst_mode_t mode)
{
	return mode & (NST_THISNODE | NST_FASTTRY) ? 1 : nst_sys_cpus.nr_nodes;
}
static inline unsigned int nst_node_after(unsigned int first, unsigned int i)
{
	return (first + i) % nst_sys_cpus.nr_nodes;
}

/* ---- slab.c. Locks: need node->slab. ---- */

/* How many of @nr, those of the lowest addresses last: stacks give what came last first. */
size_t nst_slab_take_locked(struct nst_cache *c, struct nst_cache_node *n, void **out, size_t nr);
/* The slab if it became unused and should go, for the caller to free without the lock; else NULL. */
struct nst_page *nst_slab_put_locked(struct nst_cache *c, struct nst_cache_node *n,
				     struct nst_page *slab, void *obj);
void nst_slab_add_locked(struct nst_cache *c, struct nst_cache_node *n, struct nst_page *slab);
struct nst_page *nst_slab_take_unused_locked(struct nst_cache *c, struct nst_cache_node *n);
/* Cut a run into slots; no lock. */
void nst_slab_make(struct nst_cache *c, struct nst_page *p);
void nst_slab_unmake(struct nst_page *p);
/* The same, and its run to the zone. Context: thread. Waits: short lock. */
void nst_slab_discard_waits(struct nst_page *p);
/* On the list where it belongs. Locks: needs n->slab. */
void nst_slab_settle_locked(const struct nst_cache *c, struct nst_cache_node *n,
			    struct nst_page *slab);
/* Slot number of an address, or -1 when it is not the start of one. */
static inline int nst_slab_slot(const struct nst_cache *c, const struct nst_page *slab,
				const void *obj)
{
	/* A slab is aligned to its size (M2). */
	size_t offset = (uintptr_t)obj & ((NST_PAGE_BYTES << slab->order) - 1);
	u32 slot = (u32)((u64)offset * c->magic >> 32);

	return slot < c->slots && (size_t)slot * c->slot == offset ? (int)slot : -1;
}

/* ---- cool.c: pages of slabs without memory ---- */

/* Of a slab of several pages: those that are cold, a bit each, and how many slots lie in such. */
static inline u32 *nst_slab_cold(struct nst_page *slab)
{
	return &slab[1].owner;
}
static inline u32 nst_slab_nr_absent(const struct nst_page *slab)
{
	return slab->order ? slab[1].inuse : 0;
}
/* Locks: needs its node's slab. */
int nst_slab_is_absent(const struct nst_cache *c, struct nst_page *slab, u32 slot);
/* Slots that were absent are free: 1; or 0. Context: thread. Waits: sleeps. */
int nst_slab_warm(struct nst_cache *c, struct nst_cache_node *n);
/* A slab that was unmade, and has cold pages. Context: thread. */
void nst_slab_put_pieces(struct nst_page *slab);
/* If it is idle, at most *@budget slabs of it: 1 if there may be more. Who has the pass. */
int nst_cache_cool(struct nst_cache *c, int look, u32 *budget);

/* ---- barn.c: whole sheaves ---- */

static inline size_t nst_sheaf_bytes(u32 cap)
{
	return sizeof(struct nst_sheaf) + cap * sizeof(void *);
}
struct nst_sheaf *nst_sheaf_new(struct nst_cache *c);
/* By its own room: a cache whose last object was in it may be gone. */
void nst_sheaf_delete(struct nst_sheaf *s);
/* From this CPU, then by a try of the barn. NULL: none at once. Context: any. */
struct nst_sheaf *nst_sheaf_empty_tries(struct nst_cache *c);
struct nst_sheaf *nst_sheaf_empty_waits(struct nst_cache *c);
struct nst_sheaf *nst_sheaf_full_tries(struct nst_cache *c, int only_this_cpu);
struct nst_sheaf *nst_sheaf_full_waits(struct nst_cache *c);
/* Put a sheaf on this CPU, or among the strays; no lock is tried. Context: any. */
void nst_sheaf_put_cpu(struct nst_cache *c, struct nst_sheaf *s);
/* Put a sheaf where it fits: this CPU, the barn, or the strays. Context: any. */
void nst_sheaf_put_tries(struct nst_cache *c, struct nst_sheaf *s);
/* The same; a full one that finds no room is emptied into its slabs. Context: thread. */
void nst_sheaf_put_waits(struct nst_cache *c, struct nst_sheaf *s);
/* Objects of @s to their slabs. Context: thread. */
void nst_sheaf_flush(struct nst_cache *c, struct nst_sheaf *s);
/* For the worker: is a node's barn short of full sheaves? Add one; 0 when there is no memory. */
int nst_barn_wants_more(struct nst_cache *c, unsigned int node);
int nst_barn_add_full(struct nst_cache *c, unsigned int node);
/* A sheaf of @c's objects of a node, from its slabs, or NULL. Context: thread. */
struct nst_sheaf *nst_sheaf_filled(struct nst_cache *c, unsigned int node);
void nst_stray_drain(struct nst_cache *c);
/* A sheaf of objects that are free since long, to its node's barn unless that has @most: 1; or 0. Context: thread. */
int nst_barn_add_ripe(struct nst_cache *c, struct nst_sheaf *s, u32 most);
/* A barn with nothing in it, and little room. */
void nst_barn_init(struct nst_cache_node *n);
/*
 * How many sheaves beyond @floor nobody wanted since the last count; then there is less room now. 1: nobody wanted any
 * full one.
 */
int nst_barn_count(struct nst_cache_node *n, u32 floor, u32 *full, u32 *empty);
/* At most so many to slabs and memory. Context: thread. */
void nst_barn_flush(struct nst_cache *c, struct nst_cache_node *n, u32 full, u32 empty);

/* ---- cache.c: the walk of an allocation and of a free ---- */

extern struct nst_lock nst_caches_lock; /* creation and destruction */
extern u32 nst_nr_caches;		/* numbers ever used: 1 to this */
/* Start: address space for cache numbers; 0 or -errno. And back, of those that are far from used. */
int nst_cache_room_init(void);
void nst_cache_room_cut(void);
struct nst_cache *nst_cache_make(const char *name, size_t size, size_t align, u32 flags,
				 void (*ctor)(void *obj));
void *nst_cache_alloc_tries(struct nst_cache *c, nst_mode_t mode, enum nst_null_reason *why);
void *nst_cache_alloc_waits(struct nst_cache *c, nst_mode_t mode, enum nst_null_reason *why);
/* Objects straight from the slabs of @node, a new one made if there are none. Context: thread. */
size_t nst_cache_fill(struct nst_cache *c, unsigned int node, void **out, size_t nr);
/* To the side list if every lock is busy. Context: any. Waits: never. */
void nst_cache_put_nolock(struct nst_cache *c, void *obj, struct nst_site site);
void nst_cache_put_waits(struct nst_cache *c, void *obj, struct nst_site site);
/* This CPU's stacks (or the stripes), made if there are none; 0 or -errno. Context: thread. */
int nst_cache_ensure(struct nst_cache *c);
int nst_cache_ensure_on(struct nst_cache *c, unsigned int cpu);
void nst_to_slab_waits(struct nst_cache *c, void *obj);
/* An object becomes the caller's: noted, zeroed if asked for. */
void *nst_object_start(struct nst_cache *c, void *obj, nst_mode_t mode, struct nst_site site);
/* The same, and @a's, who was charged for it, if that is not NULL; or the NULL is counted, and @a gets its bytes back. */
void *nst_object_done(struct nst_cache *c, struct nst_account *a, void *obj, nst_mode_t mode,
		      enum nst_null_reason why, struct nst_site site);

/* ---- drain.c: what lies in lists, and is idle, goes back ---- */

/* Every object of CPUs' lists and barns to its slab, every unused slab to the zone. Context: thread. */
void nst_cache_drain(struct nst_cache *c);
/* One look: what has been idle for some goes back, the lists of @most CPUs at most; of how many. Context: thread. */
unsigned int nst_cache_decay(struct nst_cache *c, unsigned int most);
unsigned int nst_pcp_decay(struct nst_zone *z, unsigned int most);
/* Looks through which what is idle has stayed the same. */
#define NST_STILL_LOOKS 2u /* (tune) */

/* ---- kmalloc.c: size classes, runs ---- */

#define NST_CLASS_MAX 32768u /* bytes: the largest size class */
/* Where a size is in these tables; what fits no better is in the last. */
static inline size_t nst_size_index(size_t size)
{
	return (size + 15) / 16;
}
/*
 * By nst_size_index(): the cache, and its fast table. Of size 0, and of all before start, it is one whose
 * stacks have nothing.
 */
extern struct nst_pcs **nst_size_fast[NST_CLASS_MAX / 16 + 1] NST_HIDDEN;
extern struct nst_cache *nst_size_table[NST_CLASS_MAX / 16 + 1] NST_HIDDEN;
/* An object of at least @size bytes off this CPU's stack, or NULL: the fast path of every request by size. */
NST_ALWAYS_INLINE void *nst_size_pop(size_t size)
{
	return nst_likely(size <= NST_CLASS_MAX) ? nst_seq_pop(nst_size_fast[nst_size_index(size)])
						 : NULL;
}
int nst_kmalloc_init(void);
void nst_kmalloc_hide(void);
void nst_kmalloc_publish(void);

/* ---- span.c: address space under a limit ---- */

extern u32 nst_span_limited; /* there are holes, or were; a hint after start */
/* Free pairs of blocks become holes. Locks: need z->grow. */
void nst_span_cut_locked(struct nst_arena *a, size_t first, size_t end);
/* The holes of a row, or the lowest pair of the zone: none any more. 0; -EEXIST: another row; -ENOMEM. */
int nst_span_mend_locked(struct nst_zone *z, struct nst_arena *a, size_t block, size_t nr);
int nst_span_mend_any_locked(struct nst_zone *z);
/* If it is limited, the free blocks of a zone. Context: thread. */
void nst_span_cut_zone(struct nst_zone *z);
/* Under a limit of any kind every free block and mapping to the kernel at once: 1; else 0. Context: thread. */
int nst_span_reclaim(void);

/* ---- large.c: mappings above the largest order ---- */

void *nst_large_alloc(size_t bytes, size_t align, nst_mode_t mode, enum nst_null_reason *why);
/* 1 if @bytes, more than it has, fit the blocks of a mapping, which is that large then. Its owner's. */
int nst_large_extend(struct nst_page *p, size_t bytes);
/* Context: any. Waits: never: queued for the worker. */
void nst_large_free(struct nst_page *p);
/* Lay queued mappings by, or give them back; how many. Context: thread. */
unsigned int nst_large_drain(void);
/* Give those back that were laid by before the last call, a bounded number of blocks; all if @all. How many. */
unsigned int nst_large_age(struct nst_zone *z, int all);
/* Block @b, which is free, gets a new use: 1 if it holds what it held. Locks: needs z->grow. */
int nst_large_unkeep_locked(struct nst_zone *z, const struct nst_arena *a, size_t b);
extern u64 nst_large_count, nst_large_pages;

/* ---- slow.c: what an ordinary entry does once its fast path has failed ---- */

/* @size: bytes to zero for NST_ZERO. Modes that wait for nothing go on in nolock.c. */
void *nst_cache_alloc_slow(struct nst_cache *c, nst_mode_t mode, struct nst_site site);
void *nst_size_alloc_slow(size_t size, size_t align, nst_mode_t mode, struct nst_site site);
/* @pages, of a run of the next order; aligned to that. */
void *nst_run_alloc_slow(size_t pages, nst_mode_t mode, struct nst_site site);
/* @c: the cache the caller named, or NULL. */
void nst_free_slow(struct nst_cache *c, void *obj, struct nst_site site);

/* ---- nolock.c ---- */

void *nst_cache_alloc_nolock_slow(struct nst_cache *c, nst_mode_t mode, struct nst_site site);
void *nst_size_alloc_nolock_slow(size_t size, nst_mode_t mode, struct nst_site site);
void *nst_run_alloc_nolock(unsigned int order, nst_mode_t mode, struct nst_site site);
void nst_free_nolock_slow(struct nst_cache *c, void *obj, struct nst_site site);

/* ---- side.c: what nobody had room for ---- */

void nst_side_init(void);
void nst_side_push(void *obj, struct nst_page *head);
/* How many were found places. Context: thread. */
unsigned int nst_side_drain(void);
/* Wait, for a bounded time, until no other thread is in the midst of a drain. Context: thread. */
void nst_side_settle(void);
void nst_side_after_fork(void);
int nst_side_pending(void);

/* ---- debug.c: misuse ---- */

#define NST_RED_BYTES 16u
/* Extra bytes of a slot for red zone and call sites. */
size_t nst_debug_slot_extra(void);
/* Called for each object handed out while instrumented. */
void nst_debug_alloc(struct nst_cache *c, void *obj, struct nst_site site);
/* Objects of debug 3's quarantine to their places. Context: thread. */
void nst_debug_quarantine_flush(void);
void nst_debug_refill(struct nst_cache *c, void *obj, size_t bytes);
/* A tool such as ASan may see two words of a free object written and read. */
void nst_debug_expose(const void *words);
void nst_debug_slab_made(struct nst_cache *c, void *addr);
void nst_debug_slab_gone(void *addr, size_t bytes);
int nst_debug_under_tool(void);
/* Cheap checks of a pointer on a slow path: its cache (NULL: any), its slot. The descriptor or NULL. */
struct nst_page *nst_free_check(struct nst_cache *c, void *obj, struct nst_site site);
/* Bytes, @p being that of a live object, or of one that readers may still have. */
size_t nst_page_usable(const struct nst_page *p);
/*
 * The same and, while instrumented, what a free has to check and note. Returns the descriptor of what is
 * to be placed now, *obj, which at debug 3 is an object freed earlier; NULL: misuse, or nothing to place.
 */
struct nst_page *nst_free_admit(struct nst_cache *c, void **obj, struct nst_site site);
/* One line and, by option, the end: @what is wrong with @obj, and what is allowed. Context: any. */
/* The object of a slab that @addr lies in: for the validator's reports. Context: any. */
int nst_debug_object_of(const void *addr, struct nst_lockdep_object *o);
void nst_misuse(const void *obj, struct nst_site site, const char *what, const char *allowed);
void nst_misuse_double(const void *obj, struct nst_site site);
/* At debug 1 and up: @obj is retired, and no longer live; 0: it was not live, which is reported. */
int nst_debug_retire(void *obj, struct nst_site site);
/* And back; by whom it was retired, at debug 3. */
const void *nst_debug_unretire(void *obj);
void nst_misuse_destroyed(const struct nst_cache *c, struct nst_site site);
void nst_bad_mode(nst_mode_t mode, struct nst_site site);
/* At debug 1 and up, with a block's descriptors: its live bits resident; 0 or -errno. */
int nst_live_prepare(struct nst_arena *a, size_t block);

/* ---- init.c, fork.c, worker.c ---- */

static inline int nst_is_started(void)
{
	/* Pairs with: nst_store_release() in nst_start(). */
	return nst_load_acquire(&nst_mm.started) != 0;
}

/* Context: thread. 0 or -errno; every ordinary entry that finds it not started calls it. */
int nst_start(void);
void nst_fork_init(void);
/* On every slow path: is this a child that has not noticed? Context: any. */
void nst_fork_check(void);
/* The worker is wanted; wakes it, or starts it in a child. Context: thread. */
void nst_worker_kick(void);
/* The same for a free: it starts none. Context: thread. */
void nst_worker_wake(void);
/* Sets the flag only. Context: any. */
void nst_worker_flag(void);
/* Who cannot wake it is on a slow path: it is to look often. Context: any. */
void nst_worker_listen(void);
/* The same, and what for. */
static inline void nst_zone_want(struct nst_zone *z, unsigned int order)
{
	u32 bit = 1u << order;

	if (!(nst_hint(&z->want) & bit))
		nst_or_relaxed(&z->want, bit); /* a hint */
	nst_hint_set(&z->want_cpu, nst_this_cpu());
	nst_worker_flag();
}
static inline void nst_cache_want(struct nst_cache *c)
{
	nst_store_relaxed(&c->want, 1u); /* a hint */
	nst_worker_flag();
}
/* libc can start threads: constructors run. */
void nst_worker_allow(void);
void nst_worker_after_fork(void);
/* Can threads be started here, and are they wanted? A hint. */
int nst_worker_may_start(void);
/* Is a pass under way? A hint. */
int nst_worker_passes(void);
/* In a child, before nst_worker_after_fork(): was a thread in the midst of one that is not here? */
int nst_worker_pass_is_lost(void);
/* fork() has put libc in order: a worker may be started. */
void nst_worker_after_libc_fork(void);
const char *nst_worker_state(void);
enum nst_pass {
	NST_PASS_PURGE = 1,    /* whatever the clock says */
	NST_PASS_PUBLISH = 2,  /* a request does not: it pays for no statistics */
	NST_PASS_NOW = 4,      /* and publish at once */
	NST_PASS_DRAIN = 8,    /* all that lies in lists of caches nobody stocked */
	NST_PASS_PRESSED = 16, /* pressure.c: what is free is idle */
};
/* Did it find work? 0 as well when one is under way. Context: thread. Waits: sleeps. */
int nst_maintain_pass(unsigned int what);
/* As pause below, for about @us microseconds: 1 and no pass is under way, or 0. */
int nst_maintain_pause_us(unsigned int us);
/* Wait until no pass is under way and let none begin until resume. Context: thread. Waits: sleeps. */
void nst_maintain_pause(void);
void nst_maintain_resume(void);
int nst_stock_keep(struct nst_cache *c);
/* After a fork, if pages are copy-on-write: 1 and they no longer are. Context: thread. Waits: sleeps. */
int nst_fork_make_ready(void);

/* ---- publish.c: the statistics page. Who calls these has the pass. ---- */

/* At the end of a pass, if something moved and it is time; at once if @now. Context: thread. */
void nst_publish_pass(int now);
/* A pass that is under way is to publish, or the next. Context: any. */
void nst_publish_ask(void);
/* In a child: the page is the parent's. Context: any. */
void nst_publish_after_fork(void);
const char *nst_publish_state(void);

#endif
