/* SPDX-License-Identifier: MIT */
/*
 * use_after_free.c - written after it was freed: seen when it is handed out again
 *
 *	clause: B12
 *	level: debug:2
 *	exit: abort
 *	says: nostall: nst_alloc(0xN): written after it was freed, at byte 20; allowed: no use after the free; caller use_after_free.c:19
 */
#include "misuse.h"

int main(void)
{
	char *p = nst_alloc(64, NST_NORMAL);

	nst_free(p);
	HIDDEN(p)[20] = 1;
	for (int i = 0; i < 3000; i++)
		if (!nst_alloc(64, NST_NORMAL))
			return 1;
	return 0;
}
