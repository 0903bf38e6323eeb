/* SPDX-License-Identifier: MIT */
/*
 * rwsem.h - the kernel's spelling: readers and writers that sleep. Wait type sleep; a reader waits behind a writer that
 * waits, and may be let go by another thread. Whoever has to wait says so first, as with every lock (LOCK_CONTENDED()).
 */
#ifndef NST_COMPAT_RWSEM_H
#define NST_COMPAT_RWSEM_H

#include <linux/lockdep.h>
#include <linux/nst_rwsleep.h>

struct rw_semaphore {
	struct nst_compat_rwsleep lock;
	struct nst_compat_held held;
	struct nst_lockdep_map dep_map;
};

#define __RWSEM_INITIALIZER(name)                                                                  \
	{                                                                                          \
		.lock = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER}, \
		.dep_map = NST_LOCKDEP_MAP(#name, NULL, NST_WAIT_SLEEP)                            \
	}
#define DECLARE_RWSEM(name) struct rw_semaphore name = __RWSEM_INITIALIZER(name)
#define init_rwsem(s)                                                                              \
	do {                                                                                       \
		__builtin_memset(&(s)->lock, 0, sizeof((s)->lock));                                \
		pthread_mutex_init(&(s)->lock.mutex, NULL);                                        \
		pthread_cond_init(&(s)->lock.changed, NULL);                                       \
		(s)->held = (struct nst_compat_held){0};                                           \
		NST_COMPAT_MAP_INIT(&(s)->dep_map, #s, NST_WAIT_SLEEP);                            \
	} while (0)

NST_COMPAT_INLINE int nst_compat_rwsem_try_read(struct rw_semaphore *s)
{
	return nst_compat_rwsleep_take(&s->lock, 0, 0);
}

NST_COMPAT_INLINE void nst_compat_rwsem_wait_read(struct rw_semaphore *s)
{
	nst_compat_rwsleep_take(&s->lock, 0, 1);
}

NST_COMPAT_INLINE int nst_compat_rwsem_try_write(struct rw_semaphore *s)
{
	return nst_compat_rwsleep_take(&s->lock, 1, 0);
}

NST_COMPAT_INLINE void nst_compat_rwsem_wait_write(struct rw_semaphore *s)
{
	nst_compat_rwsleep_take(&s->lock, 1, 1);
}

NST_COMPAT_INLINE void down_read_nested(struct rw_semaphore *s, unsigned int subclass)
{
	nst_lockdep_acquire(&s->dep_map, NST_LD_READ | NST_LD_NESTED(subclass));
	LOCK_CONTENDED(s, nst_compat_rwsem_try_read, nst_compat_rwsem_wait_read);
	__atomic_add_fetch(&s->held.readers, 1, __ATOMIC_RELAXED);
}

NST_COMPAT_INLINE void down_read(struct rw_semaphore *s)
{
	down_read_nested(s, 0);
}

NST_COMPAT_INLINE int down_read_trylock(struct rw_semaphore *s)
{
	if (!nst_compat_rwsem_try_read(s))
		return 0;
	nst_lockdep_acquire(&s->dep_map, NST_LD_READ | NST_LD_TRY);
	__atomic_add_fetch(&s->held.readers, 1, __ATOMIC_RELAXED);
	return 1;
}

NST_COMPAT_INLINE void up_read(struct rw_semaphore *s)
{
	nst_lockdep_release(&s->dep_map);
	__atomic_sub_fetch(&s->held.readers, 1, __ATOMIC_RELAXED);
	nst_compat_rwsleep_give(&s->lock, 0, 0);
}

NST_COMPAT_INLINE void down_write_nested(struct rw_semaphore *s, unsigned int subclass)
{
	nst_lockdep_acquire(&s->dep_map, NST_LD_NESTED(subclass));
	LOCK_CONTENDED(s, nst_compat_rwsem_try_write, nst_compat_rwsem_wait_write);
	nst_compat_held_by(&s->held, NST_COMPAT_SELF);
}

NST_COMPAT_INLINE void down_write(struct rw_semaphore *s)
{
	down_write_nested(s, 0);
}

/* As mutex_lock_nest_lock(). */
#define down_write_nest_lock(s, nest) nst_compat_down_write_nest(s, &(nest)->dep_map)

NST_COMPAT_INLINE void nst_compat_down_write_nest(struct rw_semaphore *s,
						  const struct nst_lockdep_map *nest)
{
	nst_lockdep_acquire_nest(&s->dep_map, 0, nest);
	LOCK_CONTENDED(s, nst_compat_rwsem_try_write, nst_compat_rwsem_wait_write);
	nst_compat_held_by(&s->held, NST_COMPAT_SELF);
}

NST_COMPAT_INLINE int down_write_trylock(struct rw_semaphore *s)
{
	if (!nst_compat_rwsem_try_write(s))
		return 0;
	nst_lockdep_acquire(&s->dep_map, NST_LD_TRY);
	nst_compat_held_by(&s->held, NST_COMPAT_SELF);
	return 1;
}

NST_COMPAT_INLINE void up_write(struct rw_semaphore *s)
{
	nst_lockdep_release(&s->dep_map);
	nst_compat_held_by(&s->held, 0);
	nst_compat_rwsleep_give(&s->lock, 1, 0);
}

NST_COMPAT_INLINE void downgrade_write(struct rw_semaphore *s)
{
	nst_lockdep_downgrade(&s->dep_map);
	nst_compat_held_by(&s->held, 0);
	__atomic_add_fetch(&s->held.readers, 1, __ATOMIC_RELAXED);
	nst_compat_rwsleep_give(&s->lock, 1, 1);
}

#endif
