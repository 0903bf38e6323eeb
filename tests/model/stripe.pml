/* SPDX-License-Identifier: MIT */
/*
 * stripe.pml - the form without restartable sequences: stacks with a held word, never waited for.
 *
 *	take: from the own stripe on, the first whose word is 0: CAS word 0 -> me; none: go aside
 *	work: plain loads and stores on the stack, the commit of count last
 *	put:  word = 0
 *	taker (resize, drain): CAS like the others, waits its turn with naps that end; puts the empty,
 *		full stack in its place until the work is done, since a child lets go of its word
 *
 * Two threads, a handler on thread 0 at any step, a taker that empties a stripe, and a fork after
 * which thread 1 and the taker are no more: the child clears the words of those it does not have.
 * What a lost thread had half done is as if not begun, since its commit is missing.
 *
 * Must hold: nothing handed out twice; nothing lost; all that live come to their end.
 * Must fail: -DHELD_IGNORED, -DTEST_THEN_SET, -DCOMMIT_FIRST, -DHANDLER_WAITS, -DFORK_CLEARS_ALL,
 * -DTAKEN_IN_PLACE (the child finds a stack in pieces).
 */
#define NR_STRIPES	2
#define NR_OBJS		3
#define CAP		3
#define HANDLER		2	/* contexts: threads 0 and 1, handler of 0, taker */
#define TAKER		3
#define ME(x)		((x) == HANDLER -> 1 : 1 + (x))
#define RUNS(x)		((x) == HANDLER || ((x) == 0 && !in_handler) || ((x) != 0 && !forked))
#define SLOT(s, i)	slot[(s) * (CAP + 1) + (i)]
#ifndef OPS
#define OPS		2
#endif
#ifndef SIGNALS
#define SIGNALS		1
#endif

byte held[NR_STRIPES];
bit gone[NR_STRIPES];		/* the stack is in the taker's hands */
byte count[NR_STRIPES];
byte slot[NR_STRIPES * (CAP + 1)];
byte owner[NR_OBJS + 1];	/* 0: in a stack; else 1 + context */
bit in_handler, forked, stale;
bit finished[4];

/* First thing that a child does. */
inline look_after_fork()
{
	if
	:: stale ->
		stale = 0;
#ifdef FORK_CLEARS_ALL
		held[0] = 0;
		held[1] = 0
#else
		if :: held[0] != ME(0) -> held[0] = 0 :: else fi;
		if :: held[1] != ME(0) -> held[1] = 0 :: else fi
#endif
	:: else
	fi
}

/* got: 1 and stripe s is ours. */
inline try_stripe()
{
#ifdef TEST_THEN_SET
	atomic { RUNS(x); look_after_fork(); got = (held[s] == 0) };
	atomic { RUNS(x); if :: got -> held[s] = ME(x) :: else fi }
#else
	atomic {
		RUNS(x);
		look_after_fork();
#ifdef HELD_IGNORED
		held[s] = ME(x); got = 1
#else
		if :: held[s] == 0 -> held[s] = ME(x); got = 1 :: else -> got = 0 fi
#endif
	}
#endif
}

inline take_stripe(first)
{
	s = first;
#ifdef HANDLER_WAITS
	if
	:: x == HANDLER -> held[first] == 0
	:: x != HANDLER
	fi;
#endif
	try_stripe();
	if
	:: !got -> atomic { RUNS(x); s = 1 - first }; try_stripe()
	:: got
	fi
}

inline own(o)
{
	assert(o != 0 && owner[o] == 0);
	owner[o] = 1 + x
}

inline pop()
{
	atomic { RUNS(x); k = (gone[s] -> 0 : count[s]) };
	if
	:: k > 0 ->
#ifdef COMMIT_FIRST
		atomic { RUNS(x); count[s] = k - 1 };
		atomic { RUNS(x); o = SLOT(s, k); own(o); mine = o }
#else
		atomic { RUNS(x); o = SLOT(s, k) };
		atomic { RUNS(x); count[s] = k - 1; own(o); mine = o }
#endif
	:: else
	fi
}

inline push()
{
	atomic { RUNS(x); k = (gone[s] -> CAP : count[s]) };
	if
	:: k < CAP ->
#ifdef COMMIT_FIRST
		atomic { RUNS(x); count[s] = k + 1; owner[mine] = 0 };
		atomic { RUNS(x); SLOT(s, k + 1) = mine; mine = 0 }
#else
		atomic { RUNS(x); SLOT(s, k + 1) = mine };
		atomic { RUNS(x); count[s] = k + 1; owner[mine] = 0; mine = 0 }
#endif
	:: else
	fi
}

inline put_stripe()
{
	atomic { RUNS(x); held[s] = 0; got = 0; k = 0; o = 0; s = 0 }
}

proctype Context(byte x; byte ops)
{
	byte s, k, o, mine;
	bit got;

	do
	:: ops == 0 -> break
	:: ops > 0 ->
		ops--;
		if
		:: x == HANDLER ->
			atomic { !in_handler && !finished[0] -> in_handler = 1 };
			if
			:: atomic { !forked -> forked = 1; stale = 1 }
			:: skip
			fi
		:: x != HANDLER
		fi;
		take_stripe((x & 1));
		if
		:: got && mine == 0 -> pop(); put_stripe()
		:: got && mine != 0 -> push(); put_stripe()
		:: else -> atomic { RUNS(x); s = 0 }
		fi;
		if
		:: x == HANDLER -> in_handler = 0
		:: else
		fi
	:: x == HANDLER && finished[0] -> break
	od;
	finished[x] = 1
}

/* Empties one stripe, as a drain does. */
proctype Taker()
{
	byte x = TAKER, s, k, o, i;
	byte list[CAP + 1];
	bit got;

	if :: s = 0 :: s = 1 fi;
	do
	:: try_stripe();
	   if :: got -> break :: else fi	/* a nap that ends */
	od;
	atomic {
		RUNS(x);
		k = count[s];
		for (i : 1 .. k) { list[i] = SLOT(s, i) }
#ifndef TAKEN_IN_PLACE
		for (i : 1 .. k) { own(list[i]) }
		gone[s] = 1
#endif
	};
	atomic { RUNS(x); SLOT(s, 1) = 0 };	/* copied, freed, used for something else */
	atomic {
		RUNS(x);
		count[s] = 0;
#ifdef TAKEN_IN_PLACE
		for (i : 1 .. k) { own(list[i]) }
#endif
		gone[s] = 0
	};
	put_stripe();
	finished[TAKER] = 1
}

/* Nothing can move any more. Held by nobody that lives; every object owned, or in one stack once. */
proctype Monitor()
{
	byte o, c, i, seen;

	timeout;
	atomic {
		assert(finished[0] && (forked || (finished[1] && finished[TAKER])));
		assert(stale || (held[0] == 0 && held[1] == 0));
		for (o : 1 .. NR_OBJS) {
			seen = 0;
			for (c : 0 .. NR_STRIPES - 1) {
				i = 1;
				do
				:: gone[c] || i > count[c] -> break
				:: !gone[c] && i <= count[c] -> if :: SLOT(c, i) == o -> seen++ :: else fi; i++
				od
			}
			assert(seen == (owner[o] == 0 -> 1 : 0))
		}
	}
}

init
{
	atomic {
		SLOT(0, 1) = 1; SLOT(0, 2) = 2; count[0] = 2;
		SLOT(1, 1) = 3; count[1] = 1;
		run Context(0, OPS); run Context(1, OPS); run Context(HANDLER, SIGNALS);
		run Taker(); run Monitor()
	}
}
