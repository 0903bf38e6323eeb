/* SPDX-License-Identifier: MIT */
/*
 * ring.pml - one CPU's ring of pages under restartable retire and advance, a handler, and a worker.
 *
 *	slot[position % SLOTS]	tail .. open: sealed | open: being filled | open .. head: ready | NOTHING
 *
 * Two threads take turns on the CPU; a handler interrupts the first. The kernel restarts a sequence when
 * its thread is preempted or given a signal, so each step first looks whether it has been restarted, in
 * one atomic step with its effect. The worker, elsewhere, looks at the open page, raises the word that
 * stamps are read from, takes what is sealed, claims the prefix it saw, and adds the pages again.
 * Steps interleave; what CPUs may reorder is in rseq_ops.h.
 *
 * Must hold: what is retired comes out once; never by a stamp from before its retire began; no page is
 * written but by the open ring; at the end all is out or in the ring.
 * Must fail: -DCOMMIT_MOVED, -DSTAMP_LATE, -DWORKER_OPENS (a part-filled page), -DUNPROTECTED,
 * -DRING_FULL (no slot is left empty), -DPREFIX_SHARED (one word for all pages).
 */
#define SLOTS		3
#define PAGES		3
#ifndef CAP
#define CAP		2
#endif
#define NOTHING		PAGES
#define NR_CONTEXTS	3	/* threads 0 and 1, handler 2 of thread 0 */
#ifndef OPS
#define OPS		2	/* retires of each thread */
#endif
#ifndef SIGNALS
#define SIGNALS		1
#endif
#ifndef MOVES
#define MOVES		2	/* turns of the threads */
#endif
#ifndef ROUNDS
#define ROUNDS		2	/* of the worker */
#endif
#ifdef RING_FULL
#define MOST		SLOTS
#else
#define MOST		(SLOTS - 1)
#endif
#define NR_OBJS		(2 * OPS + SIGNALS)
#define THREAD(x)	((x) == 1)
#define HANDLER(x)	((x) == 2)
#define RUNS(x)		(running == THREAD(x) && (THREAD(x) || in_handler == HANDLER(x)))
#define OBJ(p, i)	obj[(p) * CAP + (i)]
#ifdef PREFIX_SHARED
#define PREFIX(at)	prefix[0]
#else
#define PREFIX(at)	prefix[(at) % SLOTS]
#endif

byte open, tail, head;
byte slot[SLOTS];
byte prefix[SLOTS];
byte count[PAGES], stamp[PAGES];
byte obj[PAGES * CAP];
bit in_ring[PAGES];		/* else it is the worker's */
byte started = 1;
byte before[NR_OBJS + 1];	/* started when its retire began */
byte state[NR_OBJS + 1];	/* 0: not yet; 1: in; 2: came out */
byte next = 1;			/* object */
bit running, in_handler;
bit armed[NR_CONTEXTS], restart[NR_CONTEXTS];
byte finished;

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

/* One step of a sequence. */
#define STEP(effect)								\
	atomic {								\
		RUNS(x);							\
		if								\
		:: restart[x] -> restart[x] = 0; goto again			\
		:: else -> effect						\
		fi								\
	}
#define WRITE(effect)	STEP(assert(in_ring[p]); effect)

#define STORE_STAMP(s)	WRITE(assert(s <= started); stamp[p] = s)

proctype Context(byte x; byte ops)
{
	byte o, p, n, s, at;

	do
	:: ops == 0 -> break
	:: ops > 0 ->
		if
		:: HANDLER(x) -> atomic {
			running == 0 && !in_handler;
			restart_context(0);
			in_handler = 1
		}
		:: else
		fi;
		atomic {
			RUNS(x);
			ops--;
			o = next;
			next++;
			before[o] = started;
			state[o] = 1
		}
again:
		STEP(armed[x] = 1; p = slot[open % SLOTS]; assert(p != NOTHING); n = count[p]);
		if
		:: n < CAP ->
#ifndef STAMP_LATE
			STEP(s = started);
			STORE_STAMP(s);
#endif
#ifdef COMMIT_MOVED
			WRITE(count[p] = n + 1);
			WRITE(OBJ(p, n) = o; armed[x] = 0);
#else
			WRITE(OBJ(p, n) = o);
			WRITE(count[p] = n + 1; armed[x] = 0);
#endif
#ifdef STAMP_LATE
			atomic { RUNS(x); s = started };
			atomic { RUNS(x); stamp[p] = s }
#endif
		:: else ->
			/* full: advance, and anew; the check of the page is that of retire, made again */
			/* full: this sequence is left, and advance is another; retire begins anew behind it */
			STEP(armed[x] = 0);
			STEP(armed[x] = 1; at = open; n = count[slot[at % SLOTS]]; p = slot[(at + 1) % SLOTS]);
			if
			:: n < CAP -> STEP(armed[x] = 0); goto again
			:: n == CAP && p == NOTHING -> STEP(armed[x] = 0); atomic { RUNS(x); state[o] = 0 }
			:: n == CAP && p != NOTHING ->
				STEP(assert(at + 1 - tail < SLOTS); open = at + 1; armed[x] = 0);
				goto again
			fi
		fi;
		atomic {
			RUNS(x);
			o = 0; p = 0; n = 0; s = 0; at = 0;
			if :: HANDLER(x) -> in_handler = 0 :: else fi
		}
	od;
	finished++
}

proctype Scheduler()
{
	byte moves = MOVES;

	do
	:: atomic { moves > 0 -> moves--; restart_context(0); restart_context(1); restart_context(2);
		running = 1 - running }
	:: atomic { finished == NR_CONTEXTS -> break }
	/* so that every context ends */
	:: atomic { moves == 0 && finished < NR_CONTEXTS && timeout -> running = 1 - running }
	od
}

inline come_out(p, i, by)
{
	o = OBJ(p, i);
	assert(o != 0 && state[o] == 1 && before[o] <= by);
	state[o] = 2
}

inline take()
{
	p = slot[tail % SLOTS];
	assert(p != NOTHING && in_ring[p]);
	n = PREFIX(tail);
	do
	:: n < count[p] -> come_out(p, n, stamp[p]); n++
	:: else -> break
	od;
	in_ring[p] = 0;
	count[p] = 0;
	stamp[p] = 0;
	n = 0;
	do
	:: n < CAP -> OBJ(p, n) = 0; n++
	:: else -> break
	od;
	slot[tail % SLOTS] = NOTHING;
	tail++;
	n = 0; p = 0; o = 0
}

proctype Worker()
{
	byte rounds = ROUNDS, p, n, o, at, to;

	do
	:: rounds == 0 -> break
	:: rounds > 0 ->
		rounds--;
		atomic { at = open; p = slot[at % SLOTS] };
		atomic { to = count[p]; p = 0 };
		started++;
		/* a grace period here: what was seen before it is ripe */
#ifdef WORKER_OPENS
		if
		:: tail == open && slot[(open + 1) % SLOTS] != NOTHING && count[slot[open % SLOTS]] ->
			open++
		:: else
		fi;
#endif
		do
		:: tail != open -> atomic { take() }
		:: else -> break
		od;
		atomic {
			if
			:: at >= tail && at <= open ->
				p = slot[at % SLOTS];
				n = PREFIX(at);
				do
				:: n < to -> come_out(p, n, started); n++
				:: else -> break
				od;
				PREFIX(at) = to
			:: else
			fi;
			n = 0; o = 0; p = 0; at = 0; to = 0
		};
		/* each page that is not in the ring */
		for (p : 0 .. PAGES - 1) {
			if
			:: atomic { !in_ring[p] && head - tail < MOST ->
				PREFIX(head) = 0; in_ring[p] = 1; slot[head % SLOTS] = p; head++ }
			:: else
			fi
		}
		p = 0
	od;
	/* nobody retires any more */
	atomic {
		finished == NR_CONTEXTS;
		do
		:: tail != head -> take()
		:: else -> break
		od;
		for (o : 1 .. NR_OBJS) {
			assert(state[o] != 1)
		}
	}
}

init
{
	atomic {
		slot[0] = 0; slot[1] = 1; slot[2] = NOTHING;
		in_ring[0] = 1; in_ring[1] = 1;
		head = 2;
		run Context(0, OPS); run Context(1, OPS); run Context(2, SIGNALS);
		run Scheduler(); run Worker()
	}
}
