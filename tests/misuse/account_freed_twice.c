/* SPDX-License-Identifier: MIT */
/*
 * account_freed_twice.c - a charged object freed twice, with others between: seen at once at every level
 *
 *	clause: B5
 *	level: debug:0
 *	exit: abort
 *	says: nostall: nst_free(0xN): freed twice; allowed: one free of a live object; caller account_freed_twice.c:LINE
 */
#include "misuse.h"

int main(void)
{
	nst_account_enter(nst_account_create("a", NULL, NST_NO_LIMIT, NST_NO_LIMIT));
	void *p = nst_alloc(100, NST_NORMAL), *q = nst_alloc(100, NST_NORMAL);

	nst_free(p);
	nst_free(q);
	nst_free(HIDDEN(p)); /* HERE */
	return 0;
}
