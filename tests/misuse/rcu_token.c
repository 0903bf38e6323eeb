/* SPDX-License-Identifier: MIT */
/*
 * rcu_token.c - a read section ended that never began
 *
 *	clause: B25
 *	level: debug:0
 *	exit: abort
 *	says: nostall: nst_rcu_read_end(0xN): no token of a section; allowed: what nst_rcu_read_begin() returned; caller PROGRAM+0xN
 */
#include "misuse.h"

int main(void)
{
	nst_rcu_read_end(nst_rcu_read_begin());
	nst_rcu_read_end(HIDDEN((nst_rcu_token_t)0x123456)); /* HERE */
	return 0;
}
