/* SPDX-License-Identifier: MIT */
/*
 * free_foreign_stack.c - a pointer to the stack freed
 *
 *	clause: B6
 *	level: debug:0
 *	exit: abort
 *	says: nostall: nst_free(0xN): not memory of this library; allowed: a pointer from nst_*alloc*(); caller free_foreign_stack.c:LINE
 */
#include "misuse.h"

int main(void)
{
	char here[64];

	nst_free(HIDDEN((void *)here)); /* HERE */
	return 0;
}
