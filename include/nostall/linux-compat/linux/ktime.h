/* SPDX-License-Identifier: MIT */
/* ktime.h - the kernel's spelling: nanoseconds, of the monotonic clock. */
#ifndef NST_COMPAT_KTIME_H
#define NST_COMPAT_KTIME_H

#include <time.h>
#include <linux/types.h>

typedef s64 ktime_t;

#define NSEC_PER_USEC 1000L
#define NSEC_PER_MSEC 1000000L
#define NSEC_PER_SEC 1000000000L
#define KTIME_MAX ((s64) ~(1ull << 63))

static inline ktime_t ktime_get(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}

#define ktime_get_ns() ((u64)ktime_get())
#define ktime_set(seconds, ns) ((ktime_t)(seconds)*NSEC_PER_SEC + (ktime_t)(ns))
#define ktime_add(a, b) ((ktime_t)(a) + (ktime_t)(b))
#define ktime_sub(a, b) ((ktime_t)(a) - (ktime_t)(b))
#define ktime_add_ns(a, ns) ktime_add(a, ns)
#define ktime_to_ns(a) ((s64)(a))
#define ktime_to_us(a) ((s64)(a) / NSEC_PER_USEC)
#define ktime_to_ms(a) ((s64)(a) / NSEC_PER_MSEC)
#define ns_to_ktime(ns) ((ktime_t)(ns))
#define ktime_compare(a, b) ((a) < (b) ? -1 : (a) > (b))
#define ktime_before(a, b) ((a) < (b))
#define ktime_after(a, b) ((a) > (b))

#endif
