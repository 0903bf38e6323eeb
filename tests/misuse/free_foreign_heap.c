/* SPDX-License-Identifier: MIT */
/*
 * free_foreign_heap.c - memory of another allocator freed
 *
 *	clause: B6
 *	level: debug:0
 *	exit: abort
 *	says: nostall: nst_free(0xN): not memory of this library; allowed: a pointer from nst_*alloc*(); caller free_foreign_heap.c:LINE
 */
#include "misuse.h"

int main(void)
{
	void *p = malloc(64);

	nst_free(HIDDEN(p)); /* HERE */
	return 0;
}
