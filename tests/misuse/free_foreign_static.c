/* SPDX-License-Identifier: MIT */
/*
 * free_foreign_static.c - a static object freed
 *
 *	clause: B6
 *	level: debug:0
 *	exit: abort
 *	says: nostall: nst_free_nolock(0xN): not memory of this library; allowed: a pointer from nst_*alloc*(); caller free_foreign_static.c:LINE
 */
#include "misuse.h"

static char object[64];

int main(void)
{
	nst_free_nolock(HIDDEN((void *)object)); /* HERE */
	return 0;
}
