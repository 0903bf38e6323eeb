/* SPDX-License-Identifier: MIT */
/*
 * speculate_end_alone.c - an attempt ended that never began
 *
 *	clause: B40
 *	level: debug:0
 *	exit: abort
 *	says: nostall: nst_speculate_end(0xN): no section of it is open; allowed: a call after nst_speculate_begin(); caller speculate_end_alone.c:LINE
 */
#include "misuse.h"

static struct nst_speculate_site site;

int main(void)
{
	struct nst_speculation s;

	nst_speculate_init(&s, &site);
	nst_speculate_begin(&s);
	nst_speculate_end(&s, NST_SPECULATE_DONE);
	nst_speculate_end(&s, NST_SPECULATE_DONE); /* HERE */
	return 0;
}
