/* SPDX-License-Identifier: MIT */
/*
 * pairs_cold.c - makes objects cold: more lines written than any cache of the machine holds.
 */
#include "pairs.h"

#include <stdlib.h>
#include <sys/mman.h>

void pairs_evict(void)
{
	static volatile char *lines;
	size_t i;

	if (!lines) {
		void *map = mmap(NULL, PAIRS_EVICT_BYTES, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (map == MAP_FAILED)
			abort();
		lines = map;
	}
	for (i = 0; i < PAIRS_EVICT_BYTES; i += 64)
		lines[i]++;
}

/* An order that no prefetcher guesses, the same in each run. */
void pairs_cold_order(void **objects)
{
	uint32_t seed = 777;
	size_t i;

	for (i = PAIRS_COLD - 1; i > 0; i--) {
		size_t j;
		void *p;

		seed = seed * 1664525u + 1013904223u;
		j = (size_t)(((uint64_t)seed * (i + 1)) >> 32);
		p = objects[i];
		objects[i] = objects[j];
		objects[j] = p;
	}
}
