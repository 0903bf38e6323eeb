/* SPDX-License-Identifier: MIT */
/*
 * free_twice_slab.c - freed twice with others between: seen when both come back to the slab
 *
 *	clause: B5
 *	level: debug:0
 *	exit: abort
 *	says: nostall: slab return(0xN): freed twice; allowed: one free of a live object; caller free_twice_slab.c:23
 */
#include "misuse.h"

int main(void)
{
	struct nst_cache *cache = nst_cache_create("twice", 64, 0, 0, NULL);
	static void *object[2000];

	for (int i = 0; i < 2000; i++)
		object[i] = nst_cache_alloc(cache, NST_NORMAL);
	nst_cache_free(cache, object[0]);
	nst_cache_free(cache, object[1]);
	nst_cache_free(cache, HIDDEN(object[0]));
	for (int i = 2; i < 2000; i++)
		nst_cache_free(cache, object[i]);
	nst_cache_destroy(cache);
	return 0;
}
