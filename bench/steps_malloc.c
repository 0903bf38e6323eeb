/* SPDX-License-Identifier: MIT */
/*
 * steps_malloc.c - the calls to count of glibc's malloc, or of the one preloaded.
 */
#include "steps.h"

#include <stddef.h>
#include <stdlib.h>

#define BATCH 128

static void *held[BATCH];

static void batch(size_t size)
{
	int i;

	for (i = 0; i < BATCH; i++)
		held[i] = malloc(size);
	for (i = 0; i < BATCH; i++)
		free(held[i]);
}

int main(void)
{
	volatile size_t size = 64;
	void *p = NULL;
	int i;

	for (i = 0; i < 100; i++)
		batch(size);
	for (i = 0; i < 1000; i++) {
		p = malloc(size);
		__asm__ volatile("" : "+r"(p) : : "memory");
		free(p);
	}
	STEPS_BEGIN("malloc, tight", 1);
	p = malloc(size);
	STEPS_END();
	STEPS_BEGIN("free, tight", 1);
	free(p);
	STEPS_END();
	STEPS_BEGIN("pair, lifo 128", BATCH);
	batch(size);
	STEPS_END();
	return 0;
}
