/* SPDX-License-Identifier: MIT */
/*
 * lockdep_log.c - a log that cannot be written, and suppressions that cannot be read: a line each, and reports go to standard error
 *
 *	clause: B56
 *	level: check:on, worker:off, check_log:/nonexistent/log, check_suppress:/nonexistent/rules
 *	exit: 0
 *	says: nostall: check_suppress:/nonexistent/rules: cannot read (error 2); a file of at most 32767 bytes is needed; allowed: NL-CODE, then locks=NAME,NAME, module=FILE or id= and 16 digits, then # and a reason
 *	says: nostall: error NL-UNLOCK: let go, and not held by this thread
 *	says:   lock a (0xN, PROGRAM+0xN): let go at PROGRAM+0xN
 *	says:   thread 'main' holds 0 locks
 *	says:   fix: let go once, on the thread that took it
 *	says:   suppress: NL-UNLOCK locks=a
 *	says:   read: nostall explain NL-UNLOCK; id=ID
 *	says: nostall: check_log:/nonexistent/log: cannot write (error 2); a path is needed that, with a process's number behind it, is a file; reports go to standard error
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
