/* SPDX-License-Identifier: MIT */
/*
 * usable_foreign.c - the usable size of a foreign pointer: one line, and 0
 *
 *	clause: B21
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_usable_size(0xN): not a live object of this library; allowed: a pointer from nst_*alloc*(), or NULL
 */
#include "misuse.h"

int main(void)
{
	char here[64];

	HOLDS(nst_usable_size(HIDDEN((void *)here)) == 0); /* HERE */
	HOLDS(nst_usable_size(NULL) == 0);
	return 0;
}
