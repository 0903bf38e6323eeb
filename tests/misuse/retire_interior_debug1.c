/* SPDX-License-Identifier: MIT */
/*
 * retire_interior_debug1.c - a pointer into an object retired: at debug:1 seen at once
 *
 *	clause: B7
 *	level: debug:1
 *	exit: abort
 *	says: nostall: nst_free_rcu(0xN): points 16 bytes into an object; allowed: the pointer that was returned; caller retire_interior_debug1.c:LINE
 */
#include "misuse.h"

int main(void)
{
	char *p = nst_alloc(64, NST_NORMAL);

	nst_free_rcu(HIDDEN(p + 16)); /* HERE */
	return 0;
}
