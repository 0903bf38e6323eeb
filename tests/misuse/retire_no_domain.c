/* SPDX-License-Identifier: MIT */
/*
 * retire_no_domain.c - retired to what is no domain: one line, once; it is lost
 *
 *	clause: B28
 *	exit: 0
 *	says: nostall: nst_free_rcu_in(0xN, 0xN): no such domain; what is retired to it is lost
 */
#include "misuse.h"

static void no_readers(void *ctx)
{
	(void)ctx;
}

int main(void)
{
	static const struct nst_rcu_domain_ops ops = {.synchronize = no_readers};
	static struct nst_stats stats;
	struct nst_rcu_domain *d = NULL;
	static char other[4096];

	HOLDS(nst_rcu_domain_create("gone", &ops, &d) == 0);
	HOLDS(nst_rcu_domain_destroy(d) == 0);
	nst_free_rcu_in(d, nst_alloc(64, NST_NORMAL));
	nst_free_rcu_in((struct nst_rcu_domain *)(void *)other, nst_alloc(64, NST_NORMAL));
	nst_free_rcu_in(d, NULL);
	nst_free_rcu_in(NULL, NULL);
	HOLDS(nst_rcu_barrier() == 0 && misuse_count() == 0);
	nst_stats_read(&stats, sizeof(stats));
	HOLDS(stats.retired.refused == 2 && stats.retired.waiting_bytes == 0);
	return 0;
}
