/* SPDX-License-Identifier: MIT */
/*
 * mode_two.c - two modes: one line and NULL
 *
 *	clause: B13
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_alloc: mode 0xN (NORMAL|NOLOCK); allowed: exactly one of NST_NORMAL ... NST_FASTTRY, with modifiers; caller mode_two.c:LINE
 */
#include "misuse.h"

int main(void)
{
	HOLDS(!nst_alloc(64, HIDDEN((nst_mode_t)(NST_NOLOCK | NST_NORMAL)))); /* HERE */
	return 0;
}
