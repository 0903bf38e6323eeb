/* SPDX-License-Identifier: MIT */
/*
 * cache_ctor_zero.c - NST_ZERO of a cache with a constructor: one line, and NULL
 *
 *	clause: B18
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_cache_alloc: NST_ZERO on cache 'built', which has a constructor; allowed: one of them
 */
#include "misuse.h"

static void build(void *object)
{
	memset(object, 1, 64);
}

int main(void)
{
	struct nst_cache *cache = nst_cache_create("built", 64, 0, 0, build);

	HOLDS(!nst_cache_alloc(cache, NST_NORMAL | NST_ZERO)); /* HERE */
	return 0;
}
