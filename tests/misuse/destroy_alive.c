/* SPDX-License-Identifier: MIT */
/*
 * destroy_alive.c - a cache destroyed while objects are alive: one line, and it goes on
 *
 *	clause: B16
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_cache_destroy("alive"): 2 objects are still alive; allowed: none; the cache stays
 */
#include "misuse.h"

int main(void)
{
	struct nst_cache *cache = nst_cache_create("alive", 72, 0, 0, NULL);
	void *p = nst_cache_alloc(cache, NST_NORMAL), *q = nst_cache_alloc(cache, NST_NORMAL);

	HOLDS(nst_cache_destroy(cache) == 2); /* HERE */
	memset(p, 1, 72);
	nst_cache_free(cache, p);
	nst_cache_free(cache, q);
	p = nst_cache_alloc(cache, NST_NORMAL);
	HOLDS(p);
	nst_cache_free(cache, p);
	HOLDS(nst_cache_destroy(cache) == 0);
	return 0;
}
