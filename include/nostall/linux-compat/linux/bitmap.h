/* SPDX-License-Identifier: MIT */
/* bitmap.h - the kernel's spelling: arrays of bits as a whole. Those behind the last count for nothing. */
#ifndef NST_COMPAT_BITMAP_H
#define NST_COMPAT_BITMAP_H

#include <linux/bitops.h>
#include <linux/slab.h>

#define DECLARE_BITMAP(name, nr) unsigned long name[BITS_TO_LONGS(nr)]

static inline void bitmap_zero(unsigned long *to, unsigned int nr)
{
	memset(to, 0, BITS_TO_LONGS(nr) * sizeof(long));
}

static inline void bitmap_fill(unsigned long *to, unsigned int nr)
{
	memset(to, 0xff, BITS_TO_LONGS(nr) * sizeof(long));
}

static inline void bitmap_copy(unsigned long *to, const unsigned long *from, unsigned int nr)
{
	memcpy(to, from, BITS_TO_LONGS(nr) * sizeof(long));
}

static inline bool bitmap_empty(const unsigned long *bits, unsigned int nr)
{
	return find_first_bit(bits, nr) == nr;
}

static inline bool bitmap_full(const unsigned long *bits, unsigned int nr)
{
	return find_first_zero_bit(bits, nr) == nr;
}

static inline unsigned int bitmap_weight(const unsigned long *bits, unsigned int nr)
{
	unsigned int n = 0, i;

	for (i = 0; i < nr / BITS_PER_LONG; i++)
		n += (unsigned int)hweight_long(bits[i]);
	if (nr % BITS_PER_LONG)
		n += (unsigned int)hweight_long(bits[i] & (BIT(nr % BITS_PER_LONG) - 1));
	return n;
}

static inline void bitmap_set(unsigned long *bits, unsigned int from, unsigned int nr)
{
	while (nr--)
		__set_bit(from++, bits);
}

static inline void bitmap_clear(unsigned long *bits, unsigned int from, unsigned int nr)
{
	while (nr--)
		__clear_bit(from++, bits);
}

#define bitmap_alloc(nr, gfp) ((unsigned long *)kmalloc_array(BITS_TO_LONGS(nr), sizeof(long), gfp))
#define bitmap_zalloc(nr, gfp) bitmap_alloc(nr, (gfp) | __GFP_ZERO)
#define bitmap_free(bits) kfree(bits)

#endif
