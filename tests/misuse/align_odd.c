/* SPDX-License-Identifier: MIT */
/*
 * align_odd.c - an alignment that is not a power of two: one line and NULL
 *
 *	clause: B3
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_alloc_aligned(100, 48): alignment 48; allowed: a power of two up to 1073741824
 */
#include "misuse.h"

int main(void)
{
	HOLDS(!nst_alloc_aligned(100, HIDDEN((size_t)48), NST_NORMAL)); /* HERE */
	return 0;
}
