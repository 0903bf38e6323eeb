/* SPDX-License-Identifier: MIT */
/*
 * lockdep_self.c - a lock is waited for by who holds it, and let go more often than it was taken
 *
 *	clause: B50
 *	level: check:on, worker:off
 *	exit: 0
 *	says: nostall: error NL-SELF: this thread waits for a lock it holds
 *	says:   lock a (0xN, PROGRAM+0xN): waits at PROGRAM+0xN
 *	says:   thread 'main' holds 1 lock, innermost first:
 *	says:     a (0xN, PROGRAM+0xN) since PROGRAM+0xN
 *	says:   fix: pass on that it is held; seen before the wait
 *	says:   suppress: NL-SELF locks=a
 *	says:   read: nostall explain NL-SELF; id=ID
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
	nst_lockdep_acquire(&a, 0); /* HERE */
	nst_lockdep_release(&a);
	nst_lockdep_release(&a);
	nst_lockdep_release(&a);
	return 0;
}
