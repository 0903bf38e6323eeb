/* SPDX-License-Identifier: MIT */
/*
 * speculate_locked_inside.c - the locked path taken inside the section
 *
 *	clause: B40
 *	level: debug:0
 *	exit: abort
 *	says: nostall: nst_speculate_locked(0xN): inside its section; allowed: a call after nst_speculate_end(); caller speculate_locked_inside.c:LINE
 */
#include "misuse.h"

static struct nst_speculate_site site;

int main(void)
{
	struct nst_speculation s;

	nst_speculate_init(&s, &site);
	nst_speculate_begin(&s);
	return nst_speculate_locked(&s); /* HERE */
	return 0;
}
