/* SPDX-License-Identifier: MIT */
/*
 * fork.c - a child is noticed, what lost threads held is begun anew, copy-on-write pages made ready.
 *
 * fork() runs our handlers: prepare takes every central lock, for a bounded time, so that the child gets
 * them whole. _Fork(), from a handler too, runs none: a word that the kernel wipes in children is read
 * on every slow path, and the first to find it 0 repairs. A lock whose holder does not exist in the child
 * guarded a structure that may be half changed: its lists are abandoned (leaked, counted) and begun anew.
 * A lock that the child's own thread holds is left: the code it interrupted goes on and lets it go.
 *
 * Atfork handlers that were registered before ours run between our prepare and the rest of ours. They may
 * allocate, as with any malloc. A thread that would wait for a lock there lets all go that it holds for its
 * fork: others fork at the same time, each may hold what another one wants. What the child then finds
 * held is abandoned, as after _Fork().
 *
 * Per-CPU stacks need nothing: the child sees one cut in program order, and each sequence has one
 * commit. gen tells descriptors of abandoned lists from those of the new ones.
 *
 * Where MADV_WIPEONFORK is missing only fork() is noticed. A child of _Fork() gets no worker, because libc
 * may not be able to start a thread there: it drains on its ordinary slow paths and by nst_maintain().
 *
 * vfork: a child shares our memory and has a stale CPU number: no call is legal there.
 */
#include "mm.h"
#include "reclaim/reclaim.h"
#include "retire/retired.h"
#include "claim/account.h"

#define PREPARE_US                                                                                 \
	100000u /* (tune) a holder that lost its CPU on a loaded machine has it again by then */

enum process { CHILD_UNSEEN = 0, REPAIRING = 1, SELF = 2 };

static struct {
	u32 *word;    /* enum process, wiped in children */
	u32 fallback; /* the word where nothing wipes */
	u32 cow;      /* pages are copy-on-write since a fork */
} process = {.word = &process.fallback, .fallback = SELF};

/* ---- every central lock, in lock order ---- */

static void for_each_lock(void (*fn)(struct nst_lock *l))
{
	unsigned int i, k;
	u32 id;

	fn(&nst_retired.lock);
	fn(&nst_accounts_lock);
	fn(&nst_caches_lock);
	for (id = 1; id <= nst_nr_caches; id++) {
		struct nst_cache *c = nst_cache_number(id);

		if (!nst_cache_is_used(c))
			continue;
		fn(&c->areas);
		for (k = 0; k < nst_sys_cpus.nr_nodes; k++) {
			fn(&c->node[k]->barn);
			fn(&c->node[k]->slab);
		}
	}
	fn(&nst_group_lock);
	for (i = 0; i < nst_sys_cpus.nr_nodes; i++)
		fn(&nst_zones[i].grow);
	for (i = 0; i < nst_sys_cpus.nr_nodes; i++)
		fn(&nst_zones[i].lock);
	fn(&nst_arenas_lock);
	fn(&nst_rcu_lock);
	fn(nst_meta_lock());
}

static void take_for_fork(struct nst_lock *l)
{
	if (!nst_lock_is_mine(l) && nst_lock_wait_us(l, PREPARE_US))
		l->for_fork = 1;
}

static void give_after_fork(struct nst_lock *l)
{
	if (nst_lock_is_mine(l) && l->for_fork) {
		l->for_fork = 0;
		nst_unlock(l);
	}
}

/* ---- in the child ---- */

static int lost(struct nst_lock *l)
{
	uintptr_t owner = nst_load_relaxed(&l->owner); /* relaxed: one thread runs in the child */

	return owner && owner != nst_thread_pointer();
}

static void abandon(struct nst_lock *l)
{
	l->for_fork = 0;
	nst_count(NST_COUNT_ABANDONED, 1);
	nst_store_relaxed(&l->owner, (uintptr_t)0); /* relaxed: as above */
}

static void repair_zone(struct nst_zone *z)
{
	unsigned int m, i;

	if (lost(&z->lock)) {
		z->gen++;
		for (m = 0; m < NST_NR_MOBILITIES; m++) {
			for (i = 0; i < NST_NR_ORDERS; i++) {
				nst_list_init(&z->free[m][i]);
				z->nr_free[m][i] = 0;
			}
		}
		nst_list_init(&z->cold);
		nst_list_init(&z->cold_small);
		nst_zone_forget_idle(z);
		z->free_pages = 0;
		nst_reserve_zone_lost(z);
		abandon(&z->lock);
	}
	if (lost(&z->grow)) {
		z->open_arena = NULL;
		abandon(&z->grow);
	}
	for (m = 0; m < NST_NR_MOBILITIES; m++)
		for (i = 0; i < NST_ARRAY_SIZE(z->pcp[m]); i++)
			nst_pcs_table_after_fork(&z->pcp[m][i]);
}

static void repair_cache_node(struct nst_cache_node *n)
{
	if (lost(&n->barn)) {
		nst_barn_init(n);
		abandon(&n->barn);
	}
	if (lost(&n->slab)) {
		n->gen++;
		nst_list_init(&n->partial);
		nst_list_init(&n->filled);
		nst_list_init(&n->unused);
		nst_list_init(&n->cooled);
		n->nr_unused = 0;
		abandon(&n->slab);
	}
}

static void repair_cache(struct nst_cache *c)
{
	unsigned int k;

	for (k = 0; k < nst_sys_cpus.nr_nodes; k++)
		if (c->node[k])
			repair_cache_node(c->node[k]);
	if (lost(&c->areas))
		abandon(&c->areas);
	nst_pcs_table_after_fork(&c->main);
	nst_pcs_table_after_fork(&c->full);
	nst_pcs_table_after_fork(&c->empty);
}

static void repair(void)
{
	unsigned int i;
	u32 id;

	for (id = 1; id <= nst_nr_caches; id++)
		if (nst_cache_is_used(nst_cache_number(id)))
			repair_cache(nst_cache_number(id));
	for (i = 0; i < nst_sys_cpus.nr_nodes; i++)
		repair_zone(&nst_zones[i]);
	nst_reserve_after_fork();
	nst_reclaim_after_fork();
	nst_movable_after_fork();
	nst_compact_after_fork();
	if (lost(&nst_retired.lock))
		abandon(&nst_retired.lock);
	if (lost(&nst_accounts_lock))
		abandon(&nst_accounts_lock);
	if (lost(&nst_caches_lock))
		abandon(&nst_caches_lock);
	if (lost(&nst_group_lock))
		abandon(&nst_group_lock);
	if (lost(&nst_arenas_lock))
		abandon(&nst_arenas_lock);
	if (lost(&nst_rcu_lock))
		abandon(&nst_rcu_lock);
	if (lost(nst_meta_lock()))
		abandon(nst_meta_lock());
	nst_store_relaxed(&process.cow, 1u); /* read by whoever may enter the kernel */
	nst_side_after_fork();
	nst_account_after_fork();
	nst_retired_after_fork(nst_worker_pass_is_lost());
	nst_publish_after_fork();
	nst_pressure_after_fork();
	nst_worker_after_fork();
	nst_rcu_after_fork();
	nst_lockdep_forked();
}

void nst_fork_check(void)
{
	u32 *word = process.word;

	/* relaxed: in a child one thread runs; a handler on it sees REPAIRING and goes on with tries */
	if (nst_likely(nst_load_relaxed(word) == SELF))
		return;
	if (!nst_cas_relaxed(word, (u32)CHILD_UNSEEN, (u32)REPAIRING))
		return;
	repair();
	nst_store_relaxed(word, (u32)SELF); /* relaxed: as above */
}

/* ---- libc's hooks ---- */

static void prepare(void)
{
	for_each_lock(take_for_fork);
	nst_thread.forking = 1;
}

/* What requests of this thread write of its own: a page of each is the other side's, too, until then. */
static void own_lines(void)
{
	uintptr_t area = nst_thread_pointer() + (uintptr_t)nst_rseq_offset;
	u8 *last = (u8 *)(&nst_thread + 1) - 1;

	nst_store_relaxed(last, nst_load_relaxed(last));	/* it is this thread's alone */
	nst_store_relaxed((u64 *)(area + NST_RSEQ_CS), (u64)0); /* no sequence is under way */
}

static void let_go(void)
{
	nst_thread.forking = 0;
	own_lines();
	for_each_lock(give_after_fork);
}

static void in_parent(void)
{
	let_go();
	nst_store_relaxed(&process.cow, 1u); /* a hint to the worker */
	if (!nst_is_lean())
		nst_worker_flag();
	if (nst_option(NST_OPT_fork_ready))
		nst_fork_make_ready();
}

static void in_child(void)
{
	nst_store_relaxed(process.word, (u32)CHILD_UNSEEN); /* also where nothing wiped it */
	let_go();
	nst_fork_check();
	nst_worker_after_libc_fork();
	nst_rcu_after_libc_fork();
	if (nst_option(NST_OPT_fork_ready))
		nst_fork_make_ready();
}

void nst_fork_init(void)
{
	u32 *word = nst_sys_reserve(NST_PAGE_BYTES, NST_PAGE_BYTES);

	nst_lock_on_wait_in_fork(let_go);
	nst_sys_trap_fork(prepare, in_parent, in_child);
	if (!word || nst_sys_commit(word, NST_PAGE_BYTES) ||
	    nst_sys_populate(word, NST_PAGE_BYTES) || nst_sys_wipe_on_fork(word, NST_PAGE_BYTES))
		return;
	*word = SELF;
	process.word = word;
}

/* ---- ready again ---- */

static void populate_pages(struct nst_arena *a, size_t first, size_t end)
{
	if (first < end)
		nst_sys_populate((void *)(a->base + (first << NST_PAGE_SHIFT)),
				 (end - first) << NST_PAGE_SHIFT);
}

/* How many cold pages begin here: a run of such, or the first of those that a slab has, at *@at. */
static size_t cold_here(struct nst_page *p, size_t *at)
{
	enum nst_page_state state = nst_page_state(p);
	unsigned int order = nst_load_relaxed(&p->order);
	u32 cold = 0;

	*at = 0;
	if (state == NST_PAGE_COLD)
		return (size_t)1 << order;
	if (state == NST_PAGE_SLAB && order)
		cold = nst_load_relaxed(nst_slab_cold(p));
	if (!cold)
		return 0;
	*at = nst_lowest_bit(cold);
	return nst_lowest_bit(~((u64)cold >> *at));
}

/* What is cold stays so. relaxed, and no lock: a run that gets warm meanwhile is nobody's copy. */
static void ready_pages(struct nst_arena *a, size_t page, size_t end)
{
	size_t first = page, at, n;

	for (; page < end; page++) {
		n = cold_here(&a->pages[page], &at);
		if (!n)
			continue;
		populate_pages(a, first, page + at);
		first = page + at + n;
		page = first - 1;
	}
	populate_pages(a, first, end);
}

static void ready_block(struct nst_arena *a, size_t block, u8 state)
{
	size_t bytes = state == NST_BLOCK_OPEN ? nst_zone_open_bytes(a, block) : NST_BLOCK_BYTES;
	uintptr_t map = nst_round_down((uintptr_t)&a->map[block * NST_BLOCK_PAGES], NST_PAGE_BYTES);
	size_t page = block * NST_BLOCK_PAGES;

	ready_pages(a, page, page + (bytes >> NST_PAGE_SHIFT));
	nst_sys_populate(&a->pages[block * NST_BLOCK_PAGES],
			 NST_BLOCK_PAGES * sizeof(struct nst_page));
	nst_sys_populate((void *)map, NST_PAGE_BYTES);
	if (nst_mm.debug)
		nst_sys_populate((char *)a->live + block * (NST_BLOCK_BYTES / 16 / 8),
				 NST_BLOCK_BYTES / 16 / 8);
	if (nst_retired_is_ready()) /* before that some blocks may have none */
		nst_dead_populate(a, block);
}

static void ready_by_block(struct nst_arena *a, size_t blocks)
{
	/* A no-lock request writes block_mob when it takes a block over for its mobility, block_idle with each run. */
	nst_sys_populate(a->block, nst_round_up(blocks, NST_PAGE_BYTES));
	nst_sys_populate(a->block_mob, nst_round_up(blocks, NST_PAGE_BYTES));
	nst_sys_populate(a->block_idle,
			 nst_round_up(blocks * sizeof(*a->block_idle), NST_PAGE_BYTES));
	nst_sys_populate(a->block_movable, /* and a free of a movable run that */
			 nst_round_up(blocks * sizeof(*a->block_movable), NST_PAGE_BYTES));
}

int nst_fork_make_ready(void)
{
	size_t block, last = 0;
	u32 i;

	if (!nst_load_relaxed(&process.cow)) /* relaxed: a later pass sees it */
		return 0;
	nst_store_relaxed(&process.cow, 0u);
	for (i = 0; i < nst_mm.nr_arenas; i++) {
		for (block = 0; block < nst_arenas[i].nr_blocks; block++) {
			/* relaxed: a block opened meanwhile is nobody's copy */
			u8 state = nst_load_relaxed(&nst_arenas[i].block[block]);

			if (state != NST_BLOCK_OPEN && state != NST_BLOCK_READY)
				continue;
			last = block + 1;
			ready_block(&nst_arenas[i], block, state);
		}
		ready_by_block(&nst_arenas[i], last);
	}
	nst_meta_make_ready();
	nst_sys_populate(nst_mm.caches, nst_round_up(((size_t)nst_nr_caches + 1) << NST_CACHE_SHIFT,
						     NST_PAGE_BYTES));
	nst_sys_populate_own_module();
	return 1;
}
