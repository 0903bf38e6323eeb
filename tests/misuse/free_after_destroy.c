/* SPDX-License-Identifier: MIT */
/*
 * free_after_destroy.c - an object freed to a cache that is gone
 *
 *	clause: B8
 *	level: debug:0
 *	exit: abort
 *	says: nostall: nst_cache_free(0xN): the cache was destroyed; allowed: a cache until its nst_cache_destroy(); caller free_after_destroy.c:LINE
 */
#include "misuse.h"

int main(void)
{
	struct nst_cache *cache = nst_cache_create("gone", 72, 0, 0, NULL);
	void *p = nst_cache_alloc(cache, NST_NORMAL);

	nst_cache_free(cache, p);
	nst_cache_destroy(cache);
	nst_cache_free(cache, HIDDEN(p)); /* HERE */
	return 0;
}
