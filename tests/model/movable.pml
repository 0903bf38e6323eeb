/* SPDX-License-Identifier: MIT */
/*
 * movable.pml - a run that is moved while its owner frees it (mm/reclaim/movable.c).
 *
 *	mover	CAS from: MOVABLE -> MOVING; to is live; migrate: under the owner's lock, if the table says from: copy,
 *		the table says to; or refuse. Moved: CAS MOVING -> RUN, from is placed. Refused: to is placed;
 *		CAS MOVING -> MOVABLE, or it was freed, and is placed
 *	owner	takes the run out of the table, lets the lock go, frees what it took: CAS MOVABLE -> RUN, placed; or
 *		CAS MOVING -> FREED, left. Then it allocates another one, which may be what was placed
 *	mover	tries ROUNDS times
 *
 * Two runs, 0 and 1, of which one is the owner's; a run that is placed is free, and may be taken by either.
 *
 * Must hold: a run is placed only while it is somebody's, and by one; in the end all but the owner's is free.
 * Must fail: -DPLACE_AT_ONCE (what is freed while it is moved), -DLOOK_THEN_TAKE, -DPUT_BACK_STORES (the mover puts back
 * without a look), -DNO_LOOK (migrate does not look whether the run is still there).
 */
#ifndef ROUNDS
#define ROUNDS	2
#endif
#define NONE	2

mtype = { FREE, RUN, MOVABLE, MOVING, FREED };
mtype state[2];
byte table = 0;
bit lock, done_owner, done_mover;

/* By whoever has it: nobody else may. */
inline place(r)
{
	assert(state[r] != FREE);
	state[r] = FREE
}

proctype Owner()
{
	byte r, n = ROUNDS;

	do
	:: n == 0 -> break
	:: n > 0 ->
		n--;
		atomic { lock == 0 -> lock = 1 };
		r = table;
		table = NONE;
		lock = 0;
		do
		:: atomic { state[r] == MOVABLE -> state[r] = RUN }; atomic { place(r) }; break
#ifdef PLACE_AT_ONCE
		:: atomic { state[r] == MOVING -> state[r] = RUN }; atomic { place(r) }; break
#else
		:: atomic { state[r] == MOVING -> state[r] = FREED }; break
#endif
		:: atomic { state[r] != MOVABLE && state[r] != MOVING -> assert(0) }
		od;
		/* another one, when there is any */
		if
		:: atomic { state[0] == FREE -> state[0] = RUN; r = 0 }
		:: atomic { state[1] == FREE -> state[1] = RUN; r = 1 }
		fi;
		state[r] = MOVABLE;
		atomic { lock == 0 -> lock = 1 };
		table = r;
		lock = 0
	od;
	done_owner = 1
}

proctype Mover()
{
	byte f, t, n = ROUNDS;
	bit moved;

	do
	:: n == 0 -> break
	:: n > 0 ->
		n--;
		moved = 0;
		/* somewhere to go, and something to move */
		if
		:: atomic { state[0] == FREE -> state[0] = RUN; t = 0; f = 1 }
		:: atomic { state[1] == FREE -> state[1] = RUN; t = 1; f = 0 }
		:: atomic { done_owner && state[0] != FREE && state[1] != FREE } -> break
		fi;
#ifdef LOOK_THEN_TAKE
		if
		:: state[f] == MOVABLE -> state[f] = MOVING
#else
		if
		:: atomic { state[f] == MOVABLE -> state[f] = MOVING }
#endif
		:: else -> atomic { place(t) }; goto next
		fi;
		state[t] = MOVABLE;
		atomic { lock == 0 -> lock = 1 };
		if
#ifdef NO_LOOK
		:: table = t; moved = 1
#else
		:: table == f -> table = t; moved = 1
#endif
		:: skip
		fi;
		lock = 0;
		if
		:: moved ->
			atomic { assert(state[f] == MOVING); state[f] = RUN };
			atomic { place(f) }
		:: !moved ->
			atomic { place(t) };
#ifdef PUT_BACK_STORES
			state[f] = MOVABLE
#else
			if
			:: atomic { state[f] == MOVING -> state[f] = MOVABLE }
			:: atomic { state[f] != MOVING -> assert(state[f] == FREED); place(f) }
			fi
#endif
		fi;
next:		skip
	od;
	done_mover = 1
}

proctype Monitor()
{
	timeout;
	atomic {
		assert(done_owner && done_mover);
		assert(table != NONE && state[table] == MOVABLE && state[1 - table] == FREE)
	}
}

init
{
	atomic {
		state[0] = MOVABLE; state[1] = FREE;
		run Owner(); run Mover(); run Monitor()
	}
}
