/* SPDX-License-Identifier: MIT */
/*
 * lockdep_assert.c - what is only done in a section is done outside, and so is what is only done in a handler; the status says so
 *
 *	clause: B60
 *	level: check:on, worker:off, check_exit:3
 *	exit: 3
 *	says: nostall: error NL-HELD: not held, or held, against an assertion
 *	says:   in no section that must not block at PROGRAM+0xN
 *	says:   thread 'main' holds 0 locks
 *	says:   fix: find the way on which it is not as it should be
 *	says:   suppress: NL-HELD id=ID
 *	says:   read: nostall explain NL-HELD; id=ID
 *	says: nostall: error NL-HELD: not held, or held, against an assertion
 *	says:   in no handler at PROGRAM+0xN
 *	says:   thread 'main' holds 0 locks
 *	says:   fix: find the way on which it is not as it should be
 *	says:   suppress: NL-HELD id=ID
 *	says:   read: nostall explain NL-HELD; id=ID
 */
#include <sys/prctl.h>
#include "misuse.h"

static void callback(void)
{
	nst_assert_section(NST_SECTION_NONBLOCK); /* HERE */
}

int main(void)
{
	prctl(PR_SET_NAME, "main");
	nst_nonblock_begin();
	callback();
	nst_nonblock_end();
	callback();
	nst_assert_handler();
	return 0;
}
