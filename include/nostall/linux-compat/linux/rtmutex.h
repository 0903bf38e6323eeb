/* SPDX-License-Identifier: MIT */
/*
 * rtmutex.h - the kernel's spelling: a lock that sleeps, and lends its holder the priority of who waits. Wait type sleep.
 *
 * Priorities are POSIX's: who waits has to have one (SCHED_FIFO). The forms that a signal interrupts are not there.
 */
#ifndef NST_COMPAT_RTMUTEX_H
#define NST_COMPAT_RTMUTEX_H

#include <linux/lockdep.h>
#include <linux/nst_pimutex.h>

struct rt_mutex {
	struct nst_compat_pimutex lock;
	struct nst_compat_held held;
	struct nst_lockdep_map dep_map;
};

#define __RT_MUTEX_INITIALIZER(name)                                                               \
	{                                                                                          \
		.dep_map = NST_LOCKDEP_MAP(#name, NULL, NST_WAIT_SLEEP)                            \
	}
#define DEFINE_RT_MUTEX(name) struct rt_mutex name = __RT_MUTEX_INITIALIZER(name)
#define rt_mutex_init(m)                                                                           \
	do {                                                                                       \
		__builtin_memset(&(m)->lock, 0, sizeof((m)->lock));                                \
		(m)->held = (struct nst_compat_held){0};                                           \
		NST_COMPAT_MAP_INIT(&(m)->dep_map, #m, NST_WAIT_SLEEP);                            \
	} while (0)

NST_COMPAT_INLINE int nst_compat_rt_mutex_try(struct rt_mutex *m)
{
	return nst_compat_pimutex_try(&m->lock);
}

NST_COMPAT_INLINE void nst_compat_rt_mutex_wait(struct rt_mutex *m)
{
	nst_compat_pimutex_wait(&m->lock);
}

NST_COMPAT_INLINE void rt_mutex_lock_nested(struct rt_mutex *m, unsigned int subclass)
{
	nst_lockdep_acquire(&m->dep_map, NST_LD_NESTED(subclass));
	LOCK_CONTENDED(m, nst_compat_rt_mutex_try, nst_compat_rt_mutex_wait);
	nst_compat_held_by(&m->held, NST_COMPAT_SELF);
}

NST_COMPAT_INLINE void rt_mutex_lock(struct rt_mutex *m)
{
	rt_mutex_lock_nested(m, 0);
}

NST_COMPAT_INLINE int rt_mutex_trylock(struct rt_mutex *m)
{
	if (!nst_compat_rt_mutex_try(m))
		return 0;
	nst_lockdep_acquire(&m->dep_map, NST_LD_TRY);
	nst_compat_held_by(&m->held, NST_COMPAT_SELF);
	return 1;
}

NST_COMPAT_INLINE void rt_mutex_unlock(struct rt_mutex *m)
{
	nst_lockdep_release(&m->dep_map);
	nst_compat_held_by(&m->held, 0);
	nst_compat_pimutex_done(&m->lock);
}

NST_COMPAT_INLINE bool rt_mutex_is_locked(const struct rt_mutex *m)
{
	return READ_ONCE(m->held.owner) != 0;
}

#endif
