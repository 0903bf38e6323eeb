/* SPDX-License-Identifier: MIT */
/*
 * profiler.h - what the parts of the signal profiler share.
 *
 *	signal_profiler.c   start, the signal handler, the stack walk, the end
 *	profiler_tree.c     the call tree: grown in the handler, with nst_alloc_nolock()
 *	profiler_thread.c   one clock aimed at each thread; new threads are followed
 *	profiler_libc.c     the few libc names it must stand before
 *	profiler_write.c    the tree, the maps and the summary into one file a process
 *
 * Two kinds of code meet here. *Handler* functions run inside the signal handler, at any
 * instruction of the program: they wait for nothing, and what they share with the rest is atomic.
 * *Thread* functions run where libc may be called.
 */
#ifndef PROFILER_H
#define PROFILER_H

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The clock's signal. Its default action is to be ignored: one that is still pending when the
 * program calls exec, or arrives in a process that has no handler, harms nobody.
 */
#define PROFILER_SIGNAL SIGURG
#define PROFILER_DEPTH 192 /* frames kept of one stack, innermost first */

/*
 * Where the samples went. A sample is one period of CPU time of one thread; one signal may stand for
 * several (profiler_thread.c). taken + dropped = due, but for what is left of the last period of each
 * thread. X(name).
 */
#define PROFILER_COUNTERS(X)                                                                       \
	X(due)		     /* periods of CPU time that the threads used */                       \
	X(taken)	     /* of those, in the tree */                                           \
	X(dropped_no_memory) /* the tree could not grow: a no-lock request got NULL */             \
	X(dropped_nested)    /* signals: the handler was interrupted by itself; must read 0 */     \
	X(dropped_untracked) /* signals: the thread's clock was being set up or taken down */      \
	X(signals)	     /* handlers that took a sample */                                     \
	X(idle)		     /* handlers that found the thread had hardly run */                   \
	X(cut_deep)	     /* signals with more frames than are kept */                          \
	X(cut_leaf)	     /* signals where nothing above the interrupted function was read */   \
	X(threads)	     /* threads that had a clock */                                        \
	X(threads_failed)    /* threads that could not be given one */                             \
	X(nodes)	     /* in the tree */                                                     \
	X(faults)	     /* page faults of the handlers while they allocated and filled one */

struct profiler_counters {
#define X(name) _Atomic uint64_t name;
	PROFILER_COUNTERS(X)
#undef X
};

/* One node of the tree: a code address, reached through its parent. */
struct profiler_node {
	struct profiler_node *next; /* of its hash chain; set before it is published */
	struct profiler_node *parent;
	uintptr_t pc;
	_Atomic uint64_t samples; /* of which this was the innermost frame */
};

/* Set once by the constructor, before the first clock runs; read by handlers. */
struct profiler {
	_Atomic int on;	   /* 1 while handlers take samples */
	_Atomic pid_t pid; /* whose tree this is: a vfork child sees the parent's */
	int with_malloc;   /* malloc:1, the wrong way, to show what it does */
	int clock;	   /* enum profiler_clock; the best that worked so far */
	uint64_t period_ns;
	uint64_t stock;	  /* nodes put on each CPU ahead */
	uint64_t stocked; /* nodes put ahead in all */
	char dir[256];	  /* where the file of this process goes */
	struct profiler_counters n;
};

enum profiler_clock { PROFILER_CLOCK_PERF, PROFILER_CLOCK_PERF_USER, PROFILER_CLOCK_TIMER };

extern struct profiler profiler;

/* signal_profiler.c */
int profiler_walk_ready(void);
void profiler_finish(void);

/* profiler_tree.c; add is a handler function */
int profiler_tree_add(const uintptr_t *frames, int nr, unsigned int samples);
void profiler_tree_forget(void);
struct profiler_node *profiler_tree_chain(size_t i);
size_t profiler_tree_chains(void);

/* profiler_thread.c; tick is a handler function */
int profiler_threads_start(void);
unsigned int profiler_tick_periods(void);
void profiler_threads_stop(void);
void profiler_thread_follow(void);

/* profiler_write.c */
void profiler_write(void);

/* profiler_libc.c: libc's own functions behind the names we stand before. X(name) */
#define PROFILER_LIBC(X)                                                                           \
	X(pthread_create)                                                                          \
	X(pthread_sigmask)                                                                         \
	X(sigprocmask)                                                                             \
	X(sigaction)                                                                               \
	X(signal)                                                                                  \
	X(_exit)                                                                                   \
	X(execve)                                                                                  \
	X(execv)                                                                                   \
	X(execvp)

#define X(name) PROFILER_##name,
enum profiler_libc_name { PROFILER_LIBC(X) PROFILER_NR_LIBC };
#undef X

void profiler_libc_start(void);
void *profiler_next(enum profiler_libc_name which);

#endif
