/* SPDX-License-Identifier: MIT */
/*
 * kernel.h - the kernel's spelling: small arithmetic, and what code says of sleeping.
 *
 * might_sleep() and non_block_start() are the validator's annotations (nostall/context.h): reported where they are out
 * of place while it is on, a load and a compare while it is off.
 */
#include_next <linux/kernel.h>
#ifndef NST_COMPAT_KERNEL_H
#define NST_COMPAT_KERNEL_H

#ifndef __cplusplus

#include <limits.h>
#include <linux/bug.h>
#include <linux/container_of.h>
#include <linux/err.h>
#include <linux/printk.h>
#include <linux/types.h>

#define might_sleep() nst_might_sleep()
#define might_sleep_if(condition)                                                                  \
	do {                                                                                       \
		if (condition)                                                                     \
			might_sleep();                                                             \
	} while (0)
#define non_block_start() nst_nonblock_begin()
#define non_block_end() nst_nonblock_end()

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define __ALIGN_MASK(x, mask) (((x) + (mask)) & ~(mask))
#ifndef ALIGN
#define ALIGN(x, a) __ALIGN_MASK(x, (__typeof__(x))(a)-1)
#endif
#define ALIGN_DOWN(x, a) ((x) & ~((__typeof__(x))(a)-1))
#define IS_ALIGNED(x, a) (((x) & ((__typeof__(x))(a)-1)) == 0)
#define PTR_ALIGN(p, a) ((__typeof__(p))ALIGN((unsigned long)(p), (a)))
#define round_up(x, y) ((((x)-1) | ((__typeof__(x))((y)-1))) + 1)
#define round_down(x, y) ((x) & ~((__typeof__(x))((y)-1)))
#ifndef DIV_ROUND_UP
#define DIV_ROUND_UP(n, d) (((n) + (d)-1) / (d))
#endif
#define NST_COMPAT_PICK(type_a, a, type_b, b, op)                                                  \
	({                                                                                         \
		type_a nst_a = (a);                                                                \
		type_b nst_b = (b);                                                                \
		nst_a op nst_b ? nst_a : nst_b;                                                    \
	})
#define min(a, b) NST_COMPAT_PICK(__typeof__(a), a, __typeof__(b), b, <)
#define max(a, b) NST_COMPAT_PICK(__typeof__(a), a, __typeof__(b), b, >)
#define min_t(type, a, b) NST_COMPAT_PICK(type, a, type, b, <)
#define max_t(type, a, b) NST_COMPAT_PICK(type, a, type, b, >)
#define clamp(v, low, high) min_t(__typeof__(v), max_t(__typeof__(v), v, low), high)
#define swap(a, b)                                                                                 \
	do {                                                                                       \
		__typeof__(a) nst_swap = (a);                                                      \
		(a) = (b);                                                                         \
		(b) = nst_swap;                                                                    \
	} while (0)

#define SMP_CACHE_BYTES 64
#define L1_CACHE_BYTES 64

static inline bool is_power_of_2(unsigned long n)
{
	return n && !(n & (n - 1));
}

#endif
#endif
