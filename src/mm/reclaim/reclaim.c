/* SPDX-License-Identifier: MIT */
/*
 * reclaim.c - a request that found nothing reclaims and looks again; below the low watermark a thread does it before.
 *
 *	round	a pass (what is ripe, idle, in side lists; in the last round all that lies in lists of ordinary
 *		caches); shrinkers, who are asked for more in each round:  count / 16, / 8 .. all
 *
 *	NORETRY	one round, of count / 4
 *	NORMAL	until it is served, or a round of all made no progress, or there were 16, besides those in which somebody
 *		else was at it; then out-of-memory notifiers (reaper.c), and a round after each time that something may
 *		have come of them
 *	NOFAIL	until it is served, with naps; those notifiers in each round that made no progress
 *
 * *Who reclaims gets what it reclaimed*: meanwhile it has a claim on its zone for as many pages as it wants. Claims raise
 * the floor of modes that may not sleep, and what is freed goes past CPUs' lists; who has freed as many as it claims goes
 * as low as ATOMIC, for so many. Claims are short: they end with the request. So a thread that takes without waiting
 * cannot live on what another one works for.
 *
 * The thread is there from the first time on that the worker cannot fill a zone and there is a shrinker: shrinkers may
 * take their time, and the worker must not.
 *
 * Context: thread, no lock held. Not for who holds a ticket (reserve.c) nor in a scope without reclaim, as a shrinker's
 * own requests are: so it does not recurse.
 */
#define NST_NO_MACROS
#include <errno.h>
#include "reclaim.h"

#define FIRST_PRIORITY 4u /* (tune) */
#define LIGHT_PRIORITY 2u /* (tune) */
#define MOST_ROUNDS 16u	  /* (tune) */
#define MOST_WAITS 500u /* (tune) a tenth of a second: who is in a shrinker may have lost its CPU */
#define NAP_US 1000u
#define BUSY_NAP_US 200u
#define IDLE_US 1000000u

static struct {
	u32 bell;    /* the futex the thread sleeps on */
	u32 running; /* 1: there is one */
	u32 wanted;
	u32 pressed; /* 0: no; else a priority, and 1 */
} background;

/* ---- in the program's functions ---- */

struct nst_errand nst_errand_begin(nst_mode_t mode)
{
	struct nst_errand e = {.saved_errno = errno};

	e.scope = nst_scope_enter(NST_SCOPE_NORECLAIM | (mode & NST_NOIO ? NST_SCOPE_NOIO : 0u) |
				  (mode & NST_NOCLIENT ? NST_SCOPE_NOCLIENT : 0u));
	e.account = nst_account_enter(NULL);
	return e;
}

void nst_errand_end(struct nst_errand e)
{
	nst_account_exit(e.account);
	nst_scope_exit(e.scope);
	errno = e.saved_errno;
}

/* ---- rounds ---- */

/* What came of a round. */
enum { NOTHING, PROGRESS, OF_OTHERS };

static int do_round(nst_mode_t mode, unsigned int priority)
{
	const int others =
		nst_worker_passes(); /* a pass that ends meanwhile may have found all there was */
	int busy, found = nst_maintain_pass(priority ? 0 : NST_PASS_DRAIN);
	u64 freed = nst_shrink(mode, priority, &busy);
	u32 never = 0;

	busy |= !found && (others || nst_worker_passes());
	if (busy)
		nst_sys_futex_wait(&never, 0, BUSY_NAP_US);
	if (freed) /* it lies in lists, or waits for readers */
		nst_maintain_pass(priority > LIGHT_PRIORITY ? 0 : NST_PASS_DRAIN);
	return found || freed ? PROGRESS : busy ? OF_OTHERS : NOTHING;
}

/* ---- of a request ---- */

/* One a thread: reclaim does not recurse. */
static void claim(unsigned int order)
{
	if (nst_thread.claimed)
		return;
	nst_thread.claimed = 1u << order;
	nst_thread.earned = 0;
	nst_thread.claimed_node = nst_this_node();
	nst_add_relaxed(&nst_zones[nst_thread.claimed_node].claimed,
			(u64)1 << order); /* a hint to who takes */
}

void nst_reclaim_end(struct nst_reclaim *rc, int served)
{
	if (nst_likely(!rc->rounds))
		return;
	nst_sub_relaxed(&nst_zones[nst_thread.claimed_node].claimed, (u64)nst_thread.claimed);
	nst_thread.claimed = 0;
	if (served)
		nst_count(NST_COUNT_RECLAIM_SERVED, 1);
}

/* More rounds than one do not help where nobody is asked for more in the next. */
static unsigned int priority_of(const struct nst_reclaim *rc, int light)
{
	if (light)
		return LIGHT_PRIORITY;
	return nst_shrink_are_some() && rc->rounds < FIRST_PRIORITY ? FIRST_PRIORITY - rc->rounds
								    : 0;
}

/* 1: it is to look again. */
static int all_else_fails(struct nst_reclaim *rc, nst_mode_t mode, int for_ever)
{
	if (for_ever)
		rc->ooms = 0;
	return nst_oom_relieve(mode, &rc->ooms);
}

int nst_reclaim_again(struct nst_reclaim *rc, nst_mode_t mode, unsigned int order)
{
	unsigned int reclaims = nst_mode_row(mode)->reclaims, priority;
	u32 never = 0;
	int progress;

	if (!reclaims || (reclaims != 3 && (mode & NST_MEMALLOC || rc->last)))
		return 0;
	claim(order);
	priority = priority_of(rc, reclaims == 1);
	progress = mode & NST_MEMALLOC ? nst_maintain_pass(0) != 0 : do_round(mode, priority);
	nst_count(NST_COUNT_RECLAIM_ROUND, 1);
	if (progress == OF_OTHERS && rc->rounds && rc->waited < MOST_WAITS)
		rc->waited++;
	else
		rc->rounds++;
	rc->last = (!priority && !progress) || (reclaims == 2 && rc->rounds >= MOST_ROUNDS);
	if (rc->last && reclaims != 1 && !(mode & NST_MEMALLOC))
		rc->last = !all_else_fails(rc, mode, reclaims == 3);
	rc->last |= reclaims == 1;
	if (reclaims == 3 && !progress)
		nst_sys_futex_wait(&never, 0, NAP_US);
	return 1;
}

u64 nst_reclaim_earn(nst_mode_t mode)
{
	struct nst_reclaim rc = {.rounds = 1};
	u64 earned;

	if (nst_thread.claimed || mode & NST_MEMALLOC)
		return 0;
	claim(0);
	do_round(mode, FIRST_PRIORITY);
	earned = nst_thread.earned;
	nst_reclaim_end(&rc, 0);
	return earned;
}

/* ---- in the background ---- */

static int is_short(void)
{
	unsigned int i;

	for (i = 0; i < nst_sys_cpus.nr_nodes; i++)
		if (nst_hint(&nst_zones[i].free_pages) < nst_hint(&nst_zones[i].low))
			return 1;
	return 0;
}

static void relieve(void)
{
	unsigned int round;

	for (round = 0; round < MOST_ROUNDS && is_short(); round++) {
		unsigned int priority = round < FIRST_PRIORITY ? FIRST_PRIORITY - round : 0;

		nst_count(NST_COUNT_RECLAIM_BACKGROUND, 1);
		if (!do_round(NST_NORMAL, priority) && !priority)
			return;
	}
}

/* One round: pressure that goes on comes again. */
static void relieve_others(void)
{
	u32 pressed = nst_exchange_relaxed(&background.pressed, 0u); /* a hint */

	nst_count(NST_COUNT_RECLAIM_BACKGROUND, 1);
	if (pressed)
		do_round(NST_NORMAL, pressed - 1);
}

static void *run(void *nothing)
{
	(void)nothing;
	for (;;) {
		u32 bell = nst_load_relaxed(
			&background.bell); /* before the look: a later ring differs */

		if (nst_hint(&background.pressed))
			relieve_others();
		else if (nst_exchange_relaxed(&background.wanted, 0u)) /* a hint */
			relieve();
		else
			nst_sys_futex_wait(&background.bell, bell, IDLE_US);
	}
	return NULL;
}

static void ring(void)
{
	if (nst_worker_may_start() && nst_cas_relaxed(&background.running, 0u, 1u) &&
	    nst_sys_thread_start(run, NULL))
		nst_store_relaxed(&background.running, 0u); /* a state; the next one tries again */
	nst_add_relaxed(&background.bell, 1u);		    /* the wake-up orders it */
	nst_sys_futex_wake(&background.bell);
}

void nst_reclaim_want(void)
{
	nst_compact_want();
	if (!nst_shrink_are_some() || nst_hint(&background.wanted))
		return;
	nst_hint_set(&background.wanted, 1u);
	ring();
}

void nst_reclaim_press(unsigned int priority)
{
	if (!nst_shrink_are_some())
		return;
	nst_hint_set(&background.pressed, priority + 1);
	ring();
}

void nst_reclaim_help(void)
{
	nst_oom_help();
	if (nst_load_relaxed(&background.running) == 1) /* a state */
		return;
	if (nst_hint(&background.pressed))
		relieve_others();
	if (nst_exchange_relaxed(&background.wanted, 0u)) /* a hint */
		relieve();
}

void nst_reclaim_after_fork(void)
{
	unsigned int i;

	background.running = background.wanted = background.pressed = 0;
	for (i = 0; i < nst_sys_cpus.nr_nodes; i++)
		nst_zones[i].claimed =
			0; /* a claim of this thread is taken back as it ends: reclaim is not forked from */
	nst_shrink_after_fork();
	nst_notify_after_fork();
	nst_oom_after_fork();
}
