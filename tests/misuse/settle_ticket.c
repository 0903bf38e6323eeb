/* SPDX-License-Identifier: MIT */
/*
 * settle_ticket.c - nst_settle() by who holds a ticket of a reserve: one line, and nobody sleeps
 *
 *	clause: B41
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_settle(): with a ticket of a reserve; allowed: a thread that may sleep, for which nobody waits
 */
#include "misuse.h"

int main(void)
{
	struct nst_reserve *r = nst_reserve_create(4096, 1);

	HOLDS(r && nst_reserve_enter(r, NST_NORMAL) == 0);
	HOLDS(nst_settle() == 0); /* HERE */
	nst_reserve_exit(r);
	HOLDS(nst_settle() == 0);
	return 0;
}
