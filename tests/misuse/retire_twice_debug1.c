/* SPDX-License-Identifier: MIT */
/*
 * retire_twice_debug1.c - an object retired twice with others between: at debug:1 seen at once, and freed once
 *
 *	clause: B5
 *	level: debug:1, misuse:continue
 *	exit: 0
 *	says: nostall: nst_free_rcu(0xN): freed twice; allowed: one free of a live object; caller retire_twice_debug1.c:LINE
 */
#include "misuse.h"

int main(void)
{
	nst_rcu_token_t t = nst_rcu_read_begin();
	void *p = nst_alloc(64, NST_NORMAL), *q = nst_alloc(64, NST_NORMAL);

	nst_free_rcu(p);
	nst_free_rcu(q);
	nst_free_rcu(HIDDEN(p)); /* HERE */
	HOLDS(misuse_count() == 1);
	nst_rcu_read_end(t);
	nst_rcu_barrier();
	HOLDS(misuse_count() == 1);
	return 0;
}
