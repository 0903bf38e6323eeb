/* SPDX-License-Identifier: MIT */
/*
 * sequence.pml - one CPU's array under restartable pop and push, handlers, migration and a taker.
 *
 *	table[cpu] --> count, slot[1..count]		pop, push: this CPU, one commit store
 *	           --> SENTINEL (empty and full)	while another CPU has the array taken away
 *
 * Two threads on two CPUs, each interrupted by a handler that uses the same arrays; a scheduler that
 * preempts and migrates; a taker that stores the sentinel, fences the CPU and empties the array.
 * A context is a thread's main program (0, 1) or its handler (2, 3). The kernel restarts a sequence
 * when its thread is preempted, migrated, fenced or given a signal; so every step of a sequence
 * first looks whether it has been restarted, in one atomic step with its effect.
 *
 * Must hold: nothing is handed out twice (take), nothing is lost (the check at the end).
 * Must fail: -DNO_FENCE, -DCOMMIT_MOVED, -DUNPROTECTED, -DCPU_BEFORE_ARM.
 */
#define NR_CPUS		2
#define NR_THREADS	2
#define NR_OBJS		3
#define CAP		2
#define SENTINEL	NR_CPUS
#define NOBODY		NR_THREADS
#ifndef OPS
#define OPS		2	/* of each main program; a handler does one after each signal */
#endif
#ifndef SIGNALS
#define SIGNALS		1	/* to thread 0 */
#endif
#ifndef SIGNALS_1
#define SIGNALS_1	0	/* to thread 1 */
#endif
#ifndef MOVES
#define MOVES		2
#endif
#ifndef TAKES
#define TAKES		1
#endif

#define THREAD(x)	((x) % NR_THREADS)
#define HANDLER(x)	((x) / NR_THREADS)
#define SLOT(a, i)	slot[(a) * (CAP + 1) + (i)]
#define COUNT(a)	((a) == SENTINEL -> 0 : count[a])
#define ROOM(a)		((a) == SENTINEL -> 0 : CAP - count[a])
/* May context x execute now? */
#define RUNS(x)		(running[cpu_of[THREAD(x)]] == THREAD(x) && in_handler[THREAD(x)] == HANDLER(x))

byte table[NR_CPUS];
byte count[NR_CPUS];
byte slot[NR_CPUS * (CAP + 1)];
byte owner[NR_OBJS + 1];	/* 0: in an array; else 1 + context; object 0 is no object */
byte cpu_of[NR_THREADS];
byte running[NR_CPUS];		/* thread, or NOBODY */
bit in_handler[NR_THREADS];
bit armed[2 * NR_THREADS];	/* by context */
bit restart[2 * NR_THREADS];
byte finished, ended[NR_THREADS];	/* contexts, all and by thread */

inline restart_context(x)
{
	if
	:: armed[x] ->
		armed[x] = 0;
#ifndef UNPROTECTED
		restart[x] = 1
#endif
	:: else
	fi
}

inline restart_thread(t)
{
	restart_context(t);
	restart_context(t + NR_THREADS)
}

/* One step of a sequence. */
#define STEP(effect)								\
	atomic {								\
		RUNS(x);							\
		if								\
		:: restart[x] -> restart[x] = 0; goto again			\
		:: else -> effect						\
		fi								\
	}

inline take(o)
{
	assert(o != 0 && owner[o] == 0);
	owner[o] = 1 + x
}

/*
 * A context: alternates pop and push, one object in hand at most. A full array leaves the object in
 * hand, as the library would go on to the next list.
 */
proctype Context(byte x; byte ops)
{
	byte c, a, k, o, mine;

	do
	:: ops == 0 -> break
	:: ops > 0 ->
		ops--;
		if
		:: HANDLER(x) -> atomic {
			running[cpu_of[THREAD(x)]] == THREAD(x) && !in_handler[THREAD(x)];
			restart_context(THREAD(x));
			in_handler[THREAD(x)] = 1
		}
		:: else
		fi;
		atomic { RUNS(x); if :: mine -> owner[mine] = 0 :: else fi }
again:
#ifdef CPU_BEFORE_ARM
		atomic { RUNS(x); c = cpu_of[THREAD(x)] };
		STEP(armed[x] = 1);
#else
		STEP(armed[x] = 1);
		STEP(c = cpu_of[THREAD(x)]);
#endif
		STEP(a = table[c]);
		if
		:: mine == 0 ->
			STEP(k = COUNT(a));
			if
			:: k == 0 -> STEP(armed[x] = 0)
			:: k > 0 ->
#ifdef COMMIT_MOVED
				STEP(count[a] = k - 1);
				STEP(o = SLOT(a, k); armed[x] = 0);
#else
				STEP(o = SLOT(a, k));
				STEP(count[a] = k - 1; armed[x] = 0);
#endif
				atomic { RUNS(x); take(o); mine = o }
			fi
		:: mine != 0 ->
			STEP(k = ROOM(a));
			if
			:: k == 0 -> STEP(armed[x] = 0); atomic { RUNS(x); take(mine) }
			:: k > 0 ->
#ifdef COMMIT_MOVED
				STEP(count[a] = CAP - k + 1);
				STEP(SLOT(a, CAP - k + 1) = mine; armed[x] = 0; mine = 0)
#else
				STEP(SLOT(a, CAP - k + 1) = mine);
				STEP(count[a] = CAP - k + 1; armed[x] = 0; mine = 0)
#endif
			fi
		fi;
		if
		:: HANDLER(x) -> atomic { RUNS(x); in_handler[THREAD(x)] = 0; c = 0; a = 0; k = 0; o = 0 }
		:: else -> atomic { c = 0; a = 0; k = 0; o = 0 }
		fi
	od;
	atomic { mine = 0; finished++; ended[THREAD(x)]++ }
}

/* Whoever can run on a CPU that has nothing to run gets it, so that every context ends. */
inline preempt(c)
{
	if
	:: running[c] != NOBODY -> restart_thread(running[c])
	:: else
	fi;
	t = 0;
	do
	:: t < NR_THREADS && cpu_of[t] == c && t != running[c] -> break
	:: t < NR_THREADS && (cpu_of[t] != c || t == running[c]) -> t++
	:: t == NR_THREADS -> break
	od;
	if
	:: t < NR_THREADS -> running[c] = t
	:: else -> if :: running[c] != NOBODY && cpu_of[running[c]] != c -> running[c] = NOBODY :: else fi
	fi;
	t = 0
}

proctype Scheduler()
{
	byte moves = MOVES, t, c;

	do
	:: moves > 0 -> atomic { moves--; preempt(0) }
	:: moves > 0 -> atomic { moves--; preempt(1) }
	:: moves > 0 -> atomic {
		moves--;
		if :: t = 0 :: t = 1 fi;
		c = cpu_of[t];
		restart_thread(t);
		cpu_of[t] = 1 - c;
		if :: running[1 - c] == NOBODY -> running[1 - c] = t :: else fi;
		if :: running[c] == t -> preempt(c) :: else fi;
		t = 0;
		c = 0
	}
	/* where the running thread has ended, the other gets the CPU without using up a move */
	:: atomic { cpu_of[0] == cpu_of[1] && running[cpu_of[0]] != NOBODY &&
		    ended[running[cpu_of[0]]] == 2 && ended[1 - running[cpu_of[0]]] != 2 ->
		c = cpu_of[0]; preempt(c); c = 0 }
	:: atomic { finished >= 2 * NR_THREADS -> break }
	od
}

proctype Taker()
{
	byte takes = TAKES, c, k, o, x = 2 * NR_THREADS;

	do
	:: takes == 0 -> break
	:: takes > 0 ->
		takes--;
		if :: c = 0 :: c = 1 fi;
		table[c] = SENTINEL;
#ifndef NO_FENCE
		atomic { if :: running[c] != NOBODY -> restart_thread(running[c]) :: else fi };
#endif
		k = count[c];
		do
		:: k == 0 -> break
		:: k > 0 -> o = SLOT(c, k); atomic { take(o); k-- }
		od;
		count[c] = 0;
		table[c] = c
	od;
	atomic { finished == 2 * NR_THREADS -> finished++ }
}

/* Every object is owned, or stands in exactly one array once. */
proctype Check()
{
	byte o, c, i, seen;

	atomic {
		finished > 2 * NR_THREADS;
		for (o : 1 .. NR_OBJS) {
			seen = 0;
			for (c : 0 .. NR_CPUS - 1) {
				i = 1;
				do
				:: i > count[c] -> break
				:: i <= count[c] -> if :: SLOT(c, i) == o -> seen++ :: else fi; i++
				od
			}
			assert(seen == (owner[o] == 0 -> 1 : 0))
		}
	}
}

init
{
	atomic {
		table[0] = 0; table[1] = 1;
		cpu_of[0] = 0; cpu_of[1] = 1;
		running[0] = 0; running[1] = 1;
		SLOT(0, 1) = 1; SLOT(0, 2) = 2; count[0] = 2;
		SLOT(1, 1) = 3; count[1] = 1;
		run Context(0, OPS); run Context(1, OPS);
		run Context(2, SIGNALS); run Context(3, SIGNALS_1);
		run Scheduler(); run Taker(); run Check()
	}
}
