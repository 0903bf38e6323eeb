/* SPDX-License-Identifier: MIT */
/*
 * proposals.c - what the kernel's list argued over in 2020, side by side on one workload.
 *
 *	FASTTRY		this CPU's lists and nothing else (Rezki's flag)
 *	NOLOCK		the same, then one try of each lock (what the kernel came to in 2025)
 *	NOWAIT		short locks are waited for
 *	lock always	the ordinary allocation: any lock, grows the zone
 *	decline		this CPU's lists, and on NULL a refill thread is woken (Wilcox)
 *
 * A SCHED_FIFO thread allocates bursts that other threads free, so its CPU's lists run out; four threads
 * allocate beside it under a signal storm (rig.h). NULL rate, times of one request, and what the thread
 * suffers as a whole: bursts over 50 us, times it was blocked.
 */
#include "rig.h"
#include "tail_nst.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	uint32_t variant;
} ways[] = {
	{"FASTTRY", TAIL_FASTTRY},    {"NOLOCK", TAIL_NOLOCK},	 {"NOWAIT", TAIL_NOWAIT},
	{"lock always", TAIL_NORMAL}, {"decline", TAIL_DECLINE},
};

static void print(const char *name, const struct rig_result *s)
{
	double seconds = (double)s->elapsed_ns / 1e9;

	printf("  %-12s %8.3f %6lu %7lu %8lu %9lu %9lu %8lu %8ld %7ld %7ld %6ld %9.0f\n", name,
	       s->allocs ? 100.0 * (double)s->nulls / (double)s->allocs : 0,
	       (unsigned long)bench_hist_quantile(&s->op, 0.5),
	       (unsigned long)bench_hist_quantile(&s->op, 0.999),
	       (unsigned long)bench_hist_quantile(&s->op, 0.9999), (unsigned long)s->op.worst,
	       (unsigned long)s->control.worst, (unsigned long)s->late_bursts, s->blocked,
	       s->faults, s->preempted, s->steal_ticks, (double)s->load_ops / seconds);
	fflush(stdout);
}

static void run(const char *what, struct rig_job job, unsigned int rounds)
{
	static struct rig_result sum[BENCH_COUNT(ways)], r;
	unsigned int round;
	size_t i;

	memset(sum, 0, sizeof(sum));
	for (round = 0; round < rounds; round++) {
		for (i = 0; i < BENCH_COUNT(ways); i++) {
			struct bench_child child;

			if (bench_spawn(&child, "tail_nst", "rig", NULL, NULL))
				exit(1);
			job.variant = ways[i].variant;
			if (!bench_ask(&child, &job, sizeof(job), &r, sizeof(r)) && !r.failed)
				rig_merge(&sum[i], &r);
			bench_end(&child);
		}
	}
	printf("\n%s\n  %-12s %8s %6s %7s %8s %9s %9s %8s %8s %7s %7s %6s %9s\n", what, "", "NULL%",
	       "p50", "p99.9", "p99.99", "worst", "(control)", "late", "blocked", "faults",
	       "nivcsw", "steal", "load op/s");
	for (i = 0; i < BENCH_COUNT(ways); i++)
		print(ways[i].name, &sum[i]);
}

int main(void)
{
	struct rig_job job = {.period_us = 200, .storm_hz = 10000, .hand_over = 1};
	int quick = bench_quick();

	job.milliseconds = quick ? 500 : 2000;
	bench_header(
		"proposals: one request of a SCHED_FIFO thread (ns), by what it may do when its lists are empty");
	job.burst = 16;
	job.size_max = 2032;
	run("bursts of 16, sizes 16 to 2048, 5000 bursts a second, freed by another CPU", job,
	    quick ? 1 : 3);
	job.burst = 64;
	job.size_max = 240;
	run("bursts of 64, sizes 16 to 256, 5000 bursts a second, freed by another CPU", job,
	    quick ? 1 : 3);
	return 0;
}
