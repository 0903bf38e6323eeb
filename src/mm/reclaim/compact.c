/* SPDX-License-Identifier: MIT */
/*
 * compact.c - blocks that are in use for a few movable runs become free: these are moved into fuller blocks.
 *
 *	emptiest	|m       m     |  -- moved -->	|xxxmxx xxxxxxm|	fullest
 *			|              |  back, when it has been idle, as any other block (zone.c)
 *
 * A block can be emptied if what is in use of it is movable: idle + movable = 512 pages, two counts by block, but for a few
 * that lie in CPUs' lists. Of
 * such the one with the fewest live pages comes first, while blocks that are fuller have room for all of them; where
 * none has, nothing is moved, since no block would come of it. Room is what is free there, or cold.
 *
 * When: a look of the worker (ten a second) finds such a block, in a zone of which a block's worth was free for as long,
 * or from which nothing has gone for a while; or a zone is short. Without success it is looked at less often. The movers
 * are called on a thread of its own, since they may take their time and the worker must not; or by nst_maintain().
 *
 * Of a zone's lock each hold handles at most BATCH runs, and walks at most a block's descriptors; grow is held while one
 * run is looked for. No lock is held while a mover runs.
 *
 * Fork: runs that lie between two blocks are the child's to put back.
 *
 * Source: Linux, mm/compaction.c (pages to the other end of the zone; put off after failure).
 */
#define NST_NO_MACROS
#include "../mm.h"

#define BATCH 32u     /* runs at a hold of the zone's lock */
#define AT_ONCE 1024u /* (tune) runs moved between two looks at what is wanted */
#define IN_LISTS                                                                                   \
	32u /* (tune) pages of a block that may be neither: CPUs' lists have them, and give them back */
#define NAP_US 200u	  /* between them */
#define IDLE_US 10000000u /* a wake-up is not missed: the bell is read before */
#define STILL_LOOKS 2u	  /* (tune) nothing has gone for so long: cold pages are filled, too */
#define MOST_PUT_OFF 8u	  /* (tune) looks */
#define ANY_ORDER NST_NR_ORDERS

enum running { NONE, RUNNING, FAILED };

static struct {
	u32 bell;    /* the futex the thread sleeps on */
	u32 running; /* enum running */
	u32 wanted;  /* zones, a bit each */
	u32 turn;    /* who compacts */
	uintptr_t whose;
	u32 wait[NST_NR_NODES]; /* looks, the worker's */
	/* By who has the turn: */
	u32 put_off[NST_NR_NODES]; /* looks */
	u32 emptied[NST_NR_NODES]; /* blocks, in this round */
	u64 limit[NST_NR_NODES];   /* ranks that it has come to; 0: there is none */
} compact;

/* By who has the turn. Each leaves its list before it is put, so that a fork child puts it once, or never. */
static struct nst_page *to[BATCH], *from[BATCH];
static u32 nr_to, nr_from, to_order;

/* A block, by how full it is. */
struct place {
	struct nst_arena *arena;
	u32 number; /* the arena's */
	size_t block;
	u64 rank; /* free and cold pages, then the number: no two have the same */
};

/* ---- which blocks ---- */

static int is_in_use(const struct nst_arena *a, size_t block)
{
	u8 state = nst_load_relaxed(&a->block[block]); /* a hint, until z->grow is held */

	return state == NST_BLOCK_READY || state == NST_BLOCK_OPEN;
}

/* All of it that is in use can be moved, but for what lies in lists, and something is. */
static unsigned int movable_pages(const struct nst_arena *a, size_t block)
{
	unsigned int movable = nst_hint(&a->block_movable[block]);

	return movable && movable + nst_hint(&a->block_idle[block]) + IN_LISTS >= NST_BLOCK_PAGES &&
			       nst_load_relaxed(&a->block[block]) == NST_BLOCK_READY /* a hint */
		       ? movable
		       : 0;
}

/* The next with anything idle. From a place of zeroes on: 1; 0: there are no more. */
static int next_place(const struct nst_zone *z, struct place *p)
{
	size_t first, end;
	unsigned int idle;

	for (; p->number < nst_mm.nr_arenas; p->number++, p->block = 0) {
		p->arena = &nst_arenas[p->number];
		if (!nst_zone_part(z, p->arena, &first, &end))
			continue;
		p->block = nst_max(p->block + 1, first);
		for (; p->block < nst_hint(&z->top[p->number]); p->block++) {
			idle = nst_hint(&p->arena->block_idle[p->block]);
			p->rank = (u64)idle << 48 | (u64)p->number << 40 | p->block;
			if (idle && is_in_use(p->arena, p->block))
				return 1;
		}
	}
	return 0;
}

/* The emptiest that can be emptied, of those below @limit: 1, or 0 if there is none. */
static int find_source(const struct nst_zone *z, u64 limit, struct place *best)
{
	struct place p = {0};

	best->rank = 0;
	while (next_place(z, &p))
		if (p.rank < limit && p.rank > best->rank && movable_pages(p.arena, p.block))
			*best = p;
	return best->rank != 0;
}

/* The fullest, of those above @last and below @limit. */
static int find_target(const struct nst_zone *z, u64 last, u64 limit, struct place *best)
{
	struct place p = {0};

	best->rank = limit;
	while (next_place(z, &p))
		if (p.rank > last && p.rank < best->rank)
			*best = p;
	return best->rank != limit;
}

/* Pages for which blocks have room that are fuller than that of @limit. */
static u64 room_below(const struct nst_zone *z, u64 limit)
{
	struct place p = {0};
	u64 pages = 0;

	while (next_place(z, &p))
		if (p.rank < limit)
			pages += p.rank >> 48;
	return pages;
}

static int is_worth_it(struct nst_zone *z, const struct place *source)
{
	return room_below(z, source->rank) >= movable_pages(source->arena, source->block);
}

/* ---- runs between blocks ---- */

static void put_list(struct nst_zone *z, struct nst_page **list, u32 *nr)
{
	if (!*nr)
		return;
	nst_lock_wait(&z->lock);
	while (*nr) {
		struct nst_page *p = list[*nr - 1];

		nst_hint_set(nr, *nr - 1);
		nst_barrier(); /* a fork child puts it once, or never */
		nst_buddy_put_locked(z, p, p->order);
	}
	nst_unlock(&z->lock);
}

static void keep(struct nst_page **list, u32 *nr, struct nst_page *p)
{
	list[*nr] = p;
	nst_barrier(); /* as above */
	++*nr;
}

/* What a thread had in its hands that a fork lost. */
static void put_lost(void)
{
	if (nr_to)
		put_list(&nst_zones[nst_page_node(to[0])], to, &nr_to);
	if (nr_from)
		put_list(&nst_zones[nst_page_node(from[0])], from, &nr_from);
}

/* Free runs of @p's block into @to. Locks: needs z->lock. */
static void take_free_locked(struct nst_zone *z, struct nst_page *p, unsigned int order)
{
	struct nst_page *end = p + NST_BLOCK_PAGES;

	while (p < end && nr_to < BATCH) {
		if (nst_page_state(p) != NST_PAGE_FREE || p->gen != z->gen) {
			p++;
			continue;
		}
		if (z->free_pages < nst_hint(&z->min) + (1ull << order))
			return;
		if (p->order < order) {
			p += (size_t)1 << p->order;
			continue;
		}
		nst_buddy_take_at_locked(z, p, order);
		z->taken[p->mobility] -= 1ull << order; /* nobody's request */
		keep(to, &nr_to, p);
		p += (size_t)1 << order;
	}
}

/* A cold run of @p's block of @order or more, and how many of its pages to take; or NULL. Locks: needs z->lock. */
static struct nst_page *find_cold_locked(struct nst_zone *z, struct nst_page *p, unsigned int order,
					 size_t *pages)
{
	struct nst_page *end = p + NST_BLOCK_PAGES;

	for (; p < end; p++) {
		if (nst_page_state(p) != NST_PAGE_COLD || p->gen != z->gen || p->order < order)
			continue;
		*pages = nst_min((size_t)1 << p->order, (size_t)BATCH << order);
		return p;
	}
	return NULL;
}

/* The same of a cold run, made ready. Locks: needs z->grow. */
static void take_cold_locked(struct nst_zone *z, struct nst_page *first, unsigned int order)
{
	struct nst_page *p, *end;
	size_t pages = 0;

	nst_lock_wait(&z->lock);
	p = find_cold_locked(z, first, order, &pages);
	nst_unlock(&z->lock);
	if (!p || nst_cold_take(z, p, pages, ANY_ORDER))
		return;
	for (end = p + pages; p < end; p += (size_t)1 << order) {
		nst_store_relaxed(&p->order, (u8)order); /* see nst_page_set_state() */
		p->pages = 0;
		nst_page_set_state(p, NST_PAGE_PCP);
		keep(to, &nr_to, p);
	}
}

/* Some of @order from a block: 1, or 0 if it has none. */
static int take_from(struct nst_zone *z, const struct place *target, unsigned int order)
{
	struct nst_page *first = &target->arena->pages[target->block * NST_BLOCK_PAGES];

	nst_lock_wait(&z->grow);
	if (is_in_use(target->arena, target->block)) {
		nst_lock_wait(&z->lock);
		take_free_locked(z, first, order);
		nst_unlock(&z->lock);
		if (!nr_to)
			take_cold_locked(z, first, order);
	}
	nst_unlock(&z->grow);
	to_order = order;
	return nr_to != 0;
}

/* From the fullest block that has any, below @source. */
static int have_target(struct nst_zone *z, const struct place *source, unsigned int order)
{
	struct place target = {0};
	u64 last = 0;

	if (nr_to && to_order == order)
		return 1;
	put_list(z, to, &nr_to);
	while (find_target(z, last, source->rank, &target)) {
		if (take_from(z, &target, order))
			return 1;
		last = target.rank;
	}
	return 0;
}

/* ---- one block ---- */

static struct nst_page *isolate(struct nst_zone *z, const struct place *source, size_t *at)
{
	struct nst_page *p = NULL;

	nst_lock_wait(&z->grow);
	if (nst_load_relaxed(&source->arena->block[source->block]) == NST_BLOCK_READY)
		p = nst_movable_isolate_locked(source->arena, source->block, at,
					       nst_mode_in_scope(NST_NORMAL));
	nst_unlock(&z->grow);
	return p;
}

/* 1: there may be more; 0: no block has room for it. */
static int move_one(struct nst_zone *z, const struct place *source, struct nst_page *p)
{
	int room = have_target(z, source, p->order);
	enum nst_moved how;

	if (!room) {
		nst_movable_leave(p);
		return 0;
	}
	nr_to--;
	nst_barrier(); /* a fork child has it in use, or lost */
	how = nst_movable_move(p, to[nr_to]);
	if (how == NST_MOVED_NOT)
		keep(to, &nr_to, to[nr_to]);
	if (how == NST_MOVED)
		keep(from, &nr_from, p);
	if (nr_from == BATCH)
		put_list(z, from, &nr_from);
	return 1;
}

/* Runs that were looked at. */
static u32 empty(struct nst_zone *z, const struct place *source)
{
	struct nst_page *p;
	size_t at = 0;
	u32 n = 0;

	while ((p = isolate(z, source, &at)) != NULL) {
		n++;
		if (!move_one(z, source, p))
			break;
	}
	put_list(z, to, &nr_to);
	put_list(z, from, &nr_from);
	if (!nst_hint(&source->arena->block_movable[source->block])) {
		nst_count(NST_COUNT_COMPACT_BLOCK, 1);
		compact.emptied[z->node]++;
	}
	return n;
}

/* About AT_ONCE runs from block *limit on, and no block twice: how many were looked at; *limit: where to go on, or 0. */
static u32 compact_zone(struct nst_zone *z, u64 *limit)
{
	struct place source = {0};
	u32 n = 0;

	for (; n < AT_ONCE; *limit = source.rank) {
		if (!find_source(z, *limit, &source) || !is_worth_it(z, &source)) {
			*limit = 0;
			break;
		}
		n += empty(z, &source);
	}
	return n;
}

/* ---- whose turn ---- */

static int begin_turn(void)
{
	/* Pairs with: nst_store_release() in end_turn(). */
	if (!nst_cas_acquire(&compact.turn, 0u, 1u))
		return 0;
	compact.whose = nst_thread_pointer();
	return 1;
}

static void end_turn(void)
{
	/* Pairs with: nst_cas_acquire() in begin_turn(). */
	nst_store_release(&compact.turn, 0u);
}

/* A round of a zone is over: without a block the next one is later. */
static void end_round(unsigned int node)
{
	u32 *put_off = &compact.put_off[node];

	/* relaxed: the worker's hint */
	nst_store_relaxed(
		put_off, compact.emptied[node] ? 0u : (u32)nst_min(2 * *put_off + 1, MOST_PUT_OFF));
	compact.emptied[node] = 0;
}

/* A part of a round of each of @zones; of these, whose is not over. *moved: runs that were looked at. */
static u32 compact_some(u32 zones, u32 *moved)
{
	u32 i, left = 0;

	if (!begin_turn())
		return 0;
	put_lost();
	for (i = 0; i < nst_sys_cpus.nr_nodes; i++) {
		u64 *limit = &compact.limit[i];

		if (!(zones & 1u << i))
			continue;
		*limit = *limit ? *limit : UINT64_MAX;
		*moved += compact_zone(&nst_zones[i], limit);
		if (*limit)
			left |= 1u << i;
		else
			end_round(i);
	}
	end_turn();
	return left;
}

/* ---- the thread ---- */

static void *run(void *nothing)
{
	u32 bell, zones, moved = 0, never = 0;

	(void)nothing;
	for (;;) {
		bell = nst_load_relaxed(&compact.bell); /* before the look: a later ring differs */
		zones = nst_exchange_relaxed(&compact.wanted, 0u); /* a hint */
		while ((zones = compact_some(zones, &moved)) != 0)
			nst_sys_futex_wait(&never, 0, NAP_US);
		nst_sys_futex_wait(&compact.bell, bell, IDLE_US);
	}
	return NULL;
}

static void want(u32 zones)
{
	nst_or_relaxed(&compact.wanted, zones); /* a hint */
	if (!nst_worker_may_start())
		return;					     /* nst_maintain() does it */
	if (nst_load_relaxed(&compact.running) != RUNNING && /* a state, as is the start a swap */
	    nst_exchange_relaxed(&compact.running, (u32)RUNNING) != RUNNING &&
	    nst_sys_thread_start(run, NULL))
		nst_store_relaxed(&compact.running, (u32)FAILED); /* the next one tries again */
	nst_add_relaxed(&compact.bell, 1u);			  /* the wake-up orders it */
	nst_sys_futex_wake(&compact.bell);
}

void nst_compact_look(struct nst_zone *z)
{
	u32 *wait = &compact.wait[z->node];
	struct place source = {0};
	u64 idle;

	if (nst_likely(!nst_movable_runs()) || *wait) {
		*wait -= *wait != 0;
		return;
	}
	nst_lock_wait(&z->lock);
	idle = z->lowest_free;
	nst_unlock(&z->lock);
	if (idle < nst_hint(&z->high) + NST_BLOCK_PAGES && z->still < STILL_LOOKS)
		return;
	if (!find_source(z, UINT64_MAX, &source) || !is_worth_it(z, &source))
		return;
	*wait = nst_load_relaxed(&compact.put_off[z->node]); /* a hint */
	want(1u << z->node);
}

void nst_compact_want(void)
{
	if (nst_movable_runs())
		want((1u << nst_sys_cpus.nr_nodes) - 1);
}

int nst_compact_help(void)
{
	u32 moved = 0;

	/* a state */
	if (nst_movable_runs() &&
	    (!nst_worker_may_start() || nst_load_relaxed(&compact.running) == FAILED))
		compact_some((1u << nst_sys_cpus.nr_nodes) - 1, &moved);
	return moved != 0;
}

void nst_compact_after_fork(void)
{
	compact.running = compact.wanted = 0;
	if (compact.turn && compact.whose != nst_thread_pointer())
		compact.turn = 0;
}
