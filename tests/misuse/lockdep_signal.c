/* SPDX-License-Identifier: MIT */
/*
 * lockdep_signal.c - a lock that a handler waits for, taken where the handler may come; a request that may wait, in a handler
 *
 *	clause: B52
 *	level: check:on, worker:off
 *	exit: 0
 *	says: nostall: error NL-HANDLER: a request or free in a handler
 *	says:   asks for memory at PROGRAM+0xN
 *	says:   thread 'main' holds 0 locks
 *	says:   in a handler of signal 10, begun at PROGRAM+0xN
 *	says:   fix: the no-lock forms, or before and after it
 *	says:   suppress: NL-HANDLER id=ID
 *	says:   read: nostall explain NL-HANDLER; id=ID
 *	says: nostall: error NL-SIGNAL: a handler can wait for whom it interrupts
 *	says:   1. thread main (N): A (0xN, PROGRAM+0xN) held since PROGRAM+0xN;
 *	says:      signal 10 may interrupt it: it is not blocked at PROGRAM+0xN
 *	says:   2. signal 10, begun at PROGRAM+0xN;
 *	says:      waits for A (0xN, PROGRAM+0xN) at PROGRAM+0xN
 *	says:      holds                    | wants
 *	says:   1. A | signal 10
 *	says:   2. signal 10 | A
 *	says:   thread 'main' holds 0 locks
 *	says:   fix: block the signal around the lock, or try it in the handler
 *	says:   suppress: NL-SIGNAL locks=A,signal%2010
 *	says:   read: nostall explain NL-SIGNAL; id=ID
 */
#include <signal.h>
#include <sys/prctl.h>
#include "misuse.h"

static struct nst_lockdep_map a = NST_LOCKDEP_MAP("A", NULL, NST_WAIT_SPIN);
static void *p;

static void handler(int sig)
{
	nst_handler_enter(sig);
	p = nst_alloc(64, NST_NOWAIT); /* HERE */
	nst_lockdep_acquire(&a, 0);
	nst_lockdep_release(&a);
	nst_handler_exit();
}

int main(void)
{
	struct sigaction sa = {.sa_handler = handler};

	prctl(PR_SET_NAME, "main");
	nst_handler_installed(SIGUSR1);
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	nst_lockdep_acquire(&a, 0);
	nst_lockdep_release(&a);
	HOLDS(p);
	nst_free(p);
	return 0;
}
