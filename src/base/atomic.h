/* SPDX-License-Identifier: MIT */
/*
 * atomic.h - atomics with the memory order in the name; nothing else here may use them.
 *
 * A plain counter is relaxed. Every other order names its partner where it is used ("Pairs with:").
 * The fast paths use none of these: a locked instruction costs more than a whole pop.
 */
#ifndef NST_BASE_ATOMIC_H
#define NST_BASE_ATOMIC_H

#include "compiler.h"

#define nst_load_relaxed(p) __atomic_load_n(p, __ATOMIC_RELAXED)
#define nst_store_relaxed(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)
#define nst_add_relaxed(p, v) __atomic_fetch_add(p, v, __ATOMIC_RELAXED)
#define nst_sub_relaxed(p, v) __atomic_fetch_sub(p, v, __ATOMIC_RELAXED)
#define nst_or_relaxed(p, v) __atomic_fetch_or(p, v, __ATOMIC_RELAXED)
#define nst_and_relaxed(p, v) __atomic_fetch_and(p, v, __ATOMIC_RELAXED)

#define nst_load_acquire(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define nst_store_release(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define nst_exchange_acquire(p, v) __atomic_exchange_n(p, v, __ATOMIC_ACQUIRE)
#define nst_exchange_acq_rel(p, v) __atomic_exchange_n(p, v, __ATOMIC_ACQ_REL)
#define nst_exchange_relaxed(p, v) __atomic_exchange_n(p, v, __ATOMIC_RELAXED)
#define nst_add_release(p, v) __atomic_fetch_add(p, v, __ATOMIC_RELEASE)
#define nst_or_release(p, v) __atomic_fetch_or(p, v, __ATOMIC_RELEASE)
#define nst_sub_release(p, v) __atomic_fetch_sub(p, v, __ATOMIC_RELEASE)

/* Orders all before it against all after it, on all CPUs. Assembler: ThreadSanitizer knows no fences. */
static inline void nst_fence_full(void)
{
#if defined(__x86_64__)
	__asm__ volatile("lock; orl $0, (%%rsp)" ::: "memory", "cc");
#elif defined(__aarch64__)
	__asm__ volatile("dmb ish" ::: "memory");
#endif
}

/* Orders this thread against a signal handler on it; emits nothing. */
#define nst_barrier() __atomic_signal_fence(__ATOMIC_SEQ_CST)

/* Full: stores before it and loads after it. */
#define nst_fence_full() __atomic_thread_fence(__ATOMIC_SEQ_CST)

/* Compare and swap: 1 if *p was old and is now new. */
#define nst_cas_acquire(p, old, new)                                                               \
	__extension__({                                                                            \
		__typeof__(*(p)) cas_old = (old);                                                  \
		__atomic_compare_exchange_n(p, &cas_old, new, 0, __ATOMIC_ACQUIRE,                 \
					    __ATOMIC_RELAXED);                                     \
	})
#define nst_cas_release(p, old, new)                                                               \
	__extension__({                                                                            \
		__typeof__(*(p)) cas_old = (old);                                                  \
		__atomic_compare_exchange_n(p, &cas_old, new, 0, __ATOMIC_RELEASE,                 \
					    __ATOMIC_RELAXED);                                     \
	})
#define nst_cas_acq_rel(p, old, new)                                                               \
	__extension__({                                                                            \
		__typeof__(*(p)) cas_old = (old);                                                  \
		__atomic_compare_exchange_n(p, &cas_old, new, 0, __ATOMIC_ACQ_REL,                 \
					    __ATOMIC_RELAXED);                                     \
	})
#define nst_cas_relaxed(p, old, new)                                                               \
	__extension__({                                                                            \
		__typeof__(*(p)) cas_old = (old);                                                  \
		__atomic_compare_exchange_n(p, &cas_old, new, 0, __ATOMIC_RELAXED,                 \
					    __ATOMIC_RELAXED);                                     \
	})

/* Raise *p to at least v; a statistic, so relaxed. */
static inline void nst_max_relaxed(u64 *p, u64 v)
{
	u64 seen = nst_load_relaxed(p);

	while (seen < v && !nst_cas_relaxed(p, seen, v))
		seen = nst_load_relaxed(p);
}

static inline void nst_cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield" ::: "memory");
#endif
}

#endif
