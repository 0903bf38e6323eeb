/* SPDX-License-Identifier: MIT */
/*
 * free_twice_pages.c - a run of pages freed twice: seen at once at every level
 *
 *	clause: B5
 *	level: debug:0
 *	exit: abort
 *	says: nostall: nst_pages_free(0xN): freed twice; allowed: one free of a live object; caller free_twice_pages.c:14
 */
#include "misuse.h"

int main(void)
{
	void *p = nst_pages_alloc(2, NST_NORMAL);

	nst_pages_free(p);
	nst_pages_free(HIDDEN(p)); /* HERE */
	return 0;
}
