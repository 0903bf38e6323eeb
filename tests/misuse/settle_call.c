/* SPDX-License-Identifier: MIT */
/*
 * settle_call.c - nst_settle() in a function that is called after a grace period: one line, and nobody sleeps
 *
 *	clause: B42
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_settle(): in a function of nst_call_rcu(); allowed: a thread that may sleep, for which nobody waits
 */
#include "misuse.h"

static int settled = -1;

static void called(struct nst_rcu_head *head)
{
	(void)head;
	settled = nst_settle() == 0; /* HERE */
}

int main(void)
{
	static struct nst_rcu_head head;

	HOLDS(nst_rcu_use() == 0);
	nst_call_rcu(&head, called, 0);
	HOLDS(nst_rcu_barrier() == 0 && settled == 1);
	return 0;
}
