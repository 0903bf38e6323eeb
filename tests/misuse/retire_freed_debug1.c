/* SPDX-License-Identifier: MIT */
/*
 * retire_freed_debug1.c - an object retired that was freed: at debug:1 seen at once
 *
 *	clause: B5
 *	level: debug:1
 *	exit: abort
 *	says: nostall: nst_free_rcu(0xN): freed twice; allowed: one free of a live object; caller retire_freed_debug1.c:LINE
 */
#include "misuse.h"

int main(void)
{
	void *p = nst_alloc(64, NST_NORMAL);

	nst_free(p);
	nst_free_rcu(HIDDEN(p)); /* HERE */
	return 0;
}
