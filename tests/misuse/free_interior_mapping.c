/* SPDX-License-Identifier: MIT */
/*
 * free_interior_mapping.c - a pointer into a mapping freed: seen at once at every level
 *
 *	clause: B7
 *	level: debug:0
 *	exit: abort
 *	says: nostall: nst_free(0xN): points 4096 bytes into an object; allowed: the pointer that was returned; caller free_interior_mapping.c:LINE
 */
#include "misuse.h"

int main(void)
{
	char *p = nst_alloc((size_t)5 << 20, NST_NORMAL);

	nst_free(HIDDEN(p + 4096)); /* HERE */
	return 0;
}
