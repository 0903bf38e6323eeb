/* SPDX-License-Identifier: MIT */
/*
 * align_zero.c - an alignment of 0: one line and NULL
 *
 *	clause: B3
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_alloc_aligned(100, 0): alignment 0; allowed: a power of two up to 1073741824
 */
#include "misuse.h"

int main(void)
{
	HOLDS(!nst_alloc_aligned(100, HIDDEN((size_t)0), NST_NORMAL)); /* HERE */
	return 0;
}
