/* SPDX-License-Identifier: MIT */
/*
 * sized_free_wrong.c - a sized free with a size of another class
 *
 *	clause: B10
 *	level: debug:1
 *	exit: abort
 *	says: nostall: nst_free_sized(0xN): belongs to cache 'size-64', not 'size-512'; allowed: the cache or size it was allocated with; caller sized_free_wrong.c:LINE
 */
#include "misuse.h"

int main(void)
{
	void *p = nst_alloc(64, NST_NORMAL);

	nst_free_sized(p, HIDDEN((size_t)500)); /* HERE */
	return 0;
}
