/* SPDX-License-Identifier: MIT */
/*
 * pthread.h - libc's locks, told to the validator: a lock and its map in one, and each call under its own name.
 *
 *	static struct nst_pthread_mutex m = NST_PTHREAD_MUTEX("cache");
 *
 *	nst_pthread_mutex_lock(&m);
 *	...
 *	nst_pthread_mutex_unlock(&m);
 *
 * Not part of <nostall/nostall.h>. Each returns what libc's returns. A mutex sleeps, a spinlock spins. A rwlock of
 * libc's default kind lets readers in while a writer waits (recursive readers), one that prefers writers does not. A wait
 * for a condition takes its mutex again without being an order: who holds another lock meanwhile holds it anyway. While
 * the validator is on a lock is tried before it is waited for, so that it is known who waits for whom. With
 * NST_NO_LOCKDEP, or while the validator is off, what is left is libc's call and a load and a compare.
 *
 * Fork, signal and exit: as libc has it; none of these is legal in a handler but nst_pthread_sigmask().
 */
#ifndef NOSTALL_PTHREAD_H
#define NOSTALL_PTHREAD_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <nostall/context.h>

/* libc shows these locks with the GNU dialects, or with _POSIX_C_SOURCE of 200809 and up; else nothing is here. */
#if defined(_POSIX_C_SOURCE) && _POSIX_C_SOURCE >= 200809L

#ifdef __cplusplus
extern "C" {
#endif

/* What is seldom wanted is not in line. */
#define NST_LOCKDEP_COLD static __attribute__((__noinline__, __cold__, __unused__))

/* What was told before the wait is taken back if nothing was had. */
NST_LOCKDEP_INLINE int nst_pthread_had(struct nst_lockdep_map *map, int err)
{
	if (err && err != EOWNERDEAD)
		nst_lockdep_release(map);
	return err;
}

/* What was tried, or waited for for a time, is told once it is there. */
NST_LOCKDEP_INLINE int nst_pthread_got(struct nst_lockdep_map *map, int err, uint32_t how)
{
	if (!err || err == EOWNERDEAD)
		nst_lockdep_acquire(map, how | NST_LD_TRY);
	return err;
}

/* ---- mutexes ---- */

struct nst_pthread_mutex {
	pthread_mutex_t lock;
	struct nst_lockdep_map map;
};

#define NST_PTHREAD_MUTEX(name)                                                                    \
	{                                                                                          \
		PTHREAD_MUTEX_INITIALIZER, NST_LOCKDEP_MAP(name, NULL, NST_WAIT_SLEEP)             \
	}

/* What @map is told of a mutex with @attr. */
NST_LOCKDEP_INLINE void nst_pthread_mutex_kind(struct nst_lockdep_map *map,
					       const pthread_mutexattr_t *attr)
{
#ifdef NST_NO_LOCKDEP
	(void)map, (void)attr;
#else
	int type = PTHREAD_MUTEX_DEFAULT;

	if (attr)
		pthread_mutexattr_gettype(attr, &type);
	if (type == PTHREAD_MUTEX_RECURSIVE)
		map->flags |= NST_LD_RECURSES;
#endif
}

/* @key: the class; NULL: one of its own. */
NST_LOCKDEP_INLINE int nst_pthread_mutex_init(struct nst_pthread_mutex *m, const char *name,
					      const struct nst_lockdep_key *key,
					      const pthread_mutexattr_t *attr)
{
	nst_lockdep_map_init(&m->map, name, key, NST_WAIT_SLEEP, NST_WAIT_SLEEP);
	nst_pthread_mutex_kind(&m->map, attr);
	return pthread_mutex_init(&m->lock, attr);
}

NST_LOCKDEP_INLINE int nst_pthread_mutex_destroy(struct nst_pthread_mutex *m)
{
	nst_lockdep_map_destroy(&m->map);
	return pthread_mutex_destroy(&m->lock);
}

/* With the validator on it is tried before it is waited for. */
NST_LOCKDEP_COLD int nst_pthread_mutex_wait_on(struct nst_pthread_mutex *m, int err)
{
	if (err == EBUSY) {
		nst_lockdep_contended(&m->map);
		err = pthread_mutex_lock(&m->lock);
		nst_lockdep_acquired(&m->map);
	}
	return nst_pthread_had(&m->map, err);
}

NST_LOCKDEP_INLINE int nst_pthread_mutex_wait(struct nst_pthread_mutex *m, uint32_t how,
					      uint32_t epoch)
{
	int err;

	nst_lockdep_acquire_in(&m->map, how, epoch);
	err = pthread_mutex_trylock(&m->lock);
	return __builtin_expect(err != 0, 0) ? nst_pthread_mutex_wait_on(m, err) : 0;
}

/* @subclass: as NST_LD_NESTED(), with another of its class held. */
NST_LOCKDEP_INLINE int nst_pthread_mutex_lock_nested(struct nst_pthread_mutex *m,
						     unsigned int subclass)
{
	const uint32_t epoch = NST_LOCKDEP_EPOCH;

	return NST_LOCKDEP_MAYBE(epoch) ? nst_pthread_mutex_wait(m, NST_LD_NESTED(subclass), epoch)
					: pthread_mutex_lock(&m->lock);
}

NST_LOCKDEP_INLINE int nst_pthread_mutex_lock(struct nst_pthread_mutex *m)
{
	return nst_pthread_mutex_lock_nested(m, 0);
}

NST_LOCKDEP_INLINE int nst_pthread_mutex_trylock(struct nst_pthread_mutex *m)
{
	return nst_pthread_got(&m->map, pthread_mutex_trylock(&m->lock), 0);
}

NST_LOCKDEP_INLINE int nst_pthread_mutex_timedlock(struct nst_pthread_mutex *m,
						   const struct timespec *until)
{
	nst_might_sleep();
	return nst_pthread_got(&m->map, pthread_mutex_timedlock(&m->lock, until), NST_LD_TIMED);
}

NST_LOCKDEP_INLINE int nst_pthread_mutex_unlock(struct nst_pthread_mutex *m)
{
	nst_lockdep_release(&m->map);
	return pthread_mutex_unlock(&m->lock);
}

/* ---- reader-writer locks ---- */

struct nst_pthread_rwlock {
	pthread_rwlock_t lock;
	struct nst_lockdep_map map;
	uint32_t read; /* how readers take it */
};

#define NST_PTHREAD_RWLOCK(name)                                                                   \
	{                                                                                          \
		PTHREAD_RWLOCK_INITIALIZER, NST_LOCKDEP_MAP(name, NULL, NST_WAIT_SLEEP),           \
			NST_LD_READ | NST_LD_RECURSIVE                                             \
	}

/* How readers take a lock with @attr. */
NST_LOCKDEP_INLINE uint32_t nst_pthread_rwlock_kind(const pthread_rwlockattr_t *attr)
{
#ifdef PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP
	int kind = PTHREAD_RWLOCK_DEFAULT_NP;

	if (attr)
		pthread_rwlockattr_getkind_np(attr, &kind);
	if (kind == PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP)
		return NST_LD_READ;
#else
	(void)attr;
#endif
	return NST_LD_READ | NST_LD_RECURSIVE;
}

NST_LOCKDEP_INLINE int nst_pthread_rwlock_init(struct nst_pthread_rwlock *l, const char *name,
					       const struct nst_lockdep_key *key,
					       const pthread_rwlockattr_t *attr)
{
	nst_lockdep_map_init(&l->map, name, key, NST_WAIT_SLEEP, NST_WAIT_SLEEP);
	l->read = nst_pthread_rwlock_kind(attr);
	return pthread_rwlock_init(&l->lock, attr);
}

NST_LOCKDEP_INLINE int nst_pthread_rwlock_destroy(struct nst_pthread_rwlock *l)
{
	nst_lockdep_map_destroy(&l->map);
	return pthread_rwlock_destroy(&l->lock);
}

NST_LOCKDEP_COLD int nst_pthread_rwlock_wait_read_on(struct nst_pthread_rwlock *l, int err)
{
	if (err == EBUSY) {
		nst_lockdep_contended(&l->map);
		err = pthread_rwlock_rdlock(&l->lock);
		nst_lockdep_acquired(&l->map);
	}
	return nst_pthread_had(&l->map, err);
}

NST_LOCKDEP_INLINE int nst_pthread_rwlock_wait_read(struct nst_pthread_rwlock *l, uint32_t epoch)
{
	int err;

	nst_lockdep_acquire_in(&l->map, l->read, epoch);
	err = pthread_rwlock_tryrdlock(&l->lock);
	return __builtin_expect(err != 0, 0) ? nst_pthread_rwlock_wait_read_on(l, err) : 0;
}

NST_LOCKDEP_COLD int nst_pthread_rwlock_wait_write_on(struct nst_pthread_rwlock *l, int err)
{
	if (err == EBUSY) {
		nst_lockdep_contended(&l->map);
		err = pthread_rwlock_wrlock(&l->lock);
		nst_lockdep_acquired(&l->map);
	}
	return nst_pthread_had(&l->map, err);
}

NST_LOCKDEP_INLINE int nst_pthread_rwlock_wait_write(struct nst_pthread_rwlock *l, uint32_t epoch)
{
	int err;

	nst_lockdep_acquire_in(&l->map, 0, epoch);
	err = pthread_rwlock_trywrlock(&l->lock);
	return __builtin_expect(err != 0, 0) ? nst_pthread_rwlock_wait_write_on(l, err) : 0;
}

NST_LOCKDEP_INLINE int nst_pthread_rwlock_rdlock(struct nst_pthread_rwlock *l)
{
	const uint32_t epoch = NST_LOCKDEP_EPOCH;

	return NST_LOCKDEP_MAYBE(epoch) ? nst_pthread_rwlock_wait_read(l, epoch)
					: pthread_rwlock_rdlock(&l->lock);
}

NST_LOCKDEP_INLINE int nst_pthread_rwlock_wrlock(struct nst_pthread_rwlock *l)
{
	const uint32_t epoch = NST_LOCKDEP_EPOCH;

	return NST_LOCKDEP_MAYBE(epoch) ? nst_pthread_rwlock_wait_write(l, epoch)
					: pthread_rwlock_wrlock(&l->lock);
}

NST_LOCKDEP_INLINE int nst_pthread_rwlock_tryrdlock(struct nst_pthread_rwlock *l)
{
	return nst_pthread_got(&l->map, pthread_rwlock_tryrdlock(&l->lock), l->read);
}

NST_LOCKDEP_INLINE int nst_pthread_rwlock_trywrlock(struct nst_pthread_rwlock *l)
{
	return nst_pthread_got(&l->map, pthread_rwlock_trywrlock(&l->lock), 0);
}

NST_LOCKDEP_INLINE int nst_pthread_rwlock_timedrdlock(struct nst_pthread_rwlock *l,
						      const struct timespec *until)
{
	nst_might_sleep();
	return nst_pthread_got(&l->map, pthread_rwlock_timedrdlock(&l->lock, until),
			       l->read | NST_LD_TIMED);
}

NST_LOCKDEP_INLINE int nst_pthread_rwlock_timedwrlock(struct nst_pthread_rwlock *l,
						      const struct timespec *until)
{
	nst_might_sleep();
	return nst_pthread_got(&l->map, pthread_rwlock_timedwrlock(&l->lock, until), NST_LD_TIMED);
}

NST_LOCKDEP_INLINE int nst_pthread_rwlock_unlock(struct nst_pthread_rwlock *l)
{
	nst_lockdep_release(&l->map);
	return pthread_rwlock_unlock(&l->lock);
}

/* ---- spinlocks ---- */

struct nst_pthread_spin {
	pthread_spinlock_t lock;
	struct nst_lockdep_map map;
};

NST_LOCKDEP_INLINE int nst_pthread_spin_init(struct nst_pthread_spin *s, const char *name,
					     const struct nst_lockdep_key *key, int pshared)
{
	nst_lockdep_map_init(&s->map, name, key, NST_WAIT_SPIN, NST_WAIT_SPIN);
	return pthread_spin_init(&s->lock, pshared);
}

NST_LOCKDEP_INLINE int nst_pthread_spin_destroy(struct nst_pthread_spin *s)
{
	nst_lockdep_map_destroy(&s->map);
	return pthread_spin_destroy(&s->lock);
}

NST_LOCKDEP_COLD int nst_pthread_spin_wait_on(struct nst_pthread_spin *s, int err)
{
	if (err == EBUSY) {
		nst_lockdep_contended(&s->map);
		err = pthread_spin_lock(&s->lock);
		nst_lockdep_acquired(&s->map);
	}
	return nst_pthread_had(&s->map, err);
}

NST_LOCKDEP_INLINE int nst_pthread_spin_wait(struct nst_pthread_spin *s, uint32_t epoch)
{
	int err;

	nst_lockdep_acquire_in(&s->map, 0, epoch);
	err = pthread_spin_trylock(&s->lock);
	return __builtin_expect(err != 0, 0) ? nst_pthread_spin_wait_on(s, err) : 0;
}

NST_LOCKDEP_INLINE int nst_pthread_spin_lock(struct nst_pthread_spin *s)
{
	const uint32_t epoch = NST_LOCKDEP_EPOCH;

	return NST_LOCKDEP_MAYBE(epoch) ? nst_pthread_spin_wait(s, epoch)
					: pthread_spin_lock(&s->lock);
}

NST_LOCKDEP_INLINE int nst_pthread_spin_trylock(struct nst_pthread_spin *s)
{
	return nst_pthread_got(&s->map, pthread_spin_trylock(&s->lock), 0);
}

NST_LOCKDEP_INLINE int nst_pthread_spin_unlock(struct nst_pthread_spin *s)
{
	nst_lockdep_release(&s->map);
	return pthread_spin_unlock(&s->lock);
}

/* ---- conditions and signals ---- */

/* @m is let go of for a wait, and taken again behind it. */
NST_LOCKDEP_INLINE struct nst_pthread_mutex *nst_pthread_waits(struct nst_pthread_mutex *m)
{
	nst_lockdep_release(&m->map);
	nst_might_sleep();
	return m;
}

NST_LOCKDEP_INLINE int nst_pthread_waited(struct nst_pthread_mutex *m, int err)
{
	nst_lockdep_acquire(&m->map, NST_LD_TRY);
	return err;
}

NST_LOCKDEP_INLINE int nst_pthread_cond_wait(pthread_cond_t *c, struct nst_pthread_mutex *m)
{
	return nst_pthread_waited(m, pthread_cond_wait(c, &nst_pthread_waits(m)->lock));
}

NST_LOCKDEP_INLINE int nst_pthread_cond_timedwait(pthread_cond_t *c, struct nst_pthread_mutex *m,
						  const struct timespec *until)
{
	return nst_pthread_waited(m, pthread_cond_timedwait(c, &nst_pthread_waits(m)->lock, until));
}

NST_LOCKDEP_INLINE uint64_t nst_pthread_sigset(const sigset_t *set)
{
	uint64_t bits = 0;
	int i;

	for (i = 1; i <= 64; i++)
		if (sigismember(set, i) == 1)
			bits |= NST_SIGNAL(i);
	return bits;
}

/* What is opened is told before it is, what is blocked behind it. */
NST_LOCKDEP_INLINE int nst_pthread_sigmask(int how, const sigset_t *set, sigset_t *before)
{
	const uint64_t bits = set ? nst_pthread_sigset(set) : 0;
	int err;

	if (set && how != SIG_BLOCK)
		nst_signals_unblock(how == SIG_UNBLOCK ? bits : ~bits);
	err = pthread_sigmask(how, set, before);
	if (!err && set && how != SIG_UNBLOCK)
		nst_signals_block(bits);
	return err;
}

#ifdef __cplusplus
}
#endif
#endif
#endif
