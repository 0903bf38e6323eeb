/* SPDX-License-Identifier: MIT */
/*
 * retire_twice_mapping.c - a mapping retired twice, and a run that was retired freed: reported, and freed once
 *
 *	clause: B5
 *	level: misuse:continue
 *	exit: 0
 *	says: nostall: nst_free_rcu(0xN): freed twice; allowed: one free of a live object; caller retire_twice_mapping.c:LINE
 */
#include "misuse.h"

int main(void)
{
	void *p = nst_alloc((size_t)3 << 20, NST_NORMAL);

	nst_free_rcu(p);
	nst_free_rcu(HIDDEN(p)); /* HERE */
	HOLDS(misuse_count() == 1);
	nst_rcu_barrier();
	HOLDS(misuse_count() == 1);
	return 0;
}
