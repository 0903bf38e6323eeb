/* SPDX-License-Identifier: MIT */
/*
 * tail.c - how long can one operation of a SCHED_FIFO thread take while four ordinary threads allocate
 * and signals rain? The rig is in rig.h; contestants take turns, each run of one in between the others'.
 */
#include "tail_runs.h"
#include "tail_nst.h"

#include <string.h>

static void print_aims(void)
{
	const struct contestant *ours = tail_find("nostall NOLOCK"), *best = NULL;
	uint64_t p, peer_p = UINT64_MAX, peer_worst = UINT64_MAX;
	size_t i;

	for (i = 0; i < tail_nr; i++) {
		const struct contestant *c = &tail_contestants[i];

		if (strcmp(c->exe, "tail_malloc") != 0 || !c->sum.op.n)
			continue;
		p = bench_hist_quantile(&c->sum.op, 0.9999);
		if (p < peer_p) {
			peer_p = p;
			best = c;
		}
		if (c->sum.op.worst < peer_worst)
			peer_worst = c->sum.op.worst;
	}
	if (!ours || !best || !ours->sum.op.n)
		return;
	p = bench_hist_quantile(&ours->sum.op, 0.9999);
	printf("  aim: p99.99 like the controls': %lu against %lu empty, %lu padded; 1/10 of the best peer's "
	       "(%s %lu): ratio %.2f\n",
	       (unsigned long)p, tail_q(&ours->sum.control, 0.9999),
	       tail_q(&ours->sum.padded, 0.9999), best->name, (unsigned long)peer_p,
	       (double)p / (double)peer_p);
	printf("  aim: worst like the controls': %lu against %lu empty, %lu padded; 1/10 of the lowest worst of "
	       "a peer (%lu): ratio %.2f\n",
	       (unsigned long)ours->sum.op.worst, (unsigned long)ours->sum.control.worst,
	       (unsigned long)ours->sum.padded.worst, (unsigned long)peer_worst,
	       (double)ours->sum.op.worst / (double)peer_worst);
}

static void print_causes(const struct contestant *c)
{
	const struct rig_result *s = &c->sum;
	size_t i;

	printf("  %s: bursts with an operation over 5 us: %lu, with an interrupt around it %lu; "
	       "bursts without: %lu, with an interrupt %lu (%.1f %%)\n",
	       c->name, (unsigned long)s->with, (unsigned long)s->with_interrupt,
	       (unsigned long)s->without, (unsigned long)s->without_interrupt,
	       s->without ? 100.0 * (double)s->without_interrupt / (double)s->without : 0);
	printf("    faults %ld, involuntary switches %ld, blocked %ld, steal ticks %ld; over 5 us: operations %lu, "
	       "empty control %lu, padded %lu\n",
	       s->faults, s->preempted, s->blocked, s->steal_ticks, (unsigned long)s->op.over_5us,
	       (unsigned long)s->control.over_5us, (unsigned long)s->padded.over_5us);
	for (i = 0; i < RIG_OUTLIERS; i++)
		if (s->worst[i].ns)
			printf("    outlier at=%.6fs ns=%lu faults=%ld nivcsw=%ld interrupts=%lld\n",
			       (double)s->worst[i].at_ns / 1e9, (unsigned long)s->worst[i].ns,
			       s->worst[i].faults, s->worst[i].preempted,
			       (long long)s->worst[i].interrupts);
	fflush(stdout);
}

int main(void)
{
	struct rig_job job = {.period_us = 200, .burst = 16, .size_max = 2032};
	int quick = bench_quick();
	size_t i;

	bench_header("tail: ns of one operation of a SCHED_FIFO thread among four that allocate");
	tail_add("nostall NOLOCK", "tail_nst", NULL, TAIL_NOLOCK);
	tail_add("nostall FASTTRY", "tail_nst", NULL, TAIL_FASTTRY);
	tail_add("nostall NORMAL", "tail_nst", NULL, TAIL_NORMAL);
	tail_add_peers();

	job.milliseconds = quick ? 500 : 2500;
	job.storm_hz = 10000;
	printf("\nsignal storm: 10 kHz at each of the four threads, sizes 16 to 2048, %zu runs each\n",
	       (size_t)(quick ? 2 : 4));
	tail_round_robin(job, quick ? 2 : 4);
	tail_print_table();
	print_aims();

	job.storm_hz = 0;
	job.milliseconds = quick ? 500 : 2000;
	printf("\nno signals\n");
	tail_round_robin(job, quick ? 1 : 2);
	tail_print_table();
	print_aims();

	job.trace = 1;
	job.period_us = 1000;
	printf("\ncauses of outliers: no signals, the CPU's interrupts read around each burst\n");
	tail_round_robin(job, 1);
	for (i = 0; i < tail_nr; i++)
		print_causes(&tail_contestants[i]);
	return 0;
}
