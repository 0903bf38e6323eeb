/* SPDX-License-Identifier: MIT */
/*
 * kmalloc.c - size classes; above them page runs, above those whole mappings.
 *
 *	bytes	1 ... 128	in steps of 16
 *		... 8192	four classes to a doubling: at most a quarter of an object is waste
 *		... 2 MiB	runs of pages
 *		above		mappings (large.c)
 *
 * One table from (size + 15) / 16 to the cache; before the library has started every entry is the boot
 * cache, which has nothing and so leads to the slow path.
 */
#include "mm.h"

/* Its stacks are empty and full for ever: what is not started, and what is no slab object, goes slow. */
static struct nst_pcs *boot_table[] = {&nst_pcs_none, &nst_pcs_none, &nst_pcs_none};
struct nst_cache nst_boot_cache = {
	.main = {.fast = &boot_table[2]},
	.full = {.fast = &boot_table[2]},
	.empty = {.fast = &boot_table[2]},
	.name = "boot",
	.used = 1,
};

struct nst_cache *nst_size_table[NST_CLASS_MAX / 16 + 1] = {
	[0 ... NST_CLASS_MAX / 16] = &nst_boot_cache,
};

static size_t next_class_size(size_t size)
{
	if (size < 128)
		return size + 16;
	return size + ((size_t)1 << (nst_log2(size) - 2));
}

int nst_kmalloc_init(void)
{
	size_t size, covered = 0, i;

	for (size = 16; size <= NST_CLASS_MAX; size = next_class_size(size)) {
		char name[32];
		struct nst_cache *c;
		size_t align = size & (~size + 1);

		nst_format(name, sizeof(name), "size-%zu", size);
		c = nst_cache_make(name, size, nst_min(align, NST_PAGE_BYTES), 0, NULL);
		if (!c)
			return -12;
		c->is_class = 1;
		for (i = covered / 16 + 1; i <= size / 16; i++)
			nst_store_relaxed(&nst_size_table[i], c); /* published by nst_start() */
		covered = size;
	}
	return 0;
}

struct nst_cache *nst_cache_of_size(size_t size)
{
	if (size - 1 >= NST_CLASS_MAX || nst_start())
		return NULL;
	return nst_size_table[(size + 15) / 16];
}
