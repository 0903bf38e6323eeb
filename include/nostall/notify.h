/* SPDX-License-Identifier: MIT */
/*
 * notify.h - who is told: of changes of a mapping, before and after; and when nothing else gives memory.
 *
 * A notifier has a range of addresses, and is told of changes that overlap it, and of no others:
 *
 *	nst_notify_begin()		begin of each: drop what you have of it, and take nothing new
 *	... the change ...
 *	nst_notify_invalidate()		invalidate of each, which never waits: what you kept is no longer true
 *	nst_notify_end()		end of each whose begin was called: you may take it again
 *
 * begin may wait, unless it is told not to. Then it may say "not now" (-EAGAIN): the ends of those that had begun run,
 * nothing is half done, and the change does not take place.
 *
 * An out-of-memory notifier is called last, when a request that may reclaim found nothing and shrinkers freed nothing. It
 * may say "not now", too, and is asked again NST_OOM_ATTEMPTS times, NST_OOM_INTERVAL_MS apart; then it is passed over.
 */
#ifndef NOSTALL_NOTIFY_H
#define NOSTALL_NOTIFY_H

#include <nostall/alloc.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What begin of a notifier, or an out-of-memory notifier, may do. */
enum nst_notifier_flags {
	NST_NOTIFIER_IO = 1 << 0,     /* input and output: not under NST_NOIO, nor in its scope */
	NST_NOTIFIER_CLIENT = 1 << 1, /* takes locks of clients: not under NST_NOCLIENT */
	NST_NOTIFIER_BLOCKS = 1 << 2, /* may wait, and knows no other way */
};

/* ---- of changes ---- */

#define NST_NR_NOTIFIERS 256u /* at a time */

/* Flags of a change. */
enum nst_notify_flags {
	NST_NOTIFY_BLOCKABLE = 1 << 0, /* begin may wait, and may not say "not now" */
};

/** struct nst_notify_range - one change, from begin to end: the caller's, written by the library */
struct nst_notify_range {
	const void *space; /* whose addresses these are; NULL: this process's */
	uintptr_t start;
	size_t length;	/* bytes */
	uint32_t flags; /* enum nst_notify_flags, as they are in force */
	uint32_t state; /* the library's, as what follows */
	uint64_t number;
	uint64_t told[NST_NR_NOTIFIERS / 64];
};

struct nst_notifier;

/** struct nst_notifier_ops - what is called; begin and end, or invalidate, or all three */
struct nst_notifier_ops {
	/*
	 * A change is about to come: 0; or -EAGAIN, and nothing was done, where @range does not have NST_NOTIFY_BLOCKABLE.
	 * Without it, it runs in a scope NST_SCOPE_NOLOCK, else in one of NST_SCOPE_NORECLAIM.
	 */
	int (*begin)(void *arg, const struct nst_notify_range *range);
	/* It has come, or will not. In the same scope. */
	void (*end)(void *arg, const struct nst_notify_range *range);
	/* Never waits: it may run in a signal handler, in a scope NST_SCOPE_NOLOCK. */
	void (*invalidate)(void *arg, const struct nst_notify_range *range);
};

/**
 * nst_notifier_register() - be told of changes of a range
 * @space: whose addresses these are: any pointer that both sides know, for a pager of other processes, say; NULL: this
 *	   process's own
 * @start: first address
 * @length: bytes, 1 and up
 * @ops: the functions; constant while it is registered
 * @flags: enum nst_notifier_flags, of its begin
 * @arg: handed to each
 *
 * Told is who was registered before the change began; of changes that are under way it does not hear. Its functions run on
 * the threads that make changes, several at a time if there are several changes. In them requests get NULL where they would
 * reclaim. They may make changes themselves. errno is kept.
 *
 * Context: thread.  Waits: sleeps.  Syscalls: none.  Locks: none.
 * Return: the notifier, the caller's until nst_notifier_unregister(); NULL when there are NST_NR_NOTIFIERS; NULL and one
 *	   line without functions, with one of begin and end, an empty range or unknown flags. It takes no memory.
 * Source: Linux, mm/mmu_notifier.c.
 */
NST_API struct nst_notifier *nst_notifier_register(const void *space, uintptr_t start,
						   size_t length,
						   const struct nst_notifier_ops *ops,
						   uint32_t flags, void *arg);

/**
 * nst_notifier_unregister() - it is told no more
 * @n: from nst_notifier_register()
 *
 * When it returns 0 none of its functions runs, and none will. The end of a change whose begin it has seen does not come
 * any more.
 *
 * Context: thread, not in a function of @n.  Waits: sleeps, while one runs.  Syscalls: futex.  Locks: none.
 * Return: 0; -EDEADLK from within its own functions; -EINVAL if it is none.
 */
NST_API int nst_notifier_unregister(struct nst_notifier *n);

/**
 * nst_notify_begin() - a range is about to change: tell those that it concerns
 * @range: of the caller, until nst_notify_end(); need not be initialised
 * @space: whose addresses these are, as they were registered
 * @start: first address
 * @length: bytes, 1 and up
 * @flags: NST_NOTIFY_BLOCKABLE: those that are told may wait; 0: they may not. In a scope NST_SCOPE_NOLOCK, as in a begin
 *	   that may not wait, they never may
 *
 * If one refuses, or is tagged with what is excluded here (NST_NOTIFIER_BLOCKS where nobody may wait, NST_NOTIFIER_IO in a
 * scope NST_SCOPE_NOIO ...; it is not called then), the ends of those that have begun run, and there is no change. A blockable
 * one may not refuse: that is one line, and it counts as begun.
 *
 * Context: any; thread if it is blockable.  Waits: sleeps, as those that are told do; never where they may not.
 * Syscalls: none.  Locks: none.
 * Return: 0, and nst_notify_end() is to be called; -EAGAIN: not now, and all is as it was (never where it is blockable
 *	   and no scope excludes anything); -EINVAL and one line for an empty range or unknown flags.
 */
NST_API int nst_notify_begin(struct nst_notify_range *range, const void *space, uintptr_t start,
			     size_t length, uint32_t flags);

/**
 * nst_notify_end() - the range has changed: tell those whose begin was called
 * @range: from nst_notify_begin(), which returned 0; on any thread. Any other gives one line
 *
 * Context: any; thread if it is blockable.  Waits: sleeps, as those that are told do; never where they may not.
 * Syscalls: none.  Locks: none.
 */
NST_API void nst_notify_end(struct nst_notify_range *range);

/**
 * nst_notify_invalidate() - what anybody kept of a range is no longer true
 * @space: whose addresses these are, as they were registered
 * @start: first address
 * @length: bytes, 1 and up; nothing happens for 0
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 */
NST_API void nst_notify_invalidate(const void *space, uintptr_t start, size_t length);

/* ---- out of memory ---- */

#define NST_NR_OOM_NOTIFIERS 64u /* at a time */
#define NST_OOM_AGAIN SIZE_MAX
#define NST_OOM_ATTEMPTS 10u
#define NST_OOM_INTERVAL_MS 100u

struct nst_oom_notifier;

/** struct nst_oom - what an out-of-memory notifier is told */
struct nst_oom {
	uint32_t flags; /* NST_NOTIFY_BLOCKABLE: it may wait */
	uint32_t
		attempts_left; /* how often it can still say NST_OOM_AGAIN; 0: then it is passed over */
};

/**
 * nst_oom_register() - somebody who gives memory back when all else fails
 * @fn: gives back what it can: how many bytes; 0: it has none; NST_OOM_AGAIN: not now
 * @flags: enum nst_notifier_flags, of @fn
 * @arg: handed to it
 *
 * Called when a request of NST_NORMAL has found nothing and shrinkers freed nothing, before it gets NULL; for NST_NOFAIL in
 * each such round; not at the limit of an account. Never two at a time. Without NST_NOTIFIER_BLOCKS it runs on the thread of the request, which must not
 * wait; with it, on a thread of the library's, the reaper, for which the request waits a moment (with worker:off, in
 * nst_maintain()). In a scope NST_SCOPE_NORECLAIM, and those of the request, and in no account: who must allocate in order to free takes a
 * ticket (nst_reserve_enter()) with a mode that may not sleep. errno is kept.
 *
 * Nobody keeps the others from being called: who says NST_OOM_AGAIN is asked again after NST_OOM_INTERVAL_MS, the others
 * meanwhile; after NST_OOM_ATTEMPTS it is passed over: asked once in a while, and waited for no more. While the reaper is in
 * one for longer than the interval, another reaper calls the rest (at most 8 that never return); after
 * NST_OOM_ATTEMPTS intervals it is passed over as well.
 *
 * Context: thread.  Waits: sleeps.  Syscalls: clone3 for the first that may block.  Locks: none.
 * Return: the notifier, the caller's until nst_oom_unregister(); NULL when there are NST_NR_OOM_NOTIFIERS; NULL and one
 *	   line without a function or with unknown flags. It takes no memory.
 * Source: Linux, mm/oom_kill.c (the reaper's attempts), register_oom_notifier().
 */
NST_API struct nst_oom_notifier *
nst_oom_register(size_t (*fn)(void *arg, const struct nst_oom *oom), uint32_t flags, void *arg);

/**
 * nst_oom_unregister() - it is asked no more
 * @n: from nst_oom_register()
 *
 * When it returns 0 its function does not run.
 *
 * Context: thread, not in its function.  Waits: sleeps, while it runs.  Syscalls: futex.  Locks: none.
 * Return: 0; -EDEADLK from within its function; -EINVAL if it is none.
 */
NST_API int nst_oom_unregister(struct nst_oom_notifier *n);

/** struct nst_notify_stats - how often who was told */
struct nst_notify_stats {
	uint64_t begins;      /* begin of a notifier */
	uint64_t refused;     /* changes that did not take place */
	uint64_t invalidates; /* invalidate of a notifier */
	uint64_t oom_calls;   /* of out-of-memory notifiers */
	uint64_t oom_again;   /* answers "not now" */
	uint64_t oom_passed;  /* times one was passed over */
	uint64_t oom_bytes;   /* freed, as they say */
};

#ifdef __cplusplus
}
#endif
#endif
