/* SPDX-License-Identifier: MIT */
/*
 * torture.h - what the parts of `nostall torture nolock` share.
 *
 *	torture.c	command line, start, watch, verdict
 *	torture_work.c	the threads and the signal handler: operations, forks, migrations
 *	torture_owner.c	the owner map: who holds each 16 bytes of the address space
 */
#ifndef TORTURE_H
#define TORTURE_H

#include <nostall/nostall.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What was done and what was found; each thread has its own, added up at the end. X(name). */
#define TORTURE_COUNTS(X)                                                                          \
	X(operations)	    /* by threads */                                                       \
	X(handlers)	    /* signals handled */                                                  \
	X(handler_requests) /* no-lock requests inside them */                                     \
	X(handler_nulls)                                                                           \
	X(handler_frees)                                                                           \
	X(requests)                                                                                \
	X(nulls)                                                                                   \
	X(frees)                                                                                   \
	X(passed_on) /* objects freed by another thread than allocated them */                     \
	X(migrations)                                                                              \
	X(forks)                                                                                   \
	X(short_threads)                                                                           \
	/* must be 0: */                                                                           \
	X(handed_out_twice) /* an object overlaps one that somebody holds */                       \
	X(overwritten)	    /* its bytes changed while it was held */                              \
	X(misaligned)                                                                              \
	X(wrong_errno) /* a native call changed errno */                                           \
	X(lost)	       /* held by nobody, and not returned to its cache */                         \
	X(fork_failed) /* a child found one of these, or hung */

struct torture_counts {
#define X(name) uint64_t name;
	TORTURE_COUNTS(X)
#undef X
};

struct torture {
	_Atomic int stop, failed;
	long long threads, seconds, seed, rate_hz;
	struct nst_cache *cache; /* beside the caches by size */
	_Atomic uint64_t live;	 /* objects held, in all tables */
};

extern struct torture torture;

/* torture_owner.c. All of them may be called in the signal handler. */
int owner_start(void);
/* Claims each 16 bytes of the object; 0 when one of them is held already. */
int owner_claim(const void *p, size_t bytes);
void owner_release(const void *p, size_t bytes);

/* torture_work.c */
struct torture_thread;
struct torture_thread *torture_thread_start(uint64_t seed);
/* Operations so far: a thread whose number stands still hangs. */
uint64_t torture_thread_progress(const struct torture_thread *t);
/* Waits for the thread, frees what it held, adds its counts to @sum. */
void torture_thread_end(struct torture_thread *t, struct torture_counts *sum);
/* A thread of a few hundred operations; what it allocates, others free. */
int torture_short_thread(uint64_t seed, struct torture_counts *sum);
/* Frees what threads have passed on and nobody took. */
void torture_passed_on_end(struct torture_counts *sum);
int torture_handler_set(void);

#endif
