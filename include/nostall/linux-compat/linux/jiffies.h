/* SPDX-License-Identifier: MIT */
/* jiffies.h - the kernel's spelling: time in milliseconds (HZ is 1000), of the monotonic clock. */
#ifndef NST_COMPAT_JIFFIES_H
#define NST_COMPAT_JIFFIES_H

#include <time.h>
#include <linux/types.h>

#define HZ 1000
#define MAX_SCHEDULE_TIMEOUT ((long)(~0UL >> 1))

static inline unsigned long nst_compat_jiffies(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (unsigned long)now.tv_sec * HZ + (unsigned long)now.tv_nsec / 1000000;
}

#define jiffies nst_compat_jiffies()
#define msecs_to_jiffies(ms) ((unsigned long)(ms))
#define jiffies_to_msecs(j) ((unsigned int)(j))
#define time_after(a, b) ((long)((b) - (a)) < 0)
#define time_before(a, b) time_after(b, a)

#endif
