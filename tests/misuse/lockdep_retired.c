/* SPDX-License-Identifier: MIT */
/*
 * lockdep_retired.c - with the validator on and debug:1, retired twice and freed after that: a report and a line each
 *
 *	clause: B57
 *	level: check:on, debug:1, misuse:continue
 *	exit: 0
 *	says: nostall: error NL-TWICE: freed or retired, and so it was before
 *	says:   0xN: again at PROGRAM+0xN
 *	says:   thread 'misuse_lockdep_' holds 0 locks
 *	says:   fix: one free of each object, by one owner
 *	says:   suppress: NL-TWICE id=ID
 *	says:   read: nostall explain NL-TWICE; id=ID
 *	says: nostall: nst_free_rcu(0xN): freed twice; allowed: one free of a live object; caller lockdep_retired.c:LINE
 *	says: nostall: error NL-TWICE: freed or retired, and so it was before
 *	says:   0xN: again at PROGRAM+0xN
 *	says:   thread 'misuse_lockdep_' holds 0 locks
 *	says:   fix: one free of each object, by one owner
 *	says:   suppress: NL-TWICE id=ID
 *	says:   read: nostall explain NL-TWICE; id=ID
 *	says: nostall: nst_free(0xN): freed twice; allowed: one free of a live object; caller lockdep_retired.c:33
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
