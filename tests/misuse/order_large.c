/* SPDX-License-Identifier: MIT */
/*
 * order_large.c - an order above the largest: one line and NULL
 *
 *	clause: B4
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_pages_alloc(10): order 10; allowed: 0 to 9
 */
#include "misuse.h"

int main(void)
{
	HOLDS(!nst_pages_alloc(HIDDEN(10u), NST_NORMAL)); /* HERE */
	return 0;
}
