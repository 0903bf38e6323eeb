/* SPDX-License-Identifier: MIT */
/*
 * cache_flags.c - a cache with unknown flags: one line, and NULL
 *
 *	clause: B17
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_cache_create("flags"): flags 0xN; allowed: 0xN
 */
#include "misuse.h"

int main(void)
{
	HOLDS(!nst_cache_create("flags", 64, 0, HIDDEN(0x80u), NULL));
	return 0;
}
