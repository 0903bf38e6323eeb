/* SPDX-License-Identifier: MIT */
/*
 * free_interior.c - a pointer into an object freed: seen when it comes to the slab
 *
 *	clause: B7
 *	level: debug:0
 *	exit: abort
 *	says: nostall: flush(0xN): points 8 bytes into an object; allowed: the pointer that was returned; caller free_interior.c:22
 *	or: nostall: nst_cache_free(0xN): points 8 bytes into an object; allowed: the pointer that was returned; caller free_interior.c:20
 */
#include "misuse.h"

int main(void)
{
	struct nst_cache *cache = nst_cache_create("interior", 64, 0, 0, NULL);
	static char *object[2000];

	for (int i = 0; i < 2000; i++)
		object[i] = nst_cache_alloc(cache, NST_NORMAL);
	nst_cache_free(cache, HIDDEN(object[0] + 8));
	for (int i = 1; i < 2000; i++)
		nst_cache_free(cache, object[i]);
	nst_cache_destroy(cache);
	return 0;
}
