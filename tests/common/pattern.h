/* SPDX-License-Identifier: MIT */
/*
 * pattern.h - every byte of an object written, and every byte checked before it is given back.
 *
 * The value depends on the address, the owner and the place, so that an object handed out twice,
 * moved by a wrong offset or cleared behind its owner's back shows. No system call, no fault other
 * than those of the object.
 */
#ifndef TEST_PATTERN_H
#define TEST_PATTERN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t pattern_word(const void *ptr, uint64_t owner, size_t i)
{
	return ((uint64_t)(uintptr_t)ptr + owner * 0x9e3779b97f4a7c15u) ^ (i * 0x0101010101010101u);
}

static inline void pattern_fill(void *ptr, size_t size, uint64_t owner)
{
	unsigned char *p = ptr;
	size_t i;

	for (i = 0; i + 8 <= size; i += 8) {
		uint64_t word = pattern_word(ptr, owner, i);
		memcpy(p + i, &word, 8);
	}
	for (; i < size; i++)
		p[i] = (unsigned char)(owner + i);
}

/* Offset of the first byte or word that is not as written; @size if all is well. */
static inline size_t pattern_check(const void *ptr, size_t size, uint64_t owner)
{
	const unsigned char *p = ptr;
	size_t i;

	for (i = 0; i + 8 <= size; i += 8) {
		uint64_t word;
		memcpy(&word, p + i, 8);
		if (word != pattern_word(ptr, owner, i))
			return i;
	}
	for (; i < size; i++)
		if (p[i] != (unsigned char)(owner + i))
			return i;
	return size;
}

/* Offset of the first byte that is not zero; @size if all are. */
static inline size_t pattern_zero(const void *ptr, size_t size)
{
	const unsigned char *p = ptr;
	size_t i;

	for (i = 0; i < size; i++)
		if (p[i])
			return i;
	return size;
}

#endif
