/* SPDX-License-Identifier: MIT */
/* overflow.h - the kernel's spelling: sums and products that may not fit; sizes that do not are SIZE_MAX, which no request gets. */
#ifndef NST_COMPAT_OVERFLOW_H
#define NST_COMPAT_OVERFLOW_H

#include <stdint.h>
#include <linux/compiler.h>
#include <linux/types.h>

/* True: it does not fit, and *@to is what is left of it. */
#define check_add_overflow(a, b, to) __builtin_add_overflow(a, b, to)
#define check_sub_overflow(a, b, to) __builtin_sub_overflow(a, b, to)
#define check_mul_overflow(a, b, to) __builtin_mul_overflow(a, b, to)

static inline size_t size_add(size_t a, size_t b)
{
	size_t bytes;

	return __builtin_add_overflow(a, b, &bytes) ? SIZE_MAX : bytes;
}

static inline size_t size_mul(size_t a, size_t b)
{
	size_t bytes;

	return __builtin_mul_overflow(a, b, &bytes) ? SIZE_MAX : bytes;
}

#define array_size(n, size) size_mul(n, size)
#define flex_array_size(p, member, n) size_mul(n, sizeof(*(p)->member))
#define struct_size(p, member, n) size_add(sizeof(*(p)), flex_array_size(p, member, n))

#endif
