/* SPDX-License-Identifier: MIT */
/*
 * nst_pimutex.h - a mutex that inherits priority: struct rt_mutex, and spinlock_t with NST_COMPAT_RT.
 *
 * A mutex of POSIX that inherits priority has no static initialiser, so the first to come makes it.
 */
#ifndef NST_COMPAT_PIMUTEX_H
#define NST_COMPAT_PIMUTEX_H

#include <pthread.h>
#include <linux/bug.h>
#include <linux/nst_relax.h>

struct nst_compat_pimutex {
	pthread_mutex_t mutex;
	unsigned int made; /* 0; 1: somebody is at it; 2 */
};

static noinline void nst_compat_pimutex_make(struct nst_compat_pimutex *l)
{
	unsigned int none = 0, turn;
	pthread_mutexattr_t attr;

	if (__atomic_compare_exchange_n(&l->made, &none, 1u, 0, __ATOMIC_RELAXED,
					__ATOMIC_RELAXED)) {
		pthread_mutexattr_init(&attr);
		BUG_ON(pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT));
		BUG_ON(pthread_mutex_init(&l->mutex, &attr));
		pthread_mutexattr_destroy(&attr);
		__atomic_store_n(&l->made, 2u, __ATOMIC_RELEASE);
	}
	for (turn = 0; __atomic_load_n(&l->made, __ATOMIC_ACQUIRE) != 2; turn++)
		nst_compat_relax(turn);
}

NST_COMPAT_INLINE void nst_compat_pimutex_made(struct nst_compat_pimutex *l)
{
	if (unlikely(__atomic_load_n(&l->made, __ATOMIC_ACQUIRE) != 2))
		nst_compat_pimutex_make(l);
}

NST_COMPAT_INLINE void nst_compat_pimutex_wait(struct nst_compat_pimutex *l)
{
	nst_compat_pimutex_made(l);
	BUG_ON(pthread_mutex_lock(&l->mutex));
}

NST_COMPAT_INLINE int nst_compat_pimutex_try(struct nst_compat_pimutex *l)
{
	nst_compat_pimutex_made(l);
	return pthread_mutex_trylock(&l->mutex) == 0;
}

NST_COMPAT_INLINE void nst_compat_pimutex_done(struct nst_compat_pimutex *l)
{
	pthread_mutex_unlock(&l->mutex);
}

#endif
