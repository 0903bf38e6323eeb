/* SPDX-License-Identifier: MIT */
/*
 * gfp.h - the kernel's spelling: flags of a request as modes of this library, and page runs.
 *
 *	flags						mode
 *	GFP_KERNEL					NST_NORMAL
 *	GFP_KERNEL | __GFP_RETRY_MAYFAIL		NST_NORMAL: it tries hard, and NULL is its end
 *	GFP_KERNEL | __GFP_NORETRY			NST_NORETRY
 *	GFP_KERNEL | __GFP_NOFAIL			NST_NOFAIL
 *	GFP_NOFS					NST_NORMAL | NST_NOCLIENT
 *	GFP_NOIO					NST_NORMAL | NST_NOIO | NST_NOCLIENT
 *	GFP_NOWAIT					NST_NOWAIT
 *	GFP_ATOMIC					NST_ATOMIC
 *	__GFP_NO_LOCKS					NST_NOLOCK
 *	__GFP_FAST_TRY					NST_FASTTRY
 *	0, or bits that say nothing of waiting		refused
 *	two rows at once				refused
 *
 * Refused: a constant does not compile; any other value gets one line and NULL. Nothing is inferred from bits that are
 * missing. A flag whose meaning nothing here has is not defined: docs/linux-compat.md lists them.
 */
#ifndef NST_COMPAT_GFP_H
#define NST_COMPAT_GFP_H

#include <asm/page.h>
#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <nostall/pages.h>

/* ---- flags ---- */

#define __GFP_DIRECT_RECLAIM (1u << 0)
#define __GFP_KSWAPD_RECLAIM (1u << 1)
#define __GFP_IO (1u << 2)
#define __GFP_FS (1u << 3)
#define __GFP_HIGH (1u << 4)
#define __GFP_NORETRY (1u << 5)
#define __GFP_RETRY_MAYFAIL (1u << 6)
#define __GFP_NOFAIL (1u << 7)
#define __GFP_ZERO (1u << 8)
#define __GFP_NOWARN (1u << 9)
#define __GFP_MEMALLOC (1u << 10) /* needs a ticket: nst_reserve_enter() */
#define __GFP_NOMEMALLOC (1u << 11)
#define __GFP_ACCOUNT (1u << 12) /* charges the thread's account: nst_account_use() */
#define __GFP_THISNODE (1u << 13)
#define __GFP_RECLAIMABLE (1u << 14)
#define __GFP_NOLOCKDEP (1u << 15) /* the validator does not judge this request */
#define __GFP_NO_LOCKS (1u << 16)  /* waits for no lock: the flag of the thread of 2020 */
#define __GFP_FAST_TRY (1u << 17)  /* this CPU's own lists and nothing else */

#define __GFP_BITS_SHIFT 18
#define __GFP_BITS_MASK ((1u << __GFP_BITS_SHIFT) - 1)

#define __GFP_RECLAIM (__GFP_DIRECT_RECLAIM | __GFP_KSWAPD_RECLAIM)
#define GFP_KERNEL (__GFP_RECLAIM | __GFP_IO | __GFP_FS)
#define GFP_KERNEL_ACCOUNT (GFP_KERNEL | __GFP_ACCOUNT)
#define GFP_NOFS (__GFP_RECLAIM | __GFP_IO)
#define GFP_NOIO (__GFP_RECLAIM)
#define GFP_NOWAIT (__GFP_KSWAPD_RECLAIM | __GFP_NOWARN)
#define GFP_ATOMIC (__GFP_HIGH | __GFP_KSWAPD_RECLAIM)

/* ---- flags as a mode ---- */

#define NST_GFP_TO(gfp, bits, mode) (((gfp) & (bits)) == (bits) ? (nst_mode_t)(mode) : 0u)
#define NST_GFP_WITHOUT(gfp, bits, mode) ((gfp) & (bits) ? 0u : (nst_mode_t)(mode))
/* Who may sleep; __GFP_HIGH beside it is a second mode. */
#define NST_GFP_SLEEPS(gfp)                                                                        \
	(((gfp) & (__GFP_NOFAIL | __GFP_NORETRY)                                                   \
		  ? NST_GFP_TO(gfp, __GFP_NOFAIL, NST_NOFAIL) |                                    \
			    NST_GFP_TO(gfp, __GFP_NORETRY, NST_NORETRY)                            \
		  : (nst_mode_t)NST_NORMAL) |                                                      \
	 NST_GFP_TO(gfp, __GFP_HIGH, NST_ATOMIC) | NST_GFP_WITHOUT(gfp, __GFP_IO, NST_NOIO) |      \
	 NST_GFP_WITHOUT(gfp, __GFP_FS, NST_NOCLIENT))
/* Who may wake; __GFP_NORETRY says nothing that is not so anyway. */
#define NST_GFP_WAKES(gfp)                                                                         \
	(((gfp)&__GFP_HIGH ? (nst_mode_t)NST_ATOMIC : (nst_mode_t)NST_NOWAIT) |                    \
	 NST_GFP_TO(gfp, __GFP_NOFAIL, NST_NOFAIL))
/* Constant for a constant; @gfp is read many times. */
#define NST_GFP_MODE(gfp)                                                                          \
	(((gfp)&__GFP_DIRECT_RECLAIM   ? NST_GFP_SLEEPS(gfp)                                       \
	  : (gfp)&__GFP_KSWAPD_RECLAIM ? NST_GFP_WAKES(gfp)                                        \
				       : 0u) |                                                     \
	 NST_GFP_TO(gfp, __GFP_NO_LOCKS, NST_NOLOCK) |                                             \
	 NST_GFP_TO(gfp, __GFP_FAST_TRY, NST_FASTTRY) | NST_GFP_TO(gfp, __GFP_ZERO, NST_ZERO) |    \
	 NST_GFP_TO(gfp, __GFP_NOWARN, NST_NOWARN) |                                               \
	 NST_GFP_TO(gfp, __GFP_MEMALLOC, NST_MEMALLOC) |                                           \
	 NST_GFP_TO(gfp, __GFP_NOMEMALLOC, NST_NOMEMALLOC) |                                       \
	 NST_GFP_TO(gfp, __GFP_ACCOUNT, NST_ACCOUNT) |                                             \
	 NST_GFP_TO(gfp, __GFP_THISNODE, NST_THISNODE) |                                           \
	 NST_GFP_TO(gfp, __GFP_RECLAIMABLE, NST_RECLAIMABLE))

extern void nst_gfp_refused(void)
	__attribute__((error("flags that name no mode, or two: see linux/gfp.h")));
#define NST_GFP_REFUSE(gfp)                                                                        \
	(__builtin_constant_p(gfp) && !NST_MODE_VALID(NST_GFP_MODE(gfp)) ? nst_gfp_refused()       \
									 : (void)0)
/* What every request of these headers does first, at the caller's line. */
#define NST_GFP_ASKS(gfp) (NST_CALLER, NST_GFP_REFUSE(gfp))

NST_COMPAT_INLINE nst_mode_t nst_gfp_mode(gfp_t gfp)
{
	return NST_GFP_MODE(gfp);
}

NST_COMPAT_INLINE bool gfpflags_allow_blocking(gfp_t gfp)
{
	return !!(gfp & __GFP_DIRECT_RECLAIM);
}

/* The flags as the scopes of this thread leave them. */
NST_COMPAT_INLINE gfp_t current_gfp_context(gfp_t gfp)
{
	const nst_mode_t m = nst_mode_effective(NST_NORMAL);

	if (m & NST_NOIO)
		gfp &= ~(__GFP_IO | __GFP_FS);
	if (m & NST_NOCLIENT)
		gfp &= ~__GFP_FS;
	if (m & NST_NOWAIT)
		gfp &= ~__GFP_DIRECT_RECLAIM;
	if (m & NST_NOLOCK && !(gfp & __GFP_FAST_TRY))
		gfp = (gfp & ~(GFP_KERNEL | __GFP_HIGH | __GFP_NOFAIL | __GFP_NORETRY)) |
		      __GFP_NO_LOCKS;
	return gfp;
}

#include <linux/fault-inject.h>

/* ---- reclaim ---- */

/* Held while notifiers run. No wait types: sleeping there is right. */
NST_COMPAT_SHARED struct nst_lockdep_map nst_compat_notifiers =
	NST_LOCKDEP_MAP("mmu_notifier_invalidate_range_start", NULL, NST_WAIT_NONE);

/* Does a request with these flags, here, go into reclaim that may take clients' locks? */
NST_COMPAT_INLINE bool nst_compat_reclaims(gfp_t gfp)
{
	if (gfp & __GFP_NOLOCKDEP)
		return false;
	gfp = current_gfp_context(gfp);
	return gfp & __GFP_DIRECT_RECLAIM && gfp & __GFP_FS;
}

/* Requests of the library's own names are judged by it as well: which of them reclaim says nostall/context.h. */
NST_COMPAT_INLINE void fs_reclaim_acquire(gfp_t gfp)
{
	if (NST_LOCKDEP_ON && nst_compat_reclaims(gfp))
		nst_reclaiming_begin_on(NST_RECLAIM_IO | NST_RECLAIM_CLIENT);
}

NST_COMPAT_INLINE void fs_reclaim_release(gfp_t gfp)
{
	if (NST_LOCKDEP_ON && nst_compat_reclaims(gfp))
		nst_reclaiming_end_on();
}

/* Every request that may reclaim could call them. */
NST_COMPAT_INLINE void nst_compat_touch_notifiers(gfp_t gfp)
{
	if (NST_LOCKDEP_ON && nst_compat_reclaims(gfp))
		nst_lockdep_might_on(&nst_compat_notifiers, 0);
}

/* A request begins: 0, it is to fail. Pairs with nst_compat_leave(). */
NST_COMPAT_INLINE int nst_compat_enter(struct fault_attr *attr, size_t size, gfp_t gfp,
				       const struct nst_compat_site *site)
{
	nst_compat_touch_notifiers(gfp);
	if (nst_compat_should_fail(attr, size, nst_gfp_mode(gfp), site))
		return 0;
	if (gfp & __GFP_NOLOCKDEP)
		nst_allow_begin("__GFP_NOLOCKDEP");
	return 1;
}

NST_COMPAT_INLINE void nst_compat_leave(gfp_t gfp)
{
	if (gfp & __GFP_NOLOCKDEP)
		nst_allow_end();
}

/* ---- page runs ---- */

/* A page is named by its address; there is nothing to look into. */
struct page;

#define PAGE_ALIGN(x) ALIGN(x, PAGE_SIZE)
#define MAX_PAGE_ORDER NST_ORDER_MAX
#define NUMA_NO_NODE (-1)

NST_COMPAT_INLINE int get_order(unsigned long size)
{
	return size <= PAGE_SIZE ? 0 : 64 - PAGE_SHIFT - __builtin_clzl((size - 1) | 1);
}

NST_COMPAT_INLINE void *page_address(const struct page *page)
{
	return (void *)(uintptr_t)page;
}

NST_COMPAT_INLINE struct page *virt_to_page(const void *address)
{
	return (struct page *)((uintptr_t)address & PAGE_MASK);
}

#define page_to_virt(page) page_address(page)

NST_COMPAT_INLINE void *nst_compat_pages(unsigned int order, gfp_t gfp,
					 const struct nst_compat_site *site)
{
	void *p;

	if (!nst_compat_enter(&fail_page_alloc, PAGE_SIZE << (order & 31), gfp, site))
		return NULL;
	p = (nst_pages_alloc)(order, nst_gfp_mode(gfp));
	nst_compat_leave(gfp);
	return p;
}

/* The run as a whole, whatever @order; @nid is a wish, as in the kernel without __GFP_THISNODE. */
#define alloc_pages(gfp, order)                                                                    \
	((struct page *)(NST_GFP_ASKS(gfp), nst_compat_pages(order, gfp, NST_COMPAT_SITE)))
#define alloc_page(gfp) alloc_pages(gfp, 0)
#define alloc_pages_node(nid, gfp, order) ((void)(nid), alloc_pages(gfp, order))
#define __get_free_pages(gfp, order)                                                               \
	((unsigned long)(NST_GFP_ASKS(gfp), nst_compat_pages(order, gfp, NST_COMPAT_SITE)))
#define __get_free_page(gfp) __get_free_pages(gfp, 0)
#define get_zeroed_page(gfp) __get_free_pages((gfp) | __GFP_ZERO, 0)

/* @gfp says nothing of waiting; the pages are zeroed. */
#define alloc_pages_nolock(gfp, nid, order)                                                        \
	((void)(nid),                                                                              \
	 alloc_pages((gfp) | __GFP_NO_LOCKS | __GFP_NOWARN | __GFP_NOMEMALLOC | __GFP_ZERO,        \
		     order))

NST_COMPAT_INLINE void free_pages(unsigned long address, unsigned int order)
{
	(void)order;
	nst_pages_free((void *)address);
}

NST_COMPAT_INLINE void __free_pages(struct page *page, unsigned int order)
{
	(void)order;
	nst_pages_free(page_address(page));
}

NST_COMPAT_INLINE void free_pages_nolock(struct page *page, unsigned int order)
{
	(void)order;
	nst_pages_free_nolock(page_address(page));
	NST_BECAUSE("the caller says so");
}

#define free_page(address) free_pages(address, 0)
#define __free_page(page) __free_pages(page, 0)

#endif
