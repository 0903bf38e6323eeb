/* SPDX-License-Identifier: MIT */
/*
 * lockdep_halt.c - the first error ends the process, behind its report and the program's own function
 *
 *	clause: B59
 *	level: check:on, worker:off, check_halt:on
 *	exit: abort
 *	says: nostall: error NL-UNLOCK: let go, and not held by this thread
 *	says:   lock a (0xN, PROGRAM+0xN): let go at PROGRAM+0xN
 *	says:   thread 'main' holds 0 locks
 *	says:   fix: let go once, on the thread that took it
 *	says:   suppress: NL-UNLOCK locks=a
 *	says:   read: nostall explain NL-UNLOCK; id=ID
 *	says: the program's last words
 */
#include <sys/prctl.h>
#include "misuse.h"

static struct nst_lockdep_map a = NST_LOCKDEP_MAP("a", NULL, NST_WAIT_SLEEP);

static void last(void *words)
{
	fputs(words, stderr);
}

int main(void)
{
	prctl(PR_SET_NAME, "main");
	nst_lockdep_on_death(last, HIDDEN((char *)"the program's last words\n"));
	nst_lockdep_acquire(&a, 0);
	nst_lockdep_release(&a);
	nst_lockdep_release(&a); /* HERE */
	nst_lockdep_release(&a);
	return 0;
}
