/* SPDX-License-Identifier: MIT */
/*
 * free_interior_pages.c - a pointer into a run freed: seen at once at every level
 *
 *	clause: B7
 *	level: debug:0
 *	exit: abort
 *	says: TODO
 */
#include "misuse.h"

int main(void)
{
	char *p = nst_pages_alloc(2, NST_NORMAL);

	nst_pages_free(HIDDEN(p + 4096)); /* HERE */
	return 0;
}
