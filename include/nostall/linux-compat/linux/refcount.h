/* SPDX-License-Identifier: MIT */
/* refcount.h - the kernel's spelling: counts that neither wrap nor come back from 0. */
#ifndef NST_COMPAT_REFCOUNT_H
#define NST_COMPAT_REFCOUNT_H

#include <linux/atomic.h>
#include <linux/kernel.h>

typedef struct {
	atomic_t refs;
} refcount_t;

#define REFCOUNT_INIT(n)                                                                           \
	{                                                                                          \
		ATOMIC_INIT(n)                                                                     \
	}
#define NST_COMPAT_SATURATED (INT_MIN / 2)

static inline void refcount_set(refcount_t *r, int n)
{
	atomic_set(&r->refs, n);
}

static inline unsigned int refcount_read(const refcount_t *r)
{
	return (unsigned int)atomic_read(&r->refs);
}

/* Once it has gone wrong it stays so, and nothing is freed. */
static inline void nst_compat_refcount_bad(refcount_t *r)
{
	atomic_set(&r->refs, NST_COMPAT_SATURATED);
	WARN_ON_ONCE(1);
}

static inline bool refcount_inc_not_zero(refcount_t *r)
{
	return atomic_inc_not_zero(&r->refs);
}

static inline void refcount_inc(refcount_t *r)
{
	if (atomic_fetch_inc(&r->refs) <= 0)
		nst_compat_refcount_bad(r);
}

static inline bool refcount_dec_and_test(refcount_t *r)
{
	int before = atomic_fetch_dec(&r->refs);

	if (before <= 0)
		nst_compat_refcount_bad(r);
	return before == 1;
}

#endif
