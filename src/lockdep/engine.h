/* SPDX-License-Identifier: MIT */
/*
 * engine.h - within the folder: the validator's tables, and who keeps them.
 *
 *	context.c  what a thread holds and is inside of  -- a chain not yet proven -->  graph.c  orders, cycles
 *	signal.c   handlers, and who is interrupted      reclaim.c requests that enter it, and what it takes
 *	class.c    key and subclass -> number            report.c  text, once a cause   control.c  on, off, dump
 *	held.h     the array of what is held             thread.c  its owners        needless.c  who asks for no reason
 *	gone.c     what is freed while it is held, or twice, and whose holders a fork leaves behind
 *	stack.c    places and who called them            told.c    what is said of classes
 *	watch.c    who really waits for whom             assert.c  sections that must be
 *	halt.c     what an error means for the process
 *
 * E1. What a thread holds only it and its handlers write. A handler may come between any two instructions, and leaves as
 *     much as it found: an entry is first reserved, by the number of entries, and counts once its lock is stored; who
 *     gives entries back stops at one without a lock, which is somebody's whom he interrupts. From nr on all are NULL.
 * E2. Everything else is written by who has entered (nst_ld_enter()): one at a time, signals blocked, thread busy. Classes
 *     and chains are read by anybody.
 * E3. Nothing is allocated: one mapping at the start, one of 52 KiB for each thread that takes a lock.
 * E4. A busy thread is not looked at: what the validator itself does is unseen by it.
 *
 * Fork: who had entered is gone in the child; the lock is known by its process, and stolen. What threads hold that
 * the child does not have is forgotten with their blocks. Signal: legal everywhere. Exit: blocks are used again.
 */
#ifndef NST_LOCKDEP_ENGINE_H
#define NST_LOCKDEP_ENGINE_H

#include <nostall/context.h>
#include "lockdep.h"

#define NST_LD_CLASSES 16384u /* number 0 is none */
#define NST_LD_CLASS_SLOTS 32768u
#define NST_LD_EDGES 32768u /* number 0 is none */
#define NST_LD_EDGE_SLOTS 65536u
#define NST_LD_CHAIN_SLOTS 262144u
#define NST_LD_CHAINS (NST_LD_CHAIN_SLOTS / 4 * 3)
#define NST_LD_THREADS 1024u
#define NST_LD_NAMED 1024u  /* threads whose names are kept */
#define NST_LD_CAUSES 4096u /* reports that are remembered */
#define NST_LD_NEAR                                                                                \
	24u /* held locks that get an edge to a new one: what is further is reached through these */
#define NST_LD_SITES 1024u /* places that ask without waiting */
#define NST_LD_GATES 4u
#define NST_LD_MANY UINT32_MAX /* of threads: more than one */
#define NST_LD_NAME 40u
#define NST_LD_STACKS 4096u /* fewer than there are bytes in a page: no address is so small */
#define NST_LD_STACK_SLOTS 8192u
#define NST_LD_STACK_FRAMES 24576u /* of all stacks */
#define NST_LD_FRAMES 16u	   /* of one */
#define NST_LD_UNWOUND 48u	   /* with those of the validator and of who unwinds */
#define NST_LD_PLACES 4096u
#define NST_LD_MAPPINGS 192u

/* Beside enum nst_lockdep_how: the library's own lock. */
#define NST_LD_OWN (1u << 4)
#define NST_LD_KEPT 31u /* bits of how that an entry keeps */
/* It is no lock: a handler that runs, or reclaim. */
#define NST_LD_CONTEXT (1u << 5)
/* Beside these: nested in a lock that is held; of no order. */
#define NST_LD_NESTED_IN (1u << 6)
#define NST_LD_UNSEEN (1u << 7)
#define NST_LD_HANDLERS 16u /* of signals that interrupt each other, on one thread */

/* What users' code fills in where nothing is to be looked at (nst_lockdep_acquire_short()), under names of this folder's. */
struct nst_ld_held {
	const void *
		lock; /* NULL: not there yet, or no more; NST_LD_HOLE: let go before what is behind it */
	/* As struct nst_lockdep_kept. */
	const void *ip; /* who took it, a place: an address, or the number of a stack */
	u64 key;	/* of the chain that ends here */
	union {
		struct {
			u16 class;
			u8 how, inner;
			u8 override;
			u8 limit; /* what may be waited for with all up to here held; never too much */
			u16 pins;
		};
		u64 word;
	};
};
nst_static_assert(
	sizeof(struct nst_ld_held) == sizeof(struct nst_lockdep_entry) &&
		offsetof(struct nst_ld_held, ip) == offsetof(struct nst_lockdep_entry, kept.ip) &&
		offsetof(struct nst_ld_held, key) == offsetof(struct nst_lockdep_entry, kept.key) &&
		offsetof(struct nst_ld_held, word) == offsetof(struct nst_lockdep_entry, kept.word),
	"as in the public header");

#define NST_LD_HOLE ((const void *)1)
static inline int nst_ld_is_held(const struct nst_ld_held *e)
{
	return (uintptr_t)e->lock > 1;
}

/* What a thread waits for: watch.c. */
struct nst_ld_wait {
	u32 number; /* odd: it waits; one more as a wait begins, and as it ends */
	u32 entry;  /* of held: what it waits for; it has all that lies before */
	u32 named;
	u32 seen;     /* the watcher's: number at its last look */
	u64 since_ns; /* likewise: when that was seen for the first time */
};

struct nst_ld_thread {
	/* As struct nst_lockdep_self. */
	struct nst_lockdep_taken known[NST_LD_TAKEN];
	u32 fast, generation;
	struct nst_ld_held *last; /* holes are among what lies before it */
	u64 seed, unused;
	struct nst_ld_held below; /* of no lock */
	struct nst_ld_held held[NST_LD_HELD_MAX];

	u32 tag, taken, busy;
	u32 pinned; /* pins of all entries */
	u32 remembering;
	u32 popping;  /* holes at their end are being dropped */
	u32 level;    /* the entry of the innermost handler: what is below is whom it interrupted */
	u32 handlers; /* that run, one within the other */
	u64 blocked;  /* signals, as far as it was told */
	struct {
		u64 blocked; /* before it */
		u32 level;   /* likewise */
		u32 signal, pushed;
		const void *from;
	} handler[NST_LD_HANDLERS];
	u32 depth[NST_NR_SECTIONS];
	const void *from
		[NST_NR_SECTIONS];  /* who began the outermost; NULL: the option check_realtime */
	struct nst_sys_usage since; /* of this thread, as it began, less what was ours or allowed */
	struct nst_sys_usage allowed; /* as what is allowed began */
	const char *reason;
	struct nst_ld_wait wait;
	u64 since_ticks[NST_LD_HELD_MAX]; /* while there is a limit to it; 0: not known */
};

nst_static_assert(
	offsetof(struct nst_ld_thread, known) == offsetof(struct nst_lockdep_self, taken) &&
		offsetof(struct nst_ld_thread, fast) == offsetof(struct nst_lockdep_self, fast) &&
		offsetof(struct nst_ld_thread, last) == offsetof(struct nst_lockdep_self, last) &&
		offsetof(struct nst_ld_thread, seed) == offsetof(struct nst_lockdep_self, seed) &&
		offsetof(struct nst_ld_thread, held) ==
			offsetof(struct nst_lockdep_self, held[1]) &&
		offsetof(struct nst_ld_thread, tag) == sizeof(struct nst_lockdep_self),
	"as in the public header");

/* How many entries there are, holes among them. relaxed, both: for handlers of this thread, and the watcher */
static inline u32 nst_ld_nr(const struct nst_ld_thread *t)
{
	return (u32)(nst_load_relaxed(&t->last) - &t->below);
}

static inline void nst_ld_set_nr(struct nst_ld_thread *t, u32 nr)
{
	nst_store_relaxed(&t->last, &t->below + nr);
}

/** struct nst_ld_place - where a class is taken, and by whom it was first */
struct nst_ld_place {
	u64 key; /* 0: free */
	const void *place;
};

struct nst_ld_class {
	const char *key; /* its address, and the subclass added */
	u32 out;	 /* first edge */
	u8 outer, inner, subclass, override;
	nst_lockdep_compare_t compare; /* or NULL: of two of it there is no order */
	char name[NST_LD_NAME];
};

/* Of an edge's type: how its first lock is held, how its second is wanted. */
enum nst_ld_type { NST_LD_TO_R = 1, NST_LD_FROM_S = 2 };

/* While @from was held @to was waited for. One a pair and type. */
struct nst_ld_edge {
	u16 from, to;
	u8 type, nr_gates;
	u16 unused;
	u32 next;					   /* of the same @from */
	u32 thread;					   /* who; or NST_LD_MANY */
	const void *from_lock, *to_lock, *from_ip, *to_ip; /* where it was first seen */
	uintptr_t gate[NST_LD_GATES]; /* other locks always held, bit 0: by a reader */
};

/* Who asks without waiting. */
struct nst_ld_site {
	const void *ip; /* NULL: nobody */
	u64 requests;
	u32 wanted, unused; /* not to wait was in place once */
};

struct nst_ld_stack {
	u64 hash;
	u32 first, nr; /* of frame[] */
};

/* A thread that was seen to wait for long. */
struct nst_ld_waiter {
	struct nst_ld_thread *t;
	const void *lock;
	u32 number, entry;
	u16 next;  /* it is looked at whether that one is waited for */
	u8 how;	   /* it is wanted */
	u8 colour; /* of the search: enum colour */
};

struct nst_ld_tables {
	struct nst_ld_class class[NST_LD_CLASSES];
	u16 class_slot[NST_LD_CLASS_SLOTS];
	struct nst_ld_edge edge[NST_LD_EDGES];
	u16 edge_slot[NST_LD_EDGE_SLOTS];
	u64 chain[NST_LD_CHAIN_SLOTS];
	u32 chain_thread[NST_LD_CHAIN_SLOTS];
	struct nst_ld_thread *thread[NST_LD_THREADS];
	char thread_name[NST_LD_NAMED][16]; /* by tag, of the last of those that share a place */
	u32 named[NST_LD_NAMED];	    /* whose it is */
	u64 cause[NST_LD_CAUSES];
	struct nst_ld_site site[NST_LD_SITES];
	/* A search: per class, twice (the last edge ends in a recursive reader, or not). */
	u32 visited[2 * NST_LD_CLASSES], parent[2 * NST_LD_CLASSES], queue[2 * NST_LD_CLASSES];
	struct nst_ld_waiter waiter[NST_LD_THREADS];
	u16 way[NST_LD_THREADS]; /* of a search among them */
	char text[8192], json[32768];
	const void *frame[NST_LD_STACK_FRAMES];
	struct nst_ld_stack stack[NST_LD_STACKS]; /* number 0 is none */
	u16 stack_slot[NST_LD_STACK_SLOTS];
	struct nst_ld_place place[NST_LD_PLACES];
	u64 window[512]; /* of a stack that is walked */
	struct nst_sys_mapping mapping[NST_LD_MAPPINGS];
};

struct nst_ld {
	struct nst_ld_tables *tables; /* NULL: never started */
	u32 generation;		      /* one more with each start; even: off */
	u32 epoch;		      /* the last that nst_lockdep_is_on was, or is to be */
	u32 lock;		      /* the process of who has entered */
	u32 nr_classes, nr_edges, nr_chains, nr_threads, nr_tags, search;
	u32 from_start;	   /* on before the program was */
	u32 sections_move; /* read sections end on other threads than they begin */
	u32 resident;	   /* tables are, for sections without page faults */
	u32 said_full;	   /* bits of enum nst_ld_full */
	u32 shown;
	u32 expect;	/* code + 1 */
	u32 waiting;	/* threads that do: a hint, more after a fork */
	u32 watched;	/* somebody looks at them */
	u64 watch_ns;	/* for so long they may wait for each other; 0: for ever */
	u64 hold_ticks; /* a lock may be held for as long; 0: for ever */
	u64 handled;	/* signals that have a handler, as far as it was told */
	u64 nr_expected, checked, errors, possible, expected, suppressed,
		codes[NST_NR_LOCKDEP_CODES];
	u32 nr_stacks, nr_frames, stacks; /* stacks: enum nst_ld_stacks */
	nst_lockdep_unwinder_t unwind;
	void (*fn)(const struct nst_lockdep_report *, void *);
	void *arg;
	u32 halts; /* who has entered ends the process when he leaves */
};
extern struct nst_ld nst_ld NST_HIDDEN;
/* Of a thread that has no block. */
extern struct nst_lockdep_self nst_ld_nothing NST_HIDDEN;

/*
 * What any thread may come to be inside of has a class as a lock has, from NST_LD_CONTEXTS on: a handler of signal n is
 * number n - 1, then reclaim, by what its callbacks may do (enum nst_reclaim_bits).
 */
#define NST_LD_CONTEXTS (1u + NST_NR_LOCKS * NST_LD_SUBCLASSES)
#define NST_LD_SIGNALS 64u
#define NST_LD_RECLAIMS 4u
#define NST_LD_NR_CONTEXTS (NST_LD_SIGNALS + NST_LD_RECLAIMS)
#define NST_LD_RCU                                                                                 \
	(NST_LD_CONTEXTS + NST_LD_NR_CONTEXTS) /* a read section: a lock, and many hold it */
static inline int nst_ld_is_context(u32 class)
{
	return class - NST_LD_CONTEXTS < NST_LD_NR_CONTEXTS;
}
static inline int nst_ld_is_signal(u32 class)
{
	return class - NST_LD_CONTEXTS < NST_LD_SIGNALS;
}
static inline int nst_ld_is_reclaim(u32 class)
{
	return class - NST_LD_CONTEXTS - NST_LD_SIGNALS < NST_LD_RECLAIMS;
}

enum nst_ld_full {
	NST_LD_FULL_CLASSES,
	NST_LD_FULL_CHAINS,
	NST_LD_FULL_EDGES,
	NST_LD_FULL_HELD,
	NST_LD_FULL_THREADS,
	NST_LD_FULL_SITES,
	NST_LD_FULL_STACKS
};

/* ---- control.c ---- */

/* Signals blocked, the tables ours, the thread busy. */
struct nst_ld_entered {
	struct nst_ld_thread *thread;
	u64 signals;
	struct nst_sys_usage usage;
};
struct nst_ld_entered nst_ld_enter(struct nst_ld_thread *t);
void nst_ld_leave(struct nst_ld_entered in);
/* Is it measured what this thread waits for, or touches? */
static inline int nst_ld_is_measured(const struct nst_ld_thread *t)
{
	return t->depth[NST_SECTION_NONBLOCK] || t->depth[NST_SECTION_NOFAULT];
}
/* What it did since @before does not count. */
void nst_ld_measure_less(struct nst_ld_thread *t, const struct nst_sys_usage *before);
/* Tables and this thread's block are in memory: the validator itself touches nothing that is not. */
void nst_ld_make_resident(struct nst_ld_thread *t);
/* Once each. */
void nst_ld_full(enum nst_ld_full which);

/* ---- class.c ---- */

static inline const char *nst_ld_key_of(const struct nst_lockdep_map *map, u32 subclass)
{
	return (const char *)(map->key ? map->key : map) + subclass;
}
/* For the first time, with this map. */
u32 nst_ld_class_find(struct nst_lockdep_map *map, u32 subclass);
/* The number of a map's class; 0: the table is full. */
static inline u32 nst_ld_class_of(struct nst_lockdep_map *map, u32 subclass)
{
	/* Pairs with: nst_store_release() in nst_ld_class_find(). */
	u32 n = nst_load_acquire(&map->class_of[subclass]);

	/* It may be of before another start, or of what lay here before the map. */
	if (nst_likely(n && n < NST_LD_CLASSES &&
		       nst_ld.tables->class[n].key == nst_ld_key_of(map, subclass)))
		return n;
	return nst_ld_class_find(map, subclass);
}
/* Of one of the library's own locks. */
u32 nst_ld_own_class(const struct nst_lock *l);
void nst_ld_own_classes(void);
/* What stands for a context among locks: number @n of them, begun at @ip. */
struct nst_ld_held nst_ld_context(u32 n, const void *ip);

/* ---- graph.c ---- */

/* Has this thread, or more than one, been here? */
int nst_ld_chain_is_known(u64 key, u32 tag);
/*
 * What follows from @new being waited for while @t holds what it holds, if it @waits; and from its being held while
 * signals of @open may come. @key is without @open.
 */
void nst_ld_chain_add(struct nst_ld_thread *t, u64 key, const struct nst_ld_held *new, int waits,
		      u64 open);
/* The same for what @t holds already; signals of @told were or will be open, whatever is blocked at this moment. */
void nst_ld_opened(struct nst_ld_thread *t, u64 key, u64 open, u64 told);
static inline u64 nst_ld_key_open(u64 key, int waits, u64 open)
{
	return nst_likely(!open) ? key : nst_mix64(key + open * 2 + (u64)!waits) | 1;
}
/* No edge is @lock's any more. Needs: entered. */
void nst_ld_forget_lock(const void *lock);

/* An order that was told: whoever it is by. */
void nst_ld_edge_told(struct nst_ld_thread *t, const struct nst_ld_held *from,
		      const struct nst_ld_held *to);
/* What follows from a request that may enter each reclaim of @set. */
void nst_ld_chain_reclaims(struct nst_ld_thread *t, u64 key, u32 set, const void *ip);

/* ---- stack.c ---- */

/* As the option check_stacks has it; it is NEW also where the option says so not: it is put on by nst_lockdep_start(). */
enum nst_ld_stacks { NST_LD_STACKS_OFF, NST_LD_STACKS_NEW, NST_LD_STACKS_ALL };
/* @ip, which this thread is inside of, as a place with its callers; @ip if none are to be had. Needs: entered. */
const void *nst_ld_stack_here(const void *ip);
/* The frames of a place, itself first; how many, at least 1. Needs: entered; what is there is good until the next call. */
u32 nst_ld_frames_of(const void *place, const void *const **frame);
/* The address of a place. */
const void *nst_ld_address_of(const void *place);
/* With the callers that took @class at @ip first; NULL: nobody did. Context: any. */
const void *nst_ld_place_find(u32 class, const void *ip);
/* Where @e was taken, with callers if they are known. */
static inline const void *nst_ld_place_of(const struct nst_ld_held *e)
{
	const void *place = nst_ld_place_find(e->class, e->ip);

	return place ? place : e->ip;
}
/* The same; if nobody did, it is who is here. Needs: entered. */
const void *nst_ld_place_new(u32 class, const void *ip);

/* ---- report.c ---- */

/* A report under way. Needs: entered. 0: told already, or expected by a test. */
int nst_ld_report_begin(enum nst_lockdep_code code, enum nst_lockdep_level level, u64 cause);
/* What it is about: edges of a cycle by their numbers, or lines. */
void nst_ld_report_edge(u32 n);
void nst_ld_report_line(const char *fmt, ...) NST_PRINTF(1, 2);
/* What @t, if it is of a thread, holds and is inside of; how to fix it; then it is told, unless a rule suppresses it. */
void nst_ld_report_end(const struct nst_ld_thread *t);
/* All of it, for a report about one lock (or none: class 0) and one place, which this thread is inside of. */
void nst_ld_report(struct nst_ld_thread *t, enum nst_lockdep_code code,
		   enum nst_lockdep_level level, u32 class, const void *lock, const void *ip,
		   const char *why);
/* The same with a place that it was in before. */
void nst_ld_report_place(struct nst_ld_thread *t, enum nst_lockdep_code code,
			 enum nst_lockdep_level level, u32 class, const void *lock,
			 const void *place, const char *why);
/* For the first time of something that was forbidden under what was begun at @from? */
int nst_ld_first(struct nst_ld_thread *t, enum nst_lockdep_code code, const void *from);
const char *nst_ld_where(const void *place, char *buf, size_t len);
const char *nst_ld_thread_name(u32 tag);
/* What this thread is called now, for reports when it has gone. Needs: entered. */
void nst_ld_name_thread(const struct nst_ld_thread *t);

/* ---- halt.c ---- */

/* An error was told. Needs: entered. */
void nst_ld_error_told(void);
/* There was none. Needs: entered. */
void nst_ld_errors_forget(void);
/* The program's function, and the end. */
void nst_ld_halt(void) __attribute__((noreturn));

/* ---- context.c ---- */

/* What depends on a section, or handler, that nobody saw begin: sure if the validator was on before the program, and never off. */
enum nst_lockdep_level nst_ld_level_of_unseen(void);
/* An end without a beginning. */
void nst_ld_end_alone(struct nst_ld_thread *t, const void *ip);
/* Is it inside of something that one may not sleep in? */
int nst_ld_cannot_sleep(const struct nst_ld_thread *t);
/* It is seen for the first time: is it a real-time one? */
void nst_ld_thread_begins(struct nst_ld_thread *t);
/* What an entry says of itself in a chain. */
#define NST_LD_CHAINED ((u32)(NST_LD_READ | NST_LD_RECURSIVE | NST_LD_UNSEEN))
/* One step of a chain's key. */
static inline u64 nst_ld_chain_step(u64 key, const struct nst_ld_held *e)
{
	const u64 v = e->class | (e->how & NST_LD_CHAINED) << 16 | (u64)e->inner << 24 |
		      (u64)e->override << 32;

	return ((key << 5 | key >> 59) ^ v) * 0x517cc1b727220a95ull;
}

/* ---- suppress.c ---- */

/* @pattern, up to its comma or end, in which a * stands for any letters, is @name. */
int nst_ld_name_matches(const char *pattern, const char *name);

/* ---- section.c ---- */

/* What stands for a section among locks. */
struct nst_ld_held nst_ld_section(const void *ip);
/* One begins at @ip or, that being NULL, ends. */
void nst_ld_own_section(const void *ip);
/* It is about to wait, as enum nst_lockdep_wait says. */
void nst_ld_own_wait(u32 what, const void *ip);
/* It may sleep: in a section? */
void nst_ld_judge_reader(struct nst_ld_thread *t, const void *ip);

/* ---- reclaim.c ---- */

void nst_ld_judge_reclaim(struct nst_ld_thread *t, nst_mode_t mode, const void *ip);
/* It begins, or with @ip NULL ends. */
void nst_ld_own_reclaim(u32 what, const void *ip);

/* ---- gone.c ---- */

/* What @map's flags say of holders that a fork left behind: a writer, a reader. */
#define NST_LD_HELD_BY_GONE 8u
#define NST_LD_READ_BY_GONE 16u
#define NST_LD_GONE (NST_LD_HELD_BY_GONE | NST_LD_READ_BY_GONE)
/* @map is about to be taken, and has such flags. */
void nst_ld_judge_gone(struct nst_ld_thread *t, struct nst_lockdep_map *map, u32 class, u32 how,
		       const void *ip);
/* Memory is freed, at @ip. */
void nst_ld_own_freed(const void *from, size_t bytes, const void *ip);
/* It was before, at @first if that is known. */
void nst_ld_own_twice(const void *obj, const void *first, const void *ip);
/* This is a child. */
void nst_ld_own_forked(void);

/* ---- needless.c ---- */

/* A request with NST_NOLOCK by @ip; @t may be NULL: it holds nothing. */
void nst_ld_no_lock(const struct nst_ld_thread *t, const void *ip);

/* ---- watch.c ---- */

/* It waits no more, or is no more. */
void nst_ld_wait_ends(struct nst_ld_thread *t);
/* This is a child: of those who wait none is here. */
void nst_ld_nobody_waits(void);
/* Threads that wait for each other are told; how many circles there are. */
unsigned int nst_ld_watch(u64 now_ns);

/* ---- thread.c ---- */

/* This thread's block, made or made ready. NULL: there is none. */
struct nst_ld_thread *nst_ld_thread_slow(void);

/* ---- signal.c ---- */

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 43 /* handlers come to nobody */
#define NST_LD_OPEN(t) ((u64)((t)->handlers & 0))
#else
#define NST_LD_OPEN(t)                                                                             \
	(nst_load_relaxed(&nst_ld.handled) & ~(t)->blocked) /* a set that grows: seen soon */
#endif

/* All that @new being waited for or tried means, before it is there; @outer: what taking it does. */
void nst_ld_judge(struct nst_ld_thread *t, const struct nst_ld_held *new, u32 outer);
/* All threads look again at what they have looked at, and whether the short way is open. */
void nst_ld_look_again(void);
/* It may sleep. */
void nst_ld_judge_sleep(struct nst_ld_thread *t, const void *ip);

/* For the library's own locks and requests: lockdep.h. */
extern const struct nst_lockdep_ops nst_ld_ops NST_HIDDEN;

#endif
