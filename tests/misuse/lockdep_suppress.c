/* SPDX-License-Identifier: MIT */
/*
 * lockdep_suppress.c - a file of suppressions that is none: one line for each of its lines, and the validator checks on
 *
 *	clause: B55
 *	level: check:on, worker:off, check_suppress:/proc/sys/kernel/ostype
 *	exit: 0
 *	says: nostall: check_suppress:/proc/sys/kernel/ostype:1: 'Linux' is no code; allowed: NL-CODE, then locks=NAME,NAME, module=FILE or id= and 16 digits, then # and a reason
 *	says: nostall: error NL-UNLOCK: let go, and not held by this thread
 *	says:   lock a (0xN, PROGRAM+0xN): let go at PROGRAM+0xN
 *	says:   thread 'main' holds 0 locks
 *	says:   fix: let go once, on the thread that took it
 *	says:   suppress: NL-UNLOCK locks=a
 *	says:   read: nostall explain NL-UNLOCK; id=ID
 */
#include <sys/prctl.h>
#include "misuse.h"

static struct nst_lockdep_map a = NST_LOCKDEP_MAP("a", NULL, NST_WAIT_SLEEP);

int main(void)
{
	prctl(PR_SET_NAME, "main");
	nst_lockdep_acquire(&a, 0);
	nst_lockdep_release(&a);
	nst_lockdep_release(&a); /* HERE */
	return 0;
}
