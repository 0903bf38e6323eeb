/* SPDX-License-Identifier: MIT */
/*
 * compiler.h - the GNU attributes this library uses, one reason each.
 */
#ifndef NST_BASE_COMPILER_H
#define NST_BASE_COMPILER_H

#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define nst_likely(x) __builtin_expect(!!(x), 1)
#define nst_unlikely(x) __builtin_expect(!!(x), 0)

/* A sequence must stay in the function that names its abort label. */
#define NST_ALWAYS_INLINE static inline __attribute__((always_inline))
#define NST_NOINLINE __attribute__((noinline)) /* keeps its frame out of who calls it last */
/* It looks at memory of the library that may change hands meanwhile, for a number that need not be exact. */
#define NST_RACES __attribute__((no_sanitize_thread))
/* One thread's words stay on lines of their own. */
#define NST_LINE 64
#define NST_LINE_ALIGNED __attribute__((aligned(NST_LINE)))
/* Lazy thread-local storage allocates on first touch, in a handler too: never that. */
#define NST_TLS __thread __attribute__((tls_model("initial-exec")))
/* Data reached without a detour through the global offset table. */
#define NST_HIDDEN __attribute__((visibility("hidden")))
#define NST_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

#define NST_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define nst_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define nst_static_assert(cond, text) _Static_assert(cond, text)

#endif
