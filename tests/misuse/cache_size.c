/* SPDX-License-Identifier: MIT */
/*
 * cache_size.c - a cache of size 0, and of more than 32768: one line each, and NULL
 *
 *	clause: B17
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_cache_create("empty"): size 0; allowed: 1 to 32768
 *	says: nostall: nst_cache_create("large"): size 32769; allowed: 1 to 32768
 */
#include "misuse.h"

int main(void)
{
	HOLDS(!nst_cache_create("empty", HIDDEN((size_t)0), 0, 0, NULL));
	HOLDS(!nst_cache_create("large", HIDDEN((size_t)32769), 0, 0, NULL));
	return 0;
}
