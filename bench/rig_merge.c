/* SPDX-License-Identifier: MIT */
/*
 * rig_merge.c - the driver's side of rig.h: several runs of one contestant as one.
 */
#include "rig.h"

static void merge_outlier(struct rig_result *sum, const struct rig_outlier *o)
{
	struct rig_outlier *least = &sum->worst[0];
	size_t i;

	for (i = 1; i < RIG_OUTLIERS; i++)
		if (sum->worst[i].ns < least->ns)
			least = &sum->worst[i];
	if (o->ns > least->ns)
		*least = *o;
}

void rig_merge(struct rig_result *sum, const struct rig_result *r)
{
	size_t i;

	bench_hist_merge(&sum->op, &r->op);
	bench_hist_merge(&sum->control, &r->control);
	bench_hist_merge(&sum->padded, &r->padded);
	sum->is_fifo = r->is_fifo;
	sum->allocs += r->allocs;
	sum->nulls += r->nulls;
	sum->load_ops += r->load_ops;
	sum->signals += r->signals;
	sum->bursts += r->bursts;
	sum->late_bursts += r->late_bursts;
	sum->faults += r->faults;
	sum->preempted += r->preempted;
	sum->blocked += r->blocked;
	sum->steal_ticks += r->steal_ticks;
	sum->interrupts += r->interrupts;
	sum->timer_interrupts += r->timer_interrupts;
	sum->elapsed_ns += r->elapsed_ns;
	sum->with += r->with;
	sum->with_interrupt += r->with_interrupt;
	sum->without += r->without;
	sum->without_interrupt += r->without_interrupt;
	for (i = 0; i < RIG_OUTLIERS; i++)
		merge_outlier(sum, &r->worst[i]);
}
