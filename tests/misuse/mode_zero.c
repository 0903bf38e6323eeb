/* SPDX-License-Identifier: MIT */
/*
 * mode_zero.c - mode 0: one line and NULL
 *
 *	clause: B13
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_alloc: mode 0xN (0); allowed: exactly one of NST_NORMAL ... NST_FASTTRY, with modifiers; caller mode_zero.c:LINE
 */
#include "misuse.h"

int main(void)
{
	HOLDS(!nst_alloc(64, HIDDEN((nst_mode_t)0))); /* HERE */
	return 0;
}
