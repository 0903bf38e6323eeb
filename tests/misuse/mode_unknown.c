/* SPDX-License-Identifier: MIT */
/*
 * mode_unknown.c - an unknown bit: one line and NULL
 *
 *	clause: B13
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_cache_alloc: mode 0xN (NORMAL|0xN); allowed: exactly one of NST_NORMAL ... NST_FASTTRY, with modifiers; caller mode_unknown.c:LINE
 */
#include "misuse.h"

int main(void)
{
	struct nst_cache *cache = nst_cache_create("mode", 64, 0, 0, NULL);

	HOLDS(!nst_cache_alloc(cache, HIDDEN((nst_mode_t)(NST_NORMAL | 1u << 30)))); /* HERE */
	return 0;
}
