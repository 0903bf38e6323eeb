/* SPDX-License-Identifier: MIT */
/*
 * scope_unknown.c - a scope with unknown bits: one line, and no scope
 *
 *	clause: B19
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_scope_enter(0xN): unknown bits 0xN; allowed: 0xN
 */
#include "misuse.h"

int main(void)
{
	HOLDS(nst_scope_enter(HIDDEN(0x101u)) == 0); /* HERE */
	HOLDS(nst_mode_effective(NST_NORMAL) == NST_NORMAL);
	return 0;
}
