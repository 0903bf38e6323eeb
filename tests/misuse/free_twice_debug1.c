/* SPDX-License-Identifier: MIT */
/*
 * free_twice_debug1.c - freed twice with others between: at debug:1 seen at once
 *
 *	clause: B5
 *	level: debug:1
 *	exit: abort
 *	says: nostall: nst_free(0xN): freed twice; allowed: one free of a live object; caller free_twice_debug1.c:LINE
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
