/* SPDX-License-Identifier: MIT */
/*
 * nolock.c - every no-lock entry point and nothing else.
 *
 * From here nothing that waits, sleeps, faults or enters the kernel can be reached: check-nolock links
 * each entry with what it needs and compares the symbols that stay undefined with a list of one. The
 * first lines are the fast path; one exit leads to the walk, which tries each lock once.
 *
 * Context: any, at any instruction of this library too. Waits: never. Syscalls: none (a report of
 * misuse writes one line). errno: untouched.
 */
#include "mm.h"
#include "claim/account.h"
#include "claim/debt.h"
#include "retire/retired.h"

/* 1 if the request is within the budget. */
static int admitted(nst_mode_t mode)
{
	nst_count(NST_COUNT_REQUEST + nst_lowest_bit(mode & NST_MODE_MASK), 1);
	nst_worker_listen();
	if (nst_unlikely(nst_retired_is_over())) {
		nst_count_null(mode, NST_NULL_RETIRED);
		return 0;
	}
	if (nst_budget_take(1))
		return 1;
	nst_count_null(mode, NST_NULL_BUDGET);
	return 0;
}

static int started(nst_mode_t mode)
{
	if (nst_is_started())
		return 1;
	nst_count_null(mode, NST_NULL_EARLY);
	return 0;
}

/* The next size class, once: its objects serve as well. */
static void *next_class(struct nst_cache **c, nst_mode_t mode, enum nst_null_reason *why)
{
	struct nst_cache *next = *c;
	void *obj;

	if (!(mode & NST_NOLOCK) || !next->is_class || next->charged || next->size >= NST_CLASS_MAX)
		return NULL;
	next = nst_size_table[nst_size_index(next->size + 1)];
	obj = nst_cache_alloc_tries(next, mode, why);
	if (obj) {
		*c = next;
		nst_count(NST_COUNT_NEXT_CLASS, 1);
	}
	return obj;
}

/*
 * @by_size: the next class may serve. Not for who names a cache, since its objects go back to it, nor
 * for who asks for more alignment than every class has.
 */
NST_ALWAYS_INLINE void *alloc_nolock(struct nst_cache *c, nst_mode_t mode, struct nst_site site,
				     const int by_size)
{
	enum nst_null_reason why = NST_NULL_EMPTY;
	struct nst_account *a = nst_account_of(mode);
	void *obj;

	if (!started(mode))
		return NULL;
	nst_fork_check();
	nst_lockdep_allocation(mode, site.address);
	if (!admitted(mode))
		return NULL;
	if (nst_unlikely(!nst_cache_is_used(c))) {
		nst_misuse_destroyed(c, site);
		return NULL;
	}
	if ((mode & NST_ZERO) && c->ctor) {
		nst_count_null(mode, NST_NULL_MODE);
		return NULL;
	}
	if (a) {
		c = nst_cache_charged(c);
		if (!nst_charge_nolock(a, c->slot, mode))
			return NULL;
	}
	obj = nst_cache_alloc_tries(c, mode, &why);
	if (!obj && by_size)
		obj = next_class(&c, mode, &why);
	return nst_object_done(c, a, obj, mode, why, site);
}

static NST_NOINLINE void *cache_walk(struct nst_cache *c, nst_mode_t mode, struct nst_site site)
{
	return alloc_nolock(c, mode, site, 0);
}

void *nst_cache_alloc_nolock_slow(struct nst_cache *c, nst_mode_t mode, struct nst_site site)
{
	void *obj = nst_unlikely(nst_mm.accounts) ? nst_account_pop(c, mode) : NULL;

	return obj ? obj : cache_walk(c, mode, site);
}

void *nst_run_alloc_nolock(unsigned int order, nst_mode_t mode, struct nst_site site)
{
	enum nst_null_reason why = NST_NULL_EMPTY;
	u64 bytes = NST_PAGE_BYTES << order;
	struct nst_account *a = nst_account_of(mode);
	struct nst_page *p;

	if (!started(mode))
		return NULL;
	nst_fork_check();
	nst_lockdep_allocation(mode, site.address);
	if (!admitted(mode) || (a && !nst_charge_nolock(a, bytes, mode)))
		return NULL;
	p = nst_page_take_tries(order, mode, &why);
	if (!p) {
		if (a)
			nst_uncharge(a, bytes);
		nst_count_null(mode, why);
		return NULL;
	}
	nst_debt_bill(nst_page_node(p), bytes);
	if (a)
		p->owner = a->id;
	return nst_run_start(p, mode, site);
}

nst_static_assert(NST_NOLOCK_MAX <= NST_CLASS_MAX, "every no-lock size is one of a class");

static NST_NOINLINE void *size_walk(size_t size, nst_mode_t mode, struct nst_site site)
{
	if (size - 1 >= NST_NOLOCK_MAX) {
		nst_count_size(mode);
		return NULL;
	}
	if (!started(mode))
		return NULL;
	return alloc_nolock(nst_size_table[nst_size_index(size)], mode, site, 1);
}

void *nst_size_alloc_nolock_slow(size_t size, nst_mode_t mode, struct nst_site site)
{
	void *obj = NULL;

	if (nst_unlikely(nst_mm.accounts) && size - 1 < NST_NOLOCK_MAX)
		obj = nst_account_pop(nst_size_table[nst_size_index(size)], mode);
	return obj ? obj : size_walk(size, mode, site);
}

static NST_NOINLINE void free_walk(struct nst_cache *c, void *obj, struct nst_site site)
{
	struct nst_page *p;

	if (!obj)
		return;
	nst_fork_check();
	nst_worker_listen();
	p = nst_free_admit(c, &obj, site);
	if (!p)
		return;
	if (nst_page_state(p) == NST_PAGE_SLAB)
		nst_cache_put_nolock(nst_cache_number(p->cache), obj, site);
	else if (nst_page_state(p) == NST_PAGE_RUN)
		nst_page_put_nolock(p);
	else
		nst_large_free(p);
}

void nst_free_nolock_slow(struct nst_cache *c, void *obj, struct nst_site site)
{
	if (nst_likely(!nst_mm.accounts) || !nst_account_push(c, obj))
		free_walk(c, obj, site);
}

/* ---- the entries ---- */

void *nst_alloc_nolock(size_t size)
{
	void *obj = nst_size_pop(size);

	if (nst_likely(obj != NULL))
		return obj;
	return nst_size_alloc_nolock_slow(size, NST_NOLOCK, NST_SITE("nst_alloc_nolock"));
}

void *nst_alloc_fasttry(size_t size)
{
	void *obj = nst_size_pop(size);

	if (nst_likely(obj != NULL))
		return obj;
	return nst_size_alloc_nolock_slow(size, NST_FASTTRY, NST_SITE("nst_alloc_fasttry"));
}

void nst_free_nolock(void *ptr)
{
	struct nst_pcs **stacks = nst_fast_of_pointer(ptr);

	if (nst_unlikely(!stacks || nst_seq_push(stacks, ptr) != NST_PUSH_OK))
		nst_free_nolock_slow(NULL, ptr, NST_SITE("nst_free_nolock"));
}

void *nst_cache_alloc_nolock(struct nst_cache *cache)
{
	void *obj = nst_seq_pop(cache->main.fast);

	if (nst_likely(obj != NULL))
		return obj;
	return nst_cache_alloc_nolock_slow(cache, NST_NOLOCK, NST_SITE("nst_cache_alloc_nolock"));
}

void nst_cache_free_nolock(struct nst_cache *cache, void *ptr)
{
	if (nst_unlikely(!ptr || nst_seq_push(cache->main.fast, ptr) != NST_PUSH_OK))
		nst_free_nolock_slow(cache, ptr, NST_SITE("nst_cache_free_nolock"));
}

void *nst_pages_alloc_nolock(unsigned int order)
{
	if (order > NST_ORDER_NOLOCK_MAX) {
		nst_count_size(NST_NOLOCK);
		return NULL;
	}
	return nst_run_alloc_nolock(order, NST_NOLOCK, NST_SITE("nst_pages_alloc_nolock"));
}

void nst_pages_free_nolock(void *ptr)
{
	nst_free_nolock_slow(NULL, ptr, NST_SITE("nst_pages_free_nolock"));
}
