/* SPDX-License-Identifier: MIT */
/*
 * pool_create_bad.c - a pool of no objects, of too many, of fewer than its holders may hold: a line each, NULL
 *
 *	clause: B29
 *	exit: 0
 *	says: nostall: nst_pool_create(): no cache; allowed: one of nst_cache_create()
 *	says: nostall: nst_pool_create("bad"): 0 objects; allowed: 1 to 65536
 *	says: nostall: nst_pool_create("bad"): 65537 objects; allowed: 1 to 65536
 *	says: nostall: nst_pool_create("bad"): 3 holders of 2 objects each; allowed: 5 objects together, as many as it keeps
 */
#include "misuse.h"

int main(void)
{
	struct nst_cache *cache = nst_cache_create("bad", 64, 0, 0, NULL);
	struct nst_pool *pool;

	HOLDS(!nst_pool_create(NULL, 1, 1, 1));
	HOLDS(!nst_pool_create(cache, 0, 0, 0));
	HOLDS(!nst_pool_create(cache, NST_POOL_MAX + 1, 1, 1));
	HOLDS(!nst_pool_create(cache, 5, 3, 2));
	pool = nst_pool_create(cache, 6, 3, 2);
	HOLDS(pool);
	HOLDS(nst_pool_resize(pool, 5) == -EINVAL);
	HOLDS(nst_pool_destroy(pool) == 0 && nst_cache_destroy(cache) == 0);
	return 0;
}
