/* SPDX-License-Identifier: MIT */
/*
 * speculate_again_inside.c - paid inside the section
 *
 *	clause: B40
 *	level: debug:0
 *	exit: abort
 *	says: nostall: nst_speculate_again(0xN): inside its section; allowed: a call after nst_speculate_end(); caller speculate_again_inside.c:LINE
 */
#include "misuse.h"

static struct nst_speculate_site site;

int main(void)
{
	struct nst_speculation s;

	nst_speculate_init(&s, &site);
	nst_speculate_begin(&s);
	return nst_speculate_again(&s); /* HERE */
	return 0;
}
