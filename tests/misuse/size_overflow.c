/* SPDX-License-Identifier: MIT */
/*
 * size_overflow.c - a size near SIZE_MAX is NULL, without a line
 *
 *	clause: B2
 *	level: debug:0
 *	exit: 0
 */
#include "misuse.h"

int main(void)
{
	void *out[1];

	HOLDS(!nst_alloc(HIDDEN(SIZE_MAX), NST_NORMAL));
	HOLDS(!nst_alloc(HIDDEN(SIZE_MAX - 4095), NST_NORMAL | NST_ZERO));
	HOLDS(!nst_alloc_aligned(HIDDEN(SIZE_MAX - 63), 64, NST_NORMAL));
	HOLDS(!nst_alloc_bulk(HIDDEN(SIZE_MAX / 2), NST_NORMAL, 1, out));
	HOLDS(!nst_alloc_nolock(HIDDEN(SIZE_MAX)));
	return 0;
}
