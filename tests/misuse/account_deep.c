/* SPDX-License-Identifier: MIT */
/*
 * account_deep.c - an account below eight others: one line, and NULL
 *
 *	clause: B37
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_account_create("deep"): below 'deep' would be a depth of 9; allowed: 8
 */
#include "misuse.h"

int main(void)
{
	struct nst_account *a = NULL;

	for (unsigned int i = 0; i < NST_ACCOUNT_DEPTH; i++)
		a = nst_account_create("deep", a, NST_NO_LIMIT, NST_NO_LIMIT);
	HOLDS(a != NULL);
	HOLDS(!nst_account_create("deep", a, NST_NO_LIMIT, NST_NO_LIMIT));
	return 0;
}
