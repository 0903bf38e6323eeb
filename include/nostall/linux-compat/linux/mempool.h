/* SPDX-License-Identifier: MIT */
/*
 * mempool.h - the kernel's spelling: a minimum of objects that only their users have, by nst_pool_create().
 *
 * Of a cache, or of a size. Who may sleep never gets NULL: it waits for a free. Nothing is said of how many users hold
 * how much; nst_pool_create() can be told, and then none waits.
 */
#ifndef NST_COMPAT_MEMPOOL_H
#define NST_COMPAT_MEMPOOL_H

#include <linux/slab.h>

typedef struct mempool mempool_t; /* an nst_pool */

NST_COMPAT_INLINE struct nst_pool *nst_compat_pool(mempool_t *pool)
{
	return (struct nst_pool *)pool;
}

static inline mempool_t *mempool_create_slab_pool(int min_nr, struct kmem_cache *cache)
{
	might_sleep();
	return (mempool_t *)nst_pool_create(nst_compat_cache(cache), (unsigned int)min_nr, 0, 0);
}

/* @size: up to 32768. */
static inline mempool_t *mempool_create_kmalloc_pool(int min_nr, size_t size)
{
	struct nst_cache *cache = nst_cache_of_size(size);

	might_sleep();
	return cache ? (mempool_t *)nst_pool_create(cache, (unsigned int)min_nr, 0, 0) : NULL;
}

NST_COMPAT_INLINE void *nst_compat_pool_alloc(mempool_t *pool, gfp_t gfp)
{
	void *p;

	nst_compat_touch_notifiers(gfp);
	if (gfp & __GFP_NOLOCKDEP)
		nst_allow_begin("__GFP_NOLOCKDEP");
	p = (nst_pool_alloc)(nst_compat_pool(pool), nst_gfp_mode(gfp));
	nst_compat_leave(gfp);
	return p;
}

#define mempool_alloc(pool, gfp) (NST_GFP_ASKS(gfp), nst_compat_pool_alloc(pool, gfp))

/* To the pool before anybody else. */
NST_COMPAT_INLINE void mempool_free(void *element, mempool_t *pool)
{
	nst_pool_free(nst_compat_pool(pool), element);
}

static inline int mempool_resize(mempool_t *pool, int min_nr)
{
	might_sleep();
	return nst_pool_resize(nst_compat_pool(pool), (unsigned int)min_nr);
}

/* All elements have been freed: what is not is a bug of the caller's, and said. */
static inline void mempool_destroy(mempool_t *pool)
{
	if (pool)
		WARN_ON(nst_pool_destroy(nst_compat_pool(pool)));
}

#endif
