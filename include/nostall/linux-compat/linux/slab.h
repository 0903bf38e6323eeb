/* SPDX-License-Identifier: MIT */
/*
 * slab.h - the kernel's spelling: objects by size, objects of one kind, prefilled sheaves.
 *
 * Any free here takes any object of this library: kfree() takes what vmalloc() gave. An object's size is rounded up as
 * the library's classes are; a power of two is aligned to itself, as in the kernel.
 */
#ifndef NST_COMPAT_SLAB_H
#define NST_COMPAT_SLAB_H

#include <string.h>
#include <linux/gfp.h>
#include <linux/overflow.h>
#include <nostall/reserve.h>

/* ---- by size ---- */

/* kmalloc(0): may be freed, and nothing else. */
#define ZERO_SIZE_PTR ((void *)16)
#define ZERO_OR_NULL_PTR(p) ((unsigned long)(p) <= (unsigned long)ZERO_SIZE_PTR)
#define ARCH_KMALLOC_MINALIGN 16

/* As ZERO_SIZE_PTR, but compilers take it for memory, and do not warn of its use where it cannot be. */
NST_COMPAT_INLINE void *nst_compat_nothing(void)
{
	void *p = ZERO_SIZE_PTR;

	__asm__("" : "+r"(p));
	return p;
}

NST_COMPAT_INLINE void *nst_compat_object(size_t size, nst_mode_t mode)
{
	/* Up to a page, classes are aligned as they should be. */
	if (size > PAGE_SIZE && is_power_of_2(size) && !(mode & (NST_NOLOCK | NST_FASTTRY)))
		return (nst_alloc_aligned)(size, size < 1ul << 30 ? size : 1ul << 30, mode);
	return NST_MODE_PLAIN(mode) ? nst_alloc_checked(size, mode) : (nst_alloc)(size, mode);
}

NST_COMPAT_INLINE void *nst_compat_kmalloc(size_t size, gfp_t gfp,
					   const struct nst_compat_site *site)
{
	void *p;

	if (!size)
		return nst_compat_nothing();
	if (!nst_compat_enter(&failslab, size, gfp, site))
		return NULL;
	p = nst_compat_object(size, nst_gfp_mode(gfp));
	nst_compat_leave(gfp);
	return p;
}

/* SIZE_MAX, which is NULL, where it does not fit. */
#define nst_compat_times(n, size) size_mul(n, size)

#define kmalloc(size, gfp) (NST_GFP_ASKS(gfp), nst_compat_kmalloc(size, gfp, NST_COMPAT_SITE))
#define kzalloc(size, gfp) kmalloc(size, (gfp) | __GFP_ZERO)
#define kmalloc_array(n, size, gfp) kmalloc(nst_compat_times(n, size), gfp)
#define kcalloc(n, size, gfp) kzalloc(nst_compat_times(n, size), gfp)
#define kmalloc_node(size, gfp, nid) ((void)(nid), kmalloc(size, gfp))
#define kzalloc_node(size, gfp, nid) ((void)(nid), kzalloc(size, gfp))
#define kcalloc_node(n, size, gfp, nid) ((void)(nid), kcalloc(n, size, gfp))
#define kvmalloc(size, gfp) kmalloc(size, gfp)
#define kvzalloc(size, gfp) kzalloc(size, gfp)
#define kvmalloc_array(n, size, gfp) kmalloc_array(n, size, gfp)
#define kvcalloc(n, size, gfp) kcalloc(n, size, gfp)

/* @gfp says nothing of waiting: __GFP_ZERO, __GFP_ACCOUNT. Sizes above NST_NOLOCK_MAX are NULL. */
#define kmalloc_nolock(size, gfp, nid)                                                             \
	((void)(nid), kmalloc(size, (gfp) | __GFP_NO_LOCKS | __GFP_NOWARN | __GFP_NOMEMALLOC))

#define NST_COMPAT_VMALLOC(size, gfp)                                                              \
	(NST_GFP_ASKS(gfp), nst_compat_vmalloc(size, gfp, NST_COMPAT_SITE))
#define vmalloc(size) NST_COMPAT_VMALLOC(size, GFP_KERNEL)
#define vzalloc(size) NST_COMPAT_VMALLOC(size, GFP_KERNEL | __GFP_ZERO)
#define __vmalloc(size, gfp) NST_COMPAT_VMALLOC(size, gfp)

/* Of whole pages. */
NST_COMPAT_INLINE void *nst_compat_vmalloc(size_t size, gfp_t gfp,
					   const struct nst_compat_site *site)
{
	void *p;

	if (!size || !nst_compat_enter(&failslab, size, gfp, site))
		return NULL;
	p = (nst_alloc_aligned)(size, PAGE_SIZE, nst_gfp_mode(gfp));
	nst_compat_leave(gfp);
	return p;
}

NST_COMPAT_INLINE void kfree(const void *p)
{
	if (ZERO_OR_NULL_PTR(p))
		return;
	nst_free((void *)(uintptr_t)p);
}

NST_COMPAT_INLINE void kfree_nolock(const void *p)
{
	if (!ZERO_OR_NULL_PTR(p))
		nst_free_nolock((void *)(uintptr_t)p);
	NST_BECAUSE("the caller says so");
}

#define kvfree(p) kfree(p)
#define vfree(p) kfree(p)

NST_COMPAT_INLINE size_t ksize(const void *p)
{
	return ZERO_OR_NULL_PTR(p) ? 0 : nst_usable_size(p);
}

NST_COMPAT_INLINE void kfree_sensitive(const void *p)
{
	void *q = (void *)(uintptr_t)p;

	if (ZERO_OR_NULL_PTR(p))
		return;
	memset(q, 0, nst_usable_size(q));
	__asm__ volatile("" : : "r"(q) : "memory");
	nst_free(q);
}

/* No ZERO_SIZE_PTR among them. */
NST_COMPAT_INLINE void kfree_bulk(size_t nr, void **p)
{
	nst_free_bulk(nr, p);
}

NST_COMPAT_INLINE void *nst_compat_krealloc(const void *p, size_t size, gfp_t gfp,
					    const struct nst_compat_site *site)
{
	void *q;

	if (!size) {
		kfree(p);
		return nst_compat_nothing();
	}
	if (!nst_compat_enter(&failslab, size, gfp, site))
		return NULL;
	q = (nst_realloc)(ZERO_OR_NULL_PTR(p) ? NULL : (void *)(uintptr_t)p, size,
			  nst_gfp_mode(gfp));
	nst_compat_leave(gfp);
	return q;
}

#define krealloc(p, size, gfp)                                                                     \
	(NST_GFP_ASKS(gfp), nst_compat_krealloc(p, size, gfp, NST_COMPAT_SITE))
#define krealloc_array(p, n, size, gfp) krealloc(p, nst_compat_times(n, size), gfp)
#define kvrealloc(p, size, gfp) krealloc(p, size, gfp)

NST_COMPAT_INLINE void *nst_compat_copy(const void *from, size_t size, size_t room, gfp_t gfp,
					const struct nst_compat_site *site)
{
	char *p = from && room >= size ? nst_compat_kmalloc(room, gfp, site) : NULL;

	if (ZERO_OR_NULL_PTR(p))
		return p;
	memcpy(p, from, size);
	if (room > size)
		p[size] = 0;
	return p;
}

#define kmemdup(p, size, gfp)                                                                      \
	(NST_GFP_ASKS(gfp), nst_compat_copy(p, size, size, gfp, NST_COMPAT_SITE))
#define kstrdup(s, gfp)                                                                            \
	({                                                                                         \
		const char *nst_text = (s);                                                        \
		const size_t nst_len = nst_text ? strlen(nst_text) : 0;                            \
		(char *)(NST_GFP_ASKS(gfp),                                                        \
			 nst_compat_copy(nst_text, nst_len, nst_len + 1, gfp, NST_COMPAT_SITE));   \
	})
#define kstrndup(s, most, gfp)                                                                     \
	({                                                                                         \
		const char *nst_text = (s);                                                        \
		const size_t nst_len = nst_text ? strnlen(nst_text, most) : 0;                     \
		(char *)(NST_GFP_ASKS(gfp),                                                        \
			 nst_compat_copy(nst_text, nst_len, nst_len + 1, gfp, NST_COMPAT_SITE));   \
	})

/* ---- of one kind ---- */

#define SLAB_HWCACHE_ALIGN (1u << 0)
#define SLAB_RECLAIM_ACCOUNT (1u << 1)
#define SLAB_PANIC (1u << 2)

/* An nst_cache, which <nostall/alloc.h> takes as well. */
struct kmem_cache;

NST_COMPAT_INLINE struct nst_cache *nst_compat_cache(const struct kmem_cache *cache)
{
	return (struct nst_cache *)(uintptr_t)cache;
}

static inline struct kmem_cache *kmem_cache_create(const char *name, unsigned int size,
						   unsigned int align, slab_flags_t flags,
						   void (*ctor)(void *))
{
	const unsigned int line = flags & SLAB_HWCACHE_ALIGN ? L1_CACHE_BYTES : 0;
	struct nst_cache *c;

	might_sleep();
	c = nst_cache_create(name, size, max(align, line),
			     flags & SLAB_RECLAIM_ACCOUNT ? NST_CACHE_RECLAIMABLE : 0, ctor);
	if (!c && flags & SLAB_PANIC)
		BUG();
	return (struct kmem_cache *)c;
}

#define KMEM_CACHE(type, flags)                                                                    \
	kmem_cache_create(#type, sizeof(struct type), __alignof__(struct type), flags, NULL)

/* What is alive stays, and is said. Not inside a read section. */
static inline void kmem_cache_destroy(struct kmem_cache *cache)
{
	might_sleep();
	nst_cache_destroy(nst_compat_cache(cache));
}

NST_COMPAT_INLINE void *nst_compat_cache_alloc(struct kmem_cache *cache, gfp_t gfp,
					       const struct nst_compat_site *site)
{
	const nst_mode_t mode = nst_gfp_mode(gfp);
	void *p;

	if (!nst_compat_enter(&failslab, 1, gfp, site))
		return NULL;
	p = NST_MODE_PLAIN(mode) ? nst_cache_alloc_checked(nst_compat_cache(cache), mode)
				 : (nst_cache_alloc)(nst_compat_cache(cache), mode);
	nst_compat_leave(gfp);
	return p;
}

/* All of them, or none. */
NST_COMPAT_INLINE int nst_compat_cache_alloc_bulk(struct kmem_cache *cache, gfp_t gfp, size_t nr,
						  void **p, const struct nst_compat_site *site)
{
	size_t n;

	if (!nst_compat_enter(&failslab, nr, gfp, site))
		return 0;
	n = (nst_cache_alloc_bulk)(nst_compat_cache(cache), nst_gfp_mode(gfp), nr, p);
	nst_compat_leave(gfp);
	if (n == nr)
		return (int)n;
	nst_cache_free_bulk(nst_compat_cache(cache), n, p);
	return 0;
}

#define kmem_cache_alloc(cache, gfp)                                                               \
	(NST_GFP_ASKS(gfp), nst_compat_cache_alloc(cache, gfp, NST_COMPAT_SITE))
#define kmem_cache_zalloc(cache, gfp) kmem_cache_alloc(cache, (gfp) | __GFP_ZERO)
#define kmem_cache_alloc_node(cache, gfp, nid) ((void)(nid), kmem_cache_alloc(cache, gfp))
/* Who pays is the thread's account, with __GFP_ACCOUNT. */
#define kmem_cache_alloc_lru(cache, lru, gfp) ((void)(lru), kmem_cache_alloc(cache, gfp))
#define kmem_cache_alloc_bulk(cache, gfp, nr, p)                                                   \
	(NST_GFP_ASKS(gfp), nst_compat_cache_alloc_bulk(cache, gfp, nr, p, NST_COMPAT_SITE))

NST_COMPAT_INLINE void kmem_cache_free(struct kmem_cache *cache, void *p)
{
	nst_cache_free(nst_compat_cache(cache), p);
}

NST_COMPAT_INLINE void kmem_cache_free_bulk(struct kmem_cache *cache, size_t nr, void **p)
{
	nst_cache_free_bulk(nst_compat_cache(cache), nr, p);
}

/* ---- prefilled sheaves ---- */

struct slab_sheaf {
	struct nst_prefilled *objects;
	unsigned int size; /* what a refill may ask for at most; more is another sheaf */
	unsigned int has;  /* still in it */
};

static inline struct slab_sheaf *kmem_cache_prefill_sheaf(struct kmem_cache *cache, gfp_t gfp,
							  unsigned int size)
{
	struct slab_sheaf *sheaf = kmalloc(sizeof(*sheaf), gfp & ~__GFP_ZERO);

	if (!sheaf)
		return NULL;
	sheaf->size = sheaf->has = size;
	if (!(nst_sheaf_prefill)(nst_compat_cache(cache), size, nst_gfp_mode(gfp & ~__GFP_ZERO),
				 &sheaf->objects))
		return sheaf;
	kfree(sheaf);
	return NULL;
}

NST_COMPAT_INLINE unsigned int kmem_cache_sheaf_size(struct slab_sheaf *sheaf)
{
	return READ_ONCE(sheaf->has);
}

/* As often as it was prefilled with, in any context; then NULL. */
NST_COMPAT_INLINE void *kmem_cache_alloc_from_sheaf(struct kmem_cache *cache, gfp_t gfp,
						    struct slab_sheaf *sheaf)
{
	void *p = nst_sheaf_alloc(sheaf->objects);

	(void)cache;
	if (!p)
		return NULL;
	__atomic_sub_fetch(&sheaf->has, 1, __ATOMIC_RELAXED);
	return gfp & __GFP_ZERO ? memset(p, 0, nst_usable_size(p)) : p;
}

static inline void kmem_cache_return_sheaf(struct kmem_cache *cache, gfp_t gfp,
					   struct slab_sheaf *sheaf)
{
	(void)cache;
	(void)gfp;
	nst_sheaf_return(sheaf->objects);
	kfree(sheaf);
}

/* 0; -ENOMEM, and it has what it had. */
static inline int kmem_cache_refill_sheaf(struct kmem_cache *cache, gfp_t gfp,
					  struct slab_sheaf **sheafp, unsigned int size)
{
	struct slab_sheaf *sheaf = *sheafp, *larger;
	const nst_mode_t mode = nst_gfp_mode(gfp & ~__GFP_ZERO);

	if (size <= sheaf->has)
		return 0;
	if (size <= sheaf->size) {
		if ((nst_sheaf_refill)(sheaf->objects, size, mode))
			return -ENOMEM;
		sheaf->has = size;
		return 0;
	}
	larger = kmem_cache_prefill_sheaf(cache, gfp, size);
	if (!larger)
		return -ENOMEM;
	kmem_cache_return_sheaf(cache, gfp, sheaf);
	*sheafp = larger;
	return 0;
}

#include <linux/rcupdate.h>

#endif
