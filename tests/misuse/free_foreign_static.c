/* SPDX-License-Identifier: MIT */
/*
 * free_foreign_static.c - a static object freed
 *
 *	clause: B6
 *	level: debug:0
 *	exit: abort
 *	says: TODO
 */
#include "misuse.h"

static char object[64];

int main(void)
{
	nst_free_nolock(HIDDEN((void *)object)); /* HERE */
	return 0;
}
