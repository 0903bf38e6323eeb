/* SPDX-License-Identifier: MIT */
/*
 * free_interior_pages.c - a pointer into a run freed: seen at once at every level
 *
 *	clause: B7
 *	level: debug:0
 *	exit: abort
 *	says: nostall: nst_pages_free(0xN): points 4096 bytes into an object; allowed: the pointer that was returned; caller free_interior_pages.c:14
 */
#include "misuse.h"

int main(void)
{
	char *p = nst_pages_alloc(2, NST_NORMAL);

	nst_pages_free(HIDDEN(p + 4096)); /* HERE */
	return 0;
}
