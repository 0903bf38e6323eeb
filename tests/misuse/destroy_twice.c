/* SPDX-License-Identifier: MIT */
/*
 * destroy_twice.c - a cache destroyed twice
 *
 *	clause: B8
 *	level: debug:0
 *	exit: abort
 *	says: nostall: nst_cache_destroy(0xN): the cache was destroyed; allowed: a cache until its nst_cache_destroy(); caller PROGRAM+0xN
 */
#include "misuse.h"

int main(void)
{
	struct nst_cache *cache = nst_cache_create("gone", 72, 0, 0, NULL);

	nst_cache_destroy(cache);
	nst_cache_destroy(HIDDEN(cache)); /* HERE */
	return 0;
}
