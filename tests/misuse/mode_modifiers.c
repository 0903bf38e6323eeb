/* SPDX-License-Identifier: MIT */
/*
 * mode_modifiers.c - modifiers alone: one line and NULL
 *
 *	clause: B13
 *	level: debug:0
 *	exit: 0
 *	says: TODO
 */
#include "misuse.h"

int main(void)
{
	HOLDS(!nst_pages_alloc(0, HIDDEN((nst_mode_t)(NST_ZERO | NST_NOWARN)))); /* HERE */
	return 0;
}
