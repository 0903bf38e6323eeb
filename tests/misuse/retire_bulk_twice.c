/* SPDX-License-Identifier: MIT */
/*
 * retire_bulk_twice.c - the same object twice in a bulk: at debug:1 seen at once
 *
 *	clause: B5
 *	level: debug:1
 *	exit: abort
 *	says: nostall: nst_free_rcu_bulk(0xN): freed twice; allowed: one free of a live object; caller retire_bulk_twice.c:LINE
 */
#include "misuse.h"

int main(void)
{
	void *p = nst_alloc(64, NST_NORMAL), *ptrs[] = {p, NULL, HIDDEN(p)};

	nst_free_rcu_bulk(3, ptrs); /* HERE */
	return 0;
}
