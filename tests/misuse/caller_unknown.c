/* SPDX-License-Identifier: MIT */
/*
 * caller_unknown.c - without NST_CALLERS the line names module and offset
 *
 *	clause: B23
 *	level: debug:0
 *	exit: abort
 *	says: TODO
 */
#include "misuse.h"

int main(void)
{
	char here[64];

	nst_free(HIDDEN((void *)here));
	return 0;
}
