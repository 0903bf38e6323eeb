/* SPDX-License-Identifier: MIT */
/*
 * continue_after.c - misuse:continue: the line, the misuse ignored, the count, and on
 *
 *	clause: B22
 *	level: debug:1, misuse:continue
 *	exit: 0
 *	says: TODO
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
