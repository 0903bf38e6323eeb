/* SPDX-License-Identifier: MIT */
/*
 * lockdep.h - the user's own locks told to the validator, and its reports.
 *
 *	static struct nst_lockdep_map map = NST_LOCKDEP_MAP("ring", NULL, NST_WAIT_SPIN);
 *
 *	nst_lockdep_acquire(&map, 0);		before the lock is waited for
 *	ring_lock(r);
 *	...
 *	nst_lockdep_release(&map);		before it is let go
 *	ring_unlock(r);
 *
 * Off until the option check:on (or check:possible) of NOSTALL_CONF, or nst_lockdep_start(): then each annotation
 * is a load and a compare. With NST_NO_LOCKDEP defined they compile to nothing. What is reported, and how to read
 * it: docs/lockdep.md. The rules of order are those of Linux's lockdep (classes, chains, strong cycles of readers).
 *
 * Fork: the child goes on with what was seen. Signal: annotations are legal in handlers. Exit: a thread that goes
 * with locks held is reported. No call here touches errno or allocates from this library.
 */
#ifndef NOSTALL_LOCKDEP_H
#define NOSTALL_LOCKDEP_H

#include <nostall/alloc.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What taking a lock may do, least first. Held, a lock forbids what is above it. */
enum nst_wait_type {
	NST_WAIT_NONE,	 /* not said: nothing is checked */
	NST_WAIT_FREE,	 /* waits for nothing */
	NST_WAIT_SPIN,	 /* spins: who holds it may not sleep, on a real-time system either */
	NST_WAIT_CONFIG, /* spins here, sleeps (priority-inheriting) there */
	NST_WAIT_SLEEP	 /* sleeps: mutexes, semaphores */
};

/* How a lock is taken, in one word; with NST_LD_NESTED(1) to (7) if one of its class is held already. */
enum nst_lockdep_how {
	NST_LD_READ = 1 << 0, /* shared with other readers */
	NST_LD_RECURSIVE =
		1
		<< 1, /* a reader whom no waiting writer holds up; a lock its owner may take again */
	NST_LD_TRY = 1 << 2,  /* it was tried, and had: nobody waited */
	NST_LD_TIMED = 1 << 3 /* the wait ends by itself */
};
#define NST_LD_NESTED(subclass) ((uint32_t)(subclass) << 8)
#define NST_LD_SUBCLASSES 8u

/* What is asserted of a lock by this thread. */
enum nst_lockdep_held { NST_LD_HELD, NST_LD_NOT_HELD, NST_LD_HELD_READ, NST_LD_HELD_WRITE };

/** struct nst_lockdep_key - a class of locks: its address is what counts */
struct nst_lockdep_key {
	uint8_t subclass[8];
};

/** struct nst_lockdep_map - one lock; it lives beside it */
struct nst_lockdep_map {
	uint64_t word;	  /* of its class and types, once they are known; 0: they are not */
	const void *key;  /* NULL: it is a class of its own */
	const char *name; /* copied when it is first taken */
	uint8_t outer;	  /* enum nst_wait_type: what taking it does */
	uint8_t inner; /* what may be done while it is held; above @outer and NST_LD_OVERRIDE: a limit lifted */
	uint8_t subclass;
	uint8_t flags;
	uint32_t seen;	      /* it was taken since the validator was started for that time */
	uint16_t class_of[8]; /* numbers of its classes, once known */
	const void *site;     /* who initialised it; NULL: nobody, it is static */
};
#define NST_LD_OVERRIDE 1u   /* of flags: held, @inner is the limit, whatever is held around it */
#define NST_LD_NOVALIDATE 2u /* of flags: no order, and no other lock of its class, is looked at */
#define NST_LD_FRESH 4u	     /* of flags: nst_lockdep_fresh_begin() */
#define NST_LD_RECURSES 32u  /* of flags: its owner may take it again */

/* Below 0: @a is taken before @b. Called in handlers, too. */
typedef int (*nst_lockdep_compare_t)(const struct nst_lockdep_map *a,
				     const struct nst_lockdep_map *b);

/* A static one. @key_: a struct nst_lockdep_key *, or NULL. */
#define NST_LOCKDEP_MAP(name_, key_, type_)                                                        \
	{                                                                                          \
		0, (key_), (name_), (type_), (type_), 0, 0, 0, {0, 0, 0, 0, 0, 0, 0, 0}, 0         \
	}

/* ---- reports ---- */

/* X(code, what, how to fix it) */
#define NST_LOCKDEP_TABLE(X)                                                                       \
	X(ORDER, "locks can wait for each other for ever",                                         \
	  "take them in one order, or try the inner one")                                          \
	X(SELF, "this thread waits for a lock it holds",                                           \
	  "pass on that it is held; seen before the wait")                                         \
	X(NEST, "two locks of one class are held", "NST_LD_NESTED(1), or a class of its own")      \
	X(WAIT, "waits longer than what is held allows", "take it before, wait less, or try it")   \
	X(BLOCK, "may sleep in a section that must not",                                           \
	  "do it before the section, or NST_NOLOCK")                                               \
	X(ALLOC, "a request in a section without any", "allocate before it, or NST_NOLOCK")        \
	X(UNLOCK, "let go, and not held by this thread",                                           \
	  "let go once, on the thread that took it")                                               \
	X(EXIT, "a thread ended with locks held", "let them go on every way out")                  \
	X(INIT, "initialised, destroyed or freed while held", "let it go first")                   \
	X(FORK, "its holder fork() left behind",                                                   \
	  "fork() with it held, or make it anew in the child")                                     \
	X(HELD, "not held, or held, against an assertion",                                         \
	  "find the way on which it is not as it should be")                                       \
	X(PIN, "a pinned lock is let go, or none pinned",                                          \
	  "nobody lets go of it before nst_lockdep_unpin()")                                       \
	X(SECTION, "a section ends that did not begin", "one end for each begin, on each way out") \
	X(SIGNAL, "a handler can wait for whom it interrupts",                                     \
	  "block the signal around the lock, or try it in the handler")                            \
	X(HANDLER, "a request or free in a handler", "the no-lock forms, or before and after it")  \
	X(RECLAIM, "reclaim can wait for who reclaims",                                            \
	  "let go of the lock first, try it in reclaim, or a scope that excludes it")              \
	X(SLEPT, "slept in a section that must not", "find what waited: strace shows it")          \
	X(FAULT, "a page fault in a section without any",                                          \
	  "touch it before the section, or lock it (mlock)")                                       \
	X(RCU, "a read section where none may be, or none",                                        \
	  "end the section before the wait; begin one before the read")                            \
	X(LONG, "held for longer than the limit", "do less under it, or nst_lockdep_hold_limit()") \
	X(NEEDLESS, "never waits, and always might",                                               \
	  "NST_NOWAIT or NST_NORMAL; or tell what it runs in")                                     \
	X(DEADLOCK, "threads wait for each other for ever",                                        \
	  "take them in one order, or try the inner one")                                          \
	X(TWICE, "freed or retired, and so it was before", "one free of each object, by one owner")

#define NST_LOCKDEP_CODE(name, ...) NST_NL_##name,
enum nst_lockdep_code { NST_LOCKDEP_TABLE(NST_LOCKDEP_CODE) NST_NR_LOCKDEP_CODES };
#undef NST_LOCKDEP_CODE

/* NST_LD_ERROR: it can happen, as it was seen. NST_LD_POSSIBLE: by class, or by one thread alone, or under a gate. */
enum nst_lockdep_level { NST_LD_ERROR = 1, NST_LD_POSSIBLE = 2 };

/** struct nst_lockdep_report - what a callback gets */
struct nst_lockdep_report {
	enum nst_lockdep_code code;
	enum nst_lockdep_level level;
	uint64_t id; /* the same for the same cause */
	const char *text;
	size_t len;
	const char *json; /* the same and more, an object on a line: docs/lockdep.md */
	size_t json_len;
};

/** struct nst_lockdep_stats - since nst_lockdep_start() or nst_lockdep_reset() */
struct nst_lockdep_stats {
	uint64_t classes, chains, edges; /* known */
	uint64_t checked; /* chains that were new, or new to a thread: all others cost a look */
	uint64_t errors, possible; /* causes reported, at most once each */
	uint64_t expected;	   /* beside those, what a test had announced */
	uint64_t suppressed;	   /* likewise, what a rule suppressed */
	uint64_t stacks;	   /* of callers, kept since the first start */
	uint64_t full;		   /* bits: classes, chains, edges, held, threads, sites, stacks */
	uint64_t codes[NST_NR_LOCKDEP_CODES];
};

/**
 * nst_lockdep_start() - begin to check
 * @shown: what is printed to standard error: NST_LD_ERROR, or NST_LD_POSSIBLE for both levels
 *
 * Locks that are held already are not known; that they are let go is no misuse. Entry checks of requests that this
 * CPU's lists serve need the option check.
 *
 * Context: thread.  Waits: sleeps.  Syscalls: mmap, mprotect.  Locks: none.
 * Return: 0; -ENOMEM; -EINVAL for another @shown.
 */
NST_API int nst_lockdep_start(enum nst_lockdep_level shown);

/**
 * nst_lockdep_stop() - check nothing any more; what was seen stays until the next start
 *
 * Context: thread.  Waits: never.  Syscalls: none.  Locks: none.
 */
NST_API void nst_lockdep_stop(void);

/**
 * nst_lockdep_reset() - forget orders, chains and causes; classes stay
 *
 * For tests. What threads hold they hold.
 *
 * Context: thread.  Waits: short lock.  Syscalls: rt_sigprocmask.  Locks: none.
 */
NST_API void nst_lockdep_reset(void);

/**
 * nst_lockdep_on_report() - who is told of each cause, once
 * @fn: called instead of printing, from within the validator: signals are blocked, and it may take no lock that is
 *	checked; or NULL to print again
 * @arg: handed to @fn
 *
 * It gets both levels.
 *
 * Context: thread.  Waits: short lock.  Syscalls: rt_sigprocmask.  Locks: none.
 */
NST_API void nst_lockdep_on_report(void (*fn)(const struct nst_lockdep_report *r, void *arg),
				   void *arg);

/**
 * nst_lockdep_on_death() - who is called before check_halt ends the process
 * @fn: called once, by the thread that had the first error told, behind the report: it may take locks that are not held where
 *	that was found, call this library, and return; NULL: nobody
 * @arg: handed to @fn
 *
 * Where the error was found in a handler @fn does what a handler may; where it was found inside the library, with
 * one of its locks held, requests in @fn are NST_NOLOCK. What @fn does wrong is told, and no end of its own. Not called
 * for the status of check_exit.
 *
 * Context: thread.  Waits: short lock.  Syscalls: rt_sigprocmask.  Locks: none.
 */
NST_API void nst_lockdep_on_death(void (*fn)(void *arg), void *arg);

/**
 * nst_lockdep_expect() - reports of this code are what a test wants: counted, not told
 * @code: which
 *
 * Until nst_lockdep_expected(). For all threads; one code at a time.
 *
 * Context: thread.  Waits: never.  Syscalls: none.  Locks: none.
 */
NST_API void nst_lockdep_expect(enum nst_lockdep_code code);

/**
 * nst_lockdep_expected() - the end of nst_lockdep_expect()
 *
 * Context: thread.  Waits: never.  Syscalls: none.  Locks: none.
 * Return: how many there were.
 */
NST_API uint64_t nst_lockdep_expected(void);

/**
 * nst_lockdep_read() - what was seen so far
 * @stats: receives it
 * @len: bytes in @stats
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 * Return: 0; -EINVAL if @len is not that of this version.
 */
NST_API int nst_lockdep_read(struct nst_lockdep_stats *stats, size_t len);

/**
 * nst_lockdep_needless() - who takes without waiting, and might have waited each time
 *
 * Of each place that asked with NST_NOLOCK since nst_lockdep_start() or nst_lockdep_reset() it is known whether it was in
 * place: in a no-lock scope, a handler, a section, reclaim, with a lock held that one may not sleep under, on a real-time
 * thread. For one that never was, NL-NEEDLESS is told, level possible. With the option check:possible this is done at the
 * end of the program; without the option check only requests that took the slow path are known.
 *
 * Context: thread.  Waits: sleeps.  Syscalls: of a report.  Locks: none.
 * Return: how many places that is, told before or not.
 */
NST_API unsigned int nst_lockdep_needless(void);

/**
 * nst_lockdep_suppress() - reports that are known, and not wanted
 * @rule: as a report ends with one: "NL-ORDER locks=a,b # reason" or "NL-BLOCK id=76caa5d922402197"; or
 *	"NL-BLOCK module=libfoo.so", the file in which the place lies
 *
 * Of a cycle all locks are named, in its order, wherever it begins, and of files any one; * stands for any letters of a name.
 * What is suppressed is counted, and neither told nor an error. A file of such lines is read with the option check_suppress:PATH.
 *
 * Context: thread.  Waits: short lock.  Syscalls: rt_sigprocmask, getpid, write.  Locks: none.
 * Return: 0; -EINVAL and a line that says what is wrong and what is allowed; -ENOSPC, likewise, if there are 128.
 */
NST_API int nst_lockdep_suppress(const char *rule);

/* Return addresses of this thread into @frame, the innermost first; how many, at most @most. */
typedef unsigned int (*nst_lockdep_unwinder_t)(void **frame, unsigned int most);

/**
 * nst_lockdep_set_unwinder() - who finds the callers that reports show
 * @unwind: called from within the validator, signals blocked, handlers' threads as well: it may neither take locks nor
 *	allocate; frames of the validator itself may be among what it finds. NULL: as at first, by frame
 *	pointers, of which code that was compiled without has none
 *
 * It is called where something is new, or for a report; with check_stacks:all wherever a lock is taken.
 *
 * Context: thread.  Waits: short lock.  Syscalls: rt_sigprocmask, getpid.  Locks: none.
 */
NST_API void nst_lockdep_set_unwinder(nst_lockdep_unwinder_t unwind);

enum nst_lockdep_dump { NST_LD_TEXT, NST_LD_DOT };
/**
 * nst_lockdep_dump() - classes, the orders among them, and as text who takes without waiting
 * @fd: where to; written with write()
 * @how: NST_LD_TEXT, a fact a line; NST_LD_DOT, for graphviz
 *
 * Context: thread.  Waits: sleeps.  Syscalls: rt_sigprocmask, write.  Locks: none.
 * Return: 0; -EINVAL while nothing was ever started; what write() fails with.
 */
NST_API int nst_lockdep_dump(int fd, enum nst_lockdep_dump how);

/* ---- locks ---- */

/**
 * nst_lockdep_map_init() - a map for a lock
 * @map: beside the lock
 * @name: for reports
 * @key: its class; NULL: a class of its own, for static locks
 * @outer: what taking it does
 * @inner: what may be done while it is held; usually @outer
 *
 * A lock that this thread holds is reported.
 *
 * Context: any.  Waits: never.  Syscalls: none, or those of a report.  Locks: none.
 */
NST_API void nst_lockdep_map_init(struct nst_lockdep_map *map, const char *name,
				  const struct nst_lockdep_key *key, enum nst_wait_type outer,
				  enum nst_wait_type inner);

/**
 * nst_lockdep_map_destroy() - the lock is no more
 * @map: from nst_lockdep_map_init() or NST_LOCKDEP_MAP()
 *
 * Its orders stay with its class, but are not taken for those of another lock at this address.
 *
 * Context: any.  Waits: short lock.  Syscalls: none or rt_sigprocmask.  Locks: none.
 */
NST_API void nst_lockdep_map_destroy(struct nst_lockdep_map *map);

/**
 * nst_lockdep_set_class() - another class or subclass from now on
 * @map: a lock, held or not
 * @name: for reports; NULL: as it was
 * @key: its class
 * @subclass: 0 to 7
 *
 * Context: any.  Waits: never.  Syscalls: none, or those of a new order.  Locks: none.
 */
NST_API void nst_lockdep_set_class(struct nst_lockdep_map *map, const char *name,
				   const struct nst_lockdep_key *key, unsigned int subclass);

/* Behind the inline functions below, which users call. */

/**
 * nst_lockdep_acquire_on() - nst_lockdep_acquire() while the validator is on
 * @map: the lock
 * @how: 0, or enum nst_lockdep_how and NST_LD_NESTED()
 * @at: an address of the line, the same each time, by which it is found that it was seen; NULL: it is to be looked at each time
 *
 * Context: any.  Waits: short lock.  Syscalls: none, or those of a new order and of a report.  Locks: none.
 */
NST_API void nst_lockdep_acquire_on(struct nst_lockdep_map *map, uint32_t how, const void *at);

/**
 * nst_lockdep_release_on() - nst_lockdep_release() while the validator is on
 * @map: the lock
 *
 * Context: any.  Waits: short lock.  Syscalls: none, or those of a report.  Locks: none.
 */
NST_API void nst_lockdep_release_on(struct nst_lockdep_map *map);

/**
 * nst_lockdep_downgrade_on() - nst_lockdep_downgrade() while the validator is on
 * @map: the lock
 *
 * Context: any.  Waits: short lock.  Syscalls: none, or those of a report.  Locks: none.
 */
NST_API void nst_lockdep_downgrade_on(struct nst_lockdep_map *map);

/**
 * nst_lockdep_might_on() - nst_might_lock() while the validator is on
 * @map: the lock
 * @how: as for nst_lockdep_acquire()
 *
 * Context: any.  Waits: short lock.  Syscalls: none, or those of a new order and of a report.  Locks: none.
 */
NST_API void nst_lockdep_might_on(struct nst_lockdep_map *map, uint32_t how);

/**
 * nst_lockdep_assert_on() - nst_assert_held() and kin while the validator is on
 * @map: the lock; NULL with NST_LD_NOT_HELD: any
 * @what: what must be so
 *
 * Context: any.  Waits: short lock.  Syscalls: none, or those of a report.  Locks: none.
 */
NST_API void nst_lockdep_assert_on(const struct nst_lockdep_map *map, enum nst_lockdep_held what);

/**
 * nst_lockdep_pin_on() - nst_lockdep_pin() and nst_lockdep_unpin() while the validator is on
 * @map: the lock
 * @by: 1 or -1
 *
 * Context: any.  Waits: short lock.  Syscalls: none, or those of a report.  Locks: none.
 */
NST_API void nst_lockdep_pin_on(const struct nst_lockdep_map *map, int by);

/**
 * nst_lockdep_acquire_nest_on() - nst_lockdep_acquire_nest() while the validator is on
 * @map: the lock
 * @how: as for nst_lockdep_acquire()
 * @nest: the lock that is held around it
 *
 * Context: any.  Waits: short lock.  Syscalls: none, or those of a new order and of a report.  Locks: none.
 */
NST_API void nst_lockdep_acquire_nest_on(struct nst_lockdep_map *map, uint32_t how,
					 const struct nst_lockdep_map *nest);

/**
 * nst_lockdep_order_on() - nst_lockdep_order() while the validator is on
 * @first: a lock
 * @then: one of another class
 *
 * Context: any.  Waits: short lock.  Syscalls: none, or those of a new order and of a report.  Locks: none.
 */
NST_API void nst_lockdep_order_on(struct nst_lockdep_map *first, struct nst_lockdep_map *then);

/**
 * nst_lockdep_set_compare_on() - nst_lockdep_set_compare() while the validator is on
 * @map: a lock of the class
 * @compare: or NULL
 *
 * Context: any.  Waits: short lock.  Syscalls: none, or those of a new order.  Locks: none.
 */
NST_API void nst_lockdep_set_compare_on(struct nst_lockdep_map *map, nst_lockdep_compare_t compare);

/**
 * nst_lockdep_hold_limit() - report locks that were held for longer, as they are let go
 * @us: microseconds, by the wall: also of a thread that was preempted; 0: no limit, as it is at first or as the option
 *	check_hold says
 *
 * As one of the first things in a program it sleeps for 2 ms, to see how fast the CPU's counter runs.
 *
 * Context: thread.  Waits: sleeps.  Syscalls: clock_gettime, futex.  Locks: none.
 */
NST_API void nst_lockdep_hold_limit(uint64_t us);

/**
 * nst_lockdep_watchdog() - for how long threads wait for each other before that is reported
 * @ms: milliseconds, 1000 at first or as the option check_watchdog says; 0: never
 *
 * For nst_lockdep_contended(). The worker looks, nst_maintain(), and nst_lockdep_watch().
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 */
NST_API void nst_lockdep_watchdog(uint64_t ms);

/**
 * nst_lockdep_watch() - look for threads that wait for each other
 *
 * How long a thread has waited counts from the first look that saw it. One look at a time: a second one sees nothing.
 *
 * Context: any.  Waits: short lock.  Syscalls: none, or clock_gettime and those of a report.  Locks: none.
 * Return: how many circles of threads there are, reported now or before.
 */
NST_API unsigned int nst_lockdep_watch(void);

/**
 * nst_lockdep_contended_on() - nst_lockdep_contended() while the validator is on
 * @map: the lock
 *
 * Context: any.  Waits: short lock.  Syscalls: none, or for a thread's first time those of a new order.  Locks: none.
 */
NST_API void nst_lockdep_contended_on(const struct nst_lockdep_map *map);

/**
 * nst_lockdep_acquired_on() - nst_lockdep_acquired() while the validator is on
 * @map: the lock
 *
 * Context: any.  Waits: short lock.  Syscalls: none, or for a thread's first time those of a new order.  Locks: none.
 */
NST_API void nst_lockdep_acquired_on(const struct nst_lockdep_map *map);

/**
 * nst_lockdep_fresh_on() - nst_lockdep_fresh_begin() and nst_lockdep_fresh_end() while the validator is on
 * @map: the lock
 * @fresh: 1 or 0
 *
 * Context: any.  Waits: short lock.  Syscalls: none, or for a thread's first time those of a new order.  Locks: none.
 */
NST_API void nst_lockdep_fresh_on(struct nst_lockdep_map *map, int fresh);

/* Not 0 while the validator is on: another number when what threads have looked at is to be looked at again. */
#define NST_DATA __attribute__((visibility("default")))
NST_DATA extern uint32_t nst_lockdep_is_on;

/* Lazy thread-local storage would allocate. */
#define NST_LOCKDEP_TLS __thread __attribute__((tls_model("initial-exec")))

/* So that the place that is reported is the caller's. */
#define NST_LOCKDEP_INLINE static inline __attribute__((always_inline))

/*
 * What nearly every lock takes is done in line, since two calls cost as much as all else: a lock is waited for where this
 * thread has waited for it before, at the same line, and let go as the last. Written by the library and the functions
 * below alone; of this version of it.
 */
#define NST_LD_TAKEN 256u     /* of what a thread took, and where, it remembers as much */
#define NST_LD_HELD_MAX 1024u /* locks held */
#define NST_LD_SHORT 64u      /* with so many held the short way ends: holes are used again */

/** struct nst_lockdep_kept - of a lock that is held */
struct nst_lockdep_kept {
	const void *ip; /* who took it: a place, as the library numbers them */
	uint64_t key;	/* of the chain that ends here */
	uint64_t word;	/* class, how, and what may be waited for with all up to here held */
};

/** struct nst_lockdep_entry - a lock that is held */
struct nst_lockdep_entry {
	const void *lock; /* NULL: not there yet, or no more; 1: let go before what is behind it */
	struct nst_lockdep_kept kept;
};

/** struct nst_lockdep_taken - a lock that was taken, and may be again */
struct nst_lockdep_taken {
	uint64_t tag; /* of all that was looked at: nst_lockdep_tag() */
	struct nst_lockdep_kept kept;
};

/** struct nst_lockdep_self - of a thread */
struct nst_lockdep_self {
	struct nst_lockdep_taken taken[NST_LD_TAKEN];
	uint32_t fast; /* nst_lockdep_is_on: nothing forbids the short way; else something does */
	uint32_t generation;
	struct nst_lockdep_entry *last; /* of held[] */
	uint64_t seed;			/* of all tags, as it was when the short way was opened */
	uint64_t unused;		/* so that no entry lies in two lines of a cache */
	struct nst_lockdep_entry held[1 + NST_LD_HELD_MAX]; /* the first is nobody's */
};
/* Never NULL. */
NST_DATA extern NST_LOCKDEP_TLS struct nst_lockdep_self *nst_lockdep_self;

#ifdef NST_NO_LOCKDEP
#define NST_LOCKDEP_EPOCH 0u
/* Nor is a map written: who has no validator needs no library. */
#define nst_lockdep_map_init(map, name, key, outer, inner)                                         \
	((void)(map), (void)(name), (void)(key), (void)(outer), (void)(inner))
#define nst_lockdep_map_destroy(map) ((void)(map))
#define nst_lockdep_set_class(map, name, key, subclass)                                            \
	((void)(map), (void)(name), (void)(key), (void)(subclass))
#else
#define NST_LOCKDEP_EPOCH __atomic_load_n(&nst_lockdep_is_on, __ATOMIC_RELAXED)
#endif
#define NST_LOCKDEP_ON __builtin_expect(NST_LOCKDEP_EPOCH != 0, 0)
/* Where it costs nothing if it is off, and a jump there and back were a tenth of the price if it is on. */
#ifdef __has_builtin
#if __has_builtin(__builtin_expect_with_probability)
#define NST_LOCKDEP_MAYBE(epoch) __builtin_expect_with_probability((epoch) != 0, 1, 0.5)
#endif
#endif
#ifndef NST_LOCKDEP_MAYBE
#define NST_LOCKDEP_MAYBE(epoch) ((epoch) != 0)
#endif

/* The place where this is compiled into. */
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#elif defined(__x86_64__)
#define NST_LOCKDEP_PLACE(ip) __asm__ volatile("lea 0(%%rip), %0" : "=r"(ip))
#elif defined(__aarch64__)
#define NST_LOCKDEP_PLACE(ip) __asm__ volatile("adr %0, ." : "=r"(ip))
#endif

/*
 * All that decides about taking it, in one number: what is held (@key, the chain's), who asks, which signals are open and
 * since when one looks (@seed), the lock's class and types (@word), how, and the line. But for @at and @how these are mixed.
 */
NST_LOCKDEP_INLINE uint64_t nst_lockdep_tag(uint64_t key, uint64_t seed, uint64_t word,
					    uint32_t how, const void *at)
{
	return key + seed + word + ((uint64_t)how << 52) + (uintptr_t)at;
}

/* 1: it is right, and written down. Relaxed: for handlers of this thread, and the watcher. */
NST_LOCKDEP_INLINE int nst_lockdep_acquire_short(struct nst_lockdep_map *map, uint32_t how,
						 uint32_t epoch, const void *at)
{
	struct nst_lockdep_self *t = nst_lockdep_self;
	const struct nst_lockdep_taken *known;
	struct nst_lockdep_entry *e;
	uint64_t tag;

	if (__builtin_expect(t->fast != epoch, 0))
		return 0;
	e = t->last;
	tag = nst_lockdep_tag(e->kept.key, t->seed, __atomic_load_n(&map->word, __ATOMIC_RELAXED),
			      how, at);
	known = &t->taken[tag % NST_LD_TAKEN];
	/*
	 * It is reserved first: a handler that comes now takes the next, gives it back, and what is known does not change
	 * under whom it interrupts.
	 */
	__atomic_store_n(&t->last, e + 1, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (__builtin_expect(known->tag != tag, 0)) {
		__atomic_store_n(&t->last, e, __ATOMIC_RELAXED);
		return 0;
	}
	__atomic_store_n(&e[1].kept.ip, known->kept.ip, __ATOMIC_RELAXED);
	__atomic_store_n(&e[1].kept.key, known->kept.key, __ATOMIC_RELAXED);
	__atomic_store_n(&e[1].kept.word, known->kept.word, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&e[1].lock, (const void *)map, __ATOMIC_RELAXED);
	return 1;
}

/* 1: it was the last, and is let go. */
NST_LOCKDEP_INLINE int nst_lockdep_release_short(struct nst_lockdep_map *map, uint32_t epoch)
{
	struct nst_lockdep_self *t = nst_lockdep_self;
	struct nst_lockdep_entry *e;

	if (__builtin_expect(t->fast != epoch, 0))
		return 0;
	e = t->last;
	if (__builtin_expect(e->lock != map || e[-1].lock == (const void *)1, 0))
		return 0;
	__atomic_store_n(&e->lock, (const void *)0, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&t->last, e - 1, __ATOMIC_RELAXED);
	return 1;
}

NST_LOCKDEP_INLINE void nst_lockdep_acquire_in(struct nst_lockdep_map *map, uint32_t how,
					       uint32_t epoch)
{
#ifdef NST_LOCKDEP_PLACE
	const void *at;

	NST_LOCKDEP_PLACE(at);
	if (nst_lockdep_acquire_short(map, how, epoch, at))
		return;
#else
	const void *at = (const void *)0;

	(void)epoch;
#endif
	nst_lockdep_acquire_on(map, how, at);
}

/* The lock is about to be waited for; or, with NST_LD_TRY, was just had. */
NST_LOCKDEP_INLINE void nst_lockdep_acquire(struct nst_lockdep_map *map, uint32_t how)
{
	const uint32_t epoch = NST_LOCKDEP_EPOCH;

	if (NST_LOCKDEP_MAYBE(epoch))
		nst_lockdep_acquire_in(map, how, epoch);
}

/*
 * It was tried and is not to be had now, so this thread will wait: behind nst_lockdep_acquire(), before the wait. Who waits
 * for whom is known from it (NL-DEADLOCK). What is taken with NST_LD_TRY or NST_LD_TIMED waits for nobody.
 */
NST_LOCKDEP_INLINE void nst_lockdep_contended(const struct nst_lockdep_map *map)
{
	if (NST_LOCKDEP_ON)
		nst_lockdep_contended_on(map);
}

/* The wait is over, whether it is had or not. Nothing without nst_lockdep_contended() before it. */
NST_LOCKDEP_INLINE void nst_lockdep_acquired(const struct nst_lockdep_map *map)
{
	if (NST_LOCKDEP_ON)
		nst_lockdep_acquired_on(map);
}

/*
 * Until nst_lockdep_fresh_end() nobody else knows of the object that @map is in: that its lock is taken, before others
 * or behind them, is no order. Behind nst_lockdep_map_init().
 */
NST_LOCKDEP_INLINE void nst_lockdep_fresh_begin(struct nst_lockdep_map *map)
{
	if (NST_LOCKDEP_ON)
		nst_lockdep_fresh_on(map, 1);
}

/* It is about to be made known. If its lock is held, it is one as others are from here on. */
NST_LOCKDEP_INLINE void nst_lockdep_fresh_end(struct nst_lockdep_map *map)
{
	if (NST_LOCKDEP_ON)
		nst_lockdep_fresh_on(map, 0);
}

/* One of several of its class, all of which are taken with @nest held and by nobody else: of them there is no order. */
NST_LOCKDEP_INLINE void nst_lockdep_acquire_nest(struct nst_lockdep_map *map, uint32_t how,
						 const struct nst_lockdep_map *nest)
{
	if (NST_LOCKDEP_ON)
		nst_lockdep_acquire_nest_on(map, how, nest);
}

/* @first is taken before @then, whoever takes both: looked at at once, before anybody has. */
NST_LOCKDEP_INLINE void nst_lockdep_order(struct nst_lockdep_map *first,
					  struct nst_lockdep_map *then)
{
	if (NST_LOCKDEP_ON)
		nst_lockdep_order_on(first, then);
}

/* Several of @map's class may be held, in the order that @compare says, by address or from parent to child. Said once. */
NST_LOCKDEP_INLINE void nst_lockdep_set_compare(struct nst_lockdep_map *map,
						nst_lockdep_compare_t compare)
{
	if (NST_LOCKDEP_ON)
		nst_lockdep_set_compare_on(map, compare);
}

/* It is about to be let go. */
NST_LOCKDEP_INLINE void nst_lockdep_release(struct nst_lockdep_map *map)
{
	const uint32_t epoch = NST_LOCKDEP_EPOCH;

	if (__builtin_expect(epoch != 0, 0) && !nst_lockdep_release_short(map, epoch))
		nst_lockdep_release_on(map);
}

/* From now on it is held by this reader. */
NST_LOCKDEP_INLINE void nst_lockdep_downgrade(struct nst_lockdep_map *map)
{
	if (NST_LOCKDEP_ON)
		nst_lockdep_downgrade_on(map);
}

/* As if it were taken and let go here: also where that happens seldom. */
NST_LOCKDEP_INLINE void nst_might_lock(struct nst_lockdep_map *map)
{
	if (NST_LOCKDEP_ON)
		nst_lockdep_might_on(map, 0);
}

NST_LOCKDEP_INLINE void nst_might_lock_read(struct nst_lockdep_map *map)
{
	if (NST_LOCKDEP_ON)
		nst_lockdep_might_on(map, NST_LD_READ);
}

NST_LOCKDEP_INLINE void nst_assert_held(const struct nst_lockdep_map *map)
{
	if (NST_LOCKDEP_ON)
		nst_lockdep_assert_on(map, NST_LD_HELD);
}

NST_LOCKDEP_INLINE void nst_assert_held_read(const struct nst_lockdep_map *map)
{
	if (NST_LOCKDEP_ON)
		nst_lockdep_assert_on(map, NST_LD_HELD_READ);
}

NST_LOCKDEP_INLINE void nst_assert_held_write(const struct nst_lockdep_map *map)
{
	if (NST_LOCKDEP_ON)
		nst_lockdep_assert_on(map, NST_LD_HELD_WRITE);
}

NST_LOCKDEP_INLINE void nst_assert_not_held(const struct nst_lockdep_map *map)
{
	if (NST_LOCKDEP_ON)
		nst_lockdep_assert_on(map, NST_LD_NOT_HELD);
}

NST_LOCKDEP_INLINE void nst_assert_none_held(void)
{
	if (NST_LOCKDEP_ON)
		nst_lockdep_assert_on(NULL, NST_LD_NOT_HELD);
}

/* Until nst_lockdep_unpin() nobody, a callback for example, may let it go. */
NST_LOCKDEP_INLINE void nst_lockdep_pin(const struct nst_lockdep_map *map)
{
	if (NST_LOCKDEP_ON)
		nst_lockdep_pin_on(map, 1);
}

NST_LOCKDEP_INLINE void nst_lockdep_unpin(const struct nst_lockdep_map *map)
{
	if (NST_LOCKDEP_ON)
		nst_lockdep_pin_on(map, -1);
}

#ifdef __cplusplus
}
#endif
#endif
