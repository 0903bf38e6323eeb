/* SPDX-License-Identifier: MIT */
/*
 * cache_align.c - a cache with a bad alignment: one line each, and NULL
 *
 *	clause: B17
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_cache_create("odd"): alignment 24; allowed: 0, or a power of two up to 4096
 *	says: nostall: nst_cache_create("wide"): alignment 8192; allowed: 0, or a power of two up to 4096
 */
#include "misuse.h"

int main(void)
{
	HOLDS(!nst_cache_create("odd", 64, HIDDEN((size_t)24), 0, NULL));
	HOLDS(!nst_cache_create("wide", 64, HIDDEN((size_t)8192), 0, NULL));
	return 0;
}
