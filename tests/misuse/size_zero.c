/* SPDX-License-Identifier: MIT */
/*
 * size_zero.c - size 0 is NULL, without a line
 *
 *	clause: B1
 *	level: debug:0
 *	exit: 0
 */
#include "misuse.h"

int main(void)
{
	HOLDS(!nst_alloc(0, NST_NORMAL));
	HOLDS(!nst_alloc_nolock(0));
	HOLDS(!nst_alloc_fasttry(0));
	HOLDS(!nst_alloc_aligned(0, 64, NST_NORMAL));
	void *p = nst_alloc(10, NST_NORMAL);
	HOLDS(!nst_realloc(p, 0, NST_NORMAL));
	nst_free(p);
	return 0;
}
