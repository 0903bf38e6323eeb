/* SPDX-License-Identifier: MIT */
/*
 * notify_end.c - a change that has not begun is ended; one of no bytes, or with unknown flags, begins: a line, and nothing
 *
 *	clause: B45
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_notify_end(): a change that has not begun; allowed: once, after nst_notify_begin() returned 0
 *	says: nostall: nst_notify_begin(): an empty range, or one beyond the end; allowed: 1 byte and up, NST_NOTIFY_BLOCKABLE or 0
 *	says: nostall: nst_notify_begin(): unknown flags; allowed: 1 byte and up, NST_NOTIFY_BLOCKABLE or 0
 *	says: nostall: nst_notify_end(): a change that has not begun; allowed: once, after nst_notify_begin() returned 0
 */
#include "misuse.h"

int main(void)
{
	struct nst_notify_range r;

	HOLDS(nst_notify_begin(&r, NULL, 0, 1, 0) == 0);
	nst_notify_end(&r);
	nst_notify_end(&r);					       /* HERE */
	HOLDS(nst_notify_begin(&r, NULL, 0, 0, 0) == -EINVAL);	       /* HERE */
	HOLDS(nst_notify_begin(&r, NULL, 0, 1, HIDDEN(2)) == -EINVAL); /* HERE */
	nst_notify_end(&r);					       /* HERE */
	nst_notify_invalidate(NULL, 0, 0);
	return 0;
}
