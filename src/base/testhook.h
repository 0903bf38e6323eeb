/* SPDX-License-Identifier: MIT */
/*
 * testhook.h - where tests reach into the library. Empty without NST_TEST.
 *
 * The test build (-DNST_TEST, and -DNST_BUSTED=n for the broken variants) calls out of every
 * lock-held region, delays at every instruction of the sequences, and fails what it is told to fail.
 * Nothing here exists in the library that is installed.
 */
#ifndef NST_BASE_TESTHOOK_H
#define NST_BASE_TESTHOOK_H

#include <stdint.h>
#include "atomic.h"

/* Sequences, and the points in them where a delay can be injected (0: just armed). */
enum nst_seq {
	NST_SEQ_POP,
	NST_SEQ_PUSH,
	NST_SEQ_POPN,
	NST_SEQ_PUSHN,
	NST_NR_STACK_SEQS,
	NST_SEQ_RETIRE = NST_NR_STACK_SEQS, /* of rings */
	NST_SEQ_RETIREN,
	NST_SEQ_ADVANCE,
	NST_NR_SEQS
};
/* Those of read sections and of numbers are behind the stacks': who tries all those of stacks does not meet them. */
enum nst_read_seq {
	NST_SEQ_IN = NST_NR_SEQS,
	NST_SEQ_OUT,
	NST_SEQ_DEBIT,
	NST_SEQ_CREDIT,
	/* Those of reserves are no sequences. */
	NST_SEQ_PREFILLED,
	NST_SEQ_POOL,
	NST_SEQ_HAND, /* lists that go from hand to hand: ripe.c, calls.c */
	NST_SEQ_MOVE, /* nor are those of moving runs */
	NST_NR_ALL_SEQS
};
#define NST_SEQ_POINTS 8

/* What can be made to fail. */
enum nst_fail {
	NST_FAIL_RESERVE,    /* reserving address space */
	NST_FAIL_RELEASE,    /* giving address space back */
	NST_FAIL_COMMIT,     /* making address space writable */
	NST_FAIL_POPULATE,   /* making pages resident */
	NST_FAIL_PURGE,	     /* giving pages back */
	NST_FAIL_META,	     /* the library's own metadata */
	NST_FAIL_MEMBARRIER, /* fencing a CPU */
	NST_FAIL_THREAD,     /* creating the worker */
	NST_FAIL_TRYLOCK,    /* any try of a lock */
	NST_FAIL_MOVE,	     /* having pages moved */
	NST_FAIL_BARRIER,    /* a barrier on all CPUs */
	NST_FAIL_PAGE,	     /* having a page of a zone's lists */
	NST_FAIL_WAKE,	     /* waking who sleeps */
	NST_NR_FAILS
};

#ifdef NST_TEST
/* Called inside each lock-held region, with an enum nst_lock_class; NULL when not armed. */
extern void (*nst_test_held)(int lock_class);
/* Loops to spin at a point of a sequence; 0 is none. */
extern uint32_t nst_test_delay[NST_NR_ALL_SEQS][NST_SEQ_POINTS];
/* Times that a thread came to a delay that is no sequence's. */
extern uint64_t nst_test_delayed;
/* Restarts seen, by sequence. */
extern uint64_t nst_test_restarts[NST_NR_ALL_SEQS];
/* 0: never; n: fail the n-th from now; negative: fail every one until set again. */
extern long nst_test_fail[NST_NR_FAILS];
/* 1: with the n-th fail all that come after it. */
extern int nst_test_fail_on;
/* Called before each of them is done, with a lock before it is tried; NULL when not armed. */
extern void (*nst_test_before)(enum nst_fail what);
/* Locks of each class that this thread holds right now (for handlers that ask where they hit). */
extern __thread unsigned int nst_test_holding[8] __attribute__((tls_model("initial-exec")));
/* 1 while this thread is in a stripe of the none form. */
extern __thread unsigned int nst_test_in_stripe __attribute__((tls_model("initial-exec")));

int nst_test_should_fail(enum nst_fail what);
/* Before the paths of the kernel's files: a tree that tests make. */
extern const char *nst_test_root;
#define NST_TEST_ROOT nst_test_root
/* What the clock says, unless 0. */
extern uint64_t nst_test_now_ns;
static inline uint64_t nst_test_now(uint64_t now)
{
	return nst_test_now_ns ? nst_test_now_ns : now;
}
/* Called in place of the sleeps of who pays a debt; NULL: they are slept. */
extern void (*nst_test_nap)(uint64_t us);
/* 1: done. */
static inline int nst_test_naps(uint64_t us)
{
	if (!nst_test_nap)
		return 0;
	nst_test_nap(us);
	return 1;
}
/* The same delay in what is no sequence; it ends when there is to be none any more. */
static inline void nst_test_delay_here(int seq, int point)
{
	uint32_t loops = nst_load_relaxed(&nst_test_delay[seq][point]); /* another thread sets it */

	if (loops)
		nst_add_relaxed(&nst_test_delayed, 1);
	while (loops-- && nst_load_relaxed(&nst_test_delay[seq][point])) /* as above */
		__asm__ volatile("");
}
static inline void nst_test_hold_point(int lock_class)
{
	void (*held)(int lock_class) = nst_load_relaxed(&nst_test_held); /* as above */

	if (held)
		held(lock_class);
}
#else
#define NST_TEST_ROOT ""
static inline void nst_test_delay_here(int seq, int point)
{
	(void)seq;
	(void)point;
}
static inline uint64_t nst_test_now(uint64_t now)
{
	return now;
}
static inline int nst_test_naps(uint64_t us)
{
	(void)us;
	return 0;
}
static inline int nst_test_should_fail(enum nst_fail what)
{
	(void)what;
	return 0;
}
static inline void nst_test_hold_point(int lock_class)
{
	(void)lock_class;
}
#endif
#endif
