/* SPDX-License-Identifier: MIT */
/*
 * alloc_after_destroy.c - an object asked of a cache that is gone
 *
 *	clause: B8
 *	level: debug:0
 *	exit: abort
 *	says: nostall: nst_cache_alloc(0xN): the cache was destroyed; allowed: a cache until its nst_cache_destroy(); caller alloc_after_destroy.c:LINE
 */
#include "misuse.h"

int main(void)
{
	struct nst_cache *cache = nst_cache_create("gone", 72, 0, 0, NULL);

	nst_cache_destroy(cache);
	HOLDS(!nst_cache_alloc(HIDDEN(cache), NST_NORMAL)); /* HERE */
	return 0;
}
