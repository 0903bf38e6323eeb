/* SPDX-License-Identifier: MIT */
/*
 * settle_scope.c - nst_settle() in a scope: one line, and nobody sleeps
 *
 *	clause: B41
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_settle(): in a scope; allowed: a thread that may sleep, for which nobody waits
 */
#include "misuse.h"

int main(void)
{
	nst_scope_t s = nst_scope_enter(NST_SCOPE_NOLOCK);

	HOLDS(nst_settle() == 0); /* HERE */
	nst_scope_exit(s);
	HOLDS(nst_settle() == 0);
	return 0;
}
