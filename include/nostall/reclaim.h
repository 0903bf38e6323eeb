/* SPDX-License-Identifier: MIT */
/*
 * reclaim.h - when memory is short: shrinkers, who can give some back, debts, and reserves with tickets, for those who must
 * allocate in order to free.
 *
 * A request of a mode that reclaims, and finds nothing, calls shrinkers in rounds and looks again; what comes free
 * meanwhile is left to it by modes that may not sleep. Below the low watermark a thread of the library's does the same.
 *
 * Who takes without waiting while memory is short owes it, and is held up for it where it may sleep: nst_settle().
 *
 * A reserve is pages of a zone that lie below its min watermark: no mode takes them, only threads that hold one of
 * its tickets. What a ticket took is the reserve's again as soon as it is freed, by whomever.
 */
#ifndef NOSTALL_RECLAIM_H
#define NOSTALL_RECLAIM_H

#include <nostall/pages.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- shrinkers ---- */

#define NST_NR_SHRINKERS 64u /* at a time */
#define NST_SHRINK_STOP SIZE_MAX
#define NST_SHRINK_SEEKS 2u /* what an object costs to make again, where nothing better is known */

struct nst_shrinker;

/* What a shrinker's functions may do; a request with the modifier or in the scope does not call it. */
enum nst_shrinker_flags {
	NST_SHRINKER_IO = 1 << 0,     /* input and output: not under NST_NOIO */
	NST_SHRINKER_CLIENT = 1 << 1, /* takes locks of clients: not under NST_NOCLIENT */
};

/**
 * nst_shrinker_register() - somebody who can give memory back
 * @count: how many objects could be freed now; 0: none. Called often: an estimate that takes no lock is best
 * @scan: free about @nr objects, at most 128 at a time: how many were, or NST_SHRINK_STOP: no more can be now
 * @ctx: handed to both
 * @seeks: what it costs to make an object again, with NST_SHRINK_SEEKS the usual; one of twice as much is asked for
 *	   half as many; 0: nothing, half of all are asked for in each round
 * @flags: enum nst_shrinker_flags
 *
 * Of the objects counted a part is asked for, larger in each round that did not help; what could not be freed is
 * asked for again. Both functions run on the thread of a request, or the library's own, never two at a time; in a scope
 * that does not reclaim (NST_SCOPE_NORECLAIM, and those of the request): their own requests get NULL where they would
 * reclaim; and in no account, since the request's may be at its max. Who must allocate in order to free takes a ticket
 * (nst_reserve_enter()) with a mode that may not sleep. They may free in any way, by grace periods too, but not wait for
 * one: the thread may be in a section. errno is kept. A lock they take is held across fork() by who forks, as any that a
 * thread beside may hold: the library's thread may be in them.
 *
 * Context: thread.  Waits: sleeps.  Syscalls: clone3 for the first.  Locks: none.
 * Return: the shrinker, the caller's until nst_shrinker_unregister(); NULL when there are NST_NR_SHRINKERS; NULL and
 *	   one line without functions or with unknown flags.
 * Source: Linux, mm/shrinker.c (pressure by cost, work put off).
 */
NST_API struct nst_shrinker *nst_shrinker_register(size_t (*count)(void *ctx),
						   size_t (*scan)(void *ctx, size_t nr), void *ctx,
						   unsigned int seeks, uint32_t flags);

/**
 * nst_shrinker_unregister() - it is asked no more
 * @s: from nst_shrinker_register()
 *
 * When it returns 0 neither function runs.
 *
 * Context: thread, not in a function of @s.  Waits: sleeps, while one runs.  Syscalls: futex.  Locks: none.
 * Return: 0; -EDEADLK from within its own functions; -EINVAL if it is none.
 */
NST_API int nst_shrinker_unregister(struct nst_shrinker *s);

/* ---- debt ---- */

/**
 * nst_settle() - make up for what this thread had without waiting while memory was short
 *
 * What requests of modes that do not sleep bring from beyond their CPU's own lists, while free pages are below the low
 * watermark, their thread owes: nothing of it is refused or waited for there. Of more than 128 KiB, so much is made ready or
 * reclaimed first by the thread's next request that sleeps and leaves its fast path; what then is still owed NST_NORMAL
 * sleeps off, 10 ms at most each. A thread that seldom makes such a request, or would rather not be held up by one, calls
 * this where it has time: once a frame, a packet, a round of its loop. It sleeps for the square of what is left: 60 ms for
 * 512 KiB, 2 s at most. Where memory is not short any more nothing is owed.
 *
 * Not owed is what goes to retiring, and what is had with a ticket. Nobody is held up in a free, in a scope, in a read
 * section (of ours, or of a domain that says so: a thread of qsbr while it is online), with a ticket, nor while libc ends
 * the thread. debt:off: nobody owes anything.
 *
 * Context: thread; in a scope, a section, with a ticket, in a function of nst_call_rcu() or in a handler that interrupted
 * one that pays: one line, and 0.  Waits: sleeps.  Syscalls: madvise, membarrier, futex, clock_gettime.  Locks: takes grow
 * and zone; those of a pass.
 * Return: how long it slept, in microseconds; 0: not at all.
 * Source: Linux, mm/memcontrol.c (memory.high: the penalty is slept where the task returns to user mode).
 */
NST_API uint64_t nst_settle(void);

/* ---- reserves ---- */

#define NST_NR_RESERVES 15u /* at a time */

struct nst_reserve;

/**
 * nst_reserve_create() - pages for a limited number of holders at a time
 * @bytes: at least a page of 4096 for each holder; rounded up to pages
 * @holders: tickets, 1 to 65536: so many threads at a time
 *
 * The pages are made ready now and lie in the zone of this thread's NUMA node, whose watermarks rise by as much. Never
 * are more of them in use than @bytes, whatever holders do. *The guarantee*: while each holder has no more than
 * @bytes / @holders at a time, in pages of order 0, none of them gets NULL, however little is free, whoever else takes
 * what there is and however much waits for grace periods. It does not go for a holder in an account at its max, nor for
 * a child of fork() that had to abandon its zone's lists (nst_stats.abandoned_after_fork), until that has grown. Runs of a larger order come from it where its zone has a free run as large. Objects come from
 * it by a slab, of which other threads may take what the holder frees: who needs so many objects for certain prefills
 * them or has a pool (nostall/reserve.h).
 *
 * Context: thread.  Waits: sleeps.  Syscalls: madvise.  Locks: takes zone and grow.
 * Return: the reserve, the caller's until nst_reserve_destroy(); NULL when there is no memory or there are
 *	   NST_NR_RESERVES already; NULL and one line when an argument is out of range.
 */
NST_API struct nst_reserve *nst_reserve_create(size_t bytes, unsigned int holders);

/**
 * nst_reserve_destroy() - pages and watermarks are as they were before
 * @r: from nst_reserve_create()
 *
 * What holders left in use goes to the zone when it is freed.
 *
 * Context: thread.  Waits: short lock.  Syscalls: none or few.  Locks: takes zone.
 * Return: 0; -EBUSY while a ticket is out or somebody waits for one; -EINVAL if it is none.
 */
NST_API int nst_reserve_destroy(struct nst_reserve *r);

/**
 * nst_reserve_enter() - take a ticket: until the matching exit this thread's requests may use the reserve
 * @r: the reserve
 * @mode: what the caller can endure: a mode that may sleep waits until one is free, first come, first served; all others
 *	  are refused at once
 *
 * Every request of the thread that waits for locks is then as with NST_MEMALLOC: where all else fails, the zone's
 * growth and what is parked on other CPUs included, its page comes from the reserve. Not so NST_NOLOCK, NST_FASTTRY
 * and what has NST_NOMEMALLOC. The thread is taken for one that frees: its requests call no shrinker. Entering nests, in
 * a handler too, and takes one ticket. A thread that ends with a ticket is reported, with one line, and it is given back;
 * but not if it was taken by a mode that does not sleep, or as libc ends the thread already: then it is out for ever.
 *
 * Context: as the mode says; any for NST_NOLOCK.  Waits: as the mode says.  Syscalls: futex, to wait.  Locks: none.
 * Return: 0; -EBUSY: no ticket now; -EDEADLK: this thread has one of another reserve; -EINVAL if @r is none.
 */
NST_API int nst_reserve_enter(struct nst_reserve *r, nst_mode_t mode);

/**
 * nst_reserve_exit() - give the ticket back
 * @r: entered by this thread; another gives one line
 *
 * Context: as the mode says.  Waits: never.  Syscalls: futex if somebody waits; none if it was entered by a mode that
 * never waits: then a thread that waits sees it within a millisecond.  Locks: none.
 */
NST_API void nst_reserve_exit(struct nst_reserve *r);

/** struct nst_reserve_stats - of one reserve */
struct nst_reserve_stats {
	uint64_t bytes;	    /* when all of it is there */
	uint64_t used;	    /* of those, in use; never more */
	uint64_t used_most; /* at any time */
	uint64_t holders;   /* tickets */
	uint64_t out;	    /* of those, held */
	uint64_t waits;	    /* enters that waited */
	uint64_t refused;   /* enters that were refused */
	uint64_t short_of;  /* requests of a holder that found too little in it */
};

/**
 * nst_reserve_read() - how a reserve stands
 * @r: the reserve
 * @out: where to write
 * @bytes: sizeof(*out); newer fields of a newer library are left out
 *
 * Context: thread.  Waits: short lock.  Syscalls: none or few.  Locks: takes zone.
 * Return: 0; -EINVAL if it is none.
 */
NST_API int nst_reserve_read(struct nst_reserve *r, struct nst_reserve_stats *out, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
