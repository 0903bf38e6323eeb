/* SPDX-License-Identifier: MIT */
/*
 * free_twice_debug3.c - freed twice: at debug:3 the line names the first free too
 *
 *	clause: B5
 *	level: debug:3
 *	exit: abort
 *	says: nostall: nst_free(0xN): freed twice (allocated by PROGRAM+0xN, first freed by PROGRAM+0xN); allowed: one free of a live object; caller free_twice_debug3.c:LINE
 */
#include "misuse.h"

int main(void)
{
	void *p = nst_alloc(64, NST_NORMAL), *q = nst_alloc(64, NST_NORMAL);

	nst_free(p);
	nst_free(q);
	nst_free(HIDDEN(p)); /* HERE */
	return 0;
}
