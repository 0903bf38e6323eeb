/* SPDX-License-Identifier: MIT */
/*
 * pool_exceeded.c - more objects of a pool are held than was stated of its holders: one line, once; it goes on
 *
 *	clause: B30
 *	exit: 0
 *	says: nostall: nst_pool_alloc("stated"): 3 objects are held; allowed: 2, as 2 holders of at most 1; the pool promises nothing any more
 */
#include "misuse.h"

#define NR 5

int main(void)
{
	struct nst_cache *cache = nst_cache_create("stated", 64, 0, 0, NULL);
	struct nst_pool *pool = nst_pool_create(cache, 4, 2, 1);
	void *p[NR];
	int i;

	for (i = 0; i < NR; i++)
		HOLDS((p[i] = nst_pool_alloc(pool, NST_NORMAL)) != NULL);
	HOLDS(nst_pool_destroy(pool) == -EBUSY);
	for (i = 0; i < NR; i++)
		nst_pool_free(pool, p[i]);
	for (i = 0; i < NR; i++)
		HOLDS((p[i] = nst_pool_alloc_nolock(pool)) != NULL);
	for (i = 0; i < NR; i++)
		nst_pool_free_nolock(pool, p[i]);
	HOLDS(nst_pool_destroy(pool) == 0 && nst_cache_destroy(cache) == 0 && misuse_count() == 0);
	return 0;
}
