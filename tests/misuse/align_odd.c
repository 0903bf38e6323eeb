/* SPDX-License-Identifier: MIT */
/*
 * align_odd.c - an alignment that is not a power of two: one line and NULL
 *
 *	clause: B3
 *	level: debug:0
 *	exit: 0
 *	says: TODO
 */
#include "misuse.h"

int main(void)
{
	HOLDS(!nst_alloc_aligned(100, HIDDEN((size_t)48), NST_NORMAL)); /* HERE */
	return 0;
}
