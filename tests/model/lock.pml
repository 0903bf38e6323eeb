/* SPDX-License-Identifier: MIT */
/*
 * lock.pml - a central lock: tried by handlers, waited for with naps that end, abandoned after fork.
 *
 *	take:    CAS word 0 -> me		unlock: one store of 0, wakes nobody
 *	wait:    try, nap until the word changes or 100 us are over, try again
 *	handler: try; held (by its own thread too): go aside
 *	child:   one thread. A lock whose owner is another thread is abandoned: free, structure anew.
 *
 * A nap is a sleep that the kernel starts only if the word still reads as seen, and that ends by
 * itself. A fork happens at any moment, in thread 0's main program or in its handler; then the model
 * is the child: thread 1 executes nothing any more.
 *
 * Must hold: one context inside the region (assert); all that live come to their end (the
 * monitor; and no cycle without progress under weak fairness).
 * Must fail: -DHANDLER_WAITS (a handler waits for its own thread), -DHANDLER_NESTS (it enters what its
 * thread holds), -DNAP_FOR_EVER (an unlock that wakes nobody, a sleep that does not end),
 * -DFORK_KEEPS (no abandoning), -DFORK_FREES (abandons what the forking thread itself holds),
 * -DNOT_ATOMIC (load, then store).
 */
#define FREE	0
#define MAIN	0
#define HANDLER	2

byte word;		/* FREE or 1 + thread */
byte inside;		/* contexts in the region */
bit lost_inside;	/* thread 1 was in the region when it was lost */
bit in_handler;		/* of thread 0 */
bit forked, stale;	/* stale: the child has not looked at its locks yet */
byte aside, entered;
bit finished[3];

/* May a context run: main programs of threads 0 and 1 are contexts 0 and 1, the handler is 2. */
#define RUNS(x)		((x) == HANDLER || ((x) == 0 && !in_handler) || ((x) == 1 && !forked))
#define THREAD(x)	((x) == HANDLER -> 0 : (x))
#define OWNER(x)	(1 + THREAD(x))

/* First thing that a child does with its locks. */
inline look_after_fork()
{
	if
	:: stale ->
		stale = 0;
#ifndef FORK_KEEPS
		if
#ifdef FORK_FREES
		:: word != FREE ->
#else
		:: word != FREE && word != OWNER(0) ->
#endif
			word = FREE;
			if :: lost_inside -> inside--; lost_inside = 0 :: else fi
		:: else
		fi
#endif
	:: else
	fi
}

inline try(got)
{
#ifdef NOT_ATOMIC
	atomic { RUNS(x); look_after_fork(); got = (word == FREE) };
	atomic { RUNS(x); if :: got -> word = OWNER(x) :: else fi }
#else
	atomic {
		RUNS(x);
		look_after_fork();
		if
		:: word == FREE -> word = OWNER(x); got = 1
#ifdef HANDLER_NESTS
		:: word == OWNER(x) -> got = 1
#endif
		:: else -> got = 0
		fi
	}
#endif
}

inline region()
{
	atomic {
		RUNS(x);
		inside++;
		assert(inside == 1);
		if :: x == 1 -> lost_inside = 1 :: else fi
	};
progress:
	atomic {
		RUNS(x);
		inside--;
		if :: x == 1 -> lost_inside = 0 :: else fi
	};
	atomic { RUNS(x); word = FREE; entered++; got = 0 }
}

inline wait_and_enter()
{
	do
	:: try(got);
		if
		:: got -> break
		:: else
		fi;
		atomic { RUNS(x); seen = word };
		if
		:: atomic { RUNS(x) && seen == FREE -> seen = 0 }
		:: atomic { RUNS(x) && word != seen -> seen = 0 }	/* the kernel sees the change */
#ifndef NAP_FOR_EVER
		:: atomic { RUNS(x) && seen != FREE -> seen = 0 }	/* 100 us are over */
#endif
		fi
	od;
	region()
}

active [2] proctype Main()
{
	byte x = _pid, seen;
	byte rounds = 2;
	bit got;

	do
	:: rounds == 0 -> break
	:: rounds > 0 -> rounds--; wait_and_enter()
	od;
	finished[x] = 1
}

active proctype Handler()
{
	byte x = HANDLER, seen;
	byte signals = 2;
	bit got;

	do
	:: signals == 0 -> break
	:: signals > 0 ->
		signals--;
		atomic { !in_handler -> in_handler = 1 };
		if	/* _Fork in the handler, maybe */
		:: atomic { !forked -> forked = 1; stale = 1 }
		:: skip
		fi;
#ifdef HANDLER_WAITS
		wait_and_enter();
#else
		try(got);
		if
		:: got -> region()
		:: else -> aside++
		fi;
#endif
		in_handler = 0
	od;
	finished[HANDLER] = 1
}

/* fork by thread 0's main program, between any two of its steps. */
active proctype Forker()
{
	if
	:: atomic { !forked && !in_handler -> forked = 1; stale = 1 }
	:: skip
	fi
}

/* Nothing can move any more: all that live have come to their end. */
active proctype Monitor()
{
	timeout;
	assert(finished[0] && finished[HANDLER] && (finished[1] || forked))
}
