/* SPDX-License-Identifier: MIT */
/*
 * reserve_exit.c - a ticket given back that this thread has not: one line, and nothing
 *
 *	clause: B34
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_reserve_exit(0xN): this thread has not entered it
 */
#include "misuse.h"

int main(void)
{
	struct nst_reserve_stats s;
	struct nst_reserve *r = nst_reserve_create(4096, 1);

	nst_reserve_exit(r); /* HERE */
	HOLDS(nst_reserve_read(r, &s, sizeof(s)) == 0 && s.out == 0);
	HOLDS(nst_reserve_destroy(r) == 0);
	return 0;
}
