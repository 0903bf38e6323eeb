/* SPDX-License-Identifier: MIT */
/*
 * realloc_foreign.c - a foreign pointer reallocated
 *
 *	clause: B21
 *	level: debug:0
 *	exit: abort
 *	says: nostall: nst_realloc(0xN): not memory of this library; allowed: a pointer from nst_*alloc*(); caller realloc_foreign.c:LINE
 */
#include "misuse.h"

int main(void)
{
	char here[64];

	HOLDS(!nst_realloc(HIDDEN((void *)here), 128, NST_NORMAL)); /* HERE */
	return 0;
}
