/* SPDX-License-Identifier: MIT */
/*
 * completion.h - the kernel's spelling: wait until somebody says that it is done.
 *
 * complete() waits for nothing and is legal in a signal handler; who waits may sleep, and the validator is told so.
 *
 * The watchdog is not told who waits for one. A circle goes from who waits to who holds, and nobody holds what is waited for
 * here: any thread or handler may complete it. So there is no map, as in the kernel (init_completion_map() ignores its own
 * since cross-release is gone, which guessed who would complete, and was wrong too often). A program that knows says so by
 * a map of its own, held (lock_map_acquire()) by who will complete, and around the wait:
 *
 *	lock_map_acquire(&map);
 *	lock_contended(&map, 0);
 *	wait_for_completion(&x);
 *	lock_acquired(&map, 0);
 *	lock_map_release(&map);
 */
#ifndef NST_COMPAT_COMPLETION_H
#define NST_COMPAT_COMPLETION_H

#include <errno.h>
#include <semaphore.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>

/* Zeroed is initialised where libc's semaphore is (glibc, musl). */
struct completion {
	sem_t done;
	unsigned int all; /* complete_all(): who gets the semaphore passes it on */
};

#define COMPLETION_INITIALIZER(name)                                                               \
	{                                                                                          \
		.all = 0                                                                           \
	}
#define DECLARE_COMPLETION(name) struct completion name = COMPLETION_INITIALIZER(name)
#define DECLARE_COMPLETION_ONSTACK(name) DECLARE_COMPLETION(name)

static inline void init_completion(struct completion *x)
{
	sem_init(&x->done, 0, 0);
	x->all = 0;
}

#define reinit_completion(x) init_completion(x)

static inline void complete(struct completion *x)
{
	sem_post(&x->done);
}

static inline void complete_all(struct completion *x)
{
	__atomic_store_n(&x->all, 1u, __ATOMIC_RELEASE);
	sem_post(&x->done);
}

static inline void nst_compat_completed(struct completion *x)
{
	if (__atomic_load_n(&x->all, __ATOMIC_ACQUIRE))
		sem_post(&x->done);
}

static inline bool try_wait_for_completion(struct completion *x)
{
	if (sem_trywait(&x->done))
		return false;
	nst_compat_completed(x);
	return true;
}

static inline bool completion_done(struct completion *x)
{
	int n = 0;

	sem_getvalue(&x->done, &n);
	return n > 0;
}

static inline void wait_for_completion(struct completion *x)
{
	might_sleep();
	while (sem_wait(&x->done))
		;
	nst_compat_completed(x);
}

/* 0: not in so many jiffies; else what was left of them, at least 1. */
static inline unsigned long wait_for_completion_timeout(struct completion *x, unsigned long timeout)
{
	const unsigned long begun = jiffies;
	unsigned long gone;
	struct timespec at;
	int rc;

	might_sleep();
	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += (time_t)(timeout / HZ);
	at.tv_nsec += (long)(timeout % HZ) * 1000000;
	at.tv_sec += at.tv_nsec / 1000000000;
	at.tv_nsec %= 1000000000;
	do {
		rc = sem_timedwait(&x->done, &at);
	} while (rc && errno == EINTR);
	if (rc)
		return 0;
	nst_compat_completed(x);
	gone = jiffies - begun;
	return gone < timeout ? timeout - gone : 1;
}

#endif
