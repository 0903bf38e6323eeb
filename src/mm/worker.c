/* SPDX-License-Identifier: MIT */
/*
 * worker.c - the background thread: it does for no-lock callers what they may not do.
 *
 * It looks at the flags every millisecond while no-lock callers, who cannot wake it, were on a slow path
 * in the last 100 ms; every 10 ms while it found work in that time, else every 50 ms. An ordinary slow
 * path that sees the flag wakes it. One pass drains side lists and strays, tops
 * stocks and barns up, grows zones below low to high, gives idle blocks back, a bounded number, and
 * publishes what was counted.
 *
 * Fork: the child has no such thread; the next ordinary request on a slow path starts one. A free does
 * not: libc frees with the lock of its thread stacks held, which starting one takes. Signal: all are
 * blocked on it.
 */
#include "mm.h"
#include "reclaim/reclaim.h"
#include "retire/retired.h"
#include "claim/account.h"

#define NO_THREAD 3u	/* worker.running in a child of _Fork(): nobody starts one */
#define TOO_EARLY 4u	/* and before constructors run, when libc cannot start threads */
#define NOLOCK_US 1000u /* (tune) */
#define BUSY_US 10000u	/* (tune) */
#define IDLE_US 50000u	/* (tune) */
#define RECENT_NS 100000000ull
#define LOOK_NS 100000000ull /* (tune) */
#define DECAY_CPUS 64u	     /* whose lists are emptied at a look, at most, of a cache or a zone */
#define PURGE_BLOCKS 8u	     /* given back in a pass, at most */
#define PURGE_RUNS 64u
#define COMPACT_BLOCKS 16u
#define COOL_SLABS 128u /* looked at in a pass, at most */
#define RUNS_QUIET 3u	/* (tune) in such times */
#define RUNS_LATEST 10u
#define PURGE_NS 100000000ull /* a block must have been idle for this long */

static struct {
	u32 flag;	  /* a no-lock caller wants it; also the futex it sleeps on */
	u32 unheard;	  /* a no-lock caller was on a slow path: a hint */
	u32 running;	  /* 0 none, 1 started, 2 failed, or as above */
	u32 passing;	  /* a pass is under way: nst_maintain() and the worker take turns */
	uintptr_t passer; /* whose it is */
	u64 purged_at;	  /* ns */
	u64 looked_at;	  /* for idle caches, ns */
} worker = {.running = TOO_EARLY};

const char *nst_worker_state(void)
{
	if (!nst_option(NST_OPT_worker))
		return "off";
	switch (nst_load_relaxed(&worker.running)) { /* a state to show */
	case 0:
	case TOO_EARLY:
		return "not started";
	case 1:
		return "running";
	case NO_THREAD:
		return "none after _Fork";
	default:
		return "failed";
	}
}

void nst_worker_flag(void)
{
	if (!nst_load_relaxed(&worker.flag)) /* relaxed: a hint either way */
		nst_store_relaxed(&worker.flag, 1u);
}

void nst_worker_listen(void)
{
	nst_lean_end();
	if (!nst_load_relaxed(&worker.unheard)) /* relaxed: a hint either way */
		nst_store_relaxed(&worker.unheard, 1u);
}

static void start_thread(void);

void nst_worker_wake(void)
{
	if (nst_likely(!nst_load_relaxed(&worker.flag))) /* relaxed: the next call sees it */
		return;
	/* relaxed: a worker that starts only now looks at the flag before it sleeps */
	if (nst_load_relaxed(&worker.running) == 1 && nst_exchange_relaxed(&worker.flag, 2u) == 1)
		nst_sys_futex_wake(&worker.flag);
}

void nst_worker_kick(void)
{
	if (nst_likely(!nst_load_relaxed(&worker.flag))) /* relaxed: the next kick sees it */
		return;
	if (!nst_load_relaxed(&worker.running)) /* relaxed: the start itself is a swap */
		start_thread();
	else
		nst_worker_wake();
}

/* ---- one pass ---- */

static int fill_barn(struct nst_cache *c)
{
	unsigned int node, found = 0;

	for (node = 0; node < nst_sys_cpus.nr_nodes; node++)
		while (nst_barn_wants_more(c, node) && nst_barn_add_full(c, node))
			found = 1;
	return (int)found;
}

static int pass_cache(struct nst_cache *c, int look, int drain, u32 *cool)
{
	int found = nst_stock_keep(c);

	if (drain && !c->keeps && !nst_hint(&c->stock))
		nst_cache_drain(c);

	if (nst_load_relaxed(&c->stray)) { /* relaxed: a later pass sees it */
		nst_stray_drain(c);
		found = 1;
	}
	if (nst_exchange_relaxed(&c->want, 0u)) /* a hint */
		found |= fill_barn(c);
	found |= nst_cache_cool(c, look, cool);
	return found | (look && nst_cache_decay(c, DECAY_CPUS));
}

/* Destroying a cache waits until no pass is under way, so one seen here stays. */
static int pass_caches(int look, int drain)
{
	u32 id, cool = COOL_SLABS;
	int found = 0;

	for (id = 1; id <= nst_hint(&nst_nr_caches); id++)
		if (nst_cache_is_used(nst_cache_number(id)))
			found |= pass_cache(nst_cache_number(id), look, drain, &cool);
	return found;
}

static int pass_zone(struct nst_zone *z, int look)
{
	u32 want = nst_exchange_relaxed(&z->want, 0u); /* a hint */
	int found = look && nst_pcp_decay(z, DECAY_CPUS), filled;

	nst_zone_end_lean(z);
	if (nst_hint(&z->free_pages) < nst_hint(&z->low) || want)
		while (nst_hint(&z->free_pages) < nst_hint(&z->high) && nst_zone_grow(z, 0) == 0)
			found = 1;
	if (nst_hint(&z->free_pages) < nst_hint(&z->low))
		nst_reclaim_want();
	if (!want && !nst_hint(&z->stocked))
		return found;
	filled = nst_pcp_fill(z, want, 0);
	found |= filled;
	while (filled & NST_PCP_SHORT && nst_zone_grow(z, 0) == 0)
		filled = nst_pcp_fill(z, want, 1);
	return found;
}

/*
 * Runs go when no whole block has gone for a while, or after a longer one: while caches and lists empty, runs become
 * blocks, and a block that went in pieces keeps its descriptors, and its huge page is split.
 */
static unsigned int purge_zone(struct nst_zone *z, int now, int again)
{
	int runs = now || z->quiet >= RUNS_QUIET || z->since_runs >= RUNS_LATEST;
	unsigned int blocks = PURGE_BLOCKS * (nst_hint(&nst_span_limited) ? 8 : 1);
	unsigned int n = nst_zone_shrink(z, blocks, runs ? PURGE_RUNS : 0);

	if (!n && runs)
		n = nst_zone_compact(z, COMPACT_BLOCKS);
	if (!again) {
		z->still++;
		nst_compact_look(z);
		z->quiet = n && !runs ? 0 : z->quiet + 1;
		z->since_runs = runs ? 0 : z->since_runs + 1;
	}
	return n;
}

/* Where it is @due; and again in each pass until all is gone that was idle then. @now: all of it. */
static int purge(int due, int now)
{
	unsigned int i, n = 0;

	for (i = 0; i < nst_sys_cpus.nr_nodes; i++) {
		if (due)
			n += nst_large_age(&nst_zones[i], now);
		if (due || nst_zones[i].more_idle)
			n += purge_zone(&nst_zones[i], now, !due);
	}
	return n != 0;
}

/* The time of @at has come, or it is to be @now. */
static int is_due(u64 *at, u64 ns, u64 period_ns, int now)
{
	if (!now && ns - *at < period_ns)
		return 0;
	*at = ns;
	return 1;
}

static int begin_pass(void)
{
	/* Pairs with: nst_store_release() in end_pass(). */
	if (!nst_cas_acquire(&worker.passing, 0u, 1u))
		return 0;
	worker.passer = nst_thread_pointer();
	return 1;
}

static void end_pass(void)
{
	/* Pairs with: nst_cas_acquire() in begin_pass(). */
	nst_store_release(&worker.passing, 0u);
}

/* What is free in the zones, whenever that was: lists that nobody stocked are emptied for it. */
static int purge_pressed(unsigned int what)
{
	unsigned int i, n = 0;

	for (i = 0; i < nst_sys_cpus.nr_nodes; i++) {
		if (what & NST_PASS_DRAIN)
			nst_pcp_drain(&nst_zones[i]);
		nst_zone_age(&nst_zones[i]);
		n += nst_large_age(&nst_zones[i], 0);
		n += purge_zone(&nst_zones[i], 1, 0);
	}
	return n != 0;
}

int nst_maintain_pass(unsigned int what)
{
	int found, look, now = (what & NST_PASS_PURGE) != 0;
	unsigned int i;
	u64 ns;

	if (!begin_pass()) {
		if (what & NST_PASS_NOW)
			nst_publish_ask();
		return 0;
	}
	nst_store_relaxed(&worker.flag, 0u); /* what is flagged from here on is for the next pass */
	ns = nst_sys_now_ns();
	nst_lockdep_watch_pass(ns);
	what |= nst_pressure_pass(ns, (what & NST_PASS_NOW) != 0);
	look = is_due(&worker.looked_at, ns, LOOK_NS, (what & NST_PASS_PRESSED) != 0);
	found = nst_is_lean() && !(what & NST_PASS_NOW) ? 0 : nst_fork_make_ready();
	found |= nst_side_drain() != 0;
	found |= nst_reserve_pass();
	found |= nst_retired_pass(look);
	found |= nst_large_drain() != 0;
	for (i = 0; i < nst_sys_cpus.nr_nodes; i++)
		found |= pass_zone(&nst_zones[i], look);
	found |= pass_caches(look, (what & NST_PASS_DRAIN) != 0);
	found |= purge(is_due(&worker.purged_at, ns, PURGE_NS, now), now);
	if (what & NST_PASS_PRESSED) {
		found |= purge_pressed(what);
		found |= nst_pressure_pass_end();
	}
	nst_budget_refill();
	found |= nst_rcu_pass();
	found |= nst_account_pass();
	if (found)
		nst_stats_move();
	if (what & NST_PASS_PUBLISH)
		nst_publish_pass((what & NST_PASS_NOW) != 0);
	end_pass();
	return found;
}

int nst_worker_may_start(void)
{
	u32 running = nst_load_relaxed(&worker.running); /* a state */

	return nst_option(NST_OPT_worker) && running != NO_THREAD && running != TOO_EARLY;
}

int nst_worker_passes(void)
{
	return nst_load_relaxed(&worker.passing) != 0; /* at some moment */
}

int nst_worker_pass_is_lost(void)
{
	return worker.passing && worker.passer != nst_thread_pointer();
}

void nst_maintain_pause(void)
{
	while (!begin_pass())
		nst_sys_futex_wait(&worker.passing, 1, 100);
}

int nst_maintain_pause_us(unsigned int us)
{
	unsigned int waited;

	for (waited = 0; waited < us; waited += 100) {
		if (begin_pass())
			return 1;
		nst_sys_futex_wait(&worker.passing, 1, 100);
	}
	return 0;
}

void nst_maintain_resume(void)
{
	end_pass();
}

int nst_maintain(void)
{
	int found;

	if (nst_start())
		return 0;
	nst_fork_check();
	nst_calls_help();
	nst_reclaim_help();
	found = nst_compact_help();
	return found | nst_maintain_pass(NST_PASS_PURGE | NST_PASS_PUBLISH | NST_PASS_NOW);
}

/* ---- the thread ---- */

static void *run(void *unused)
{
	u64 last_work = nst_sys_now_ns(), last_heard = last_work - RECENT_NS;

	(void)unused;
	for (;;) {
		u64 now = nst_sys_now_ns();
		u64 us = now - last_heard < RECENT_NS || nst_retired_is_busy() ? NOLOCK_US
			 : now - last_work < RECENT_NS			       ? BUSY_US
									       : IDLE_US;

		nst_sys_futex_wait(&worker.flag, nst_load_relaxed(&worker.flag), us); /* a nap */
		if (nst_exchange_relaxed(&worker.unheard, 0u))			      /* a hint */
			last_heard = nst_sys_now_ns();
		nst_count_idle(NST_COUNT_WAKEUP);
		if (nst_maintain_pass(NST_PASS_PUBLISH)) {
			nst_count_idle(NST_COUNT_FOUND_WORK);
			last_work = nst_sys_now_ns();
		}
	}
	return NULL;
}

static void start_thread(void)
{
	if (!nst_option(NST_OPT_worker) || !nst_cas_relaxed(&worker.running, 0u, 1u))
		return;
	if (nst_sys_thread_start(run, NULL)) {
		nst_warn("the worker could not be created; allowed: worker:off and calls of "
			 "nst_maintain()");
		nst_store_relaxed(&worker.running, 2u); /* a state to show */
	}
}

void nst_worker_allow(void)
{
	if (nst_cas_relaxed(&worker.running, TOO_EARLY, 0u) && nst_is_started())
		start_thread();
}

/* The child has no worker. Whether it may start one is not known yet: _Fork() leaves libc's locks as they were. */
void nst_worker_after_fork(void)
{
	worker.running = NO_THREAD;
	if (nst_worker_pass_is_lost())
		worker.passing = 0;
	worker.flag = 1;
}

void nst_worker_after_libc_fork(void)
{
	worker.running = 0;
}
