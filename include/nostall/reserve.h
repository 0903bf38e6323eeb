/* SPDX-License-Identifier: MIT */
/*
 * reserve.h - reserve before you enter: objects that are yours before the code runs that may not wait for them.
 *
 * A prefilled sheaf holds the objects of one piece of work, whose worst case is known: filled where waiting is allowed, used
 * up under the lock or in the handler, the rest returned. A pool is for work without an end: a minimum of objects that only
 * its holders can use, however short memory is, refilled first by what they give back.
 *
 *	nst_sheaf_prefill(cache, 8, NST_NORMAL, &sheaf);	may sleep, may fail
 *	lock();
 *	node = nst_sheaf_alloc(sheaf);				eight times it cannot fail
 *	unlock();
 *	nst_sheaf_return(sheaf);
 */
#ifndef NOSTALL_RESERVE_H
#define NOSTALL_RESERVE_H

#include <nostall/alloc.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- prefilled sheaves ---- */

/** struct nst_prefilled - objects of one cache, for whoever has it */
struct nst_prefilled;

#define NST_PREFILL_MAX 1048576u /* objects in one */

/**
 * nst_sheaf_prefill() - objects ahead of need, for one piece of work
 * @cache: from nst_cache_create() or nst_cache_of_size()
 * @n: objects, 1 to NST_PREFILL_MAX
 * @mode: one mode that may wait, and any modifiers; NST_ZERO: each object is zeroed as it is handed out
 * @sheaf: receives it, if the call returns 0; the caller's until nst_sheaf_return()
 *
 * From then on exactly @n nst_sheaf_alloc() succeed, in all. Until they are handed out nst_cache_destroy() counts the objects
 * as alive. A child of fork() has a copy: its own objects, which it may use and return.
 *
 * Context: as the mode says.  Waits: as the mode says.  Syscalls: as the mode says.  Locks: as the mode says, and meta.
 * Return: 0; -ENOMEM; -EINVAL for a mode that is not valid or waits for nothing (in a scope NST_SCOPE_NOLOCK each), an @n
 *	   out of range, a destroyed cache, or NST_ZERO with a constructor (the last two give one line as well).
 */
NST_API int nst_sheaf_prefill(struct nst_cache *cache, unsigned int n, nst_mode_t mode,
			      struct nst_prefilled **sheaf);

/**
 * nst_sheaf_alloc() - one of the objects
 * @sheaf: from nst_sheaf_prefill()
 *
 * Several threads, and handlers that interrupt them inside this call, may share a sheaf. What it gives is an ordinary object of
 * the cache: constructed, resident, taken by any nst_free*().
 *
 * Price: one locked instruction beside those of nst_cache_alloc(); it repeats only when another taker was quicker.
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 * Return: the object; NULL when all have been handed out, never before.
 */
NST_API NST_MALLOC_LIKE void *nst_sheaf_alloc(struct nst_prefilled *sheaf) NST_NONBLOCKING;

/**
 * nst_sheaf_refill() - make it @n objects again
 * @sheaf: from nst_sheaf_prefill(); one refill of it at a time, while nst_sheaf_alloc() may go on
 * @n: objects, 1 to as many as it was prefilled with; nothing happens if it has so many
 * @mode: as for nst_sheaf_prefill(), but for NST_ZERO, which counts as it was given there
 *
 * Context: as the mode says.  Waits: as the mode says.  Syscalls: as the mode says.  Locks: as the mode says.
 * Return: 0; -ENOMEM, and what it has stays; -EINVAL as nst_sheaf_prefill().
 */
NST_API int nst_sheaf_refill(struct nst_prefilled *sheaf, unsigned int n, nst_mode_t mode);

/**
 * nst_sheaf_return() - give back what is left, and the sheaf
 * @sheaf: from nst_sheaf_prefill(), or NULL; no other call on it may be running
 *
 * Context: thread.  Waits: short lock.  Syscalls: none or few.  Locks: as nst_cache_free(), and meta; in a no-lock scope, too.
 */
NST_API void nst_sheaf_return(struct nst_prefilled *sheaf);

/* ---- pools ---- */

/** struct nst_pool - a minimum of objects of one cache */
struct nst_pool;

#define NST_POOL_MAX 65536u /* objects it may keep */

/**
 * nst_pool_create() - a minimum of objects that only its holders can use
 * @cache: from nst_cache_create() or nst_cache_of_size(); it outlives the pool
 * @min_nr: objects the pool keeps, 1 to NST_POOL_MAX
 * @holders: how many hold objects of it at the same time
 * @held_max: how many objects each of them holds at most
 *
 * While what is stated of the holders holds, none of them ever waits or gets NULL, whatever others do to the cache: hence
 * @holders times @held_max may not exceed @min_nr. When more objects of the pool are held than that it is reported, once, by
 * the next call on the pool that may wait. Where either is 0 nothing is stated, promised or reported: requests that may sleep
 * wait for a free.
 *
 * Context: thread.  Waits: sleeps.  Syscalls: mprotect, madvise.  Locks: takes the locks of the cache.
 * Return: the pool, which the caller owns until nst_pool_destroy(); or NULL: no memory, or an argument out of range (one line
 *	   says which).
 */
NST_API NST_MALLOC_LIKE struct nst_pool *nst_pool_create(struct nst_cache *cache,
							 unsigned int min_nr, unsigned int holders,
							 unsigned int held_max);

/**
 * nst_pool_alloc() - an object, from the cache or the pool
 * @pool: from nst_pool_create()
 * @mode: as for nst_alloc()
 *
 * In this order: what the cache has at hand; the pool; what the cache gets as the mode says (memory from the kernel, reclaim, a
 * reserve); then, in NST_NORMAL and NST_NOFAIL, whatever is given back or becomes free first.
 *
 * Context: as the mode says.  Waits: as the mode says.  Syscalls: as the mode says.  Locks: as the mode says.
 * Return: the object, the caller's until nst_pool_free(); in NST_NORMAL and NST_NOFAIL always. In the other modes NULL, but not
 *	   while the holders are as stated. NULL too for a mode that is not valid, a destroyed cache, and NST_ZERO with a
 *	   constructor.
 */
NST_API NST_MALLOC_LIKE void *nst_pool_alloc(struct nst_pool *pool, nst_mode_t mode);

/**
 * nst_pool_alloc_nolock() - an object from the cache or the pool, now
 * @pool: from nst_pool_create()
 *
 * As nst_cache_alloc_nolock(); and where that has nothing, from the pool.
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: tries barn, slab, zone.
 * Return: the object; or NULL, but not while the holders are as stated.
 */
NST_API NST_MALLOC_LIKE void *nst_pool_alloc_nolock(struct nst_pool *pool) NST_NONBLOCKING;

/**
 * nst_pool_free() - give an object back, to the pool before the cache
 * @pool: from nst_pool_create()
 * @obj: from nst_pool_alloc() or nst_pool_alloc_nolock() of it, or NULL. Any other free takes it as well, but past the pool,
 *	 which counts it as held from then on
 *
 * Wakes one that waits, if any does. In a scope NST_SCOPE_NOLOCK it is nst_pool_free_nolock().
 *
 * Context: thread.  Waits: short lock.  Syscalls: none or few.  Locks: as nst_free().
 */
NST_API void nst_pool_free(struct nst_pool *pool, void *obj);

/**
 * nst_pool_free_nolock() - give an object back, from anywhere
 * @pool: from nst_pool_create()
 * @obj: as for nst_pool_free()
 *
 * Wakes nobody: who waits looks again every millisecond.
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: tries barn, slab, zone.
 */
NST_API void nst_pool_free_nolock(struct nst_pool *pool, void *obj) NST_NONBLOCKING;

/**
 * nst_pool_resize() - another minimum
 * @pool: from nst_pool_create(); one resize of it at a time, while all else may go on
 * @min_nr: objects, 1 to NST_POOL_MAX
 *
 * Fills the pool up to it, or gives back what is too many. With the same number it replaces what was lost: in a child of
 * fork() what the parent's other threads held.
 *
 * Context: thread.  Waits: sleeps.  Syscalls: mprotect, madvise.  Locks: takes the locks of the cache.
 * Return: 0; -ENOMEM, and the minimum is what it was; -EINVAL for a number out of range, or too few for the holders.
 */
NST_API int nst_pool_resize(struct nst_pool *pool, unsigned int min_nr);

/**
 * nst_pool_destroy() - give the pool and its objects back
 * @pool: from nst_pool_create(), or NULL; no other call on it may be running
 *
 * Context: thread.  Waits: short lock.  Syscalls: none or few.  Locks: as nst_cache_free(), and meta.
 * Return: 0; -EBUSY while objects of it are held, in a child of fork() by threads of the parent, too; then the pool stays.
 */
NST_API int nst_pool_destroy(struct nst_pool *pool);

#if !defined(NST_NO_MACROS)
#define nst_sheaf_prefill(cache, n, mode, sheaf)                                                   \
	(NST_CALLER, (nst_sheaf_prefill)(cache, n, NST_MODE_REFUSE(mode), sheaf))
#define nst_sheaf_refill(sheaf, n, mode)                                                           \
	(NST_CALLER, (nst_sheaf_refill)(sheaf, n, NST_MODE_REFUSE(mode)))
#define nst_pool_alloc(pool, mode) (NST_CALLER, (nst_pool_alloc)(pool, NST_MODE_REFUSE(mode)))
#ifdef NST_CALLERS
#define nst_pool_free(pool, obj) (NST_CALLER, (nst_pool_free)(pool, obj))
#define nst_pool_free_nolock(pool, obj) (NST_CALLER, (nst_pool_free_nolock)(pool, obj))
#endif
#endif

#ifdef __cplusplus
}
#endif
#endif
