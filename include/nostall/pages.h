/* SPDX-License-Identifier: MIT */
/*
 * pages.h - runs of pages by order, from the zone of one NUMA node.
 *
 * A page is 4 KiB, a run of order n is 2^n pages and aligned to its size. Order 9 is a pageblock of
 * 2 MiB, the largest; for more, nst_alloc() makes a mapping.
 */
#ifndef NOSTALL_PAGES_H
#define NOSTALL_PAGES_H

#include <nostall/alloc.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NST_PAGE_SIZE ((size_t)4096)
#define NST_ORDER_MAX 9u	/* a pageblock */
#define NST_ORDER_NOLOCK_MAX 3u /* what a no-lock request can get: 32 KiB */

/**
 * nst_pages_alloc() - a run of pages
 * @order: log2 of the number of pages, 0 to NST_ORDER_MAX; larger gives one line and NULL, in a
 *	   no-lock mode NULL above NST_ORDER_NOLOCK_MAX
 * @mode: one mode and any modifiers
 *
 * Context: as the mode says.  Waits: as the mode says.  Syscalls: as the mode says.  Locks: as the
 * mode says.
 * Return: memory aligned to its size, resident; or NULL. The caller owns it until any nst_*free*().
 */
NST_API NST_MALLOC_LIKE void *nst_pages_alloc(unsigned int order, nst_mode_t mode);

/**
 * nst_pages_alloc_nolock() - a run of pages now, or nothing
 * @order: log2 of the number of pages, 0 to NST_ORDER_NOLOCK_MAX; larger is NULL
 *
 * From this CPU's list of unmovable pages, then of the other mobilities, then by trying the zone's
 * lock, then the next node.
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: tries zone.
 * Return: memory aligned to its size, resident; or NULL.
 */
NST_API NST_MALLOC_LIKE void *nst_pages_alloc_nolock(unsigned int order) NST_NONBLOCKING;

/**
 * nst_pages_free() - give back a run of pages (or any other object of this library)
 * @ptr: from any allocation function, or NULL
 *
 * Context: thread.  Waits: short lock.  Syscalls: none or few.  Locks: takes zone.
 */
NST_API void nst_pages_free(void *ptr);

/**
 * nst_pages_free_nolock() - give back a run of pages (or any other object), from anywhere
 * @ptr: from any allocation function, or NULL
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: tries zone.
 */
NST_API void nst_pages_free_nolock(void *ptr) NST_NONBLOCKING;

/**
 * nst_pages_stock() - put runs of pages in a CPU's own list ahead of need
 * @order: 0 to NST_ORDER_NOLOCK_MAX
 * @n: runs, 1 to 1048576; the CPU's list is made large enough for them
 * @cpus: a CPU number, NST_CPU_THIS or NST_CPU_ALL
 *
 * When it returns 0 each CPU named held at least @n unmovable runs, which that CPU's next @n no-lock
 * requests of that order find without trying a lock, if nobody else takes them. The worker keeps the
 * stock up; a larger @n makes it larger, a smaller one changes nothing.
 *
 * Context: thread.  Waits: sleeps.  Syscalls: madvise, membarrier.  Locks: takes the locks of the
 * zone.
 * Return: 0; -ENOMEM; -EINVAL for an order above NST_ORDER_NOLOCK_MAX, a CPU that is not possible or an
 * @n out of range.
 */
NST_API int nst_pages_stock(unsigned int order, size_t n, int cpus);

#if !defined(NST_NO_MACROS)
#define nst_pages_alloc(order, mode) (NST_CALLER, (nst_pages_alloc)(order, NST_MODE_REFUSE(mode)))
#endif

#ifdef __cplusplus
}
#endif
#endif
