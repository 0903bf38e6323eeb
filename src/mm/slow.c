/* SPDX-License-Identifier: MIT */
/*
 * slow.c - what an ordinary entry does once its fast path has failed.
 *
 * In this order: start the library, notice a fork, apply the thread's scopes, tell the validator, then
 * walk; a mode that turns out to wait for nothing goes on in nolock.c. What the program asked to have
 * counted or checked on every call (options debug, stats, nolock_budget) is done here, because then the
 * fast paths find empty stacks and come here always.
 *
 * Context: thread, until the mode is found to be a no-lock one.
 */
#include "mm.h"
#include "claim/account.h"
#include "claim/debt.h"
#include "reclaim/reclaim.h"
#include "retire/retired.h"
#include "claim/pool.h"

#define THROTTLE_NAP_US 1000 /* (tune) */
#define THROTTLE_NAPS 20u    /* (tune) */

/* Over the budget NOFAIL goes on, and malloc, whose callers may know of no budget. */
static int may_exceed(nst_mode_t mode)
{
	return mode & NST_NOFAIL ||
	       (mode & NST_OVERBUDGET && !nst_option(NST_OPT_rcu_budget_malloc));
}

/*
 * More waits for grace periods than may: the request gives way, since no retirement does. Who may sleep helps for a
 * while; not for ever, since it may itself be the reader that all wait for. NOFAIL goes on at once.
 */
static int gives_way(nst_mode_t mode)
{
	static u32 never;
	unsigned int naps;

	if (nst_likely(!nst_retired_is_over()) || mode & NST_NOFAIL)
		return 0;
	for (naps = 0; nst_mode_row(mode)->sleeps && naps < THROTTLE_NAPS; naps++) {
		nst_maintain_pass(0);
		if (!nst_retired_is_over())
			return 0;
		nst_sys_futex_wait(&never, 0, THROTTLE_NAP_US);
	}
	if (may_exceed(mode))
		return 0;
	nst_count_null(mode, NST_NULL_RETIRED);
	return 1;
}

/* 1 when an ordinary request may go on, unless it gives way. */
static int begin(nst_mode_t mode, struct nst_site site)
{
	if (!nst_is_started() && nst_start()) {
		nst_count_null(mode, NST_NULL_NOMEM);
		return 0;
	}
	nst_fork_check();
	nst_lockdep_allocation(mode, site.address);
	if (nst_unlikely(mode & NST_MEMALLOC) && !nst_thread.reserve)
		nst_reserve_missing(mode, site);
	nst_count(NST_COUNT_REQUEST + nst_lowest_bit(mode & NST_MODE_MASK), 1);
	if (nst_mode_row(mode)->sleeps)
		nst_side_drain();
	else
		nst_lean_end(); /* it lives on what is ready as well */
	nst_worker_kick();
	return 1;
}

static int enter(nst_mode_t mode, struct nst_site site)
{
	return begin(mode, site) && !gives_way(mode);
}

/* What waits is more than may: who holds a ticket has what was put aside for it, and nothing else. */
static int has_the_reserve_alone(nst_mode_t mode)
{
	return nst_unlikely(mode & NST_MEMALLOC) && nst_thread.reserve && nst_retired_is_over() &&
	       !may_exceed(mode);
}

int nst_zero_is_refused(const struct nst_cache *c, nst_mode_t mode, struct nst_site site)
{
	if (!(mode & NST_ZERO) || !c->ctor)
		return 0;
	nst_warn("%s: NST_ZERO on cache '%s', which has a constructor; allowed: one of them",
		 site.function, c->name);
	nst_count_null(mode, NST_NULL_MODE);
	return 1;
}

int nst_slow_enter(struct nst_cache *c, nst_mode_t mode, struct nst_site site)
{
	if (!enter(mode, site))
		return 0;
	if (nst_unlikely(!nst_cache_is_used(c))) {
		nst_misuse_destroyed(c, site);
		return 0;
	}
	return !nst_zero_is_refused(c, mode, site);
}

static NST_NOINLINE void *cache_walk(struct nst_cache *c, nst_mode_t mode, struct nst_site site)
{
	enum nst_null_reason why = NST_NULL_NOMEM;
	struct nst_account *a = nst_account_of(mode);
	struct nst_reclaim rc = {0};
	void *obj;

	mode = nst_mode_in_scope(mode);
	if (mode & NST_MODES_NEVER_WAIT)
		return nst_cache_alloc_nolock_slow(c, mode, site);
	if (!nst_slow_enter(c, mode, site))
		return NULL;
	nst_debt_pay(mode);
	if (a) {
		c = nst_cache_charged(c);
		if (!nst_charge_waits(a, c->slot, mode, site))
			return NULL;
	}
	do {
		obj = nst_cache_alloc_waits(c, mode, &why);
	} while (!obj && nst_reclaim_again(&rc, mode, c->order));
	nst_reclaim_end(&rc, obj != NULL);
	return nst_object_done(c, a, obj, mode, why, site);
}

void *nst_cache_alloc_slow(struct nst_cache *c, nst_mode_t mode, struct nst_site site)
{
	void *obj = nst_unlikely(nst_mm.accounts) ? nst_account_pop(c, mode) : NULL;

	return obj ? obj : cache_walk(c, mode, site);
}

void *nst_run_alloc_slow(size_t pages, nst_mode_t mode, struct nst_site site)
{
	enum nst_null_reason why = NST_NULL_NOMEM;
	unsigned int order = nst_log2_up(pages);
	struct nst_reclaim rc = {0};
	struct nst_account *a;
	struct nst_page *p;
	int aside;

	mode = nst_mode_in_scope(mode);
	if (mode & NST_MODES_NEVER_WAIT)
		return nst_run_alloc_nolock(order, mode, site);
	if (!begin(mode, site))
		return NULL;
	aside = has_the_reserve_alone(mode);
	if (aside)
		why = NST_NULL_RETIRED;
	else if (gives_way(mode))
		return NULL;
	nst_debt_pay(mode);
	a = nst_account_of(mode);
	if (a && !nst_charge_waits(a, (u64)pages << NST_PAGE_SHIFT, mode, site))
		return NULL;
	do {
		p = aside ? nst_reserve_take(order, mode)
			  : nst_run_take_waits(nst_this_node(), pages, mode, &why);
	} while (!p && nst_reclaim_again(&rc, mode, order));
	nst_reclaim_end(&rc, p != NULL);
	if (!p) {
		if (a)
			nst_uncharge(a, (u64)pages << NST_PAGE_SHIFT);
		nst_count_null(mode, why);
		return NULL;
	}
	nst_run_cut(p, pages);
	if (!nst_mode_row(mode)->sleeps)
		nst_debt_bill(nst_page_node(p), (u64)pages << NST_PAGE_SHIFT);
	if (a)
		p->owner = a->id;
	return nst_run_start(p, mode, site);
}

static void *large_slow(size_t size, size_t align, nst_mode_t mode, struct nst_site site)
{
	u64 bytes = (u64)nst_pages_of(size) << NST_PAGE_SHIFT;
	enum nst_null_reason why = NST_NULL_NOMEM;
	struct nst_reclaim rc = {0};
	struct nst_account *a = nst_account_of(mode);
	void *addr;

	if (!enter(mode, site))
		return NULL;
	if (!nst_mode_row(mode)->sleeps) {
		nst_count_null(mode, NST_NULL_SIZE);
		return NULL;
	}
	nst_debt_pay(mode);
	if (a && !nst_charge_waits(a, bytes, mode, site))
		return NULL;
	do {
		addr = nst_large_alloc(size, align, mode, &why);
	} while (!addr && why == NST_NULL_NOMEM && nst_reclaim_again(&rc, mode, 0));
	nst_reclaim_end(&rc, addr != NULL);
	if (!addr) {
		if (a)
			nst_uncharge(a, bytes);
		nst_count_null(mode, why);
		return NULL;
	}
	if (a)
		nst_owner_set(NULL, addr, a);
	if (nst_mm.instrument)
		nst_debug_alloc(NULL, addr, site);
	return addr;
}

/* The smallest class of @size whose objects are aligned to @align, or NULL. */
static struct nst_cache *class_for(size_t size, size_t align)
{
	struct nst_cache *c;

	for (size = nst_round_up(size, align); size <= NST_CLASS_MAX; size = c->size + 1) {
		c = nst_size_table[nst_size_index(size)];
		if (c->slot % align == 0)
			return c;
	}
	return NULL;
}

static NST_NOINLINE void *size_walk(size_t size, size_t align, nst_mode_t mode,
				    struct nst_site site)
{
	struct nst_cache *c = NULL;
	size_t whole = nst_max(size, align);
	void *obj;

	mode = nst_mode_in_scope(mode);
	if (mode & NST_MODES_NEVER_WAIT && align <= 16)
		return nst_size_alloc_nolock_slow(size, mode, site);
	if (size == 0 || size > PTRDIFF_MAX - align) {
		nst_count_size(mode);
		return NULL;
	}
	if (!nst_is_started() && !(mode & NST_MODES_NEVER_WAIT) && nst_start()) {
		nst_count_null(mode, NST_NULL_NOMEM);
		return NULL;
	}
	if (!nst_is_started()) { /* a mode that may not start it */
		nst_count_null(mode, NST_NULL_EARLY);
		return NULL;
	}
	if (whole <= NST_CLASS_MAX && align <= NST_PAGE_BYTES)
		c = class_for(size, align);
	obj = c && align > 1 && !(mode & NST_ZERO) ? nst_seq_pop(c->main.fast)
						   : NULL; /* nobody has tried */
	if (obj)
		return obj;
	if (c)
		return align > 1 ? nst_cache_alloc_slow(c, mode, site) : cache_walk(c, mode, site);
	if (whole <= NST_BLOCK_BYTES)
		return nst_run_alloc_slow(nst_pages_of(whole), mode, site);
	if (mode & NST_MODES_NEVER_WAIT) {
		nst_count_size(mode);
		return NULL;
	}
	return large_slow(size, align, mode, site);
}

void *nst_size_alloc_slow(size_t size, size_t align, nst_mode_t mode, struct nst_site site)
{
	void *obj = NULL;

	if (nst_unlikely(nst_mm.accounts) && align == 1 && size - 1 < NST_CLASS_MAX)
		obj = nst_account_pop(nst_size_table[nst_size_index(size)], mode);
	return obj ? obj : size_walk(size, align, mode, site);
}

static NST_NOINLINE void free_walk(struct nst_cache *c, void *obj, struct nst_site site)
{
	struct nst_page *p;

	if (!obj)
		return;
	if (nst_thread.scopes & NST_SCOPE_NOLOCK) {
		nst_free_nolock_slow(c, obj, site);
		return;
	}
	nst_fork_check();
	nst_lockdep_freeing(site.address);
	nst_side_drain();
	p = nst_free_admit(c, &obj, site);
	if (!p)
		return;
	if (nst_page_state(p) == NST_PAGE_SLAB)
		nst_cache_put_waits(nst_cache_number(p->cache), obj, site);
	else if (nst_page_state(p) == NST_PAGE_RUN)
		nst_page_put_waits(p);
	else
		nst_large_free(p);
	nst_worker_wake();
}

void nst_free_slow(struct nst_cache *c, void *obj, struct nst_site site)
{
	if (nst_likely(!nst_mm.accounts) || !nst_account_push(c, obj))
		free_walk(c, obj, site);
}
