/* SPDX-License-Identifier: MIT */
/*
 * retire_interior_run.c - a pointer into a run retired: reported, and nothing is retired
 *
 *	clause: B7
 *	level: misuse:continue
 *	exit: 0
 *	says: nostall: nst_free_rcu(0xN): points 4096 bytes into an object; allowed: the pointer that was returned; caller retire_interior_run.c:LINE
 */
#include "misuse.h"

int main(void)
{
	char *p = nst_alloc(40000, NST_NORMAL);

	nst_free_rcu(HIDDEN(p + 4096)); /* HERE */
	HOLDS(misuse_count() == 1);
	nst_free(p);
	HOLDS(misuse_count() == 1);
	return 0;
}
