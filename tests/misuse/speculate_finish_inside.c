/* SPDX-License-Identifier: MIT */
/*
 * speculate_finish_inside.c - a speculation finished inside its section; continued after, nothing happens
 *
 *	clause: B40
 *	level: debug:0, misuse:continue
 *	exit: 0
 *	says: nostall: nst_speculate_finish(0xN): inside its section; allowed: a call after nst_speculate_end(); caller speculate_finish_inside.c:LINE
 */
#include "misuse.h"

static struct nst_speculate_site site;

int main(void)
{
	struct nst_speculation s;

	nst_speculate_init(&s, &site);
	nst_speculate_begin(&s);
	nst_speculate_finish(&s); /* HERE */
	HOLDS(misuse_count() == 1);
	nst_speculate_end(&s, NST_SPECULATE_DONE);
	HOLDS(misuse_count() == 1);
	return 0;
}
