/* SPDX-License-Identifier: MIT */
/*
 * retire_in_foreign.c - memory of libc retired to a domain: reported, and not touched; the domain is not held
 *
 *	clause: B6
 *	level: misuse:continue
 *	exit: 0
 *	says: nostall: nst_free_rcu_in(0xN): not memory of this library; allowed: a pointer from nst_*alloc*(); caller retire_in_foreign.c:LINE
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
	char *p = malloc(64);

	HOLDS(nst_rcu_domain_create("others", &ops, &d) == 0);
	memset(p, 7, 64);
	nst_free_rcu_in(d, HIDDEN(p)); /* HERE */
	HOLDS(misuse_count() == 1);
	HOLDS(nst_rcu_barrier() == 0 && p[0] == 7 && p[63] == 7);
	HOLDS(nst_rcu_domain_destroy(d) == 0);
	free(p);
	return 0;
}
