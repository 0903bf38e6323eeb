/* SPDX-License-Identifier: MIT */
/*
 * lockdep_wait.c - requests that may sleep, under a spinlock and in a section that must not block
 *
 *	clause: B51
 *	level: check:on, worker:off
 *	exit: 0
 *	says: nostall: error NL-WAIT: waits longer than what is held allows
 *	says:   may sleep at PROGRAM+0xN
 *	says:   thread 'main' holds 1 lock, innermost first:
 *	says:     spin (0xN, PROGRAM+0xN) since PROGRAM+0xN
 *	says:   fix: take it before, wait less, or try it
 *	says:   suppress: NL-WAIT id=ID
 *	says:   read: nostall explain NL-WAIT; id=ID
 *	says: nostall: error NL-BLOCK: may sleep in a section that must not
 *	says:   may sleep at PROGRAM+0xN
 *	says:   thread 'main' holds 0 locks
 *	says:   in a section that must not block, begun at PROGRAM+0xN
 *	says:   fix: do it before the section, or NST_NOLOCK
 *	says:   suppress: NL-BLOCK id=ID
 *	says:   read: nostall explain NL-BLOCK; id=ID
 */
#include <sys/prctl.h>
#include "misuse.h"

static struct nst_lockdep_map spin = NST_LOCKDEP_MAP("spin", NULL, NST_WAIT_SPIN);

int main(void)
{
	void *p, *q;

	prctl(PR_SET_NAME, "main");
	nst_lockdep_acquire(&spin, 0);
	p = nst_alloc(64, NST_NORMAL); /* HERE */
	nst_lockdep_release(&spin);
	nst_nonblock_begin();
	q = nst_alloc(64, NST_NORMAL);
	nst_nonblock_end();
	HOLDS(p && q);
	nst_free(p);
	nst_free(q);
	return 0;
}
