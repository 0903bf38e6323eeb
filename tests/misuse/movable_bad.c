/* SPDX-License-Identifier: MIT */
/*
 * movable_bad.c - a mover without a function or with unknown flags; a movable run of no mover, or too large: a line, NULL
 *
 *	clause: B48
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_mover_register(): the function is missing; allowed: one, and flags of 0xN
 *	says: nostall: nst_mover_register(): unknown flags; allowed: one, and flags of 0xN
 *	says: nostall: nst_pages_alloc_movable(0xN, 0): no such mover; allowed: a mover, and order 0 to 3
 *	says: nostall: nst_pages_alloc_movable(0xN, 4): too large; allowed: a mover, and order 0 to 3
 */
#include "misuse.h"

static int migrate(void *ctx, void *data, void *to, void *from, size_t bytes)
{
	(void)ctx;
	(void)data;
	(void)to;
	(void)from;
	(void)bytes;
	return -EAGAIN;
}

int main(void)
{
	struct nst_mover *m = nst_mover_register(migrate, NULL, 0);
	struct nst_mover *none = HIDDEN((struct nst_mover *)(uintptr_t)4096);

	HOLDS(!nst_mover_register(NULL, NULL, 0));		    /* HERE */
	HOLDS(!nst_mover_register(migrate, NULL, HIDDEN(64)));	    /* HERE */
	HOLDS(!nst_pages_alloc_movable(none, 0, NST_NORMAL, NULL)); /* HERE */
	HOLDS(!nst_pages_alloc_movable(m, 4, NST_NORMAL, NULL));    /* HERE */
	HOLDS(nst_mover_unregister(none) == -EINVAL);
	HOLDS(nst_mover_unregister(m) == 0);
	HOLDS(nst_mover_unregister(m) == -EINVAL);
	return 0;
}
