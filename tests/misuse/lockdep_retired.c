/* SPDX-License-Identifier: MIT */
/*
 * lockdep_retired.c - with the validator on and debug:1, retired twice and freed after that: one line each
 *
 *	clause: B57
 *	level: check:on, debug:1, misuse:continue
 *	exit: 0
 *	says: nostall: nst_free_rcu(0xN): freed twice; allowed: one free of a live object; caller lockdep_retired.c:LINE
 *	says: nostall: nst_free(0xN): freed twice; allowed: one free of a live object; caller lockdep_retired.c:21
 */
#include "misuse.h"

int main(void)
{
	nst_rcu_token_t t = nst_rcu_read_begin();
	void *p = nst_alloc(64, NST_NORMAL);

	nst_free_rcu(p);
	nst_free_rcu(HIDDEN(p)); /* HERE */
	HOLDS(misuse_count() == 1);
	nst_free(HIDDEN(p));
	HOLDS(misuse_count() == 2);
	nst_rcu_read_end(t);
	nst_rcu_barrier();
	HOLDS(misuse_count() == 2);
	return 0;
}
