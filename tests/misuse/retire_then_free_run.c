/* SPDX-License-Identifier: MIT */
/*
 * retire_then_free_run.c - a run freed that was retired: reported at every level, and not freed early
 *
 *	clause: B5
 *	level: misuse:continue
 *	exit: 0
 *	says: nostall: nst_free(0xN): freed twice; allowed: one free of a live object; caller retire_then_free_run.c:LINE
 */
#include "misuse.h"

int main(void)
{
	nst_rcu_token_t t = nst_rcu_read_begin();
	char *p = nst_alloc(40000, NST_NORMAL | NST_ZERO);

	nst_free_rcu(p);
	nst_free(HIDDEN(p)); /* HERE */
	HOLDS(misuse_count() == 1);
	HOLDS(nst_usable_size(p) >= 40000 && p[39999] == 0);
	nst_rcu_read_end(t);
	nst_rcu_barrier();
	HOLDS(misuse_count() == 1);
	return 0;
}
