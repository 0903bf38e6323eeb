/* SPDX-License-Identifier: MIT */
/*
 * mutex.h - the kernel's spelling: a lock that sleeps, let go by who took it. Wait type sleep.
 *
 * The forms that a signal interrupts are not there: nothing here can give up waiting.
 */
#ifndef NST_COMPAT_MUTEX_H
#define NST_COMPAT_MUTEX_H

#include <linux/lockdep.h>

struct mutex {
	pthread_mutex_t lock;
	struct nst_compat_held held;
	struct nst_lockdep_map dep_map;
};

#define __MUTEX_INITIALIZER(name)                                                                  \
	{                                                                                          \
		.lock = PTHREAD_MUTEX_INITIALIZER,                                                 \
		.dep_map = NST_LOCKDEP_MAP(#name, NULL, NST_WAIT_SLEEP)                            \
	}
#define DEFINE_MUTEX(name) struct mutex name = __MUTEX_INITIALIZER(name)
#define mutex_init(m)                                                                              \
	do {                                                                                       \
		pthread_mutex_init(&(m)->lock, NULL);                                              \
		(m)->held = (struct nst_compat_held){0};                                           \
		NST_COMPAT_MAP_INIT(&(m)->dep_map, #m, NST_WAIT_SLEEP);                            \
	} while (0)

static inline void mutex_destroy(struct mutex *m)
{
	nst_lockdep_map_destroy(&m->dep_map);
	pthread_mutex_destroy(&m->lock);
}

NST_COMPAT_INLINE int nst_compat_mutex_try(struct mutex *m)
{
	return pthread_mutex_trylock(&m->lock) == 0;
}

NST_COMPAT_INLINE void nst_compat_mutex_wait(struct mutex *m)
{
	BUG_ON(pthread_mutex_lock(&m->lock));
}

NST_COMPAT_INLINE void mutex_lock_nested(struct mutex *m, unsigned int subclass)
{
	nst_lockdep_acquire(&m->dep_map, NST_LD_NESTED(subclass));
	LOCK_CONTENDED(m, nst_compat_mutex_try, nst_compat_mutex_wait);
	nst_compat_held_by(&m->held, NST_COMPAT_SELF);
}

NST_COMPAT_INLINE void mutex_lock(struct mutex *m)
{
	mutex_lock_nested(m, 0);
}

/* One of several of its class, all of which are taken with @nest, a lock, held. */
#define mutex_lock_nest_lock(m, nest) nst_compat_mutex_lock_nest(m, &(nest)->dep_map)

NST_COMPAT_INLINE void nst_compat_mutex_lock_nest(struct mutex *m,
						  const struct nst_lockdep_map *nest)
{
	nst_lockdep_acquire_nest(&m->dep_map, 0, nest);
	LOCK_CONTENDED(m, nst_compat_mutex_try, nst_compat_mutex_wait);
	nst_compat_held_by(&m->held, NST_COMPAT_SELF);
}

NST_COMPAT_INLINE int mutex_trylock(struct mutex *m)
{
	if (!nst_compat_mutex_try(m))
		return 0;
	nst_lockdep_acquire(&m->dep_map, NST_LD_TRY);
	nst_compat_held_by(&m->held, NST_COMPAT_SELF);
	return 1;
}

NST_COMPAT_INLINE void mutex_unlock(struct mutex *m)
{
	nst_lockdep_release(&m->dep_map);
	nst_compat_held_by(&m->held, 0);
	pthread_mutex_unlock(&m->lock);
}

NST_COMPAT_INLINE bool mutex_is_locked(const struct mutex *m)
{
	return READ_ONCE(m->held.owner) != 0;
}

#endif
