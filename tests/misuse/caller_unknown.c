/* SPDX-License-Identifier: MIT */
/*
 * caller_unknown.c - without NST_CALLERS the line names module and offset
 *
 *	clause: B23
 *	level: debug:0
 *	exit: abort
 *	says: nostall: nst_free(0xN): not memory of this library; allowed: a pointer from nst_*alloc*(); caller PROGRAM+0xN
 */
#include "misuse.h"

int main(void)
{
	char here[64];

	nst_free(HIDDEN((void *)here));
	return 0;
}
