/* SPDX-License-Identifier: MIT */
/*
 * create.c - caches are made and destroyed here: geometry, tables, numbers.
 *
 * A cache's number is its place in one array of 512-byte entries and what the map says of its slabs'
 * pages, so that a free finds the cache by a shift. Numbers of destroyed caches are used again.
 *
 * Locks: nst_caches_lock serialises makers and destroyers; it comes first in the order.
 */
#include "mm.h"
#include "retire/retired.h"
#include "claim/account.h"

struct nst_lock nst_caches_lock = {.lock_class = NST_LOCK_CACHES, .subclass = 1};
u32 nst_nr_caches;

#define CHARGED_FLAG (1u << 31) /* of nst_cache_make(), beside the public ones */
#define QUARANTINE_NAPS 1000u	/* of 100 us */

/* (tune) full sheaves beside main that a CPU may come to keep: with these, 256 KiB or 11 of them. */
#define MOST_SPARES 11

#define LARGE_SLOT                                                                                 \
	(8192u + NST_PAGE_BYTES / 2) /* from here a slab has fewer slots, of more pages */
#define LARGE_ORDER 5u

/*
 * Room of a CPU's main stack: what decides most wins and losses. 252 objects or 256 KiB, whichever is
 * less (tune): more than that of a class is seldom in flight on one CPU.
 */
static u32 main_cap_for(u32 slot)
{
	return (u32)nst_min(252, nst_max(((size_t)256 << 10) / slot, slot < LARGE_SLOT ? 16 : 8));
}

/* The smallest order whose slab wastes at most an eighth and has eight slots (large: four), or the largest. */
static unsigned int order_for(u32 slot)
{
	unsigned int order, most = slot < LARGE_SLOT ? NST_ORDER_NOLOCK_MAX : LARGE_ORDER;
	u32 least = slot < LARGE_SLOT ? 8 : 4;

	if (nst_is_lean())
		least = slot < 2048 ? 4 : 2;

	for (order = 0; order < most; order++) {
		u32 bytes = (u32)NST_PAGE_BYTES << order;

		if (bytes / slot >= least && bytes % slot <= bytes / 8)
			break;
	}
	return order;
}

static void set_geometry(struct nst_cache *c, size_t size, size_t align)
{
	size_t slot = size;

	/* The side list's links lie in a free object; where that must stay constructed, behind it. */
	if (c->ctor)
		slot = nst_round_up(slot, 8) + 16;
	slot += nst_debug_slot_extra();
	c->size = (u32)size;
	c->align = (u32)align;
	c->slot = (u32)nst_round_up(nst_max(slot, 16), nst_max(align, 8));
	c->magic = (u32)((((u64)1 << 32) + c->slot - 1) / c->slot);
	c->order = (u8)order_for(c->slot);
	c->slots = (u32)(NST_PAGE_BYTES << c->order) / c->slot;
	c->main_cap = main_cap_for(c->slot);
	c->batch = (u16)nst_min(NST_SHEAF_MAX, c->main_cap / 4);
	c->spares = (u32)nst_min(MOST_SPARES, ((size_t)256 << 10) / ((size_t)c->slot * c->batch));
}

static int make_nodes(struct nst_cache *c)
{
	unsigned int i;

	for (i = 0; i < nst_sys_cpus.nr_nodes; i++) {
		struct nst_cache_node *n = nst_meta_alloc(sizeof(*n));

		if (!n)
			return -12;
		nst_lock_init(&n->barn, NST_LOCK_BARN);
		nst_barn_init(n);
		nst_lock_init(&n->slab, NST_LOCK_SLAB);
		nst_list_init(&n->partial);
		nst_list_init(&n->filled);
		nst_list_init(&n->unused);
		nst_list_init(&n->cooled);
		n->gen = 1;
		c->node[i] = n;
	}
	return 0;
}

static int make_tables(struct nst_cache *c)
{
	int on = nst_mm.instrument != 0;

	c->main.instrumented = c->full.instrumented = c->empty.instrumented = (u32)on;
	nst_pcs_table_init_lazy(&c->full, 1, c->spares);
	nst_pcs_table_init_lazy(&c->empty, 2, c->spares + 1);
	if (nst_pcs_table_init(&c->main, c->main_cap))
		return -12;
	if (c->charged && nst_pcs_table_set_apart(&c->main))
		return -12;
	(c->charged ? c->main.fast : c->main.real)[NST_NUMBER_BESIDE] =
		(struct nst_pcs *)(uintptr_t)((u64)c->id << 32 | c->size);
	return 0;
}

static void forget(struct nst_cache *c)
{
	unsigned int i;

	nst_pcs_table_exit(&c->main);
	nst_pcs_table_exit(&c->full);
	nst_pcs_table_exit(&c->empty);
	for (i = 0; i < nst_sys_cpus.nr_nodes; i++) {
		nst_meta_free(c->node[i], sizeof(*c->node[i]));
		c->node[i] = NULL;
	}
	nst_store_relaxed(&c->used, 0u); /* nobody may use it now */
}

static size_t resident; /* bytes of the array; by nst_caches_lock */

/* What is writable counts (RLIMIT_DATA), so it is made so step by step. Locks: needs nst_caches_lock. */
static int more_resident_locked(size_t bytes)
{
	char *next = nst_mm.caches + resident;
	int err = 0;

	if (resident % NST_CACHES_STEP == 0)
		err = nst_sys_commit(next, NST_CACHES_STEP);
	if (!err)
		err = nst_sys_populate(next, bytes);
	if (!err)
		resident += bytes;
	return err;
}

/* Locks: needs nst_caches_lock. */
static int make_resident_locked(u32 number)
{
	if (((size_t)number + 1) << NST_CACHE_SHIFT <= resident)
		return 0;
	return more_resident_locked(NST_PAGE_BYTES);
}

/* ---- numbers ---- */

#define ROOM_STEP (((size_t)1 << 20) >> NST_CACHE_SHIFT)
#define FIRST_BYTES ((size_t)64 << NST_CACHE_SHIFT) /* the size classes, at once */
static size_t room; /* cache numbers for which there is address space; by nst_caches_lock */

static int reserve_room_at(size_t number, size_t nr)
{
	void *at = nst_mm.caches + (number << NST_CACHE_SHIFT);

	return nst_sys_reserve_at(at, nr << NST_CACHE_SHIFT);
}

int nst_cache_room_init(void)
{
	size_t bytes;

	room = nst_span_limited ? ROOM_STEP : NST_MAX_CACHES;
	bytes = room << NST_CACHE_SHIFT;
	nst_mm.caches = nst_sys_reserve(bytes, NST_PAGE_BYTES);
	return nst_mm.caches ? more_resident_locked(FIRST_BYTES) : -12;
}

/* Not where it is only just enough: what is cut may be somebody else's when it is wanted. */
void nst_cache_room_cut(void)
{
	size_t keep;

	nst_lock_wait(&nst_caches_lock);
	keep = nst_round_up((size_t)nst_nr_caches + ROOM_STEP, ROOM_STEP);
	if (keep < room && nst_sys_release(nst_mm.caches + (keep << NST_CACHE_SHIFT),
					   (room - keep) << NST_CACHE_SHIFT) == 0)
		room = keep;
	nst_unlock(&nst_caches_lock);
}

/* Locks: needs nst_caches_lock. */
static int room_for_one_locked(void)
{
	if (nst_nr_caches + 1 < room)
		return 1;
	if (room + ROOM_STEP > NST_MAX_CACHES || reserve_room_at(room, ROOM_STEP))
		return 0;
	room += ROOM_STEP;
	return 1;
}

/* Locks: needs nst_caches_lock. */
static struct nst_cache *free_number_locked(void)
{
	u32 i;

	for (i = 1; i <= nst_nr_caches; i++)
		if (!nst_cache_is_used(nst_cache_number(i)))
			return nst_cache_number(i);
	if (!room_for_one_locked())
		return NULL;
	if (make_resident_locked(i))
		return NULL;
	nst_hint_set(&nst_nr_caches, nst_nr_caches + 1);
	return nst_cache_number(i);
}

static void set_name(struct nst_cache *c, const char *name)
{
	nst_format(c->name, sizeof(c->name), "%s", name && *name ? name : "unnamed");
}

struct nst_cache *nst_cache_make(const char *name, size_t size, size_t align, u32 flags,
				 void (*ctor)(void *obj))
{
	struct nst_cache *c;
	u32 id;

	nst_lock_wait(&nst_caches_lock);
	c = free_number_locked();
	if (!c)
		goto out_unlock;
	id = (u32)(((char *)c - nst_mm.caches) >> NST_CACHE_SHIFT);
	__builtin_memset(c, 0, offsetof(struct nst_cache, used));
	c->id = (u16)id;
	c->ctor = ctor;
	c->charged = (flags & CHARGED_FLAG) != 0;
	c->keeps = (flags & NST_CACHE_NOLOCK) != 0;
	c->mobility = flags & NST_CACHE_RECLAIMABLE ? NST_MOB_RECLAIMABLE : NST_MOB_UNMOVABLE;
	nst_lock_init(&c->areas, NST_LOCK_CACHES);
	set_name(c, name);
	set_geometry(c, size, align);
	if (make_nodes(c) || make_tables(c)) {
		forget(c);
		c = NULL;
	} else {
		/* Pairs with: nst_load_acquire() in nst_cache_is_used(). */
		nst_store_release(&c->used, 1u);
	}
out_unlock:
	nst_unlock(&nst_caches_lock);
	return c;
}

/* ---- charged objects: charge.c ---- */

static int make_charged(struct nst_cache *c)
{
	u32 flags = CHARGED_FLAG | (c->keeps ? NST_CACHE_NOLOCK : 0) |
		    (c->mobility == NST_MOB_RECLAIMABLE ? NST_CACHE_RECLAIMABLE : 0);
	char name[32];
	struct nst_cache *twin;

	if (c->charged || c->twin)
		return 0;
	nst_format(name, sizeof(name), "charged:%s", c->name);
	twin = nst_cache_make(name, c->size, c->align, flags, c->ctor);
	if (!twin)
		return -12;
	twin->is_class = c->is_class;
	twin->base = c->id;
	/* relaxed: who is charged has the account from who made it */
	nst_store_relaxed(&c->twin, twin->id);
	return 0;
}

int nst_cache_make_charged(void)
{
	u32 id;
	int err = 0;

	for (id = 1; id <= nst_hint(&nst_nr_caches) && !err; id++)
		if (nst_cache_is_used(nst_cache_number(id)))
			err = make_charged(nst_cache_number(id));
	return err;
}

void nst_caches_close(int on)
{
	u32 id, fast;

	if (on)
		nst_kmalloc_hide();
	for (id = 1; id <= nst_hint(&nst_nr_caches); id++)
		if (nst_cache_is_used(nst_cache_number(id)) && !nst_cache_number(id)->charged)
			nst_pcs_table_close(&nst_cache_number(id)->main, on);
	if (!on)
		nst_kmalloc_publish();
	fast = nst_mm.instrument || !nst_sys_rseq.usable || nst_sys_rseq.by_cid ? NST_ACCOUNTS_SOME
										: NST_ACCOUNTS_FAST;
	nst_store_relaxed(&nst_mm.accounts,
			  on ? fast : 0u); /* who is in one has it from who made it */
}

/* Of a cache that is made while there are accounts. Locks: needs nst_accounts_lock. */
static int join_accounts_locked(struct nst_cache *c)
{
	if (!nst_mm.accounts)
		return 0;
	nst_pcs_table_close(&c->main, 1);
	return make_charged(c);
}

static int bad_argument(const char *name, size_t size, size_t align, u32 flags)
{
	if (size - 1 >= NST_CLASS_MAX)
		nst_warn("nst_cache_create(\"%s\"): size %zu; allowed: 1 to %u", name, size,
			 NST_CLASS_MAX);
	else if (align && (!nst_is_pow2(align) || align > NST_PAGE_BYTES))
		nst_warn(
			"nst_cache_create(\"%s\"): alignment %zu; allowed: 0, or a power of two up to "
			"%zu",
			name, align, NST_PAGE_BYTES);
	else if (flags & ~(u32)(NST_CACHE_RECLAIMABLE | NST_CACHE_NOLOCK))
		nst_warn("nst_cache_create(\"%s\"): flags 0x%x; allowed: 0x%x", name, flags,
			 (u32)(NST_CACHE_RECLAIMABLE | NST_CACHE_NOLOCK));
	else
		return 0;
	return 1;
}

struct nst_cache *nst_cache_create(const char *name, size_t size, size_t align, uint32_t flags,
				   void (*ctor)(void *obj))
{
	struct nst_cache *c;
	unsigned int cpu;
	int err;

	if (bad_argument(name && *name ? name : "unnamed", size, align, flags) || nst_start())
		return NULL;
	nst_fork_check();
	nst_lean_end();
	nst_lock_wait(&nst_accounts_lock);
	c = nst_cache_make(name, size, align, flags, ctor);
	err = c ? join_accounts_locked(c) : 0;
	nst_unlock(&nst_accounts_lock);
	if (err) {
		nst_cache_destroy(c);
		return NULL;
	}
	for (cpu = 0; c && (flags & NST_CACHE_NOLOCK) && cpu < nst_sys_cpus.nr; cpu++) {
		if (nst_cache_ensure_on(c, cpu)) {
			nst_cache_destroy(c);
			return NULL;
		}
	}
	return c;
}

/* ---- destroying ---- */

static void flush_all(struct nst_cache *c)
{
	nst_debug_quarantine_flush();
	nst_side_drain();
	nst_cache_drain(c);
	if (c->twin)
		nst_cache_drain(nst_cache_charged(c));
}

/* Slots handed out, over all nodes. */
static size_t alive(struct nst_cache *c)
{
	size_t n = c->twin ? alive(nst_cache_charged(c)) : 0;
	unsigned int i;

	for (i = 0; i < nst_sys_cpus.nr_nodes; i++) {
		struct nst_cache_node *node = c->node[i];

		nst_lock_wait(&node->slab);
		n += (size_t)(node->nr_slabs * c->slots - node->free_slots);
		nst_unlock(&node->slab);
	}
	return n;
}

/*
 * Slots handed out after everything has been flushed. At debug 3 another thread, freeing something
 * else, may just have pushed an object of ours out of quarantine: it arrives within a bounded time.
 */
static size_t alive_after_flush(struct nst_cache *c)
{
	u32 naps, word = 0, most = nst_mm.debug >= 3 ? QUARANTINE_NAPS : 0;
	size_t n;

	for (naps = 0;; naps++) {
		flush_all(c);
		n = alive(c);
		if (!n || naps == most)
			return n;
		nst_sys_futex_wait(&word, 0, 100);
	}
}

/* What a pass or a drain has in its hands would count as alive; so does what waits for a grace period. */
static void pause_when_free(struct nst_cache *c)
{
	nst_maintain_pause();
	nst_side_settle();
	flush_all(c);
	if (!alive(c))
		return;
	nst_maintain_resume();
	nst_retired_settle();
	if (!nst_calls_are_mine()) /* one of them may be who destroys it */
		nst_calls_settle();
	nst_maintain_pause();
	nst_side_settle();
}

size_t nst_cache_destroy(struct nst_cache *cache)
{
	struct nst_cache *twin;
	size_t n;

	if (!cache)
		return 0;
	nst_fork_check();
	if (!nst_cache_is_used(cache)) {
		nst_misuse_destroyed(cache, NST_SITE("nst_cache_destroy"));
		return 0;
	}
	nst_hint_set(&cache->stock, 0u); /* the worker refills it no more */
	nst_store_relaxed(&cache->want, 0u);
	if (cache->twin) {
		nst_hint_set(&nst_cache_charged(cache)->stock, 0u);
		nst_store_relaxed(&nst_cache_charged(cache)->want, 0u);
	}
	pause_when_free(cache);
	n = alive_after_flush(cache);
	if (n) {
		nst_maintain_resume();
		nst_warn(
			"nst_cache_destroy(\"%s\"): %zu objects are still alive; allowed: none; the "
			"cache stays",
			cache->name, n);
		return n;
	}
	twin = cache->twin ? nst_cache_charged(cache) : NULL;
	if (twin)
		nst_channel_close(twin);
	nst_channel_close(cache);
	nst_lock_wait(&nst_accounts_lock); /* the first account may have made it a moment ago */
	nst_lock_wait(&nst_caches_lock);
	if (cache->twin)
		forget(nst_cache_charged(cache));
	forget(cache);
	nst_unlock(&nst_caches_lock);
	nst_unlock(&nst_accounts_lock);
	nst_maintain_resume();
	return 0;
}
