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

/* Runs that their owner can move. */

#define NST_NR_MOVERS 64u	 /* at a time */
#define NST_ORDER_MOVABLE_MAX 3u /* 32 KiB: what a mover copies at once */

struct nst_mover;

/* What a mover's function may do, and what protects its runs. */
enum nst_mover_flags {
	NST_MOVER_IO = 1 << 0,	   /* input and output: not under NST_NOIO */
	NST_MOVER_CLIENT = 1 << 1, /* takes locks of clients: not under NST_NOCLIENT */
	NST_MOVER_RCU = 1 << 2,	   /* sections of <nostall/rcu.h> read the runs */
};

/**
 * nst_mover_register() - somebody who can move runs of his
 * @migrate: of @bytes at @from the contents to @to, and all that refers to them, too: 0; or -EAGAIN: not now
 * @ctx: handed to it
 * @flags: enum nst_mover_flags
 *
 * Where blocks are in use for a few runs that can be moved, the library moves these together, so that the kernel has the
 * blocks back. @data is what nst_pages_alloc_movable() was told of the run. The function takes the lock under which
 * its owner changes and frees the run, and looks whether it is still at @from: the owner may have freed it a moment ago,
 * and then the answer is -EAGAIN. After 0 the run is at @to, @from is the library's, and nobody may touch or free it; after
 * anything else @to is. Until the function has returned neither becomes anything else, so that a comparison with @from
 * cannot mislead. With NST_MOVER_RCU it is called in a section, so that what @data points to may be retired as its run is
 * freed, and @from is retired (nst_free_rcu()); without it @data must be sound for as long as the mover is.
 *
 * It runs on a thread of the library's, or of nst_maintain() where the library has none; never in a request, never two
 * of a mover at a time, with no lock held, in a scope that does not reclaim (NST_SCOPE_NORECLAIM) and in no account. It may allocate and
 * free, but not wait for a grace period. errno is kept.
 *
 * Context: thread.  Waits: sleeps.  Syscalls: as the start of the library.  Locks: none.
 * Return: the mover, the caller's until nst_mover_unregister(); NULL when there are NST_NR_MOVERS, or no memory; NULL and one line
 *	   without a function or with unknown flags.
 * Source: Linux, mm/migrate.c and mm/compaction.c (isolate, migrate, put back).
 */
NST_API struct nst_mover *nst_mover_register(int (*migrate)(void *ctx, void *data, void *to,
							    void *from, size_t bytes),
					     void *ctx, uint32_t flags);

/**
 * nst_mover_unregister() - it has no runs any more
 * @m: from nst_mover_register()
 *
 * When it returns 0 its function does not run.
 *
 * Context: thread, not in the function of @m.  Waits: sleeps, while it runs.  Syscalls: futex.  Locks: none.
 * Return: 0; -EBUSY while a run of its is not freed; -EDEADLK from within its own function; -EINVAL if it is none.
 */
NST_API int nst_mover_unregister(struct nst_mover *m);

/**
 * nst_pages_alloc_movable() - a run of pages that its owner can move
 * @m: whose function is called
 * @order: log2 of the number of pages, 0 to NST_ORDER_MOVABLE_MAX; larger gives one line and NULL
 * @mode: one mode and any modifiers; NST_MOVABLE is implied
 * @data: handed to the function, to find who refers to the run
 *
 * It may be moved before this returns: the owner writes down where it is under the lock that the function takes, or
 * the function answers -EAGAIN. Freed and retired by any free, at any time. nst_realloc() makes it an ordinary object.
 *
 * Context: as the mode says.  Waits: as the mode says.  Syscalls: as the mode says.  Locks: as the
 * mode says.
 * Return: memory aligned to its size, resident; or NULL; NULL and one line if @m is no mover.
 */
NST_API NST_MALLOC_LIKE void *nst_pages_alloc_movable(struct nst_mover *m, unsigned int order,
						      nst_mode_t mode, void *data);

#if !defined(NST_NO_MACROS)
#define nst_pages_alloc_movable(m, order, mode, data)                                              \
	(NST_CALLER, (nst_pages_alloc_movable)(m, order, NST_MODE_REFUSE(mode), data))
#define nst_pages_alloc(order, mode) (NST_CALLER, (nst_pages_alloc)(order, NST_MODE_REFUSE(mode)))
#endif

#ifdef __cplusplus
}
#endif
#endif
