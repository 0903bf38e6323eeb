/* SPDX-License-Identifier: MIT */
/*
 * atomic.h - the kernel's spelling: atomic_t, atomic64_t, atomic_long_t, cmpxchg() and xchg().
 *
 * What returns a value is fully ordered, what does not is relaxed; _relaxed, _acquire and _release as they say.
 */
#ifndef NST_COMPAT_ATOMIC_H
#define NST_COMPAT_ATOMIC_H

#include <linux/compiler.h>
#include <linux/types.h>

#define ATOMIC_INIT(i)                                                                             \
	{                                                                                          \
		(i)                                                                                \
	}
#define ATOMIC64_INIT(i) ATOMIC_INIT(i)
#define ATOMIC_LONG_INIT(i) ATOMIC_INIT(i)

/* One set for each type: the counters differ in width alone. */
#define atomic_read(v) __atomic_load_n(&(v)->counter, __ATOMIC_RELAXED)
#define atomic_set(v, i) __atomic_store_n(&(v)->counter, i, __ATOMIC_RELAXED)
#define atomic_read_acquire(v) __atomic_load_n(&(v)->counter, __ATOMIC_ACQUIRE)
#define atomic_set_release(v, i) __atomic_store_n(&(v)->counter, i, __ATOMIC_RELEASE)
#define atomic_add(i, v) ((void)__atomic_add_fetch(&(v)->counter, i, __ATOMIC_RELAXED))
#define atomic_sub(i, v) ((void)__atomic_sub_fetch(&(v)->counter, i, __ATOMIC_RELAXED))
#define atomic_inc(v) atomic_add(1, v)
#define atomic_dec(v) atomic_sub(1, v)
#define atomic_or(i, v) ((void)__atomic_or_fetch(&(v)->counter, i, __ATOMIC_RELAXED))
#define atomic_and(i, v) ((void)__atomic_and_fetch(&(v)->counter, i, __ATOMIC_RELAXED))
#define atomic_add_return(i, v) __atomic_add_fetch(&(v)->counter, i, __ATOMIC_SEQ_CST)
#define atomic_sub_return(i, v) __atomic_sub_fetch(&(v)->counter, i, __ATOMIC_SEQ_CST)
#define atomic_inc_return(v) atomic_add_return(1, v)
#define atomic_dec_return(v) atomic_sub_return(1, v)
#define atomic_fetch_add(i, v) __atomic_fetch_add(&(v)->counter, i, __ATOMIC_SEQ_CST)
#define atomic_fetch_sub(i, v) __atomic_fetch_sub(&(v)->counter, i, __ATOMIC_SEQ_CST)
#define atomic_fetch_inc(v) atomic_fetch_add(1, v)
#define atomic_fetch_dec(v) atomic_fetch_sub(1, v)
#define atomic_dec_and_test(v) (atomic_sub_return(1, v) == 0)
#define atomic_inc_and_test(v) (atomic_add_return(1, v) == 0)
#define atomic_sub_and_test(i, v) (atomic_sub_return(i, v) == 0)
#define atomic_xchg(v, new) __atomic_exchange_n(&(v)->counter, new, __ATOMIC_SEQ_CST)
#define atomic_cmpxchg(v, old, new) cmpxchg(&(v)->counter, old, new)
#define atomic_try_cmpxchg(v, old, new) try_cmpxchg(&(v)->counter, old, new)
#define atomic_add_unless(v, i, not )                                                              \
	({                                                                                         \
		__typeof__((v)->counter) nst_seen = atomic_read(v);                                \
		while (nst_seen != (not ) && !atomic_try_cmpxchg(v, &nst_seen, nst_seen + (i)))    \
			;                                                                          \
		nst_seen != (not );                                                                \
	})
#define atomic_inc_not_zero(v) atomic_add_unless(v, 1, 0)

typedef atomic64_t atomic_long_t;
#define atomic64_read(v) atomic_read(v)
#define atomic64_set(v, i) atomic_set(v, i)
#define atomic64_add(i, v) atomic_add(i, v)
#define atomic64_sub(i, v) atomic_sub(i, v)
#define atomic64_inc(v) atomic_inc(v)
#define atomic64_dec(v) atomic_dec(v)
#define atomic64_add_return(i, v) atomic_add_return(i, v)
#define atomic64_sub_return(i, v) atomic_sub_return(i, v)
#define atomic64_inc_return(v) atomic_inc_return(v)
#define atomic64_dec_and_test(v) atomic_dec_and_test(v)
#define atomic64_xchg(v, new) atomic_xchg(v, new)
#define atomic64_cmpxchg(v, old, new) atomic_cmpxchg(v, old, new)
#define atomic_long_read(v) atomic_read(v)
#define atomic_long_set(v, i) atomic_set(v, i)
#define atomic_long_add(i, v) atomic_add(i, v)
#define atomic_long_sub(i, v) atomic_sub(i, v)
#define atomic_long_inc(v) atomic_inc(v)
#define atomic_long_dec(v) atomic_dec(v)
#define atomic_long_add_return(i, v) atomic_add_return(i, v)

#define xchg(p, new) __atomic_exchange_n(p, new, __ATOMIC_SEQ_CST)
#define cmpxchg(p, old, new)                                                                       \
	({                                                                                         \
		__typeof__(*(p)) nst_old = (old);                                                  \
		__atomic_compare_exchange_n(p, &nst_old, new, 0, __ATOMIC_SEQ_CST,                 \
					    __ATOMIC_SEQ_CST);                                     \
		nst_old;                                                                           \
	})
#define try_cmpxchg(p, old, new)                                                                   \
	__atomic_compare_exchange_n(p, old, new, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

#endif
