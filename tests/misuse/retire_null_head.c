/* SPDX-License-Identifier: MIT */
/*
 * retire_null_head.c - no head, or no function: one line each, and nothing happens
 *
 *	clause: B27
 *	exit: 0
 *	says: nostall: nst_free_rcu_head(0xN, fn): allowed: a head and a function
 *	says: nostall: nst_call_rcu(0xN, NULL): allowed: a head and a function
 *	says: nostall: nst_free_rcu_foreign(0xN, NULL): allowed: a function that frees it
 */
#include "misuse.h"

static void fn(struct nst_rcu_head *head)
{
	(void)head;
}

int main(void)
{
	static struct nst_rcu_head head;

	nst_free_rcu_head(HIDDEN((struct nst_rcu_head *)NULL), fn, 1);
	nst_call_rcu(&head, HIDDEN((void (*)(struct nst_rcu_head *))NULL), 1);
	HOLDS(nst_free_rcu_foreign(&head, HIDDEN((void (*)(void *))NULL)) == -EINVAL);
	HOLDS(misuse_count() == 0);
	nst_rcu_barrier();
	return 0;
}
