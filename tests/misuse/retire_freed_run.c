/* SPDX-License-Identifier: MIT */
/*
 * retire_freed_run.c - a run retired that was freed
 *
 *	clause: B5
 *	exit: abort
 *	says: nostall: nst_free_rcu(0xN): freed twice; allowed: one free of a live object; caller retire_freed_run.c:LINE
 */
#include "misuse.h"

int main(void)
{
	void *p = nst_alloc(40000, NST_NORMAL);

	nst_free(p);
	nst_free_rcu(HIDDEN(p)); /* HERE */
	return 0;
}
