/* SPDX-License-Identifier: MIT */
/*
 * speculate_begin_twice.c - an attempt begun inside another of the same speculation
 *
 *	clause: B40
 *	level: debug:0
 *	exit: abort
 *	says: nostall: nst_speculate_begin(0xN): inside its section; allowed: a call after nst_speculate_end(); caller speculate_begin_twice.c:LINE
 */
#include "misuse.h"

static struct nst_speculate_site site;

int main(void)
{
	struct nst_speculation s;

	nst_speculate_init(&s, &site);
	nst_speculate_begin(&s);
	nst_speculate_begin(&s); /* HERE */
	return 0;
}
