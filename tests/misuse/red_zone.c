/* SPDX-License-Identifier: MIT */
/*
 * red_zone.c - a byte written behind an object: seen when it is freed
 *
 *	clause: B11
 *	level: debug:2
 *	exit: abort
 *	says: nostall: nst_free(0xN): written past its end, at byte 64; allowed: the size it was allocated with; caller red_zone.c:LINE
 */
#include "misuse.h"

int main(void)
{
	char *p = nst_alloc(60, NST_NORMAL);

	HIDDEN(p)[nst_usable_size(p)] = 1;
	nst_free(p); /* HERE */
	return 0;
}
