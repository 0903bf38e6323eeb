/* SPDX-License-Identifier: MIT */
/*
 * reserve_bad.c - a reserve for nobody, of nothing, or of less than a page for each holder: one line and NULL
 *
 *	clause: B33
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_reserve_create(4096, 0): allowed: 1 to 65536 holders, and 4096 bytes or more for each
 *	says: nostall: nst_reserve_create(0, 1): allowed: 1 to 65536 holders, and 4096 bytes or more for each
 *	says: nostall: nst_reserve_create(8191, 2): allowed: 1 to 65536 holders, and 4096 bytes or more for each
 */
#include "misuse.h"

int main(void)
{
	HOLDS(!nst_reserve_create(4096, HIDDEN(0)));	     /* HERE */
	HOLDS(!nst_reserve_create(0, HIDDEN(1)));	     /* HERE */
	HOLDS(!nst_reserve_create(2 * 4096 - 1, HIDDEN(2))); /* HERE */
	return 0;
}
