/* SPDX-License-Identifier: MIT */
/*
 * free_twice_nolock.c - freed twice in a row by the no-lock free: seen at once at every level
 *
 *	clause: B5
 *	level: debug:0
 *	exit: abort
 *	says: nostall: nst_free_nolock(0xN): freed twice; allowed: one free of a live object; caller free_twice_nolock.c:LINE
 */
#include "misuse.h"

int main(void)
{
	void *p = nst_alloc(64, NST_NORMAL);

	nst_free_nolock(p);
	nst_free_nolock(HIDDEN(p)); /* HERE */
	return 0;
}
