/* SPDX-License-Identifier: MIT */
/*
 * realloc_foreign.c - a foreign pointer reallocated
 *
 *	clause: B21
 *	level: debug:0
 *	exit: abort
 *	says: TODO
 */
#include "misuse.h"

int main(void)
{
	char here[64];

	HOLDS(!nst_realloc(HIDDEN((void *)here), 128, NST_NORMAL)); /* HERE */
	return 0;
}
