/* SPDX-License-Identifier: MIT */
/*
 * nst_rwsleep.h - readers and writers that sleep: of rw_semaphore, and of rwlock_t with NST_COMPAT_RT.
 *
 * Fair: a reader waits behind a writer that waits. Zeroed is initialised where libc's mutex is (glibc, musl).
 */
#ifndef NST_COMPAT_RWSLEEP_H
#define NST_COMPAT_RWSLEEP_H

#include <pthread.h>
#include <linux/compiler.h>

struct nst_compat_rwsleep {
	pthread_mutex_t mutex; /* of what follows; held for some instructions */
	pthread_cond_t changed;
	unsigned int readers, writer, waiting; /* waiting: writers */
};

static inline int nst_compat_rwsleep_take(struct nst_compat_rwsleep *l, int write, int wait)
{
	int had;

	pthread_mutex_lock(&l->mutex);
	l->waiting += write ? 1u : 0u;
	while (wait && (l->writer || (write ? l->readers : l->waiting)))
		pthread_cond_wait(&l->changed, &l->mutex);
	l->waiting -= write ? 1u : 0u;
	had = !l->writer && !(write ? l->readers : l->waiting);
	if (had) {
		l->writer = write ? 1u : 0u;
		l->readers += write ? 0u : 1u;
	}
	pthread_mutex_unlock(&l->mutex);
	return had;
}

/* @left: readers that remain of a writer. */
static inline void nst_compat_rwsleep_give(struct nst_compat_rwsleep *l, int write,
					   unsigned int left)
{
	pthread_mutex_lock(&l->mutex);
	if (write)
		l->writer = 0;
	else
		l->readers--;
	l->readers += left;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->mutex);
}

#endif
