/* SPDX-License-Identifier: MIT */
/* minmax.h - the kernel's spelling: the lesser, the greater, and two that change places. */
#ifndef NST_COMPAT_MINMAX_H
#define NST_COMPAT_MINMAX_H

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

#endif
