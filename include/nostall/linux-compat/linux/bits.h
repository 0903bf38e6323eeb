/* SPDX-License-Identifier: MIT */
/* bits.h - the kernel's spelling: one bit, and bits from the @low-th to the @high-th. */
#ifndef NST_COMPAT_BITS_H
#define NST_COMPAT_BITS_H

#define BITS_PER_BYTE 8
#define BITS_PER_LONG 64
#define BITS_PER_LONG_LONG 64
#define BITS_PER_TYPE(type) (sizeof(type) * BITS_PER_BYTE)
#define BITS_TO_LONGS(nr) (((nr) + BITS_PER_LONG - 1) / BITS_PER_LONG)
#define BIT(nr) (1ul << (nr))
#define BIT_ULL(nr) (1ull << (nr))
#define BIT_MASK(nr) (1ul << ((nr) % BITS_PER_LONG))
#define BIT_WORD(nr) ((nr) / BITS_PER_LONG)
#define GENMASK(high, low) (~0ul << (low) & ~0ul >> (BITS_PER_LONG - 1 - (high)))
#define GENMASK_ULL(high, low) GENMASK(high, low)

#endif
