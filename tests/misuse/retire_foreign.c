/* SPDX-License-Identifier: MIT */
/*
 * retire_foreign.c - memory of libc retired: reported, and not touched
 *
 *	clause: B6
 *	level: misuse:continue
 *	exit: 0
 *	says: nostall: nst_free_rcu(0xN): not memory of this library; allowed: a pointer from nst_*alloc*(); caller retire_foreign.c:LINE
 */
#include "misuse.h"

int main(void)
{
	char *p = malloc(64);

	memset(p, 7, 64);
	nst_free_rcu(HIDDEN(p)); /* HERE */
	HOLDS(misuse_count() == 1);
	nst_rcu_barrier();
	HOLDS(p[0] == 7 && p[63] == 7);
	free(p);
	return 0;
}
