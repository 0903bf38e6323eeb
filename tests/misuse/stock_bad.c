/* SPDX-License-Identifier: MIT */
/*
 * stock_bad.c - a stock for no CPU, or of too much: -EINVAL, without a line
 *
 *	clause: B20
 *	level: debug:0
 *	exit: 0
 */
#include "misuse.h"

int main(void)
{
	struct nst_cache *cache = nst_cache_of_size(64);

	HOLDS(nst_stock(cache, 10, 1 << 20) == -EINVAL);
	HOLDS(nst_stock(cache, 10, -3) == -EINVAL);
	HOLDS(nst_stock(cache, SIZE_MAX, NST_CPU_THIS) == -EINVAL);
	HOLDS(nst_stock(cache, (1u << 20) + 1, NST_CPU_THIS) == -EINVAL);
	HOLDS(nst_pages_stock(4, 10, NST_CPU_THIS) == -EINVAL);
	HOLDS(nst_pages_stock(0, 10, 1 << 20) == -EINVAL);
	HOLDS(nst_pages_stock(0, (1u << 20) + 1, NST_CPU_ALL) == -EINVAL);
	return 0;
}
