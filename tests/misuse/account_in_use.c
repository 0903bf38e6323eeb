/* SPDX-License-Identifier: MIT */
/*
 * account_in_use.c - an account destroyed while it is charged, entered or has others below: -EBUSY, without a line
 *
 *	clause: B37
 *	level: debug:0
 *	exit: 0
 */
#include "misuse.h"

int main(void)
{
	struct nst_account *a = nst_account_create("a", NULL, NST_NO_LIMIT, NST_NO_LIMIT);
	struct nst_account *b = nst_account_create("b", a, NST_NO_LIMIT, NST_NO_LIMIT);
	nst_account_token_t t = nst_account_enter(b);
	void *p = nst_alloc(100, NST_NORMAL);

	HOLDS(p && nst_account_destroy(b) == -EBUSY);
	nst_free(p);
	HOLDS(nst_account_destroy(b) == -EBUSY);
	p = nst_alloc(100, NST_NORMAL);
	nst_account_exit(t);
	HOLDS(nst_account_destroy(b) == -EBUSY);
	nst_free_rcu(p);
	HOLDS(nst_account_destroy(a) == -EBUSY);
	nst_rcu_barrier();
	HOLDS(nst_account_destroy(b) == 0 && nst_account_destroy(a) == 0);
	return 0;
}
