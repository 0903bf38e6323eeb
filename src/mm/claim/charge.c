/* SPDX-License-Identifier: MIT */
/*
 * charge.c - requests that are charged, and whose an object is.
 *
 * Charged objects lie in caches of their own, one beside each, so that frees of all others have nothing to look up: the
 * map leads from a charged object to stacks that take nothing, and its free comes to the slow path unasked. The slab's
 * vector has a number per slot: its owner's account while it is handed out, else 0. A free exchanges it for 0, and that
 * is when the bytes go back, once: who frees, on which path, and what had retired it before make no difference. What
 * finds 0 frees it a second time, and is reported.
 *
 * While a program has accounts the fast tables of all caches are closed, since a thread does not look at what it is in
 * before it pops: requests come here, and do the same a little later (nst_account_pop()). Sized and typed frees come here
 * too, because what they name may be a charged object's other cache.
 *
 * Context: any, but for what waits. Syscalls: of what waits. Locks: none; of what waits, those of a pass.
 */
#include "../mm.h"
#include "account.h"
#include "../reclaim/reclaim.h"
#include "../retire/retired.h"

#define THROTTLE_NAP_US 1000 /* (tune) */
#define SHRINK_PRIORITY 2u   /* (tune) a quarter */
#define MAX_NAPS 20u	     /* (tune) at max */
#define HIGH_NAPS 10u	     /* (tune) above high */

/* ---- owners ---- */

static size_t vector_bytes(const struct nst_cache *c)
{
	return c->slots * sizeof(u16);
}

int nst_owners_make(const struct nst_cache *c, struct nst_page *slab)
{
	char *v = nst_meta_alloc(vector_bytes(c));

	if (!v)
		return -12;
	slab->owner = (u32)((size_t)(v - nst_meta_base) / NST_LINE);
	nst_add_relaxed(&nst_set_aside.owners, vector_bytes(c));
	return 0;
}

void nst_owners_drop(struct nst_page *slab)
{
	if (!slab->owner)
		return;
	nst_sub_relaxed(&nst_set_aside.owners, vector_bytes(nst_cache_number(slab->cache)));
	nst_meta_free(nst_owner_at(slab, 0), vector_bytes(nst_cache_number(slab->cache)));
	slab->owner = 0;
}

void nst_owner_set(const struct nst_cache *c, void *obj, const struct nst_account *a)
{
	struct nst_page *p = c ? nst_slab_near(obj, c->order) : NULL;

	if (nst_unlikely(!p))
		p = nst_page_of(obj);
	if (c)
		*nst_owner_at(p, nst_slab_slot(c, p, obj)) = (u16)a->id;
	else
		p->owner = a->id;
}

/* Whose it was, and what it takes; 0: nobody's. */
static u32 take_owner(struct nst_page *p, const void *obj, u64 *bytes)
{
	u32 id = p->owner;

	if (nst_page_state(p) == NST_PAGE_SLAB) {
		const struct nst_cache *c = nst_cache_number(p->cache);
		u16 *owner = nst_owner_at(p, nst_slab_slot(c, p, obj));

		id = *owner;
		*owner = 0;
		*bytes = c->slot;
	} else {
		p->owner = 0;
		*bytes = nst_page_state(p) == NST_PAGE_RUN ? nst_run_bytes(p)
							   : p->free[NST_PAGE_BYTES_WORD];
	}
	return id;
}

int nst_owner_freed(struct nst_page *p, void *obj)
{
	u64 bytes;
	u32 id;

	if (nst_likely(!p->owner))
		return 1;
	id = take_owner(p, obj, &bytes);
	if (id && id != NST_OWNER_NONE)
		nst_uncharge(nst_accounts[id], bytes);
	return id != 0;
}

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 26
/* The bytes go back when it is retired. */
void nst_owner_retired(struct nst_page *p, void *obj)
{
	u64 bytes;
	u32 id;

	if (!p->owner)
		return;
	id = take_owner(p, obj, &bytes);
	if (nst_page_state(p) == NST_PAGE_SLAB)
		*nst_owner_at(p, nst_slab_slot(nst_cache_number(p->cache), p, obj)) =
			NST_OWNER_NONE;
	else
		p->owner = NST_OWNER_NONE;
	if (id && id != NST_OWNER_NONE)
		nst_uncharge(nst_accounts[id], bytes);
}
#endif

/* ---- in the place of fast paths, where they are not by sequence, or watched ---- */

void *nst_account_pop_any(struct nst_cache *c, nst_mode_t mode)
{
	struct nst_account *a;
	void *obj;

	if (nst_mm.instrument || mode & NST_ZERO || !c->twin)
		return NULL;
	a = nst_account_of(mode);
	if (!a)
		return nst_pcs_pop(&c->main);
	c = nst_cache_charged(c);
	if (!nst_pcs_debit(&a->stock, c->slot / NST_CHARGE_UNIT))
		return NULL;
	obj = nst_pcs_pop(&c->main);
	if (obj)
		nst_owner_set(c, obj, a);
	else
		nst_uncharge(a, c->slot);
	return obj;
}

/* What is odd is for the slow path to report. */
static int push_charged(struct nst_cache *c, void *obj)
{
	struct nst_page *slab = nst_run_at(nst_arenas, obj, c->order);
	int slot = nst_slab_slot(c, slab, obj);
	u16 *owner = slot < 0 ? NULL : nst_owner_at(slab, slot);

	if (!owner || (u16)(*owner - 1) >= NST_ACCOUNTS_MAX)
		return 0;
	nst_uncharge(nst_accounts[*owner], c->slot);
	*owner = 0;
	if (nst_pcs_push(&c->main, obj) == NST_PUSH_OK)
		return 1;
	*owner = NST_OWNER_NONE;
	return 0;
}

int nst_account_push_any(const struct nst_cache *c, void *obj)
{
	struct nst_pcs **fast = nst_fast_of_pointer(obj);
	struct nst_cache *have;

	if (nst_mm.instrument || !fast || !nst_bytes_beside(fast))
		return 0;
	have = nst_cache_number(nst_id_beside(fast));
	if (c && c != have && c != nst_cache_plain(have))
		return 0;
	if (have->charged)
		return push_charged(have, obj);
	return nst_pcs_push(&have->main, obj) == NST_PUSH_OK;
}

/* ---- at a limit ---- */

static void refuse(struct nst_account *a, nst_mode_t mode, enum nst_null_reason why)
{
	nst_add_relaxed(&a->refused, 1); /* a statistic */
	nst_count_null(mode, why);
}

int nst_charge_nolock(struct nst_account *a, u64 bytes, nst_mode_t mode)
{
	if (nst_charge_tries(a, bytes, mode))
		return 1;
	refuse(a, mode, mode & NST_FASTTRY ? NST_NULL_EMPTY : NST_NULL_LIMIT);
	return 0;
}

/* One round: what CPUs have ahead, shrinkers, what is ripe, what waits to be given back. */
static void reclaim(const struct nst_account *a, nst_mode_t mode)
{
	int busy;

	nst_account_drain(a);
	if (!(mode & NST_MEMALLOC)) /* as reclaim.c has it */
		nst_shrink(mode, SHRINK_PRIORITY, &busy);
	nst_maintain_pass(0);
}

static void nap(void)
{
	static u32 never;

	nst_sys_futex_wait(&never, 0, THROTTLE_NAP_US);
}

static int charge_reclaims(struct nst_account *a, u64 bytes, nst_mode_t mode)
{
	unsigned int naps, most = mode & NST_NORMAL ? MAX_NAPS : 0;

	for (naps = 0;; naps++) {
		reclaim(a, mode);
		if (nst_charge_tries(a, bytes, mode))
			return 1;
		if (naps == most)
			return 0;
		nap();
	}
}

/* It would wait for itself. */
static int is_waited_for(void)
{
	return nst_thread.rcu_open[0] || nst_thread.rcu_open[1] || nst_calls_are_mine();
}

static void charge_waits_for_ever(struct nst_account *a, u64 bytes, nst_mode_t mode,
				  struct nst_site site)
{
	if (is_waited_for())
		nst_corrupt(
			"%s: account '%s' has %llu bytes of %llu, no more can be forced, and "
			"NST_NOFAIL cannot wait: what would be freed waits for this thread; allowed: "
			"outside of read sections and of what nst_call_rcu() calls",
			site.function, a->name, (unsigned long long)nst_hint(&a->charged),
			(unsigned long long)nst_hint(&a->max));
	do
		nap();
	while (!charge_reclaims(a, bytes, mode) && !nst_charge_force(a, bytes));
}

static void held_up(const struct nst_account *a, nst_mode_t mode)
{
	unsigned int naps;

	for (naps = 0; naps < HIGH_NAPS && nst_account_is_high(a); naps++) {
		reclaim(a, mode);
		nap();
	}
}

int nst_charge_waits(struct nst_account *a, u64 bytes, nst_mode_t mode, struct nst_site site)
{
	int done = nst_charge_tries(a, bytes, mode);

	if (!done && nst_mode_row(mode)->reclaims)
		done = charge_reclaims(a, bytes, mode);
	if (!done && mode & (NST_ATOMIC | NST_NOFAIL))
		done = nst_charge_force(a, bytes);
	if (!done && mode & NST_NOFAIL) {
		charge_waits_for_ever(a, bytes, mode, site);
		done = 1;
	}
	if (!done)
		refuse(a, mode, NST_NULL_LIMIT);
	else if (mode & NST_NORMAL && nst_unlikely(nst_account_is_high(a)))
		held_up(a, mode);
	return done;
}
