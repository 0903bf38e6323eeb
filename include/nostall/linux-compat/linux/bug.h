/* SPDX-License-Identifier: MIT */
/*
 * bug.h - the kernel's spelling: what must not be. BUG() ends the process, WARN() says so and goes on.
 */
#ifndef NST_COMPAT_BUG_H
#define NST_COMPAT_BUG_H

#include <stdio.h>
#include <stdlib.h>
#include <linux/compiler.h>
#include <linux/types.h>

/* How many warnings there were: for tests. */
NST_COMPAT_SHARED unsigned long nst_compat_warnings;

static inline __attribute__((noreturn)) void nst_compat_bug(const char *file, int line,
							    const char *function)
{
	fprintf(stderr, "BUG: at %s:%d in %s()\n", file, line, function);
	abort();
}

static inline void nst_compat_warned(const char *file, int line, const char *function)
{
	__atomic_fetch_add(&nst_compat_warnings, 1, __ATOMIC_RELAXED);
	fprintf(stderr, "WARNING: at %s:%d in %s()\n", file, line, function);
}

#define BUG() nst_compat_bug(__FILE__, __LINE__, __func__)
#define BUG_ON(condition)                                                                          \
	do {                                                                                       \
		if (unlikely(condition))                                                           \
			BUG();                                                                     \
	} while (0)
#define WARN_ON(condition)                                                                         \
	({                                                                                         \
		const bool nst_warn_on = !!(condition);                                            \
		if (unlikely(nst_warn_on))                                                         \
			nst_compat_warned(__FILE__, __LINE__, __func__);                           \
		unlikely(nst_warn_on);                                                             \
	})
#define WARN(condition, ...)                                                                       \
	({                                                                                         \
		const bool nst_warn = WARN_ON(condition);                                          \
		if (nst_warn)                                                                      \
			fprintf(stderr, __VA_ARGS__);                                              \
		nst_warn;                                                                          \
	})
#define NST_COMPAT_ONCE(condition, say)                                                            \
	({                                                                                         \
		static char nst_once;                                                              \
		const bool nst_is = !!(condition);                                                 \
		if (unlikely(nst_is) && !__atomic_exchange_n(&nst_once, 1, __ATOMIC_RELAXED))      \
			say;                                                                       \
		unlikely(nst_is);                                                                  \
	})
#define WARN_ON_ONCE(condition)                                                                    \
	NST_COMPAT_ONCE(condition, nst_compat_warned(__FILE__, __LINE__, __func__))
#define WARN_ONCE(condition, ...) NST_COMPAT_ONCE(condition, (void)WARN(1, __VA_ARGS__))

#define BUILD_BUG_ON(condition) _Static_assert(!(condition), "BUILD_BUG_ON: " #condition)
#define BUILD_BUG_ON_MSG(condition, message) _Static_assert(!(condition), message)

#endif
