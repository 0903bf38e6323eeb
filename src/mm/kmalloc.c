/* SPDX-License-Identifier: MIT */
/*
 * kmalloc.c - size classes; above them page runs, above those whole mappings.
 *
 *	bytes	1 ... 128	in steps of 16
 *		... 1024	four classes to a doubling: at most a fifth of an object is waste
 *		... 8192	eight: the waste of these is what shows, and a page and its header fit well
 *		... 32768	four
 *		... 2 MiB	runs of pages, cut down to as many as it takes
 *		above		mappings (large.c)
 *
 * One table from nst_size_index() to the fast table of the cache; before the library has started every
 * entry is one whose stacks have nothing, and so leads to the slow path.
 */
#include "mm.h"

struct nst_pcs **nst_size_fast[NST_CLASS_MAX / 16 + 1] = {
	[0 ... NST_CLASS_MAX / 16] = NST_BOOT_FAST,
};
struct nst_cache *nst_size_table[NST_CLASS_MAX / 16 + 1];

static size_t next_class_size(size_t size)
{
	unsigned int shift = size >= 1024 && size < 8192 ? 3 : 2;

	return size < 128 ? size + 16 : size + ((size_t)1 << (nst_log2(size) - shift));
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
			nst_size_table[i] = c;
		covered = size;
	}
	return 0;
}

/* While the library starts: nothing, for every CPU. */
void nst_kmalloc_hide(void)
{
	size_t i;

	for (i = 0; i < NST_ARRAY_SIZE(nst_size_fast); i++)
		nst_store_relaxed(&nst_size_fast[i],
				  nst_pcs_fast_none()); /* a table that was made before */
}

/* From here on the fast paths find the classes. */
void nst_kmalloc_publish(void)
{
	size_t i;

	for (i = 1; i < NST_ARRAY_SIZE(nst_size_fast); i++)
		/* relaxed: a table is whole before it is published, and its stacks come later */
		nst_store_relaxed(&nst_size_fast[i], nst_size_table[i]->main.fast);
}

struct nst_cache *nst_cache_of_size(size_t size)
{
	if (size - 1 >= NST_CLASS_MAX || nst_start())
		return NULL;
	return nst_size_table[nst_size_index(size)];
}
