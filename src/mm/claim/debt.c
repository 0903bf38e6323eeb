/* SPDX-License-Identifier: MIT */
/*
 * debt.c - who takes without waiting while memory is short owes it, and makes up for it where he may sleep.
 *
 *	bill	a request of a mode that does not sleep had bytes from beyond its CPU's own stacks, and free pages are
 *		below the low watermark: owed += bytes. Any context, one addition to the thread's own block
 *	pay	an ordinary request of that thread, of a mode that sleeps, on its slow path and before it is served
 *	settle	nst_settle(): where the program says that now is a good time
 *
 *	owed  --- memory is not short any more --->  0
 *	      --- more than a dose ---> made ready up to the high watermark, then reclaimed: as many bytes less
 *	      --- and still more -----> slept off: NST_NORMAL 10 ms at most, nst_settle() 2 s
 *
 * Owing d bytes costs  T(d) = 10 ms x (d^2 - dose^2) / (256 KiB)^2 : who has slept t owes what costs T(d) - t. So who pays
 * early pays 0.16 ms a page, who lets it grow pays by its square: 60 ms for 512 KiB, 2 s for 3.5 MiB, and no more.
 *
 * D1. owed is changed by its thread and the handlers on it, by atomic steps: a handler's bill is not lost.
 * D2. Nobody sleeps for it in a free, a scope, a known read section, with a ticket, in a function of nst_call_rcu(), in the
 *     midst of fork(), nor while libc ends the thread: others may wait for such a thread.
 *
 * Exempt are pages that retiring takes (free_rcu.c), what is had with a ticket, and by a thread that reclaims: these free.
 * Not seen is what fast paths serve: they count nothing.
 *
 * The model is Linux's mem_cgroup_handle_over_high(): charged at once, slept at the return to user mode.
 *
 * Fork: the child's thread owes what it owed. Signal: bill is legal. Exit of a thread: what it owes is forgotten.
 */
#define NST_NO_MACROS
#include "../mm.h"
#include "debt.h"
#include "../reclaim/reclaim.h"
#include "../retire/retired.h"

#define DOSE ((u64)128 << 10)	/* (tune) bytes that are nobody's business */
#define UNIT ((u64)256 << 10)	/* (tune) */
#define UNIT_US 10000u		/* (tune) what the first of them costs, nearly */
#define MOST ((u64)3709 * 1000) /* bytes that cost SETTLE_US: nobody owes more when he sleeps */
#define LEAST_US 1000u		/* (tune) less is not slept, and stays */
#define NORMAL_US 10000u	/* (tune) */
#define SETTLE_US 2000000u	/* (tune) */
#define MOST_WAKES 4096u	/* a storm of signals ends a sleep early */

u64 nst_debt_longest_us;

/* ---- what is owed ---- */

static u64 owed(void)
{
	return nst_load_relaxed(&nst_thread.owed); /* this thread's own */
}

static int is_due(void)
{
	return owed() > DOSE;
}

static void lower(u64 bytes, unsigned int what)
{
	u64 had, n;

	do {
		had = owed();
		n = nst_min(had, bytes);
	} while (!nst_cas_relaxed(&nst_thread.owed, had, had - n)); /* a handler may add */
	if (n)
		nst_count(what, n);
}

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 31 /* nobody owes anything */
static int is_exempt(void)
{
	return 1;
}
#else
static int is_exempt(void)
{
	return !nst_option(NST_OPT_debt) || nst_thread.reserve || nst_thread.claimed;
}
#endif

void nst_debt_bill_short(u64 bytes)
{
	if (is_exempt())
		return;
	nst_add_relaxed(&nst_thread.owed, bytes); /* D1 */
	nst_count(NST_COUNT_DEBT_BILLED, bytes);
}

/* ---- the price ---- */

static u64 root(u64 v)
{
	u64 r = 0, bit;

	for (bit = (u64)1 << 31; bit; bit >>= 1)
		if ((r + bit) * (r + bit) <= v)
			r += bit;
	return r;
}

/* What @bytes cost, at most MOST, in us. */
static u64 price(u64 bytes)
{
	return bytes > DOSE ? (bytes * bytes - DOSE * DOSE) * UNIT_US / (UNIT * UNIT) : 0;
}

/* What of @bytes is left after @us, which is no more than they cost. */
static u64 left_after(u64 bytes, u64 us)
{
	return nst_max(root(bytes * bytes - us * (UNIT * UNIT / UNIT_US)), DOSE);
}

/* ---- paying ---- */

static u64 sleep_for(u64 us)
{
	static u32 never;
	u64 begun = nst_sys_now_ns(), slept = 0;
	unsigned int wakes;

	if (nst_test_naps(us))
		return us;
	for (wakes = 0; wakes < MOST_WAKES && slept < us; wakes++) {
		nst_sys_futex_wait(&never, 0, us - slept);
		slept = (nst_sys_now_ns() - begun) / 1000;
	}
	return slept;
}

/* How long. */
static u64 sleep_off(u64 most_us)
{
	u64 had, cost, slept;

	if (owed() > MOST)
		lower(owed() - MOST, NST_COUNT_DEBT_LAPSED);
	had = owed();
	cost = nst_min(price(had), SETTLE_US);
	if (cost < LEAST_US)
		return 0;
	slept = sleep_for(nst_min(cost, most_us));
	lower(had - left_after(had, nst_min(slept, cost)), NST_COUNT_DEBT_SLEPT_OFF);
	nst_count(NST_COUNT_DEBT_SLEEP, 1);
	nst_count(NST_COUNT_DEBT_SLEPT_US, slept);
	nst_max_relaxed(&nst_debt_longest_us, slept);
	return slept;
}

/* Made ready, or freed, as much as is owed; no more than the zone is to have. */
static void refill(struct nst_zone *z, nst_mode_t mode, int may_sleep)
{
	u64 before, now = nst_load_relaxed(&z->ready_pages); /* a counter, as below */

	while (owed() && nst_hint(&z->free_pages) < nst_hint(&z->high) && !nst_zone_grow(z, 0)) {
		before = now;
		now = nst_load_relaxed(&z->ready_pages);
		if (now <= before) /* the worker gives back at the same time */
			break;
		lower((now - before) << NST_PAGE_SHIFT, NST_COUNT_DEBT_PAID);
	}
	if (may_sleep && is_due() && nst_debt_is_short(z))
		lower(nst_reclaim_earn(mode) << NST_PAGE_SHIFT, NST_COUNT_DEBT_PAID);
}

/* How long it slept, in us. */
static u64 pay(nst_mode_t mode, u64 most_us)
{
	struct nst_zone *z = &nst_zones[nst_this_node()];
	u64 slept = 0;

	nst_thread.paying = 1; /* libc may allocate, and what reclaim calls */
	nst_sys_end_watch();
	if (is_due() && nst_debt_is_short(z))
		refill(z, mode, most_us != 0);
	if (!nst_debt_is_short(z))
		lower(owed(), NST_COUNT_DEBT_LAPSED);
	else if (most_us && is_due())
		slept = sleep_off(most_us);
	nst_thread.paying = 0;
	return slept;
}

/* ---- where ---- */

/* Why this thread had better not sleep now, or NULL. */
static const char *why_awake(void)
{
	if (nst_thread.scopes & ~NST_SCOPE_TICKET)
		return "in a scope";
	if (nst_thread.reserve)
		return "with a ticket of a reserve";
	if (nst_rcu_is_reading())
		return "in a read section";
	if (nst_calls_are_mine())
		return "in a function of nst_call_rcu()";
	if (nst_thread.paying)
		return "in a signal handler";
	return NULL;
}

static int is_ending(void)
{
	return nst_thread.end == 2 || nst_thread.forking;
}

void nst_debt_pay_owed(nst_mode_t mode)
{
	if (!nst_mode_row(mode)->sleeps || nst_thread.reserve || nst_thread.paying ||
	    nst_thread.claimed || is_ending())
		return;
	pay(mode, mode & NST_NORMAL && is_due() && !why_awake() ? NORMAL_US : 0);
}

uint64_t nst_settle(void)
{
	const char *why = why_awake();

	if (why) {
		nst_warn(
			"nst_settle(): %s; allowed: a thread that may sleep, for which nobody waits",
			why);
		return 0;
	}
	if (!owed() || is_ending())
		return 0;
	nst_fork_check();
	return pay(NST_NORMAL, SETTLE_US);
}
