/* SPDX-License-Identifier: MIT */
/*
 * prefill_bad.c - a sheaf of nothing, in a mode that waits for nothing: -EINVAL; after its cache: a line as well
 *
 *	clause: B31
 *	level: misuse:continue
 *	exit: 0
 *	says: nostall: nst_sheaf_prefill: NST_ZERO on cache 'built', which has a constructor; allowed: one of them
 *	says: nostall: nst_sheaf_prefill(0xN): the cache was destroyed; allowed: a cache until its nst_cache_destroy(); caller prefill_bad.c:LINE
 */
#include "misuse.h"

static void build(void *obj)
{
	memset(obj, 1, 64);
}

int main(void)
{
	struct nst_cache *cache = nst_cache_create("built", 64, 0, 0, build);
	struct nst_prefilled *sheaf = NULL;

	HOLDS(nst_sheaf_prefill(cache, 0, NST_NORMAL, &sheaf) == -EINVAL);
	HOLDS(nst_sheaf_prefill(cache, NST_PREFILL_MAX + 1, NST_NORMAL, &sheaf) == -EINVAL);
	HOLDS(nst_sheaf_prefill(cache, 1, NST_NOLOCK, &sheaf) == -EINVAL);
	HOLDS(nst_sheaf_prefill(cache, 1, NST_FASTTRY, &sheaf) == -EINVAL);
	HOLDS(nst_sheaf_prefill(cache, 1, NST_NORMAL | NST_ZERO, &sheaf) == -EINVAL);
	HOLDS(nst_cache_destroy(cache) == 0);
	HOLDS(nst_sheaf_prefill(cache, 1, NST_NORMAL, &sheaf) == -EINVAL); /* HERE */
	HOLDS(!sheaf);
	return 0;
}
