/* SPDX-License-Identifier: MIT */
/*
 * speculate_alloc_outside.c - a request of a speculation outside of its section
 *
 *	clause: B40
 *	level: debug:0
 *	exit: abort
 *	says: nostall: nst_speculate_alloc(0xN): no section of it is open; allowed: a call after nst_speculate_begin(); caller speculate_alloc_outside.c:LINE
 */
#include "misuse.h"

static struct nst_speculate_site site;

int main(void)
{
	struct nst_speculation s;

	nst_speculate_init(&s, &site);
	nst_free(nst_speculate_alloc(&s, 64)); /* HERE */
	return 0;
}
