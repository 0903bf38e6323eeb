/* SPDX-License-Identifier: MIT */
/*
 * align_large.c - an alignment above 1 GiB: one line and NULL
 *
 *	clause: B3
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_alloc_aligned(100, 2147483648): alignment 2147483648; allowed: a power of two up to 1073741824
 */
#include "misuse.h"

int main(void)
{
	HOLDS(!nst_alloc_aligned(100, HIDDEN((size_t)2 << 30), NST_NORMAL)); /* HERE */
	return 0;
}
