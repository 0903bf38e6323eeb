/* SPDX-License-Identifier: MIT */
/* log2.h - the kernel's spelling: powers of two. None of these is asked of 0. */
#ifndef NST_COMPAT_LOG2_H
#define NST_COMPAT_LOG2_H

#include <linux/bitops.h>

/* Constants of constants. */
#define ilog2(n) ((int)(63 - __builtin_clzll((unsigned long long)(n))))
#define order_base_2(n) ((n) > 1 ? ilog2((n)-1) + 1 : 0)
#define roundup_pow_of_two(n) (1ul << order_base_2(n))
#define rounddown_pow_of_two(n) (1ul << ilog2(n))

static inline bool is_power_of_2(unsigned long n)
{
	return n && !(n & (n - 1));
}

#endif
