/* SPDX-License-Identifier: MIT */
/*
 * side.pml - the side list of frees that found no other place.
 *
 *	push:  next = head; link[o] = next; CAS head next -> o, else again		any context
 *	drain: list = exchange head NULL; walk it, freeing each object		any thread, several at once
 *
 * An object drained is free memory at once: another pusher may have it and push it again while the
 * first drainer still walks. The link is written in the object, so a link read late is a link lost.
 *
 * Must hold: every object is with an owner or in the list, once; a walk meets only its own objects.
 * Must fail: -DPOP_ONE (take the head alone by CAS head -> link[head]: the list changes and comes
 * back in between), -DPLAIN_PUSH (store instead of CAS), -DLINK_LATE (link after the CAS),
 * -DFREE_THEN_LINK (the walk reads the link of an object it has already freed).
 */
#define NR_OBJS		3
#define NR_PUSHERS	2
#define NR_DRAINERS	2
#ifndef PUSHES
#define PUSHES		2
#endif
#ifndef DRAINS
#define DRAINS		2
#endif
#define NONE		0
#define LISTED		0
#define TAKEN		1	/* state of an object that a drainer walks over */
#define OWNED		2

byte head;
byte link[NR_OBJS + 1];
byte state[NR_OBJS + 1];
byte ended;

/* Any object that somebody owns, to be freed: the choice is the model's. */
inline choose(o)
{
	if
	:: state[1] == OWNED -> o = 1
	:: state[2] == OWNED -> o = 2
	:: state[3] == OWNED -> o = 3
	:: else -> o = NONE
	fi
}

proctype Pusher()
{
	byte o, next, pushes = PUSHES;

	do
	:: pushes == 0 -> break
	:: pushes > 0 ->
		atomic {
			pushes--;
			choose(o);
			if :: o -> state[o] = LISTED :: else fi
		}
		if
		:: o == NONE
		:: o != NONE ->
again:
			next = head;
#ifdef LINK_LATE
			atomic { if :: head == next -> head = o :: else -> goto again fi };
			link[o] = next;
#else
			link[o] = next;
#ifdef PLAIN_PUSH
			head = o;
#else
			atomic { if :: head == next -> head = o :: else -> goto again fi };
#endif
#endif
		fi;
		atomic { o = NONE; next = NONE }
	od;
	ended++
}

/* What a drainer does with an object: it must be its own. */
inline release(o)
{
	assert(state[o] == TAKEN);
	state[o] = OWNED
}

proctype Drainer()
{
	byte o, next, drains = DRAINS;

	do
	:: drains == 0 -> break
	:: drains > 0 ->
		drains--;
#ifdef POP_ONE
		o = head;
		do
		:: o == NONE -> break
		:: o != NONE ->
			next = link[o];
			atomic {
				if
				:: head == o -> head = next; assert(state[o] == LISTED); state[o] = TAKEN; break
				:: else -> o = head
				fi
			}
		od;
		if :: o != NONE -> release(o) :: else fi;
#else
		atomic { o = head; head = NONE };
		do
		:: o == NONE -> break
		:: o != NONE ->
			atomic { assert(state[o] == LISTED); state[o] = TAKEN };
#ifdef FREE_THEN_LINK
			release(o);
			next = link[o];
#else
			next = link[o];
			release(o);
#endif
			atomic { o = next; next = NONE }
		od;
#endif
		atomic { o = NONE; next = NONE }
	od;
	ended++
}

/* Every object is owned, or in the list once. */
active proctype Check()
{
	byte o, i, n;

	atomic {
		ended == NR_PUSHERS + NR_DRAINERS;
		o = head;
		do
		:: o == NONE -> break
		:: o != NONE -> assert(state[o] == LISTED); state[o] = OWNED; o = link[o]; n++; assert(n <= NR_OBJS)
		od;
		for (i : 1 .. NR_OBJS) {
			assert(state[i] == OWNED)
		}
	}
}

init
{
	byte i;

	atomic {
		for (i : 1 .. NR_OBJS) { state[i] = OWNED }
		for (i : 1 .. NR_PUSHERS) { run Pusher() }
		for (i : 1 .. NR_DRAINERS) { run Drainer() }
		i = 0
	}
}
