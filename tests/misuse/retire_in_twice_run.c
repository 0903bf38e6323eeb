/* SPDX-License-Identifier: MIT */
/*
 * retire_in_twice_run.c - a run retired to a domain, and again to ours: its state says so; it is freed once
 *
 *	clause: B5
 *	level: misuse:continue
 *	exit: 0
 *	says: nostall: nst_free_rcu_in(0xN): freed twice; allowed: one free of a live object; caller retire_in_twice_run.c:LINE
 */
#include "misuse.h"

static void no_readers(void *ctx)
{
	(void)ctx;
}

int main(void)
{
	static const struct nst_rcu_domain_ops ops = {.synchronize = no_readers};
	struct nst_rcu_domain *d = NULL;
	void *p = nst_alloc(40000, NST_NORMAL);

	HOLDS(nst_rcu_domain_create("others", &ops, &d) == 0);
	nst_free_rcu(p);
	nst_free_rcu_in(d, HIDDEN(p)); /* HERE */
	HOLDS(misuse_count() == 1);
	HOLDS(nst_rcu_barrier() == 0 && nst_rcu_domain_destroy(d) == 0);
	return 0;
}
