/* SPDX-License-Identifier: MIT */
/*
 * stall.c - a period that does not end is reported, once: how long, what waits, and which threads hold it up.
 *
 * A period of our own domain waits for the sections of one phase, and new ones take the other; so of the threads of
 * this process those hold it up that have begun a section of that phase and not ended it. Each counts its own, for
 * fork children (read.c), so to know costs readers nothing: their counts are looked at when there is a stall. Where
 * they were begun is known from debug:1 on, and without sequences. One that another thread ended counts still: blockers_sections is then more
 * than sections_open. Of readers that are not ours nothing is known.
 */
#include "rcu.h"

#define MS 1000000ull
#define MOST_NAMED 3u /* in a line */

static u64 (*bytes_waiting)(void);

void nst_rcu_on_stall(u64 (*fn)(void))
{
	bytes_waiting = fn;
}

u64 nst_gp_age_ns(const struct nst_rcu_domain *d)
{
	u64 begun = nst_load_relaxed(&d->begun_ns), now; /* at some moment */

	if (!begun)
		return 0;
	now = nst_sys_now_ns();
	return now > begun ? now - begun : 0;
}

/* Threads with sections of one phase. */
struct blockers {
	u64 phase;
	u32 nr, first;
	u64 sections;
	size_t used;
	char text[256];
};

static void add(struct blockers *b, const struct nst_sys_task *t)
{
	char from[96] = "unknown";

	if (t->block.rcu_from)
		nst_sys_code_name(t->block.rcu_from, from, sizeof(from));
	b->used += nst_format(b->text + b->used, sizeof(b->text) - b->used,
			      " blocker=%u name='%s' entered=%s", t->tid, t->name, from);
	b->used = nst_min(b->used, sizeof(b->text) - 1);
}

static void look_at(struct nst_sys_task *t, void *arg)
{
	struct blockers *b = arg;
	u32 open = t->block.rcu_open[b->phase];

	if (!open || !nst_rcu_is_reader(&t->block))
		return;
	if (b->nr < MOST_NAMED)
		add(b, t);
	if (!b->nr++)
		b->first = t->tid;
	b->sections += open;
}

/* The phase that is waited for, where sections that begin now are of phase @now. */
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 21 /* nobody waits for those */
static u64 waited_for(u64 now)
{
	return now & 1;
}
#else
static u64 waited_for(u64 now)
{
	return ~now & 1;
}
#endif

static void report_own(struct nst_rcu_domain *d, u64 ns)
{
	/* relaxed: should the period end just now, others are named, whose sections are as real */
	struct blockers b = {.phase = waited_for((u64)nst_load_relaxed(&nst_rcu_readers.phase))};
	u64 open = nst_rcu_sum_in(b.phase) - nst_rcu_sum_out(b.phase);

	nst_sys_for_each_task(look_at, &b);
	nst_store_relaxed(&d->blocker, (u64)b.first); /* a statistic */
	nst_warn("grace period stalled: domain=own age_ms=%zu bytes_waiting=%zu "
		 "periods_waiting=%u threads_waiting=%u sections_open=%zu of_this_thread=%zu "
		 "blockers=%u blockers_sections=%zu%s",
		 (size_t)(ns / MS), bytes_waiting ? (size_t)bytes_waiting() : 0,
		 1 + nst_load_relaxed(&d->wanted), nst_load_relaxed(&d->waiters), (size_t)open,
		 (size_t)nst_rcu_open_here(), b.nr, (size_t)b.sections, b.text);
}

static void report_other(const struct nst_rcu_domain *d, u64 ns)
{
	nst_warn("grace period stalled: domain=%s age_ms=%zu bytes_waiting=%zu "
		 "periods_waiting=%u threads_waiting=%u sections_open=unknown forked=%u",
		 d->name, (size_t)(ns / MS), bytes_waiting ? (size_t)bytes_waiting() : 0,
		 1 + nst_load_relaxed(&d->wanted), nst_load_relaxed(&d->waiters),
		 nst_load_relaxed(&d->forked));
}

void nst_gp_watch(struct nst_rcu_domain *d)
{
	u64 ns;

	if (nst_load_relaxed(&d->stall_told)) /* relaxed: the swap decides */
		return;
	ns = nst_gp_age_ns(d);
	if (ns < nst_option(NST_OPT_rcu_stall_ms) * MS || !nst_cas_relaxed(&d->stall_told, 0u, 1u))
		return;
	nst_add_relaxed(&d->stalls, (u64)1);
	if (d == nst_rcu_own)
		report_own(d, ns);
	else
		report_other(d, ns);
}
