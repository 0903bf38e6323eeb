/* SPDX-License-Identifier: MIT */
/*
 * mode_modifiers.c - modifiers alone: one line and NULL
 *
 *	clause: B13
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_pages_alloc: mode 0xN (ZERO|NOWARN); allowed: exactly one of NST_NORMAL ... NST_FASTTRY, with modifiers; caller mode_modifiers.c:LINE
 */
#include "misuse.h"

int main(void)
{
	HOLDS(!nst_pages_alloc(0, HIDDEN((nst_mode_t)(NST_ZERO | NST_NOWARN)))); /* HERE */
	return 0;
}
