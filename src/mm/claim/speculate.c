/* SPDX-License-Identifier: MIT */
/*
 * speculate.c - attempts without a lock: a read section, no-lock requests in it, and who was refused pays outside.
 *
 *	begin   -> section                          again -> pays, decides
 *	request -> put aside | no-lock | NULL       locked -> the caller's own lock
 *	end     -> success | retry | miss | abort   finish -> what is left goes back
 *
 * E1. Each attempt is counted once, where it ends.
 * E2. A request in a section never waits, reclaims or touches a reserve: its mode is NST_SPECULATE_MODE.
 * E3. What is put aside is of one kind, and the speculation's own until it is handed out or finished.
 *
 * The policies are the three that were weighed for page tables in the kernel (2022: "Memory allocation on speculative
 * fastpaths"); the counters are those of its per-VMA locks.
 *
 * Context: begin, alloc, pages, end, locked any; again and finish thread. Signal: a struct is one thread's or one
 * handler's, so nothing here is shared but the counts. Fork: nothing to do. Exit: nothing to do.
 */
#include "../mm.h"
#include "speculate.h"

enum next { NEXT_NOTHING, NEXT_AGAIN, NEXT_PAY_AGAIN, NEXT_LOCK, NEXT_PAY_LOCK, NEXT_LOCKED };

#define KIND_RUN (1ull << 63)
#define ALLOWED_OUTSIDE "a call after nst_speculate_end()"

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 30 /* the reserve is touched */
#define MODE NST_ATOMIC
#else
#define MODE NST_SPECULATE_MODE
#endif

static void count(struct nst_speculate_site *site, enum nst_speculate_count what)
{
	struct nst_speculate_line *line = &site->line[nst_this_cpu() % NST_SPECULATE_LINES];

	nst_add_relaxed(&line->n[what], (u64)1);
	nst_count(NST_COUNT_SPECULATE + what, 1);
}

/* 1: it was inside, which is reported. */
static int is_inside(const struct nst_speculation *s, struct nst_site site)
{
	if (nst_likely(!s->section))
		return 0;
	nst_misuse(s, site, "inside its section", ALLOWED_OUTSIDE);
	return 1;
}

static int is_outside(const struct nst_speculation *s, struct nst_site site)
{
	if (nst_likely(s->section))
		return 0;
	nst_misuse(s, site, "no section of it is open", "a call after nst_speculate_begin()");
	return 1;
}

void nst_speculate_begin(struct nst_speculation *s)
{
	if (is_inside(s, NST_SITE("nst_speculate_begin")))
		return;
	s->asked = 0;
	s->rounds++;
	s->section = nst_rcu_read_begin();
}

/* ---- requests ---- */

static void *ask(u64 kind, struct nst_site site)
{
	if (kind & KIND_RUN)
		return nst_run_alloc_nolock((unsigned int)kind, MODE, site);
	return nst_size_alloc_nolock_slow(kind, MODE, site);
}

NST_ALWAYS_INLINE void *request(struct nst_speculation *s, u64 kind, struct nst_site site)
{
	void *obj = NULL;

	if (nst_unlikely(s->next != NEXT_LOCKED) && is_outside(s, site))
		return NULL;
	s->asked = s->kind == kind ? s->asked + 1 : 1;
	s->kind = kind;
	if (s->nr_aside && s->aside_kind == kind)
		return s->aside[--s->nr_aside];
	if (s->next == NEXT_LOCKED || s->site->policy == NST_SPECULATE_MISSING)
		return NULL;
	if (!(kind & KIND_RUN) && !nst_mm.instrument)
		obj = nst_size_pop(kind);
	if (!obj)
		obj = ask(kind, site);
	if (!obj)
		count(s->site, NST_SPECULATE_COUNT_nulls);
	return obj;
}

void *nst_speculate_alloc(struct nst_speculation *s, size_t size)
{
	if (size > NST_NOLOCK_MAX)
		return NULL;
	return request(s, size, NST_SITE("nst_speculate_alloc"));
}

void *nst_speculate_pages(struct nst_speculation *s, unsigned int order)
{
	if (order > NST_ORDER_NOLOCK_MAX)
		return NULL;
	return request(s, KIND_RUN | order, NST_SITE("nst_speculate_pages"));
}

/* ---- how it went ---- */

static int may_go_round(const struct nst_speculation *s)
{
	u32 most = s->site->rounds ? s->site->rounds : NST_SPECULATE_ROUNDS;

	return s->rounds < most;
}

static enum nst_speculate_count judge(struct nst_speculation *s, unsigned int outcome)
{
	int round = may_go_round(s);

	if (outcome == NST_SPECULATE_DONE) {
		s->next = NEXT_NOTHING;
		return NST_SPECULATE_COUNT_success;
	}
	if (outcome == NST_SPECULATE_CHANGED && round) {
		s->next = NEXT_AGAIN;
		return NST_SPECULATE_COUNT_miss;
	}
	if (outcome == NST_SPECULATE_NULL && round && s->site->policy == NST_SPECULATE_RETRY) {
		s->next = NEXT_PAY_AGAIN;
		return NST_SPECULATE_COUNT_retry;
	}
	s->next = outcome == NST_SPECULATE_NULL ? NEXT_PAY_LOCK : NEXT_LOCK;
	return NST_SPECULATE_COUNT_abort;
}

void nst_speculate_end(struct nst_speculation *s, unsigned int outcome)
{
	nst_rcu_token_t section = s->section;

	if (is_outside(s, NST_SITE("nst_speculate_end")))
		return;
	s->section = 0;
	nst_rcu_read_end(section);
	count(s->site, judge(s, outcome));
	if (nst_unlikely(outcome >= NST_NR_SPECULATE_OUTCOMES))
		nst_misuse(s, NST_SITE("nst_speculate_end"), "no outcome",
			   "one of NST_SPECULATE_DONE ... NST_SPECULATE_GIVE_UP");
}

/* ---- outside ---- */

static void give_back(struct nst_speculation *s)
{
	while (s->nr_aside)
		nst_free(s->aside[--s->nr_aside]);
}

static void *buy(u64 kind)
{
	return kind & KIND_RUN ? nst_pages_alloc((unsigned int)(kind & ~KIND_RUN), NST_NORMAL)
			       : nst_alloc(kind, NST_NORMAL);
}

static void pay(struct nst_speculation *s)
{
	u32 want = s->asked < NST_SPECULATE_ASIDE ? s->asked : NST_SPECULATE_ASIDE;

	if (s->aside_kind != s->kind)
		give_back(s);
	s->aside_kind = s->kind;
	while (s->nr_aside < want) {
		void *obj = buy(s->kind);

		if (!obj)
			return;
		s->aside[s->nr_aside++] = obj;
		count(s->site, NST_SPECULATE_COUNT_paid);
	}
}

int nst_speculate_again(struct nst_speculation *s)
{
	if (is_inside(s, NST_SITE("nst_speculate_again")))
		return 0;
	if (s->next == NEXT_PAY_AGAIN || s->next == NEXT_PAY_LOCK) {
		pay(s);
		s->next = s->next == NEXT_PAY_AGAIN ? NEXT_AGAIN : NEXT_LOCK;
	}
	return s->next == NEXT_AGAIN;
}

int nst_speculate_locked(struct nst_speculation *s)
{
	if (is_inside(s, NST_SITE("nst_speculate_locked")))
		return 0;
	if (s->next == NEXT_NOTHING)
		return 0;
	s->next = NEXT_LOCKED;
	s->asked = 0;
	return 1;
}

void nst_speculate_finish(struct nst_speculation *s)
{
	if (is_inside(s, NST_SITE("nst_speculate_finish")))
		return;
	give_back(s);
	nst_speculate_init(s, s->site);
}

void nst_speculate_read(const struct nst_speculate_site *site, struct nst_speculate_stats *out)
{
	u64 sum[NST_NR_SPECULATE_COUNTS] = {0};
	unsigned int i, k;

	for (i = 0; i < NST_SPECULATE_LINES; i++)
		for (k = 0; k < NST_NR_SPECULATE_COUNTS; k++)
			sum[k] += nst_load_relaxed(&site->line[i].n[k]); /* counters */
	nst_speculate_fill(out, sum);
}
