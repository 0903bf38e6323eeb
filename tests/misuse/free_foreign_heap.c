/* SPDX-License-Identifier: MIT */
/*
 * free_foreign_heap.c - memory of another allocator freed
 *
 *	clause: B6
 *	level: debug:0
 *	exit: abort
 *	says: TODO
 */
#include "misuse.h"

int main(void)
{
	void *p = malloc(64);

	nst_free(HIDDEN(p)); /* HERE */
	return 0;
}
