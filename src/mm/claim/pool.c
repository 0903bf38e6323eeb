/* SPDX-License-Identifier: MIT */
/*
 * pool.c - a minimum of objects that only their holders can use, as Linux's mempool. <- NO-LOCK
 *
 *	alloc:	cache, at once -> pool -> cache, as the mode says -> wait for a free, and look at both again
 *	free:	pool, unless it is full -> cache
 *
 *	take:	again:	state = load(state), none kept: NULL
 *			for each slot, from the last kept down: not NULL and exchange(slot, NULL) gives it: state down, done
 *			state has changed: again, else NULL
 *	keep:	again:	state = load(state), min kept: full
 *			for each slot, from the first free up: swap(slot, NULL -> object): state up, done
 *			state has changed: again, else full
 *
 * A look at all slots that finds nothing is an answer only if no call has ended meanwhile: what it missed then belongs to calls
 * that are still running, and counts as their callers'. So of min objects all are kept or held at any moment, and who has a
 * right to one finds it. Each repetition means that another thread's call ended.
 *
 *	wait:	waiting up, fence, take(), sleep on the bell		free: keep(), fence, any waiting: ring, wake one
 *
 * A free that may not enter the kernel wakes nobody: a sleep ends by itself.
 *
 * Fork: a child's pool has what it had; what vanished threads held is gone until nst_pool_resize(). Signal: the no-lock entries
 * at any instruction. Locks: none of its own.
 */
#define NST_NO_MACROS
#include "pool.h"
#include "../reclaim/reclaim.h"
#include "../retire/retired.h"

#define NAP_US 1000 /* (tune) */
#ifdef NST_TEST
u32 nst_pool_nap_us = NAP_US;
#define POOL_NAP_US nst_load_relaxed(&nst_pool_nap_us) /* a test sets it */
#else
#define POOL_NAP_US NAP_US
#endif

/* A broken variant that the tests must catch. */
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 24
#define TELLS_TOO_EARLY 1
#else
#define TELLS_TOO_EARLY 0
#endif

#define ONE_KEPT (((u64)1 << 32) + 1)
#define ONE_TAKEN (((u64)1 << 32) - 1)

static int kept(u64 state)
{
	return (int)(u32)state;
}

static u32 min_of(const struct nst_pool *p)
{
	return nst_load_relaxed(&p->min); /* a resize may be under way: before or after */
}

static int is_full(const struct nst_pool *p, u64 state)
{
	return kept(state) >= (int)min_of(p);
}

/* ---- slots ---- */

static void **slot_of(struct nst_pool *p, u32 i)
{
	unsigned int k = nst_log2(i / NST_POOL_CHUNK + 1);

	return &p->chunk[k][i - NST_POOL_CHUNK * ((1u << k) - 1)];
}

static u32 room_of(const struct nst_pool *p)
{
	/* Pairs with: nst_store_release() in make_room(). */
	return nst_load_acquire(&p->room);
}

static void *take_slot(struct nst_pool *p, u32 from)
{
	u32 room = room_of(p), i;

	for (i = 0; i < room; i++) {
		void **slot = slot_of(p, (from + room - 1 - i) % room), *obj;

		if (!nst_load_relaxed(
			    slot)) /* relaxed: a hint, or the fence in has_changed() orders it */
			continue;
		/* Pairs with: nst_cas_release() in keep_slot(). */
		obj = nst_exchange_acquire(slot, (void *)NULL);
		if (obj)
			return obj;
	}
	return NULL;
}

static int keep_slot(struct nst_pool *p, u32 from, void *obj)
{
	u32 room = room_of(p), i;

	for (i = 0; i < room; i++) {
		void **slot = slot_of(p, (from + i) % room);

		/* relaxed: as above. Pairs with: nst_exchange_acquire() in take_slot(). */
		if (!nst_load_relaxed(slot) && nst_cas_release(slot, (void *)NULL, obj))
			return 1;
	}
	return 0;
}

/* Has a call ended since @before? */
static int has_changed(struct nst_pool *p, u64 before)
{
	/* What was seen of the slots comes first. Pairs with: nst_add_release() in take() and keep(), after theirs. */
	nst_fence_full();
	return nst_load_relaxed(&p->state) != before;
}

static void *take(struct nst_pool *p)
{
	for (;;) {
		/* Pairs with: nst_add_release() in keep(): so many are in slots. */
		u64 state = nst_load_acquire(&p->state);
		void *obj;

		if (kept(state) <= 0)
			return NULL;
		obj = take_slot(p, (u32)kept(state));
		nst_test_delay_here(NST_SEQ_POOL, 0);
		if (obj) {
			/* Pairs with: nst_load_acquire() in keep(): the slot is free; nst_fence_full() in has_changed(). */
			nst_add_release(&p->state, ONE_TAKEN);
			return obj;
		}
		if (!has_changed(p, state))
			return NULL;
	}
}

/* 0: it is full. */
static int keep(struct nst_pool *p, void *obj)
{
	for (;;) {
		/* Pairs with: nst_add_release() in take(). */
		u64 state = nst_load_acquire(&p->state);
		int is_kept;

		if (is_full(p, state))
			return 0;
		is_kept = keep_slot(p, kept(state) > 0 ? (u32)kept(state) : 0, obj);
		nst_test_delay_here(NST_SEQ_POOL, 1);
		if (is_kept) {
			/* Pairs with: nst_load_acquire() in take(); nst_fence_full() in has_changed(). */
			nst_add_release(&p->state, ONE_KEPT);
			return 1;
		}
		if (!has_changed(p, state))
			return 0;
	}
}

/* ---- what was stated of the holders ---- */

static void note_held(struct nst_pool *p)
{
	u32 out = nst_add_relaxed(&p->out, 1u) + 1; /* a count */

	if (nst_unlikely(p->limit && out > p->limit) && !nst_load_relaxed(&p->exceeded))
		nst_store_relaxed(&p->exceeded, out); /* a report: any of several will do */
}

/* Once, by who may write a line. */
static void report_excess(struct nst_pool *p, struct nst_site site)
{
	u32 out = nst_load_relaxed(&p->exceeded); /* as above */

	if (nst_likely(!out) || nst_load_relaxed(&p->told) || !nst_cas_relaxed(&p->told, 0u, 1u))
		return;
	nst_warn("%s(\"%s\"): %u objects are held; allowed: %u, as %u holders of at most %u; the "
		 "pool promises nothing any more",
		 site.function, p->cache->name, out, p->limit, p->holders, p->held_max);
}

/* ---- allocation ---- */

static void *from_pool(struct nst_pool *p, nst_mode_t mode, struct nst_site site)
{
	void *obj = take(p);

	if (!obj)
		return NULL;
	note_held(p);
	nst_count(NST_COUNT_POOL_KEPT, 1);
	return nst_object_start(p->cache, obj, mode, site);
}

/* @obj: started, or NULL. */
static void *from_cache(struct nst_pool *p, void *obj)
{
	if (!obj)
		return NULL;
	note_held(p);
	nst_count(NST_COUNT_POOL_CACHE, 1);
	return obj;
}

static void *alloc_nolock(struct nst_pool *p, nst_mode_t mode, struct nst_site site)
{
	void *obj;

	if ((mode & NST_ZERO) && p->cache->ctor) {
		nst_count_null(mode, NST_NULL_MODE);
		return NULL;
	}
	obj = from_cache(p, nst_cache_alloc_nolock_slow(p->cache, mode, site));
	return obj ? obj : from_pool(p, mode, site);
}

/* One walk in a mode that waits. */
static void *walk(struct nst_pool *p, nst_mode_t mode, struct nst_site site,
		  enum nst_null_reason *why)
{
	void *obj = nst_cache_alloc_waits(p->cache, mode, why);

	return from_cache(p, obj ? nst_object_start(p->cache, obj, mode, site) : NULL);
}

/* What is at hand: no memory from the kernel, no reclaim, no reserve. */
static void *at_once(struct nst_pool *p, nst_mode_t mode, struct nst_site site,
		     enum nst_null_reason *why)
{
	void *obj = mode & NST_ZERO ? NULL : from_cache(p, nst_seq_pop(p->cache->main.fast));

	if (obj)
		return obj;
	mode = (mode & ~(NST_MODE_MASK | NST_MEMALLOC)) | NST_NOWAIT | NST_NOMEMALLOC;
	return nst_slow_enter(p->cache, mode, site) ? walk(p, mode, site, why) : NULL;
}

/* Until a free, or a while. */
static void *nap(struct nst_pool *p, nst_mode_t mode, struct nst_site site)
{
	u32 bell;
	void *obj;

	nst_add_relaxed(&p->waiting, 1u);
	bell = nst_load_relaxed(&p->bell); /* before the look: a later ring differs */
	/* Pairs with: nst_fence_full() in tell(): either this look finds what was kept, or that one finds who waits. */
	nst_fence_full();
	obj = from_pool(p, mode, site);
	nst_test_delay_here(NST_SEQ_POOL, 2);
	if (!obj)
		nst_sys_futex_wait(&p->bell, bell, POOL_NAP_US);
	nst_sub_relaxed(&p->waiting, 1u);
	return obj;
}

static void *wait_for_one(struct nst_pool *p, nst_mode_t mode, struct nst_site site,
			  enum nst_null_reason *why)
{
	void *obj;

	nst_count(NST_COUNT_POOL_WAIT, 1);
	do {
		obj = nap(p, mode, site);
		if (obj)
			break;
		obj = from_pool(p, mode, site);
		if (obj)
			break;
		nst_maintain_pass(NST_PASS_PURGE);
		if (!nst_retired_is_over() || mode & NST_NOFAIL)
			obj = walk(p, mode, site, why);
	} while (!obj);
	return obj;
}

/* Neither the cache nor the pool had one at hand. */
static void *alloc_slow(struct nst_pool *p, nst_mode_t mode, struct nst_site site,
			enum nst_null_reason *why)
{
	/* One that waits for ever is to look at the pool again, too. */
	nst_mode_t how = mode & NST_NOFAIL ? (mode & ~NST_MODE_MASK) | NST_NORMAL : mode;
	struct nst_reclaim rc = {0};
	void *obj = NULL;

	if (!(mode & NST_NOWAIT) && nst_slow_enter(p->cache, mode, site)) {
		do {
			obj = walk(p, mode, site, why);
		} while (!obj && nst_reclaim_again(&rc, how, p->cache->order));
		nst_reclaim_end(&rc, obj != NULL);
	}
	if (!obj && mode & NST_NORETRY)
		obj = from_pool(p, mode, site);
	if (!obj && mode & (NST_NORMAL | NST_NOFAIL))
		obj = wait_for_one(p, mode, site, why);
	if (!obj)
		nst_count_null(mode, *why);
	return obj;
}

static int may_ask(struct nst_pool *p, nst_mode_t mode, struct nst_site site)
{
	if (nst_likely(nst_cache_is_used(p->cache)))
		return !nst_zero_is_refused(p->cache, mode, site);
	nst_misuse_destroyed(p->cache, site);
	return 0;
}

void *nst_pool_alloc(struct nst_pool *pool, nst_mode_t mode)
{
	struct nst_site site = NST_SITE("nst_pool_alloc");
	enum nst_null_reason why = NST_NULL_NOMEM;
	void *obj;

	if (!NST_MODE_VALID(mode)) {
		nst_bad_mode(mode, site);
		return NULL;
	}
	mode = nst_mode_in_scope(mode);
	if (mode & NST_MODES_NEVER_WAIT)
		return alloc_nolock(pool, mode, site);
	if (!may_ask(pool, mode, site))
		return NULL;
	obj = at_once(pool, mode, site, &why);
	if (!obj)
		obj = from_pool(pool, mode, site);
	if (!obj)
		obj = alloc_slow(pool, mode, site, &why);
	report_excess(pool, site);
	return obj;
}

void *nst_pool_alloc_nolock(struct nst_pool *pool)
{
	void *obj = nst_cache_alloc_nolock(pool->cache);
	NST_BECAUSE("it is what was asked for");

	return obj ? from_cache(pool, obj)
		   : from_pool(pool, NST_NOLOCK, NST_SITE("nst_pool_alloc_nolock"));
}

/* ---- free ---- */

/* Given back twice in a row: the last one lies behind all others. */
static int is_last(struct nst_pool *p, u64 state, const void *obj)
{
	return kept(state) > 0 && (u32)kept(state) <= room_of(p) &&
	       nst_load_relaxed(slot_of(p, (u32)kept(state) - 1)) == obj; /* nobody else gives it */
}

enum given { KEPT, FULL, WRONG };

/* FULL: it is the cache's, as the caller gives it. WRONG: reported. */
static enum given give(struct nst_pool *p, void *obj, struct nst_site site)
{
	struct nst_page *page = nst_free_check(p->cache, obj, site);
	u64 state = nst_load_relaxed(&p->state); /* relaxed: keep() looks again */

	if (!page)
		return WRONG;
	if (page->cache != p->cache->id) /* a larger class's may be named as of this one */
		return FULL;
	if (nst_unlikely(is_last(p, state, obj))) {
		nst_misuse_double(obj, site);
		return WRONG;
	}
	if (is_full(p, state))
		return FULL;
	if (nst_mm.instrument && !nst_debug_end_use(page, obj, site))
		return WRONG;
	if (!keep(p, obj)) /* full after all; its use has ended */
		nst_cache_put_nolock(p->cache, obj, site);
	return KEPT;
}

static void note_given(struct nst_pool *p)
{
	u32 out;

	do {
		out = nst_load_relaxed(&p->out); /* a count: the swap checks it */
	} while (out && !nst_cas_relaxed(&p->out, out, out - 1));
}

/* Who waits, or is about to, looks again. */
static void tell(struct nst_pool *p)
{
	/* Pairs with: nst_fence_full() in nap(). */
	nst_fence_full();
	if (nst_unlikely(nst_load_relaxed(&p->waiting))) { /* the fence orders it */
		nst_add_relaxed(&p->bell, 1u);		   /* the wake-up orders it */
		nst_sys_futex_wake(&p->bell);
	}
	nst_test_delay_here(NST_SEQ_POOL, 3);
}

void nst_pool_free_nolock(struct nst_pool *pool, void *obj)
{
	struct nst_site site = NST_SITE("nst_pool_free_nolock");
	enum given how;

	if (!obj)
		return;
	nst_fork_check();
	how = give(pool, obj, site);
	if (how == FULL)
		nst_free_nolock_slow(pool->cache, obj, site);
	if (how != WRONG)
		note_given(pool);
}

void nst_pool_free(struct nst_pool *pool, void *obj)
{
	struct nst_site site = NST_SITE("nst_pool_free");
	enum given how;

	if (nst_thread.scopes & NST_SCOPE_NOLOCK || !obj) {
		nst_pool_free_nolock(pool, obj), NST_BECAUSE("the thread is in a no-lock scope");
		return;
	}
	nst_fork_check();
	nst_lockdep_freeing(site.address);
	report_excess(pool, site);
	if (TELLS_TOO_EARLY)
		tell(pool);
	how = give(pool, obj, site);
	if (how == FULL)
		nst_cache_free(pool->cache, obj);
	if (how != WRONG)
		note_given(pool);
	if (!TELLS_TOO_EARLY)
		tell(pool);
}

/* ---- making, resizing, destroying ---- */

/* 0 or -ENOMEM: slots for @nr. */
static int make_room(struct nst_pool *p, u32 nr)
{
	u32 slots = 0, k;

	for (k = 0; slots < nr; k++) {
		u32 here = NST_POOL_CHUNK << k;

		if (!p->chunk[k])
			p->chunk[k] = nst_meta_alloc(here * sizeof(void *));
		if (!p->chunk[k])
			return -12;
		slots += here;
	}
	if (nr > p->room)
		/* Pairs with: nst_load_acquire() in room_of(). */
		nst_store_release(&p->room, nr);
	return 0;
}

/* With its objects, those that are held as well. */
static u64 bytes_of(const struct nst_pool *p)
{
	u64 bytes = sizeof(*p) + (u64)p->min * p->cache->slot;
	u32 k;

	for (k = 0; k < NST_POOL_CHUNKS; k++)
		bytes += p->chunk[k] ? (NST_POOL_CHUNK << k) * sizeof(void *) : 0;
	return bytes;
}

/* Beyond @nr. */
static void drain(struct nst_pool *p, u32 nr, struct nst_site site)
{
	while (kept(nst_load_relaxed(&p->state)) > (int)nr) { /* relaxed: take() looks again */
		void *obj = take(p);

		if (!obj)
			return;
		nst_cache_put_waits(p->cache, obj, site);
	}
}

/* Up to its minimum: 0 or -ENOMEM. */
static int fill(struct nst_pool *p, struct nst_site site)
{
	enum nst_null_reason why;

	while (!is_full(p, nst_load_relaxed(&p->state))) { /* relaxed: keep() looks again */
		void *obj = nst_cache_alloc_waits(p->cache, NST_NORMAL, &why);

		if (!obj)
			return -12;
		if (!keep(p, obj))
			nst_cache_put_waits(p->cache, obj, site);
	}
	return 0;
}

static int resize(struct nst_pool *p, u32 min_nr, struct nst_site site)
{
	u32 before = p->min;
	int err = nst_slow_enter(p->cache, NST_NORMAL, site) ? make_room(p, min_nr) : -12;

	if (err)
		return err;
	nst_store_relaxed(&p->min, min_nr); /* from here on frees fill it, too */
	err = fill(p, site);
	if (err)
		nst_store_relaxed(&p->min, before); /* as above */
	drain(p, p->min, site);
	nst_add_relaxed(&nst_set_aside.pools, bytes_of(p) - p->counted);
	p->counted = bytes_of(p);
	return err;
}

int nst_pool_resize(struct nst_pool *pool, unsigned int min_nr)
{
	if (min_nr - 1 >= NST_POOL_MAX || min_nr < pool->limit)
		return -22;
	return resize(pool, min_nr, NST_SITE("nst_pool_resize"));
}

int nst_pool_destroy(struct nst_pool *pool)
{
	u32 k;

	if (!pool)
		return 0;
	nst_fork_check();
	if (nst_load_relaxed(&pool->out)) /* nobody else calls */
		return -16;
	drain(pool, 0, NST_SITE("nst_pool_destroy"));
	nst_sub_relaxed(&nst_set_aside.pools, pool->counted);
	for (k = 0; k < NST_POOL_CHUNKS; k++)
		nst_meta_free(pool->chunk[k], (NST_POOL_CHUNK << k) * sizeof(void *));
	nst_meta_free(pool, sizeof(*pool));
	return 0;
}

static int bad_argument(const struct nst_cache *c, u32 min_nr, u32 holders, u32 held_max)
{
	if (!c)
		nst_warn("nst_pool_create(): no cache; allowed: one of nst_cache_create()");
	else if (min_nr - 1 >= NST_POOL_MAX)
		nst_warn("nst_pool_create(\"%s\"): %u objects; allowed: 1 to %u", c->name, min_nr,
			 NST_POOL_MAX);
	else if ((u64)holders * held_max > min_nr)
		nst_warn("nst_pool_create(\"%s\"): %u holders of %u objects each; allowed: %u "
			 "objects together, as many as it keeps",
			 c->name, holders, held_max, min_nr);
	else
		return 0;
	return 1;
}

struct nst_pool *nst_pool_create(struct nst_cache *cache, unsigned int min_nr, unsigned int holders,
				 unsigned int held_max)
{
	struct nst_pool *p;

	if (bad_argument(cache, min_nr, holders, held_max) || nst_start())
		return NULL;
	nst_fork_check();
	nst_lean_end();
	p = nst_meta_alloc(sizeof(*p));
	if (!p)
		return NULL;
	p->cache = cache;
	p->holders = holders;
	p->held_max = held_max;
	p->limit = holders * held_max;
	if (resize(p, min_nr, NST_SITE("nst_pool_create")) == 0)
		return p;
	nst_pool_destroy(p);
	return NULL;
}
