// SPDX-License-Identifier: MIT
/*
 * explain.c - `nostall explain CODE`: what a report of the validator means, an example, how to fix it, what is not found.
 *
 * Rule and fix in a line are the library's own, of NST_LOCKDEP_TABLE; the rest is here, an entry a code in the same order.
 */
#include "tool.h"

#include <nostall/nostall.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct text {
	const char *name, *rule, *fix;
} codes[] = {
#define TEXT(name, rule, fix) {"NL-" #name, rule, fix},
	NST_LOCKDEP_TABLE(TEXT)
#undef TEXT
};
#define NR_CODES (sizeof(codes) / sizeof(*codes))

/* By the code, so that none can be left out: explain_all() finds a gap. */
static const struct more {
	const char *means, *example, *how, *not_found;
} more[NR_CODES] = {
	[NST_NL_ORDER] =
		{"Each lock of the report was held while the next was waited for, and the last leads back to the\n"
		 "first. Threads that do so at the same time wait for each other, for ever. Nobody has to have\n"
		 "waited: the orders are enough. As an error, each step was seen with the very lock at which the\n"
		 "one before it ended, by different threads, and no lock keeps them apart. As possible, the\n"
		 "orders are of classes, of one thread, or under one lock.",
		 "thread 1: lock(a); lock(b);		thread 2: lock(b); lock(a);",
		 "Take them in one order everywhere, and say so with nst_lockdep_order(). Or try the inner one and,\n"
		 "if that fails, let go of the outer one and begin anew. Or let go of the first before the second.",
		 "Orders that no run has made. Waiting for what is no lock (a queue, a thread's end), unless it is\n"
		 "annotated as one. Cycles of more than 8 steps are possible, never errors."},
	[NST_NL_SELF] =
		{"The thread holds the lock that it is about to wait for. It is said before the wait, which does\n"
		 "not end. Readers may share, if the lock lets readers pass who come while a writer waits.",
		 "lock(a); helper();			helper: lock(a);",
		 "Pass on that it is held: a helper of another name that needs the lock. A lock that its owner may\n"
		 "take again is annotated with NST_LD_RECURSIVE.",
		 "A lock that was taken before the validator was put on."},
	[NST_NL_NEST] =
		{"Two locks of one class are held, so that another thread may take the same two the other way\n"
		 "round. Of classes with an order of their own (nst_lockdep_set_compare()) it is an error, against\n"
		 "that order; else it is possible.",
		 "lock(parent->lock); lock(child->lock);	both initialised with one key",
		 "Say what the order is: NST_LD_NESTED(1) for the inner one, nst_lockdep_set_compare() by address or\n"
		 "from parent to child, nst_lockdep_acquire_nest() under a lock around them; or another class.",
		 "Two of a class that are never held at once."},
	[NST_NL_WAIT] =
		{"Something waits longer than what is held allows. Each lock has a type: free waits for nothing,\n"
		 "spin may spin, config takes short locks, sleep may sleep. Who holds one waits for nothing\n"
		 "above it, else all who spin for it spin while its owner sleeps.",
		 "spin_lock(s); p = nst_alloc(64, NST_NORMAL);",
		 "Take or allocate it before; wait less (NST_NOWAIT under a config lock, NST_NOLOCK under any); try\n"
		 "it; or let go first.",
		 "Waiting that nobody tells of: read(), sleep(), libc's own locks. nst_might_sleep() says it. What\n"
		 "is held by others."},
	[NST_NL_BLOCK] =
		{"Between nst_nonblock_begin() and its end something may sleep: a lock that sleeps, a request that\n"
		 "may wait, nst_might_sleep(). Whether it did does not matter.",
		 "nst_nonblock_begin(); p = nst_alloc(64, NST_NORMAL);",
		 "Do it before the section. NST_NOLOCK or a reserve (nst_sheaf_prefill()) for memory; a try for a\n"
		 "lock. nst_allow_begin(\"reason\") around what is known and borne.",
		 "System calls and libc's functions that nobody annotated; NL-SLEPT finds those that waited."},
	[NST_NL_ALLOC] =
		{"Between nst_noalloc_begin() and its end a request is made that may wait.",
		 "nst_noalloc_begin(); p = nst_alloc(64, NST_NOWAIT);",
		 "Allocate before the section, or NST_NOLOCK, which is no such request.",
		 "Requests of another allocator: nst_might_alloc() says them."},
	[NST_NL_UNLOCK] =
		{"A lock is let go, or downgraded, by a thread that does not hold it: twice, on a way on which it\n"
		 "was not taken, or on another thread than it was taken on.",
		 "lock(a); unlock(a); unlock(a);",
		 "Let go once on each way, on the thread that took it. What is handed to another thread is no lock\n"
		 "of this kind: release it here before it is handed on, and acquire it there.",
		 "A lock that was taken before the validator was put on: letting go of that is no mistake."},
	[NST_NL_EXIT] =
		{"A thread ended with locks held, or a handler left with one that it took. Nobody lets go of them.",
		 "void *worker(void *arg) { lock(a); return NULL; }",
		 "Let go on every way out, also where a thread is cancelled or leaves by longjmp().",
		 "A process that exits with locks held. Threads of a program that uses all of libc's keys."},
	[NST_NL_INIT] = {"A lock is initialised anew or destroyed while this thread holds it.",
			 "lock(a); nst_lockdep_map_init(&a_map, ...);",
			 "Let it go first; initialise once.",
			 "The same while another thread holds it."},
	[NST_NL_FORK] =
		{"In a child of fork() a lock is waited for that another thread of the parent held as it forked. The\n"
		 "child does not have that thread, so nobody lets go of it.",
		 "thread 1: lock(a);	thread 2: fork();	the child: lock(a);",
		 "fork() with the lock held by the thread that forks (pthread_atfork()), which lets go of it on both\n"
		 "sides; or make the lock anew in the child before it is used.",
		 "Locks of libc and of others that nobody tells the validator of."},
	[NST_NL_DEADLOCK] =
		{"These threads wait for each other, have done so for longer than check_watchdog says, and will for\n"
		 "ever. It has happened: the report says what each of them waits for and holds. It is said by who\n"
		 "looks: the library's worker, nst_maintain() or nst_lockdep_watch().",
		 "thread 1: lock(a); lock(b);		thread 2: lock(b); lock(a);	at the same time",
		 "As for NL-ORDER, which would have said it before: take them in one order, or try the inner one.",
		 "Locks that do not tell of their waits (nst_lockdep_contended()); waits for conditions, semaphores and\n"
		 "ends of threads; a thread that waits in a handler while what it interrupted waits, too."},
	[NST_NL_HELD] =
		{"nst_assert_held() and its kin: it is not as it must be here. Also nst_cant_sleep() where nothing\n"
		 "forbids to sleep, nst_assert_section() and nst_assert_handler() outside of one, and\n"
		 "nst_lockdep_acquire_nest() without the lock around.",
		 "static void insert(struct list *l) { nst_assert_held(&l->map); ... }	called without it",
		 "The callers show the way on which it is not held.",
		 "Locks that are taken without a word to the validator are not held."},
	[NST_NL_PIN] =
		{"A lock was let go between nst_lockdep_pin() and nst_lockdep_unpin(), or pinned without being held.",
		 "nst_lockdep_pin(&a_map); callback();	callback: unlock(a); ... lock(a);",
		 "Nobody lets go of it meanwhile. If callbacks must, what was found under the lock is to be looked at\n"
		 "again.",
		 "Callbacks that let go where nobody pinned."},
	[NST_NL_SECTION] =
		{"A section ends, and none has begun: nst_nonblock_end(), nst_noalloc_end() and such, a handler,\n"
		 "reclaim. Possible only if the validator was put on later than the program.",
		 "if (fast) nst_nonblock_begin(); ... nst_nonblock_end();",
		 "One end for each begin, on each way out.",
		 "A section that never ends: what comes behind is judged as if inside."},
	[NST_NL_SIGNAL] =
		{"A handler waits for a lock, and where it may come that lock is held, or one whose owner waits for\n"
		 "it. The handler then waits for whom it interrupts, who does not go on before it is done.",
		 "lock(a);	SIGUSR1 comes, its handler: lock(a);",
		 "Block the signal around the lock (nst_signals_block() beside pthread_sigmask()), or try it in the\n"
		 "handler.",
		 "Handlers that nobody tells of (nst_handler_enter()). A signal that comes to one thread alone\n"
		 "is taken to come to all that do not block it; nst_signals_block() says to which it does not."},
	[NST_NL_HANDLER] =
		{"A request that may wait is made in a handler: of NST_NORMAL, NST_NOWAIT and NST_ATOMIC none may.",
		 "nst_handler_enter(SIGPROF); p = nst_alloc(64, NST_NOWAIT);",
		 "NST_NOLOCK or NST_FASTTRY, which may; or memory that was allocated before.",
		 "malloc() of libc in a handler, unless nst_might_alloc() says it."},
	[NST_NL_RECLAIM] =
		{"A request may reclaim, and reclaim calls who takes a lock that is held around it, or whose owner\n"
		 "waits for one. Memory need not be short. Also a request that reclaims, inside reclaim.",
		 "lock(cache); p = nst_alloc(64, NST_NORMAL);	its shrinker: lock(cache);",
		 "Let go of the lock first; try it in the shrinker and give up; or a scope that keeps such callbacks\n"
		 "out (NST_SCOPE_NOIO, NST_SCOPE_NOCLIENT, NST_SCOPE_NORECLAIM).",
		 "A shrinker that was never called; nst_reclaiming_begin() and nst_might_lock() make its locks known."},
	[NST_NL_NEEDLESS] =
		{"A place asks with NST_NOLOCK and might have waited each time: no lock held that forbids it, no\n"
		 "section, handler, scope or reclaim, no real-time thread. What it takes is kept for those who\n"
		 "must not wait. Always possible, never an error.",
		 "p = nst_alloc_nolock(64);	in main(), with nothing held",
		 "A mode that says what the caller can bear: NST_NORMAL, or NST_NOWAIT where it may not sleep. Or a\n"
		 "rule, if the place has a reason that the validator cannot know.",
		 "Places that had a reason once. Locks that nobody tells the validator of are no reason to it."},
	[NST_NL_SLEPT] =
		{"The thread waited between nst_nonblock_begin() and its end, for whatever: the kernel counts\n"
		 "switches that a thread makes itself. Being preempted is none of them.",
		 "nst_nonblock_begin(); usleep(1);",
		 "strace or perf show what waited. nst_allow_begin(\"reason\") around what is borne.",
		 "What waited, and where: the end of the section is all that is known."},
	[NST_NL_FAULT] =
		{"The thread had a page fault between nst_nofault_begin() and its end.",
		 "nst_nofault_begin(); buffer[0] = 1;	touched for the first time",
		 "Touch it before the section, or lock it (mlock()). After a fork() pages are copied once more.",
		 "Where it was: perf shows it."},
	[NST_NL_RCU] =
		{"A grace period is waited for inside a read section, which it waits for; or what a section\n"
		 "protects is read outside of one (nst_rcu_dereference_check()); or, possible, a reader may sleep,\n"
		 "so that all who wait for readers wait as long. Once a section has ended on another thread\n"
		 "than it began on, all of it is possible at most.",
		 "t = nst_rcu_read_begin(); nst_synchronize_rcu();",
		 "End the section before the wait; begin one before the read; nst_free_rcu() instead of a wait.",
		 "Sections of domains that are not ours."},
	[NST_NL_LONG] =
		{"A lock was held for longer than nst_lockdep_hold_limit() says, by the wall: a thread that was\n"
		 "preempted holds on.",
		 "nst_lockdep_hold_limit(1000); lock(a); work for 2 ms; unlock(a);",
		 "Do less under it: prepare before, finish behind, or a lock for each part.",
		 "One that is still held: it is told as it is let go."},
	[NST_NL_TWICE] =
		{"An object was freed or retired (nst_free_rcu()) that had been before: whoever has it by then loses it. The\n"
		 "allocator finds it, and goes on as the option misuse says; with debug:3 it knows both places.",
		 "nst_free_rcu(p); nst_free_rcu(p);",
		 "One owner for each object, who takes it off its list before he retires it.",
		 "Without the option debug: what is found late, as it comes back to its slab, and by whom is not known."},
};

static int finish(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return TOOL_OK;
	fprintf(stderr, "nostall explain: the text cannot be written\n");
	return TOOL_NO;
}

static int help(void)
{
	printf("usage: nostall explain [CODE]\n\n"
	       "What a report of the validator means, with an example, how to fix it, and what is not\n"
	       "found. Without CODE all codes, a line each; --all explains them one after the other.\n"
	       "\nExit code: 0; 2 there is no such code.\n");
	return TOOL_OK;
}

static void list(FILE *to)
{
	for (size_t i = 0; i < NR_CODES; i++)
		fprintf(to, "%-11s %s\n", codes[i].name, codes[i].rule);
}

/* Text of several lines, each set in. */
static void part(const char *title, const char *text)
{
	printf("\n%s\n  ", title);
	for (; text && *text; text++) {
		putchar(*text);
		if (*text == '\n')
			fputs("  ", stdout);
	}
	putchar('\n');
}

static void explain(size_t i)
{
	printf("%s: %s\n", codes[i].name, codes[i].rule);
	part("What it means", more[i].means);
	part("For example", more[i].example);
	part("To fix it", more[i].how);
	printf("  In short: %s.\n", codes[i].fix);
	part("What is not found", more[i].not_found);
}

static int is_code(const char *name, size_t i)
{
	return !strcasecmp(name, codes[i].name) || !strcasecmp(name, codes[i].name + 3);
}

int verb_explain(int argc, char **argv)
{
	if (argc > 2)
		return usage_error("explain", "'%s' is too much; one code at a time", argv[2]);
	if (argc == 1) {
		list(stdout);
		return finish();
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return help();
	if (!strcmp(argv[1], "--all")) {
		for (size_t i = 0; i < NR_CODES; i++) {
			fputs(i ? "\n\n" : "", stdout);
			explain(i);
		}
		return finish();
	}
	for (size_t i = 0; i < NR_CODES; i++)
		if (is_code(argv[1], i)) {
			explain(i);
			return finish();
		}
	usage_error("explain", "'%s' is no code; there are:", argv[1]);
	list(stderr);
	return TOOL_USAGE;
}
