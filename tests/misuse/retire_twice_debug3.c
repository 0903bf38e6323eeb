/* SPDX-License-Identifier: MIT */
/*
 * retire_twice_debug3.c - an object retired twice: at debug:3 the line names the first too
 *
 *	clause: B5
 *	level: debug:3
 *	exit: abort
 *	says: nostall: nst_free_rcu(0xN): freed twice (allocated by PROGRAM+0xN, first freed by PROGRAM+0xN); allowed: one free of a live object; caller retire_twice_debug3.c:LINE
 */
#include "misuse.h"

int main(void)
{
	void *p = nst_alloc(64, NST_NORMAL);

	nst_free_rcu(p);
	nst_free_rcu(HIDDEN(p)); /* HERE */
	return 0;
}
