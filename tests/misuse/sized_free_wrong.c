/* SPDX-License-Identifier: MIT */
/*
 * sized_free_wrong.c - a sized free with a size of another class
 *
 *	clause: B10
 *	level: debug:1
 *	exit: abort
 *	says: TODO
 */
#include "misuse.h"

int main(void)
{
	void *p = nst_alloc(64, NST_NORMAL);

	nst_free_sized(p, HIDDEN((size_t)500)); /* HERE */
	return 0;
}
