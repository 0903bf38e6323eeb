/* SPDX-License-Identifier: MIT */
/*
 * retire_use_after_debug2.c - an object written to after its period: at debug:2 seen when it is handed out again
 *
 *	clause: B12
 *	level: debug:2, misuse:continue
 *	exit: 0
 *	says: nostall: nst_alloc(0xN): written after it was freed, at byte 5; allowed: no use after the free; caller retire_use_after_debug2.c:LINE
 */
#include "misuse.h"

int main(void)
{
	char *p = nst_alloc(64, NST_NORMAL), *q;

	nst_free_rcu(p);
	p[5] = 1; /* a reader may still have it: no misuse yet */
	HOLDS(misuse_count() == 0);
	nst_rcu_barrier();
	HIDDEN(p)[5] = 1;
	for (int i = 0; i < 10000 && !misuse_count(); i++)
		q = nst_alloc(64, NST_NORMAL); /* HERE */
	(void)q;
	return 0;
}
