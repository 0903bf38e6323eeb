/* SPDX-License-Identifier: MIT */
/*
 * rcu.pml - grace periods of our own domain (src/rcu/): two readers, two CPUs, two updaters, the machine.
 *
 * A reader loads the phase, counts its begin on its CPU, looks at an object, counts its end, on another
 * CPU perhaps. An updater unlinks its object, takes a stamp, waits until done is above it, frees. The machine
 * raises started and drains both phases, sums taken CPU by CPU.
 *
 * The machine is TSO: a begin and an unlinking lie in the thread's store buffer until they drain, at any time, when
 * the thread moves, or at the period's barrier, which comes to one thread after the other.
 *
 * Broken: ONE_PHASE (late readers are not waited for), NO_BARRIER, STALE_STAMP (the period under way will do),
 * INS_FIRST (begins are summed before ends), NO_FIRST_BARRIER (none between started and the first sum: that of the sum
 * comes to a late reader, who then finds what another thread's barrier has not yet unlinked).
 */
#ifndef SECTIONS
#define SECTIONS 1
#endif
#ifndef PERIODS
#define PERIODS 2
#endif

byte begun[4], ended[4]; /* by 2 * phase + CPU */
bit phase;
byte started = 1, done = 1;
bool wanted;
bool unlinked[2], freed[2]; /* the object of each updater */

bool begin_held[2], unlink_held[2]; /* in a store buffer */
byte begin_at[2];

#define DRAIN_BEGIN(r)                                                                             \
	if                                                                                         \
	:: begin_held[r] -> begun[begin_at[r]]++; begin_held[r] = false                            \
	:: else                                                                                    \
	fi
#define DRAIN_UNLINK(u)                                                                            \
	if                                                                                         \
	:: unlink_held[u] -> unlinked[u] = true; unlink_held[u] = false                            \
	:: else                                                                                    \
	fi

active proctype store_buffers()
{
end:	do
	:: atomic { begin_held[0] -> begun[begin_at[0]]++; begin_held[0] = false }
	:: atomic { begin_held[1] -> begun[begin_at[1]]++; begin_held[1] = false }
	:: atomic { unlink_held[0] -> unlinked[0] = true; unlink_held[0] = false }
	:: atomic { unlink_held[1] -> unlinked[1] = true; unlink_held[1] = false }
	od
}

active [2] proctype reader()
{
	byte me = _pid - 1, n, p, cpu, object;
	bool holds;

	do
	:: n == SECTIONS -> break
	:: else ->
		p = phase;
		atomic {
			begin_at[me] = 2 * p + me;
			begin_held[me] = true
		}
		atomic {
			select(object : 0 .. 1);
			holds = !unlinked[object]
		}
		atomic {
			assert(!(holds && freed[object]));
			holds = false;
			DRAIN_BEGIN(me); /* stores leave in order */
			select(cpu : 0 .. 1);
			ended[2 * p + cpu]++;
			n++
		}
	od
}

active [2] proctype updater()
{
	byte me = _pid - 3, stamp;

	unlink_held[me] = true;
#ifdef STALE_STAMP
	stamp = done;
#else
	stamp = started;
#endif
	wanted = true;
end:	done > stamp;
	freed[me] = true
}

inline barrier()
{
#ifndef NO_BARRIER
	atomic { DRAIN_BEGIN(0); DRAIN_UNLINK(0) } /* threads that run on one CPU now, */
	atomic { DRAIN_BEGIN(1); DRAIN_UNLINK(1) } /* and on the other */
#else
	skip
#endif
}

inline sum_begun(q)
{
	in = begun[2 * (q)];
	in = in + begun[2 * (q) + 1]
}

inline sum_ended(q)
{
	out = ended[2 * (q)];
	out = out + ended[2 * (q) + 1]
}

inline drained(q)
{
	do
	:: true ->
#ifdef INS_FIRST
		sum_begun(q);
		barrier();
		sum_ended(q);
#else
		sum_ended(q);
		barrier();
		sum_begun(q);
#endif
		if
		:: in == out -> break
		:: else
		fi
	od
}

active proctype machine()
{
	byte in, out;

end:	do
	:: started <= PERIODS && wanted ->
		wanted = false;
		started++;
#ifndef NO_FIRST_BARRIER
		barrier();
#endif
#ifndef ONE_PHASE
		drained(1 - phase);
#endif
		phase = 1 - phase;
		drained(1 - phase);
		done = started
	od
}
