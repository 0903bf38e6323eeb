/* SPDX-License-Identifier: MIT */
/*
 * memalloc_no_ticket.c - NST_MEMALLOC of who holds no ticket: one line, once, and an ordinary request
 *
 *	clause: B35
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_pages_alloc: NORMAL|MEMALLOC without a ticket; allowed: between nst_reserve_enter() and nst_reserve_exit()
 */
#include "misuse.h"

int main(void)
{
	void *p = nst_pages_alloc(2, NST_NORMAL | NST_MEMALLOC); /* HERE */
	void *q = nst_pages_alloc(2, NST_NORMAL | NST_MEMALLOC);

	HOLDS(p && q);
	nst_pages_free(p);
	nst_pages_free(q);
	return 0;
}
