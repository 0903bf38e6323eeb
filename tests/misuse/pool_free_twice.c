/* SPDX-License-Identifier: MIT */
/*
 * pool_free_twice.c - given back to a pool twice in a row: the line names the call, and it does not return
 *
 *	clause: B5
 *	level: debug:0
 *	exit: abort
 *	says: nostall: nst_pool_free(0xN): freed twice; allowed: one free of a live object; caller pool_free_twice.c:LINE
 */
#include "misuse.h"

int main(void)
{
	struct nst_cache *cache = nst_cache_create("twice", 64, 0, 0, NULL);
	struct nst_pool *pool = nst_pool_create(cache, 4, 1, 2);
	void *p, *q;

	/* Two of its own: what comes back goes there. */
	while (nst_cache_alloc(cache, NST_FASTTRY))
		;
	p = nst_pool_alloc(pool, NST_FASTTRY);
	q = nst_pool_alloc(pool, NST_FASTTRY);
	HOLDS(p && q);
	nst_pool_free(pool, q);
	nst_pool_free(pool, q); /* HERE */
	return 0;
}
