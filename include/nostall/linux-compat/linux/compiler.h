/* SPDX-License-Identifier: MIT */
/*
 * compiler.h - the kernel's spelling (docs/linux-compat.md): attributes, single accesses, barriers of the compiler.
 *
 * What these headers share is here as well: NST_COMPAT_INLINE, so that a report names the caller's place, and
 * NST_COMPAT_SHARED, for the few words that all files of a program have in common.
 */
#ifndef NST_COMPAT_COMPILER_H
#define NST_COMPAT_COMPILER_H

#ifdef __cplusplus
#error "the kernel's spelling is for C; C++ uses <nostall/nostall.h>"
#endif
#include <nostall/context.h>

#ifndef NST_COMPAT_RT
#define NST_COMPAT_RT 0
#endif

#define NST_COMPAT_INLINE NST_LOCKDEP_INLINE
#define NST_COMPAT_SHARED __attribute__((weak, visibility("default")))

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define barrier() __asm__ volatile("" : : : "memory")
#define noinline __attribute__((noinline))
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#define __must_check __attribute__((warn_unused_result))
#define __maybe_unused __attribute__((unused))
#define __always_unused __attribute__((unused))
#define __packed __attribute__((packed))
#define __aligned(x) __attribute__((aligned(x)))
#define __printf(a, b) __attribute__((format(printf, a, b)))
#define __pure __attribute__((pure))
#ifndef __attribute_const__
#define __attribute_const__ __attribute__((const))
#endif
#define __cold __attribute__((cold))
#define __weak __attribute__((weak))
#define __read_mostly
#define ____cacheline_aligned __attribute__((aligned(64)))
#define ____cacheline_aligned_in_smp __attribute__((aligned(64)))
#if __GNUC__ >= 7
#define fallthrough __attribute__((fallthrough))
#endif

/* For sparse alone. */
#define __user
#define __iomem
#define __rcu
#define __percpu
#define __force
#define __bitwise
#define __acquires(x)
#define __releases(x)
#define __must_hold(x)

/* One access, of a scalar. */
#define READ_ONCE(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), v, __ATOMIC_RELAXED)

#define smp_load_acquire(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define smp_store_release(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define smp_mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define smp_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)

#endif
