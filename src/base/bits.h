/* SPDX-License-Identifier: MIT */
/*
 * bits.h - alignment, log2, overflow-checked sizes, and a small random generator.
 */
#ifndef NST_BASE_BITS_H
#define NST_BASE_BITS_H

#include "compiler.h"

static inline int nst_is_pow2(size_t v)
{
	return v != 0 && (v & (v - 1)) == 0;
}

/* @a is a power of two; wraps to 0 past SIZE_MAX, which callers exclude by a limit first. */
static inline size_t nst_round_up(size_t v, size_t a)
{
	return (v + a - 1) & ~(a - 1);
}

static inline size_t nst_round_down(size_t v, size_t a)
{
	return v & ~(a - 1);
}

/* floor(log2(v)); v is not 0 */
static inline unsigned int nst_log2(u64 v)
{
	return 63u - (unsigned int)__builtin_clzll(v);
}

/* smallest n with 2^n >= v; v is not 0 */
static inline unsigned int nst_log2_up(u64 v)
{
	return v <= 1 ? 0 : nst_log2(v - 1) + 1;
}

static inline unsigned int nst_lowest_bit(u64 v)
{
	return (unsigned int)__builtin_ctzll(v);
}

/* Bits set, without libgcc: by twos, fours and eights, then the sum of the bytes (Warren 2002). */
static inline unsigned int nst_popcount(u64 v)
{
	v -= v >> 1 & 0x5555555555555555ull;
	v = (v & 0x3333333333333333ull) + (v >> 2 & 0x3333333333333333ull);
	v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0full;
	return (unsigned int)(v * 0x0101010101010101ull >> 56);
}

static inline size_t nst_min(size_t a, size_t b)
{
	return a < b ? a : b;
}

static inline size_t nst_max(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014) */
static inline u64 nst_mix64(u64 z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

#endif
