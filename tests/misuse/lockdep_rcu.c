/* SPDX-License-Identifier: MIT */
/*
 * lockdep_rcu.c - a pointer that a read section protects is read outside of one
 *
 *	clause: B54
 *	level: check:on, worker:off
 *	exit: 0
 *	says: nostall: error NL-RCU: a read section where none may be, or none
 *	says:   read outside of a section at PROGRAM+0xN
 *	says:   thread 'main' holds 0 locks
 *	says:   fix: end the section before the wait; begin one before the read
 *	says:   suppress: NL-RCU id=ID
 *	says:   read: nostall explain NL-RCU; id=ID
 */
#include <sys/prctl.h>
#include "misuse.h"

static int *shared;

int main(void)
{
	nst_rcu_token_t s;

	prctl(PR_SET_NAME, "main");
	s = nst_rcu_read_begin();
	HOLDS(nst_rcu_dereference_check(shared, 0) == NULL);
	nst_rcu_read_end(s);
	HOLDS(nst_rcu_dereference_check(shared, 0) == NULL); /* HERE */
	return 0;
}
