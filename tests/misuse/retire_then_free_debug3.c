/* SPDX-License-Identifier: MIT */
/*
 * retire_then_free_debug3.c - an object freed that was retired: at debug:3 the line says by whom
 *
 *	clause: B5
 *	level: debug:3, misuse:continue
 *	exit: 0
 *	says: nostall: nst_free(0xN): freed twice (allocated by PROGRAM+0xN, first freed by PROGRAM+0xN); allowed: one free of a live object; caller retire_then_free_debug3.c:LINE
 */
#include "misuse.h"

int main(void)
{
	nst_rcu_token_t t = nst_rcu_read_begin();
	char *p = nst_alloc(64, NST_NORMAL | NST_ZERO);

	nst_free_rcu(p);
	nst_free(HIDDEN(p)); /* HERE */
	HOLDS(misuse_count() == 1 && p[63] == 0);
	nst_rcu_read_end(t);
	nst_rcu_barrier();
	HOLDS(misuse_count() == 1);
	return 0;
}
