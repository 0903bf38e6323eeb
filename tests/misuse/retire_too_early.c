/* SPDX-License-Identifier: MIT */
/*
 * retire_too_early.c - retired by who has not called nst_rcu_use(): one line, once; it is lost
 *
 *	clause: B26
 *	exit: 0
 *	says: nostall: nst_free_rcu(0xN): before nst_rcu_use(), which <nostall/rcu.h> calls before main(); what is retired until then is lost
 */
#define NST_NO_MACROS
#include "misuse.h"

int main(void)
{
	struct nst_retired_stats *r;
	static struct nst_stats stats;
	void *p = nst_alloc(64, NST_NORMAL), *q = nst_alloc(64, NST_NORMAL);

	nst_free_rcu(p);
	nst_free_rcu(q);
	nst_stats_read(&stats, sizeof(stats));
	r = &stats.retired;
	HOLDS(r->refused == 2 && r->waiting_bytes == 0);
	HOLDS(nst_rcu_use() == 0);
	nst_free_rcu(nst_alloc(64, NST_NORMAL));
	nst_rcu_barrier();
	nst_stats_read(&stats, sizeof(stats));
	HOLDS(r->refused == 2 && r->waiting_bytes == 0);
	return 0;
}
