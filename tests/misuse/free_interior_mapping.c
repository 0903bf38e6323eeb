/* SPDX-License-Identifier: MIT */
/*
 * free_interior_mapping.c - a pointer into a mapping freed: seen at once at every level
 *
 *	clause: B7
 *	level: debug:0
 *	exit: abort
 *	says: TODO
 */
#include "misuse.h"

int main(void)
{
	char *p = nst_alloc((size_t)5 << 20, NST_NORMAL);

	nst_free(HIDDEN(p + 4096)); /* HERE */
	return 0;
}
