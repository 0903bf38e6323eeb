/* SPDX-License-Identifier: MIT */
/*
 * free_foreign_null_page.c - a small number freed
 *
 *	clause: B6
 *	level: debug:0
 *	exit: abort
 *	says: TODO
 */
#include "misuse.h"

int main(void)
{
	nst_free(HIDDEN((void *)(uintptr_t)64)); /* HERE */
	return 0;
}
