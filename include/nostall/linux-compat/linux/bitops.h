/* SPDX-License-Identifier: MIT */
/*
 * bitops.h - the kernel's spelling: bits of arrays of longs.
 *
 * set_bit() and its kin are atomic, those that return what was there fully ordered as well; with two underscores they are
 * for who holds a lock.
 */
#ifndef NST_COMPAT_BITOPS_H
#define NST_COMPAT_BITOPS_H

#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/types.h>

_Static_assert(sizeof(long) * 8 == BITS_PER_LONG, "long has 64 bits");

/* ---- one bit ---- */

static inline bool test_bit(unsigned long nr, const unsigned long *bits)
{
	return READ_ONCE(bits[BIT_WORD(nr)]) & BIT_MASK(nr);
}

static inline void set_bit(unsigned long nr, unsigned long *bits)
{
	__atomic_fetch_or(&bits[BIT_WORD(nr)], BIT_MASK(nr), __ATOMIC_RELAXED);
}

static inline void clear_bit(unsigned long nr, unsigned long *bits)
{
	__atomic_fetch_and(&bits[BIT_WORD(nr)], ~BIT_MASK(nr), __ATOMIC_RELAXED);
}

static inline void change_bit(unsigned long nr, unsigned long *bits)
{
	__atomic_fetch_xor(&bits[BIT_WORD(nr)], BIT_MASK(nr), __ATOMIC_RELAXED);
}

static inline bool test_and_set_bit(unsigned long nr, unsigned long *bits)
{
	return __atomic_fetch_or(&bits[BIT_WORD(nr)], BIT_MASK(nr), __ATOMIC_SEQ_CST) &
	       BIT_MASK(nr);
}

static inline bool test_and_clear_bit(unsigned long nr, unsigned long *bits)
{
	return __atomic_fetch_and(&bits[BIT_WORD(nr)], ~BIT_MASK(nr), __ATOMIC_SEQ_CST) &
	       BIT_MASK(nr);
}

/* A lock of one bit: what was done under it is seen by who has it next. */
static inline bool test_and_set_bit_lock(unsigned long nr, unsigned long *bits)
{
	return __atomic_fetch_or(&bits[BIT_WORD(nr)], BIT_MASK(nr), __ATOMIC_ACQUIRE) &
	       BIT_MASK(nr);
}

static inline void clear_bit_unlock(unsigned long nr, unsigned long *bits)
{
	__atomic_fetch_and(&bits[BIT_WORD(nr)], ~BIT_MASK(nr), __ATOMIC_RELEASE);
}

static inline void __set_bit(unsigned long nr, unsigned long *bits)
{
	bits[BIT_WORD(nr)] |= BIT_MASK(nr);
}

static inline void __clear_bit(unsigned long nr, unsigned long *bits)
{
	bits[BIT_WORD(nr)] &= ~BIT_MASK(nr);
}

static inline bool __test_and_set_bit(unsigned long nr, unsigned long *bits)
{
	const bool was = test_bit(nr, bits);

	__set_bit(nr, bits);
	return was;
}

static inline bool __test_and_clear_bit(unsigned long nr, unsigned long *bits)
{
	const bool was = test_bit(nr, bits);

	__clear_bit(nr, bits);
	return was;
}

#define __assign_bit(nr, bits, on) ((on) ? __set_bit(nr, bits) : __clear_bit(nr, bits))

/* ---- of a word: fls() and ffs() count from 1, and 0 has none; the others from 0 ---- */

static inline int fls(unsigned int x)
{
	return x ? 32 - __builtin_clz(x) : 0;
}

static inline int fls64(u64 x)
{
	return x ? 64 - __builtin_clzll(x) : 0;
}

#define fls_long(x) ((unsigned int)fls64(x))
#define __ffs(x) ((unsigned long)__builtin_ctzl(x))
#define __fls(x) (BITS_PER_LONG - 1ul - (unsigned long)__builtin_clzl(x))
#define ffz(x) __ffs(~(x))
#define hweight32(x) ((unsigned int)__builtin_popcount(x))
#define hweight64(x) ((unsigned long)__builtin_popcountll(x))
#define hweight_long(x) hweight64(x)

/* ---- the first bit from @from on of @size; @size: there is none ---- */

static inline unsigned long nst_compat_find(const unsigned long *bits, unsigned long size,
					    unsigned long from, unsigned long flip)
{
	unsigned long word, at;

	for (at = from; at < size; at = (BIT_WORD(at) + 1) * BITS_PER_LONG) {
		word = (READ_ONCE(bits[BIT_WORD(at)]) ^ flip) & ~0ul << at % BITS_PER_LONG;
		if (!word)
			continue;
		at = BIT_WORD(at) * BITS_PER_LONG + __ffs(word);
		return at < size ? at : size;
	}
	return size;
}

#define find_next_bit(bits, size, from) nst_compat_find(bits, size, from, 0)
#define find_next_zero_bit(bits, size, from) nst_compat_find(bits, size, from, ~0ul)
#define find_first_bit(bits, size) find_next_bit(bits, size, 0)
#define find_first_zero_bit(bits, size) find_next_zero_bit(bits, size, 0)
#define for_each_set_bit(bit, bits, size)                                                          \
	for ((bit) = find_first_bit(bits, size); (bit) < (size);                                   \
	     (bit) = find_next_bit(bits, size, (bit) + 1))
#define for_each_clear_bit(bit, bits, size)                                                        \
	for ((bit) = find_first_zero_bit(bits, size); (bit) < (size);                              \
	     (bit) = find_next_zero_bit(bits, size, (bit) + 1))

#endif
