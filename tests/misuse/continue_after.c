/* SPDX-License-Identifier: MIT */
/*
 * continue_after.c - misuse:continue: the line, the misuse ignored, the count, and on
 *
 *	clause: B22
 *	level: debug:1, misuse:continue
 *	exit: 0
 *	says: nostall: nst_free(0xN): freed twice; allowed: one free of a live object; caller continue_after.c:LINE
 *	says: nostall: nst_free(0xN): not memory of this library; allowed: a pointer from nst_*alloc*(); caller continue_after.c:20
 */
#include "misuse.h"

int main(void)
{
	void *p = nst_alloc(64, NST_NORMAL);
	char here[16];

	nst_free(p);
	nst_free(HIDDEN(p)); /* HERE */
	nst_free(HIDDEN((void *)here));
	HOLDS(misuse_count() == 2);
	p = nst_alloc(64, NST_NORMAL);
	void *q = nst_alloc(64, NST_NORMAL);
	HOLDS(p && q && p != q);
	nst_free(p);
	nst_free(q);
	return 0;
}
