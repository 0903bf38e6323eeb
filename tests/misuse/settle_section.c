/* SPDX-License-Identifier: MIT */
/*
 * settle_section.c - nst_settle() inside a read section, whose end others wait for: one line, and nobody sleeps
 *
 *	clause: B42
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_settle(): in a read section; allowed: a thread that may sleep, for which nobody waits
 */
#include "misuse.h"

int main(void)
{
	nst_rcu_token_t t = nst_rcu_read_begin();

	HOLDS(nst_settle() == 0); /* HERE */
	nst_rcu_read_end(t);
	HOLDS(nst_settle() == 0);
	return 0;
}
