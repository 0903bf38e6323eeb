/* SPDX-License-Identifier: MIT */
/*
 * order_nolock.c - an order above what no-lock serves: NULL, without a line
 *
 *	clause: B4
 *	level: debug:0
 *	exit: 0
 */
#include "misuse.h"

int main(void)
{
	HOLDS(!nst_pages_alloc(HIDDEN(4u), NST_NOLOCK));
	HOLDS(!nst_pages_alloc_nolock(HIDDEN(10u)));
	HOLDS(!nst_pages_alloc_nolock(HIDDEN(~0u)));
	return 0;
}
