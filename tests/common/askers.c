/* SPDX-License-Identifier: MIT */
/*
 * askers.c - the functions of the malloc family that are asked with a size and say NULL and errno.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <stdlib.h>
#include "askers.h"

const char *const asker_name[NR_ASKERS] = {"malloc",	    "calloc",	"realloc", "reallocarray",
					   "aligned_alloc", "memalign", "valloc",  "pvalloc"};

void *asker_ask(unsigned int who, size_t size)
{
	switch (who) {
	case ASKER_MALLOC:
		return malloc(size);
	case ASKER_CALLOC:
		return calloc(size, 1);
	case 2:
		return realloc(NULL, size);
	case 3:
		return reallocarray(NULL, size, 1);
	case 4:
		return aligned_alloc(64, size);
	case 5:
		return memalign(4096, size);
	case 6:
		return valloc(size);
	default:
		return pvalloc(size);
	}
}
