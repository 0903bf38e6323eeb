/* SPDX-License-Identifier: MIT */
/*
 * prefill.c - a caller's own sheaf: n objects taken ahead, then handed out in any context. <- NO-LOCK
 *
 *	alloc:	again:	state = load(state), left of it 0: NULL
 *			object = obj[left - 1]
 *			swap(state -> one less), else again
 *	refill: from = n
 *		again:	state = load(state)
 *			an object to obj[--from] until from <= left		whoever takes meanwhile makes left less
 *			swap(state -> refills + 1, n), else again
 *
 * A taker that read a slot from the refiller's part has lost its swap: left was less already. No state returns, since refills
 * count up (Treiber's tag). A swap fails only if another thread's, or a handler's, went through.
 *
 * Fork: a child has its own copy. A handler may take at any instruction of both; one refiller at a time.
 * Locks: alloc none; the others those of an ordinary request or free.
 */
#define NST_NO_MACROS
#include "pool.h"
#include "../reclaim/reclaim.h"

#define ONE_REFILL ((u64)1 << 32)

static u32 left_of(u64 state)
{
	return (u32)state;
}

/* ---- handing out ---- */

/* A broken variant that the tests must catch. */
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 23
static int commit(u64 *state, u64 old, u64 new)
{
	int is_same = nst_load_relaxed(state) == old;

	nst_test_delay_here(NST_SEQ_PREFILLED, 1);
	if (is_same)
		nst_store_relaxed(state, new);
	return is_same;
}
#else
static int commit(u64 *state, u64 old, u64 new)
{
	/* The slot has been read. Pairs with: nst_load_acquire() in refill(), which then writes it. */
	return nst_cas_release(state, old, new);
}
#endif

static void *take(struct nst_prefilled *s)
{
	void *obj;
	u64 state;

	do {
		/* Pairs with: nst_cas_release() in refill(). */
		state = nst_load_acquire(&s->state);
		if (!left_of(state))
			return NULL;
		/* relaxed: if a refiller writes it, the swap fails */
		obj = nst_load_relaxed(&s->obj[left_of(state) - 1]);
		nst_test_delay_here(NST_SEQ_PREFILLED, 0);
	} while (!commit(&s->state, state, state - 1));
	return obj;
}

void *nst_sheaf_alloc(struct nst_prefilled *sheaf)
{
	void *obj = take(sheaf);

	if (nst_likely(!sheaf->is_started) || !obj)
		return obj;
	return nst_object_start(sheaf->cache, obj, sheaf->zero, NST_SITE("nst_sheaf_alloc"));
}

/* ---- filling ---- */

static void give_back(struct nst_cache *c, void **obj, u32 n, struct nst_site site)
{
	while (n)
		nst_cache_put_waits(c, obj[--n], site);
}

static void *another(struct nst_cache *c, nst_mode_t mode)
{
	enum nst_null_reason why = NST_NULL_NOMEM;
	struct nst_reclaim rc = {0};
	void *obj;

	do {
		obj = nst_cache_alloc_waits(c, mode, &why);
	} while (!obj && nst_reclaim_again(&rc, mode, c->order));
	nst_reclaim_end(&rc, obj != NULL);
	if (!obj)
		nst_count_null(mode, why);
	return obj;
}

static int refill(struct nst_prefilled *s, u32 n, nst_mode_t mode, struct nst_site site)
{
	u32 from = n;
	u64 state;

	do {
		/* Pairs with: nst_cas_release() in commit(): who took has read his slot. */
		state = nst_load_acquire(&s->state);
		while (from > left_of(state)) {
			void *obj = another(s->cache, mode);

			if (!obj) {
				give_back(s->cache, s->obj + from, n - from, site);
				return -12;
			}
			nst_store_relaxed(&s->obj[--from], obj); /* the swap publishes it */
		}
		nst_test_delay_here(NST_SEQ_PREFILLED, 2);
		/* Pairs with: nst_load_acquire() in take(). */
	} while (!nst_cas_release(&s->state, state, (state - left_of(state) + ONE_REFILL) | n));
	nst_count(NST_COUNT_PREFILLED, n - from);
	return 0;
}

/* Whether a request in *mode may fill a sheaf: 0, and *mode in scope; or -errno. */
static int enter(struct nst_cache *c, nst_mode_t *mode, struct nst_site site)
{
	if (!NST_MODE_VALID(*mode)) {
		nst_bad_mode(*mode, site);
		return -22;
	}
	*mode = nst_mode_in_scope(*mode);
	if (*mode & NST_MODES_NEVER_WAIT)
		return -22;
	if (nst_start())
		return -12;
	if (!nst_cache_is_used(c)) {
		nst_misuse_destroyed(c, site);
		return -22;
	}
	if (nst_zero_is_refused(c, *mode, site))
		return -22;
	return nst_slow_enter(c, *mode, site) ? 0 : -12;
}

static size_t bytes_of(u32 room)
{
	return sizeof(struct nst_prefilled) + room * sizeof(void *);
}

int nst_sheaf_prefill(struct nst_cache *cache, unsigned int n, nst_mode_t mode,
		      struct nst_prefilled **sheaf)
{
	struct nst_site site = NST_SITE("nst_sheaf_prefill");
	struct nst_prefilled *s;
	int err = cache && sheaf && n - 1 < NST_PREFILL_MAX ? enter(cache, &mode, site) : -22;

	if (err)
		return err;
	s = nst_meta_alloc(bytes_of(n));
	if (!s)
		return -12;
	s->cache = cache;
	s->room = n;
	s->zero = mode & NST_ZERO;
	s->is_started = nst_mm.instrument || s->zero;
	err = refill(s, n, mode, site);
	if (err) {
		nst_meta_free(s, bytes_of(n));
		return err;
	}
	nst_add_relaxed(&nst_set_aside.prefilled, bytes_of(n) + (u64)n * cache->slot);
	*sheaf = s;
	return 0;
}

int nst_sheaf_refill(struct nst_prefilled *sheaf, unsigned int n, nst_mode_t mode)
{
	struct nst_site site = NST_SITE("nst_sheaf_refill");
	int err = sheaf && n - 1 < sheaf->room ? enter(sheaf->cache, &mode, site) : -22;

	/* relaxed: with fewer left, refill() looks again */
	if (err || left_of(nst_load_relaxed(&sheaf->state)) >= n)
		return err;
	return refill(sheaf, n, mode, site);
}

void nst_sheaf_return(struct nst_prefilled *sheaf)
{
	struct nst_site site = NST_SITE("nst_sheaf_return");

	if (!sheaf)
		return;
	nst_fork_check();
	nst_count(NST_COUNT_PREFILL_RETURNED, left_of(sheaf->state));
	give_back(sheaf->cache, sheaf->obj, left_of(sheaf->state), site);
	nst_sub_relaxed(&nst_set_aside.prefilled,
			bytes_of(sheaf->room) + (u64)sheaf->room * sheaf->cache->slot);
	nst_meta_free(sheaf, bytes_of(sheaf->room));
}
