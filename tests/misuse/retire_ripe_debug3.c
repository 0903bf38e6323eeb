/* SPDX-License-Identifier: MIT */
/*
 * retire_ripe_debug3.c - an object freed whose period is over: at debug:3 the line still says who retired it
 *
 *	clause: B5
 *	level: debug:3
 *	exit: abort
 *	says: nostall: nst_free(0xN): freed twice (allocated by PROGRAM+0xN, first freed by PROGRAM+0xN); allowed: one free of a live object; caller retire_ripe_debug3.c:LINE
 */
#include "misuse.h"

int main(void)
{
	void *p = nst_alloc(64, NST_NORMAL);

	nst_free_rcu(p);
	nst_rcu_barrier();
	nst_free(HIDDEN(p)); /* HERE */
	return 0;
}
