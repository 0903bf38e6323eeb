/* SPDX-License-Identifier: MIT */
/*
 * lockdep.h - FLOOR 3: checked locks, and the hooks of the validator, which are nothing when it is off.
 *
 * A hook is a load and a compare while it is off. A request or free is told on the slow path; with the option check
 * every one takes it (NST_INSTRUMENT_CHECK), so that a wrong context is found even when this CPU's lists are full.
 *
 * Context of every hook: any. Waits, and makes system calls: only while on, when an order is new and to report.
 */
#ifndef NST_LOCKDEP_LOCKDEP_H
#define NST_LOCKDEP_LOCKDEP_H

#include "../sys/sys.h"

/* How a lock is taken. */
enum nst_lockdep_own { NST_LOCKDEP_WAIT, NST_LOCKDEP_TRY, NST_LOCKDEP_TIMED };

/* What a thread is about to wait for. */
enum nst_lockdep_wait { NST_LOCKDEP_WAIT_PERIOD, NST_LOCKDEP_WAIT_OTHERS_PERIOD };

/* The validator, if it is on; NULL if not. By pointers: what the no-lock entries link to makes no system call. */
struct nst_lockdep_ops {
	void (*acquire)(const struct nst_lock *l, enum nst_lockdep_own how, const void *ip);
	void (*release)(const struct nst_lock *l, const void *ip);
	void (*allocation)(u32 mode, const void *site);
	void (*freeing)(const void *site);
	void (*freed)(const void *from, size_t bytes, const void *site);
	void (*twice)(const void *obj, const void *first, const void *site);
	void (*forked)(void);
	void (*reclaim)(u32 what, const void *ip);
	void (*section)(const void *ip);
	void (*wait)(u32 what, const void *ip);
	unsigned int (*watch)(u64 now_ns);
};
extern const struct nst_lockdep_ops *nst_lockdep_ops NST_HIDDEN;
/** struct nst_lockdep_object - of the allocator's, in which a lock lies */
struct nst_lockdep_object {
	const void *start, *site; /* site: who allocated it; NULL: not known */
};
/* Set from above: 1 if @addr lies in an object that is in use. It takes no lock. */
extern int (*nst_lockdep_object_of)(const void *addr, struct nst_lockdep_object *o) NST_HIDDEN;
/* As the option check says; before there is a second thread, mostly. */
void nst_lockdep_init(void);

static inline void nst_lockdep_own_acquire(const struct nst_lock *l, enum nst_lockdep_own how)
{
	const struct nst_lockdep_ops *ops = nst_load_relaxed(&nst_lockdep_ops); /* a static table */

	if (nst_unlikely(ops != NULL))
		ops->acquire(l, how, __builtin_return_address(0));
}

static inline void nst_lockdep_own_release(const struct nst_lock *l)
{
	const struct nst_lockdep_ops *ops = nst_load_relaxed(&nst_lockdep_ops); /* as above */

	if (nst_unlikely(ops != NULL))
		ops->release(l, __builtin_return_address(0));
}

/* A request with an effective mode; @site is the caller. */
static inline void nst_lockdep_allocation(u32 mode, const void *site)
{
	const struct nst_lockdep_ops *ops = nst_load_relaxed(&nst_lockdep_ops); /* as above */

	if (nst_unlikely(ops != NULL))
		ops->allocation(mode, site);
}

/* Something is given back by an ordinary free, which may take short locks; @site is the caller. */
static inline void nst_lockdep_freeing(const void *site)
{
	const struct nst_lockdep_ops *ops = nst_load_relaxed(&nst_lockdep_ops); /* as above */

	if (nst_unlikely(ops != NULL))
		ops->freeing(site);
}

/* @bytes from @from on are freed, by whatever way. */
static inline void nst_lockdep_freed(const void *from, size_t bytes, const void *site)
{
	const struct nst_lockdep_ops *ops = nst_load_relaxed(&nst_lockdep_ops); /* as above */

	if (nst_unlikely(ops != NULL))
		ops->freed(from, bytes, site);
}

/* @obj was freed or retired before, at @first, if that is known. */
static inline void nst_lockdep_twice(const void *obj, const void *first, const void *site)
{
	const struct nst_lockdep_ops *ops = nst_load_relaxed(&nst_lockdep_ops); /* as above */

	if (nst_unlikely(ops != NULL))
		ops->twice(obj, first, site);
}

/* This process is a child, of one thread. */
static inline void nst_lockdep_forked(void)
{
	const struct nst_lockdep_ops *ops = nst_load_relaxed(&nst_lockdep_ops); /* as above */

	if (nst_unlikely(ops != NULL))
		ops->forked();
}

/* Somebody is called who gives memory back, and who may do what @what says (enum nst_reclaim_bits). */
static inline void nst_lockdep_reclaim_begin(u32 what)
{
	const struct nst_lockdep_ops *ops = nst_load_relaxed(&nst_lockdep_ops); /* as above */

	if (nst_unlikely(ops != NULL))
		ops->reclaim(what, __builtin_return_address(0));
}

static inline void nst_lockdep_reclaim_end(void)
{
	const struct nst_lockdep_ops *ops = nst_load_relaxed(&nst_lockdep_ops); /* as above */

	if (nst_unlikely(ops != NULL))
		ops->reclaim(0, NULL);
}

/* A read section of ours begins, seen by who takes the slow way; @ip is the caller. */
static inline void nst_lockdep_section_begin(const void *ip)
{
	const struct nst_lockdep_ops *ops = nst_load_relaxed(&nst_lockdep_ops); /* as above */

	if (nst_unlikely(ops != NULL))
		ops->section(ip);
}

/* @mine: by who began it. */
#define NST_LOCKDEP_NOT_MINE ((const void *)1)
static inline void nst_lockdep_section_end(int mine)
{
	const struct nst_lockdep_ops *ops = nst_load_relaxed(&nst_lockdep_ops); /* as above */

	if (nst_unlikely(ops != NULL))
		ops->section(mine ? NULL : NST_LOCKDEP_NOT_MINE);
}

NST_ALWAYS_INLINE void nst_lockdep_wait(enum nst_lockdep_wait what)
{
	const struct nst_lockdep_ops *ops = nst_load_relaxed(&nst_lockdep_ops); /* as above */

	if (nst_unlikely(ops != NULL))
		ops->wait(what, __builtin_return_address(0));
}

/* A pass, at @now_ns: do threads wait for each other? */
static inline void nst_lockdep_watch_pass(u64 now_ns)
{
	/* Pairs with: nst_store_release() in nst_lockdep_start(): this thread may have no block, and looks at the tables. */
	const struct nst_lockdep_ops *ops = nst_load_acquire(&nst_lockdep_ops);

	if (nst_unlikely(ops != NULL))
		ops->watch(now_ns);
}

/* ---- checked locks: the raw ones of sys.h, told to the validator ---- */

/* Waits: never. 1 and held, or 0. */
static inline int nst_trylock(struct nst_lock *l)
{
	if (!nst_trylock_raw(l))
		return 0;
	nst_lockdep_own_acquire(l, NST_LOCKDEP_TRY);
	return 1;
}

static inline void nst_unlock(struct nst_lock *l)
{
	nst_lockdep_own_release(l);
	nst_unlock_raw(l);
}

/* Waits: short lock. */
static inline void nst_lock_wait(struct nst_lock *l)
{
	nst_lockdep_own_acquire(l, NST_LOCKDEP_WAIT);
	nst_lock_wait_raw(l);
}

/* Waits: short lock, about @us microseconds. 1 and held, or 0. */
static inline int nst_lock_wait_us(struct nst_lock *l, unsigned int us)
{
	if (!nst_lock_wait_us_raw(l, us))
		return 0;
	nst_lockdep_own_acquire(l, NST_LOCKDEP_TIMED);
	return 1;
}

/* For a walk compiled twice, with tries and with waits (@wait). 1 and held, or 0. */
NST_ALWAYS_INLINE int nst_lock_or_try(struct nst_lock *l, const int wait)
{
	if (!wait)
		return nst_trylock(l);
	nst_lock_wait(l);
	return 1;
}

/*
 * Restart whatever sequence @cpu runs. Waits: short. 0 or -errno.
 * Pairs with: nst_pcs_take(), whose store of the table comes before.
 */
static inline int nst_fence_cpu(int cpu)
{
	return nst_sys_fence_cpu(cpu);
}

#endif
