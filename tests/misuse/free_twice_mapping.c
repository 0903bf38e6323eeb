/* SPDX-License-Identifier: MIT */
/*
 * free_twice_mapping.c - a mapping freed twice: seen at every level, until its pages are given back
 *
 *	clause: B5
 *	level: debug:0, worker:off
 *	exit: abort
 *	says: nostall: nst_free(0xN): freed twice; allowed: one free of a live object; caller free_twice_mapping.c:LINE
 */
#include "misuse.h"

int main(void)
{
	void *p = nst_alloc((size_t)4 << 20, NST_NORMAL);

	nst_free(p);
	nst_free(HIDDEN(p)); /* HERE */
	return 0;
}
