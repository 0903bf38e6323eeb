/* SPDX-License-Identifier: MIT */
/*
 * nst_sleeping.h - what spinlock_t and rwlock_t are with NST_COMPAT_RT: locks that sleep, as on a real-time kernel.
 *
 * A mutex of POSIX that inherits priority has no static initialiser, so the first to come makes it.
 */
#ifndef NST_COMPAT_SLEEPING_H
#define NST_COMPAT_SLEEPING_H

#include <linux/bug.h>
#include <linux/nst_relax.h>
#include <linux/nst_rwsleep.h>

struct nst_compat_config {
	pthread_mutex_t mutex;
	unsigned int made; /* 0; 1: somebody is at it; 2 */
};

static noinline void nst_compat_config_make(struct nst_compat_config *l)
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

NST_COMPAT_INLINE void nst_compat_config_made(struct nst_compat_config *l)
{
	if (unlikely(__atomic_load_n(&l->made, __ATOMIC_ACQUIRE) != 2))
		nst_compat_config_make(l);
}

NST_COMPAT_INLINE void nst_compat_config_wait(struct nst_compat_config *l)
{
	nst_compat_config_made(l);
	BUG_ON(pthread_mutex_lock(&l->mutex));
}

NST_COMPAT_INLINE int nst_compat_config_try(struct nst_compat_config *l)
{
	nst_compat_config_made(l);
	return pthread_mutex_trylock(&l->mutex) == 0;
}

NST_COMPAT_INLINE void nst_compat_config_done(struct nst_compat_config *l)
{
	pthread_mutex_unlock(&l->mutex);
}

/* Signals stay on: a handler may not take such a lock, as no interrupt may there. */
#define nst_compat_config_irq_save(flags) ((void)((flags) = 0))
#define nst_compat_config_irq_restore(flags) ((void)(flags))
#define nst_compat_config_irq_disable() ((void)0)
#define nst_compat_config_irq_enable() ((void)0)

#define nst_compat_rwconfig nst_compat_rwsleep
#define nst_compat_rwconfig_read(l) nst_compat_rwsleep_take(l, 0, 1)
#define nst_compat_rwconfig_try_read(l) nst_compat_rwsleep_take(l, 0, 0)
#define nst_compat_rwconfig_read_done(l) nst_compat_rwsleep_give(l, 0, 0)
#define nst_compat_rwconfig_write(l) nst_compat_rwsleep_take(l, 1, 1)
#define nst_compat_rwconfig_try_write(l) nst_compat_rwsleep_take(l, 1, 0)
#define nst_compat_rwconfig_write_done(l) nst_compat_rwsleep_give(l, 1, 0)

#endif
