/* SPDX-License-Identifier: MIT */
/*
 * free_twice_top.c - freed twice in a row: seen at once at every level
 *
 *	clause: B5
 *	level: debug:0
 *	exit: abort
 *	says: nostall: nst_free(0xN): freed twice; allowed: one free of a live object; caller free_twice_top.c:LINE
 */
#include "misuse.h"

int main(void)
{
	void *p = nst_alloc(64, NST_NORMAL);

	nst_free(p);
	nst_free(HIDDEN(p)); /* HERE */
	return 0;
}
