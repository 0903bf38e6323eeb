/* SPDX-License-Identifier: MIT */
/*
 * lockdep.h - FLOOR 3: checked locks, and the hooks of the validator, which are nothing when it is off.
 *
 * The interface is final; what stands behind it is not built yet, so each hook is empty and costs
 * nothing. Callers place them before the fast path where a mode is declared, so that a wrong context
 * is found even when the cache happens to be full.
 *
 * Context of every hook: any. Waits: never. Syscalls: none.
 */
#ifndef NST_LOCKDEP_LOCKDEP_H
#define NST_LOCKDEP_LOCKDEP_H

#include "../sys/sys.h"

/* How a lock is taken. */
enum nst_lockdep_how { NST_LOCKDEP_WAIT, NST_LOCKDEP_TRY };

/* What a thread begins or ends to be inside of. */
enum nst_lockdep_context {
	NST_LOCKDEP_NOLOCK_SCOPE,
	NST_LOCKDEP_NORECLAIM_SCOPE,
	NST_LOCKDEP_RECLAIM,
	NST_LOCKDEP_SIGNAL,
};

/* What a thread is about to wait for. */
enum nst_lockdep_wait { NST_LOCKDEP_WAIT_LOCK, NST_LOCKDEP_WAIT_MEMORY, NST_LOCKDEP_WAIT_FENCE };

static inline void nst_lockdep_acquire(const void *lock, u32 lock_class, enum nst_lockdep_how how)
{
	(void)lock;
	(void)lock_class;
	(void)how;
}

static inline void nst_lockdep_release(const void *lock, u32 lock_class)
{
	(void)lock;
	(void)lock_class;
}

static inline void nst_lockdep_context_begin(enum nst_lockdep_context c)
{
	(void)c;
}

static inline void nst_lockdep_context_end(enum nst_lockdep_context c)
{
	(void)c;
}

/* A request with an effective mode; @site is the caller. */
static inline void nst_lockdep_allocation(u32 mode, const void *site)
{
	(void)mode;
	(void)site;
}

static inline void nst_lockdep_wait(enum nst_lockdep_wait what)
{
	(void)what;
}

/* ---- checked locks: the raw ones of sys.h, told to the validator ---- */

/* Waits: never. 1 and held, or 0. */
static inline int nst_trylock(struct nst_lock *l)
{
	if (!nst_trylock_raw(l))
		return 0;
	nst_lockdep_acquire(l, l->lock_class, NST_LOCKDEP_TRY);
	return 1;
}

static inline void nst_unlock(struct nst_lock *l)
{
	nst_lockdep_release(l, l->lock_class);
	nst_unlock_raw(l);
}

/* Waits: short lock. */
static inline void nst_lock_wait(struct nst_lock *l)
{
	nst_lockdep_acquire(l, l->lock_class, NST_LOCKDEP_WAIT);
	nst_lock_wait_raw(l);
}

/* Waits: short lock, about @us microseconds. 1 and held, or 0. */
static inline int nst_lock_wait_us(struct nst_lock *l, unsigned int us)
{
	if (!nst_lock_wait_us_raw(l, us))
		return 0;
	nst_lockdep_acquire(l, l->lock_class, NST_LOCKDEP_WAIT);
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
	nst_lockdep_wait(NST_LOCKDEP_WAIT_FENCE);
	return nst_sys_fence_cpu(cpu);
}

#endif
