/* SPDX-License-Identifier: MIT */
/*
 * rig.h - one SCHED_FIFO thread that measures each of its operations, among four ordinary threads that
 * allocate, exchange and free, each of them interrupted by a timer's signals.
 *
 *	CPU a	measured (FIFO 50), load 0, 1, 2	every period: a burst of
 *	CPU b	load 3, which also frees what the	  operation, empty control, padded control
 *		measured thread hands over
 *
 * The empty control is two clock reads with nothing between: the machine's own noise at the same moment.
 * The padded one spins for as long as the operation's median: an interrupt hits a longer window more
 * often, and this shows by how much.
 */
#ifndef NST_BENCH_RIG_H
#define NST_BENCH_RIG_H

#include "bench.h"

/* What is measured, filled in by the worker for its library. */
struct rig_ops {
	void *(*load_alloc)(size_t size); /* the ordinary threads */
	void (*load_free)(void *ptr);
	void *(*alloc)(size_t size); /* the measured thread */
	void (*free)(void *ptr);
	void (*handler)(void); /* in each load thread's signal handler; NULL: nothing */
	void (*refused)(
		void); /* after each NULL of @alloc, outside of the measured time; may be NULL */
};

struct rig_job {
	uint32_t variant; /* the worker's business */
	uint32_t milliseconds;
	uint32_t period_us, burst;
	uint32_t storm_hz; /* signals a second to each load thread */
	uint32_t size_max;
	uint32_t
		hand_over; /* 1: each object goes to load 3; 0: kept and freed by the measured thread */
	uint32_t trace; /* 1: read the CPU's interrupts around each burst */
};

#define RIG_OUTLIERS 8

struct rig_outlier {
	uint64_t at_ns, ns;	/* since the start; how long */
	long faults, preempted; /* of the measured thread, in the same burst */
	int64_t interrupts;	/* of the CPU around the burst; -1: not traced */
};

struct rig_result {
	int32_t failed; /* the worker has no such variant */
	int32_t is_fifo;
	struct bench_hist op, control, padded;
	uint64_t allocs, nulls;
	uint64_t load_ops, signals;
	uint64_t bursts, late_bursts; /* late: over 50 us for all of a burst's operations */
	long faults, preempted,
		blocked; /* measured thread; blocked: voluntary switches within bursts */
	long steal_ticks;
	uint64_t interrupts, timer_interrupts; /* of the measured CPU */
	uint64_t elapsed_ns;
	/* trace: bursts with an outlier and without, and those of them with an interrupt around */
	uint64_t with, with_interrupt, without, without_interrupt;
	struct rig_outlier worst[RIG_OUTLIERS]; /* operations, the longest */
};

void rig_run(const struct rig_ops *ops, const struct rig_job *job, struct rig_result *result);

/* In the driver: adds @r to @sum, figure by figure. */
void rig_merge(struct rig_result *sum, const struct rig_result *r);

#endif
