/* SPDX-License-Identifier: MIT */
/*
 * free_foreign_null_page.c - a small number freed
 *
 *	clause: B6
 *	level: debug:0
 *	exit: abort
 *	says: nostall: nst_free(0xN): not memory of this library; allowed: a pointer from nst_*alloc*(); caller free_foreign_null_page.c:LINE
 */
#include "misuse.h"

int main(void)
{
	nst_free(HIDDEN((void *)(uintptr_t)64)); /* HERE */
	return 0;
}
