/* SPDX-License-Identifier: MIT */
/*
 * wrong_cache.c - an object freed to another cache
 *
 *	clause: B9
 *	level: debug:0
 *	exit: abort
 *	says: nostall: nst_cache_free(0xN): belongs to cache 'this', not 'that'; allowed: the cache or size it was allocated with; caller wrong_cache.c:LINE
 */
#include "misuse.h"

int main(void)
{
	struct nst_cache *a = nst_cache_create("this", 72, 0, 0, NULL);
	struct nst_cache *b = nst_cache_create("that", 72, 0, 0, NULL);
	void *p = nst_cache_alloc(a, NST_NORMAL);

	nst_cache_free(HIDDEN(b), p); /* HERE */
	return 0;
}
