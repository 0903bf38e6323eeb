/* SPDX-License-Identifier: MIT */
/*
 * free_twice_debug3.c - freed twice: at debug:3 the line names the first free too
 *
 *	clause: B5
 *	level: debug:3
 *	exit: abort
 *	says: TODO
 */
#include "misuse.h"

int main(void)
{
	void *p = nst_alloc(64, NST_NORMAL), *q = nst_alloc(64, NST_NORMAL);

	nst_free(p);
	nst_free(q);
	nst_free(HIDDEN(p)); /* HERE */
	return 0;
}
