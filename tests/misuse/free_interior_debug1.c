/* SPDX-License-Identifier: MIT */
/*
 * free_interior_debug1.c - a pointer into an object freed: at debug:1 seen at once
 *
 *	clause: B7
 *	level: debug:1
 *	exit: abort
 *	says: nostall: nst_free(0xN): points 8 bytes into an object; allowed: the pointer that was returned; caller free_interior_debug1.c:LINE
 */
#include "misuse.h"

int main(void)
{
	char *p = nst_alloc(64, NST_NORMAL);

	nst_free(HIDDEN(p + 8)); /* HERE */
	return 0;
}
