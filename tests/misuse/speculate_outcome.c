/* SPDX-License-Identifier: MIT */
/*
 * speculate_outcome.c - an attempt ended with what is no outcome; continued after, it takes the lock
 *
 *	clause: B40
 *	level: debug:0, misuse:continue
 *	exit: 0
 *	says: nostall: nst_speculate_end(0xN): no outcome; allowed: one of NST_SPECULATE_DONE ... NST_SPECULATE_GIVE_UP; caller speculate_outcome.c:LINE
 */
#include "misuse.h"

static struct nst_speculate_site site;

int main(void)
{
	struct nst_speculation s;

	nst_speculate_init(&s, &site);
	nst_speculate_begin(&s);
	nst_speculate_end(&s, HIDDEN((unsigned int)NST_NR_SPECULATE_OUTCOMES)); /* HERE */
	HOLDS(!nst_speculate_again(&s));
	HOLDS(nst_speculate_locked(&s));
	return 0;
}
