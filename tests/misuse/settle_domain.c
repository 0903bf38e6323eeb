/* SPDX-License-Identifier: MIT */
/*
 * settle_domain.c - nst_settle() inside a section of another domain: one line, and nobody sleeps
 *
 *	clause: B42
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_settle(): in a read section; allowed: a thread that may sleep, for which nobody waits
 */
#include "misuse.h"

static int inside;

static int read_ongoing(void *ctx)
{
	(void)ctx;
	return inside;
}

static void synchronize(void *ctx)
{
	(void)ctx;
}

int main(void)
{
	struct nst_rcu_domain_ops ops = {.synchronize = synchronize, .read_ongoing = read_ongoing};
	struct nst_rcu_domain *d;

	HOLDS(nst_rcu_domain_create("other", &ops, &d) == 0);
	inside = 1;
	HOLDS(nst_settle() == 0); /* HERE */
	inside = 0;
	HOLDS(nst_settle() == 0);
	HOLDS(nst_rcu_domain_destroy(d) == 0);
	return 0;
}
