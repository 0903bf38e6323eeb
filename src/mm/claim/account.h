/* SPDX-License-Identifier: MIT */
/*
 * account.h - within the folder: who is charged (account.c), and for what (charge.c).
 *
 *	nst_thread.account	the account this thread is in, and a bit: 1 all its requests are charged
 *	charged cache		beside each cache: its objects have owners, a number each in a vector of their slab
 *	run, mapping		its owner is in its descriptor
 *
 * A1. charged = what its objects take + its CPUs' stocks + charged of those below it.
 * A2. charged <= max + forced, at every moment, unless max was lowered.
 * A3. An object of a charged cache has an owner from when it is handed out until it is freed, and then none.
 */
#ifndef NST_MM_ACCOUNT_H
#define NST_MM_ACCOUNT_H

#include "../mm.h"
#include <nostall/account.h>

#define NST_ACCOUNT_ALL ((uintptr_t)1) /* in nst_thread.account */
#define NST_CHARGE_UNIT 8u	       /* bytes: stocks are in these, and slots multiples */
#define NST_OWNER_NONE                                                                             \
	((u16)0xffff) /* of an object that is not charged any more, and on its way to its cache */

struct nst_account {
	u64 charged, forced; /* bytes */
	u64 max, high;
	struct nst_pcs_table stock; /* a number per CPU, in units; takers: nst_accounts_lock */
	u32 batch;		    /* bytes that a stock gets at once; 0: none */
	u32 id;
	struct nst_account *parent;
	u32 depth, children;
	u32 busy;    /* who gives back, and may look at it after the last byte: it stays */
	u32 entered; /* threads, or nested calls, that are in it */
	u32 told;    /* 1: a limit was met and the worker has not written fd */
	int fd;
	u64 peak, forced_times, refused, high_events, max_events; /* statistics */
	char name[32];
};
nst_static_assert(NST_ACCOUNTS_MAX < NST_OWNER_NONE, "a number is a u16");

extern struct nst_lock nst_accounts_lock;
/* By number. One that is charged is there. */
extern struct nst_account *nst_accounts[NST_ACCOUNTS_MAX + 1] NST_HIDDEN;

extern u32 nst_accounts_told; /* some account has met a limit; a hint */

/* Whom a request of this thread is charged to, or NULL. Context: any. */
static inline struct nst_account *nst_account_of(nst_mode_t mode)
{
	uintptr_t word = nst_thread.account;

	return word & NST_ACCOUNT_ALL || mode & NST_ACCOUNT
		       ? (struct nst_account *)(word & ~NST_ACCOUNT_ALL)
		       : NULL;
}

/* @a, or one above it, is @top. */
static inline int nst_account_is_below(const struct nst_account *a, const struct nst_account *top)
{
	while (a && a != top)
		a = a->parent;
	return a != NULL;
}

/* ---- account.c ---- */

/* @bytes, a multiple of the unit: 1; 0: a limit is in the way, and it is counted. Context: any. Waits: never. */
int nst_charge_tries(struct nst_account *a, u64 bytes, nst_mode_t mode);
/* The same past every limit, within the cap that all share. */
int nst_charge_force(struct nst_account *a, u64 bytes);
/* And back. @a is not to be looked at after that. Context: any. Waits: never. */
void nst_uncharge(struct nst_account *a, u64 bytes);
/* It, or one above it, has more than high. A hint. */
int nst_account_is_high(const struct nst_account *a);
/* Stocks of all accounts that share a limit with @a go back. Context: thread. */
void nst_account_drain(const struct nst_account *a);

/** struct nst_account_bounds - of all accounts, for bound.c */
struct nst_account_bounds {
	u64 each;	    /* bytes that one takes, on so many CPUs */
	u64 now;	    /* bytes that those take that there are */
	u64 stock, stocked; /* bytes that lie in CPUs' stocks: at most, and now */
};
/* Locks: takes nst_accounts_lock. */
void nst_account_bounds(unsigned int cpus, struct nst_account_bounds *b);

/* ---- told.c ---- */

/* What was met is written to those who poll: did anything? Context: thread (who has the pass). */
int nst_account_pass(void);
void nst_account_after_fork(void);

/* ---- charge.c ---- */

/* Values of nst_mm.accounts: there are some; and what fast paths do is done by sequence, unwatched. */
#define NST_ACCOUNTS_SOME 1u
#define NST_ACCOUNTS_FAST 3u
/*
 * What fast paths do, for a program that has accounts: an object of @c off this CPU's stack, charged if that is due; or
 * NULL, and the slow path has all to do. Context: any. Waits: never.
 */
void *nst_account_pop_any(struct nst_cache *c, nst_mode_t mode);
/* The same for a free: 1, or 0. @c: the cache the caller named, or NULL. */
int nst_account_push_any(const struct nst_cache *c, void *obj);
/* An ordinary request: 1; 0, and the NULL is counted. Context: thread. Waits: as the mode says. */
int nst_charge_waits(struct nst_account *a, u64 bytes, nst_mode_t mode, struct nst_site site);
/* A no-lock request: the same. Context: any. Waits: never. */
int nst_charge_nolock(struct nst_account *a, u64 bytes, nst_mode_t mode);
/* An object of a charged cache gets its owner; a run or mapping. */
void nst_owner_set(const struct nst_cache *c, void *obj, const struct nst_account *a);
/* An object is freed: what it was charged goes back to its owner. 0: it was free. Context: any. Waits: never. */
int nst_owner_freed(struct nst_page *p, void *obj);
/* The vector of a slab that is being made: 0 or -ENOMEM; and of one that goes. Context: thread. */
int nst_owners_make(const struct nst_cache *c, struct nst_page *slab);
void nst_owners_drop(struct nst_page *slab);
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 26
void nst_owner_retired(struct nst_page *p, void *obj);
#else
static inline void nst_owner_retired(struct nst_page *p, void *obj)
{
	(void)p;
	(void)obj;
}
#endif

/* ---- slab.c ---- */

/* What nst_slab_put_locked() gave stays: who may not wait cannot make a charged slab pages again. */
void nst_slab_keep_locked(struct nst_cache *c, struct nst_cache_node *n, struct nst_page *slab);

/* ---- create.c ---- */

/* A charged cache beside each that has none; 0 or -ENOMEM. Locks: needs nst_accounts_lock. */
int nst_cache_make_charged(void);
/* The fast paths of all caches find nothing, or what is theirs, from here on. Locks: as above. */
void nst_caches_close(int on);

/* The cache that users know: of charged objects it is the one beside. */
static inline struct nst_cache *nst_cache_plain(struct nst_cache *c)
{
	return c->charged ? nst_cache_number(c->base) : c;
}

static inline struct nst_cache *nst_cache_charged(const struct nst_cache *c)
{
	return nst_cache_number(c->twin);
}

/* ---- the second fast path: by sequence, in line. Price: docs/performance.md ---- */

static inline u16 *nst_owner_at(const struct nst_page *slab, int slot)
{
	return (u16 *)(void *)(nst_meta_base + (size_t)slab->owner * NST_LINE) + slot;
}

NST_ALWAYS_INLINE void *nst_account_pop_fast(struct nst_cache *c, nst_mode_t mode)
{
	struct nst_account *a = nst_account_of(mode);
	struct nst_page *slab;
	void *obj;

	if (!a)
		return nst_seq_pop(c->main.real);
	c = nst_cache_charged(c);
	if (nst_unlikely(!nst_seq_debit_by(a->stock.real, nst_sys_rseq.index,
					   c->slot / NST_CHARGE_UNIT)))
		return NULL;
	obj = nst_seq_pop(c->main.real);
	slab = obj ? nst_slab_near(obj, c->order) : NULL;
	if (nst_likely(slab != NULL))
		*nst_owner_at(slab, nst_slab_slot(c, slab, obj)) = (u16)a->id;
	else if (obj)
		nst_owner_set(c, obj, a);
	else
		nst_uncharge(a, c->slot);
	return obj;
}

NST_ALWAYS_INLINE void *nst_account_pop(struct nst_cache *c, nst_mode_t mode)
{
	if (nst_likely(nst_mm.accounts == NST_ACCOUNTS_FAST && !(mode & NST_ZERO) && c->twin))
		return nst_account_pop_fast(c, mode);
	return nst_account_pop_any(c, mode);
}

NST_ALWAYS_INLINE int nst_account_push(const struct nst_cache *named, void *obj)
{
	struct nst_pcs **fast = nst_fast_of_pointer(obj);
	struct nst_account *a;
	struct nst_page *slab;
	struct nst_cache *c;
	u16 *owner;
	int slot;

	if (nst_unlikely(nst_mm.accounts != NST_ACCOUNTS_FAST || !fast || !nst_bytes_beside(fast)))
		return nst_account_push_any(named, obj);
	c = nst_cache_number(nst_id_beside(fast));
	if (nst_unlikely(named && c != named && nst_cache_plain(c) != named))
		return 0;
	if (!c->charged)
		return nst_seq_push(c->main.real, obj) == NST_PUSH_OK;
	slab = nst_run_at(nst_arenas, obj, c->order);
	slot = nst_slab_slot(c, slab, obj);
	if (nst_unlikely(slot < 0))
		return 0;
	owner = nst_owner_at(slab, slot);
	if (nst_unlikely((u16)(*owner - 1) >= NST_ACCOUNTS_MAX))
		return 0;
	a = nst_accounts[*owner];
	*owner = 0;
	if (nst_unlikely(nst_hint(&a->forced) ||
			 !nst_seq_credit_by(a->stock.real, nst_sys_rseq.index,
					    c->slot / NST_CHARGE_UNIT)))
		nst_uncharge(a, c->slot);
	if (nst_likely(nst_seq_push(c->main.real, obj) == NST_PUSH_OK))
		return 1;
	*owner = NST_OWNER_NONE;
	return 0;
}

#endif
