/* SPDX-License-Identifier: MIT */
/*
 * speculate.h - walk a shared structure without its lock, allocate on the way, and fall back to the lock.
 *
 *	struct nst_speculation s;
 *
 *	nst_speculate_init(&s, &site);
 *	do {
 *		nst_speculate_begin(&s);			a read section
 *		nst_speculate_end(&s, attempt(&s));		attempt() asks nst_speculate_alloc()
 *	} while (nst_speculate_again(&s));			pays, here, where it may sleep
 *	if (nst_speculate_locked(&s)) {
 *		... take your lock; do it with NST_NORMAL, or what was paid for; let go ...
 *	}
 *	nst_speculate_finish(&s);
 *
 * A request inside the section never sleeps, reclaims or touches a reserve: it is served from what is there, or
 * NULL. Who got NULL leaves and pays: with NST_NORMAL it gets, outside, what it asked for, which the next attempt
 * finds put aside. So nobody lives off what others reclaim, and each attempt gets further than the last.
 *
 * Fork: the child's copy goes on as the parent's does. Signal: a handler may speculate, with a struct of its own: it
 * begins, asks, ends, and leaves it at that. No call here touches errno.
 */
#ifndef NOSTALL_SPECULATE_H
#define NOSTALL_SPECULATE_H

#include <nostall/alloc.h>
#include <nostall/rcu.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How a request inside a speculation is made. */
#define NST_SPECULATE_MODE ((nst_mode_t)(NST_NOLOCK | NST_NOMEMALLOC | NST_NOWARN))

/* What to do where memory is not to be had at once; all are billed. */
enum nst_speculate_policy {
	NST_SPECULATE_RETRY, /* leave, pay, try again without the lock */
	NST_SPECULATE_LEAVE, /* leave, pay, take the lock */
	NST_SPECULATE_MISSING, /* what must be allocated is not asked for: as soon as it is missing the lock */
	NST_NR_SPECULATE_POLICIES
};

/* How an attempt went, as who made it says. */
enum nst_speculate_outcome {
	NST_SPECULATE_DONE,    /* it held */
	NST_SPECULATE_CHANGED, /* what was looked up changed underneath: once more */
	NST_SPECULATE_NULL,    /* a request got NULL: by policy */
	NST_SPECULATE_GIVE_UP, /* this takes the lock */
	NST_NR_SPECULATE_OUTCOMES
};

#define NST_SPECULATE_ROUNDS                                                                       \
	4u /* attempts before the lock is taken, unless the site says another number */
#define NST_SPECULATE_ASIDE 4u /* objects that may be put aside */
#define NST_SPECULATE_LINES 8u

/* What is counted: X(name, what). Of the first four each attempt is one. */
#define NST_SPECULATE_TABLE(X)                                                                     \
	X(success, "attempts that held")                                                           \
	X(abort, "attempts after which the lock was taken")                                        \
	X(retry, "attempts that got NULL, paid and went round")                                    \
	X(miss, "attempts that found it changed, and went round")                                  \
	X(nulls, "requests that got NULL")                                                         \
	X(paid, "objects paid for outside")

#define NST_SPECULATE_INDEX(name, ...) NST_SPECULATE_COUNT_##name,
enum nst_speculate_count { NST_SPECULATE_TABLE(NST_SPECULATE_INDEX) NST_NR_SPECULATE_COUNTS };
#undef NST_SPECULATE_INDEX

#define NST_SPECULATE_FIELD(name, ...) uint64_t name;
/** struct nst_speculate_stats - the counts of a site, or of all (nst_stats_read()) */
struct nst_speculate_stats {
	NST_SPECULATE_TABLE(NST_SPECULATE_FIELD)
};
#undef NST_SPECULATE_FIELD

/** struct nst_speculate_line - counts of some CPUs */
struct nst_speculate_line {
	uint64_t n[8];
} __attribute__((aligned(64)));

/** struct nst_speculate_site - a place that speculates; static, zeroed but for policy and rounds */
struct nst_speculate_site {
	uint32_t policy; /* enum nst_speculate_policy */
	uint32_t rounds; /* attempts before the lock; 0: NST_SPECULATE_ROUNDS */
	struct nst_speculate_line line[NST_SPECULATE_LINES];
};

/** struct nst_speculation - one use of a site, on its thread's stack; the library's own but for reading */
struct nst_speculation {
	struct nst_speculate_site *site;
	nst_rcu_token_t section; /* 0: none is open */
	uint64_t kind;		 /* of the last request: bytes; runs: 2^63 and the order */
	uint32_t asked;		 /* requests of that kind in this attempt */
	uint32_t rounds;	 /* attempts so far */
	uint32_t next;		 /* what follows: again, the lock, nothing */
	uint32_t nr_aside;
	uint64_t aside_kind;
	void *aside[NST_SPECULATE_ASIDE];
};

/* Before its first use, and after nst_speculate_finish() for another. */
static inline void nst_speculate_init(struct nst_speculation *s, struct nst_speculate_site *site)
{
	__builtin_memset(s, 0, sizeof(*s));
	s->site = site;
}

/**
 * nst_speculate_begin() - an attempt: what is reachable from here on stays until it ends
 * @s: of nst_speculate_init(); each thread and handler its own
 *
 * A read section (nst_rcu_read_begin()). Begun twice is misuse: one line, then the end, or (misuse:continue)
 * nothing.
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 */
NST_API void nst_speculate_begin(struct nst_speculation *s) NST_NONBLOCKING;

/**
 * nst_speculate_alloc() - an object now, or nothing
 * @s: inside its section, or after nst_speculate_locked()
 * @size: bytes, 1 to NST_NOLOCK_MAX; any other size gives NULL, and is not paid for
 *
 * What was put aside, else in the section nst_alloc() with NST_SPECULATE_MODE; with the policy NST_SPECULATE_MISSING
 * and after nst_speculate_locked() nothing else. The memory is the caller's; any nst_*free*() takes it, a no-lock one
 * in the section. Outside of both it is misuse: one line, as nst_speculate_begin().
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: tries barn, slab, zone.
 * Return: 16-byte aligned, uninitialised memory; or NULL: end the attempt with NST_SPECULATE_NULL, or, with the
 *	   lock, ask nst_alloc().
 */
NST_API NST_MALLOC_LIKE void *nst_speculate_alloc(struct nst_speculation *s,
						  size_t size) NST_NONBLOCKING;

/**
 * nst_speculate_pages() - a run of pages now, or nothing
 * @s: as nst_speculate_alloc()
 * @order: log2 of the number of pages, 0 to NST_ORDER_NOLOCK_MAX; larger gives NULL, and is not paid for
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: tries zone.
 * Return: memory aligned to its size, resident; or NULL, as nst_speculate_alloc().
 */
NST_API NST_MALLOC_LIKE void *nst_speculate_pages(struct nst_speculation *s,
						  unsigned int order) NST_NONBLOCKING;

/**
 * nst_speculate_end() - the attempt is over, and counted
 * @s: inside its section
 * @outcome: enum nst_speculate_outcome; what is none is misuse, and taken as NST_SPECULATE_GIVE_UP
 *
 * Without a section it is misuse: one line, as nst_speculate_begin().
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 */
NST_API void nst_speculate_end(struct nst_speculation *s, unsigned int outcome) NST_NONBLOCKING;

/**
 * nst_speculate_again() - pay for what was NULL, and say whether to try once more
 * @s: outside of its section; inside it is misuse: one line, as nst_speculate_begin(), and 0
 *
 * Paying is allocating with NST_NORMAL as many objects of that kind as the attempt asked for, at most
 * NST_SPECULATE_ASIDE, which are put aside. A scope counts as everywhere: in NST_SCOPE_NOLOCK it gets what is there.
 *
 * Context: thread.  Waits: sleeps.  Syscalls: madvise, mprotect, futex.  Locks: takes barn, slab, zone, grow.
 * Return: 1: begin again; 0: it held, or nst_speculate_locked().
 */
NST_API int nst_speculate_again(struct nst_speculation *s);

/**
 * nst_speculate_locked() - is the locked path to be taken, from here on?
 * @s: outside of its section; inside it is misuse: one line, as nst_speculate_begin(), and 0
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 * Return: 1: it is, and the caller takes his lock; 0: the speculation held.
 */
NST_API int nst_speculate_locked(struct nst_speculation *s) NST_NONBLOCKING;

/**
 * nst_speculate_finish() - what was paid for and not used goes back
 * @s: outside of its section; inside it is misuse: one line, as nst_speculate_begin()
 *
 * Context: thread.  Waits: short lock.  Syscalls: none or few.  Locks: as nst_free().
 */
NST_API void nst_speculate_finish(struct nst_speculation *s);

/**
 * nst_speculate_read() - what a site has counted
 * @site: a site
 * @out: receives it
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 */
NST_API void nst_speculate_read(const struct nst_speculate_site *site,
				struct nst_speculate_stats *out);

#if defined(NST_CALLERS) && !defined(NST_NO_MACROS)
#define nst_speculate_begin(s) (NST_CALLER, (nst_speculate_begin)(s))
#define nst_speculate_alloc(s, size) (NST_CALLER, (nst_speculate_alloc)(s, size))
#define nst_speculate_pages(s, order) (NST_CALLER, (nst_speculate_pages)(s, order))
#define nst_speculate_end(s, outcome) (NST_CALLER, (nst_speculate_end)(s, outcome))
#define nst_speculate_again(s) (NST_CALLER, (nst_speculate_again)(s))
#define nst_speculate_locked(s) (NST_CALLER, (nst_speculate_locked)(s))
#define nst_speculate_finish(s) (NST_CALLER, (nst_speculate_finish)(s))
#endif

#ifdef __cplusplus
}
#endif
#endif
