/* SPDX-License-Identifier: MIT */
/*
 * tail_runs.c - see tail_runs.h.
 *
 * Beside every maximum stands what the machine did meanwhile: steal time, page faults and involuntary
 * switches of the measured thread, and two controls that did not allocate.
 */
#include "tail_runs.h"

#include <stdlib.h>
#include <string.h>

struct contestant tail_contestants[TAIL_MAX];
size_t tail_nr;

void tail_add(const char *name, const char *exe, const char *preload, uint32_t variant)
{
	struct contestant *c = &tail_contestants[tail_nr++];

	c->name = name;
	c->exe = exe;
	c->preload = preload;
	c->variant = variant;
}

void tail_add_peers(void)
{
	struct bench_peer peers[BENCH_MAX_PEERS];
	size_t i, n = bench_peers(peers, BENCH_MAX_PEERS);

	for (i = 0; i < n; i++)
		tail_add(peers[i].name, "tail_malloc", peers[i].preload, 0);
}

static void start_all(void)
{
	size_t i;

	for (i = 0; i < tail_nr; i++)
		if (bench_spawn(&tail_contestants[i].child, tail_contestants[i].exe, "rig",
				tail_contestants[i].preload, NULL))
			exit(1);
}

static void end_all(void)
{
	size_t i;

	for (i = 0; i < tail_nr; i++)
		bench_end(&tail_contestants[i].child);
}

void tail_round_robin(struct rig_job job, unsigned int rounds)
{
	static struct rig_result r;
	unsigned int round;
	size_t i;

	for (i = 0; i < tail_nr; i++) {
		memset(&tail_contestants[i].sum, 0, sizeof(tail_contestants[i].sum));
		tail_contestants[i].best_p9999 = UINT64_MAX;
		tail_contestants[i].worst_p9999 = 0;
	}
	for (round = 0; round < rounds; round++) {
		start_all();
		for (i = 0; i < tail_nr; i++) {
			struct contestant *c = &tail_contestants[i];
			uint64_t p;

			job.variant = c->variant;
			if (bench_ask(&c->child, &job, sizeof(job), &r, sizeof(r)) || r.failed)
				continue;
			p = bench_hist_quantile(&r.op, 0.9999);
			c->best_p9999 = p < c->best_p9999 ? p : c->best_p9999;
			c->worst_p9999 = p > c->worst_p9999 ? p : c->worst_p9999;
			rig_merge(&c->sum, &r);
		}
		end_all();
	}
}

unsigned long tail_q(const struct bench_hist *h, double quantile)
{
	return (unsigned long)bench_hist_quantile(h, quantile);
}

static void print_hist(const char *name, const struct bench_hist *h)
{
	printf("  %-26s %6lu %6lu %7lu %8lu %9lu %7lu", name, tail_q(h, 0.5), tail_q(h, 0.99),
	       tail_q(h, 0.999), tail_q(h, 0.9999), (unsigned long)h->worst,
	       (unsigned long)h->over_5us);
}

void tail_print_table(void)
{
	size_t i;

	printf("  %-26s %6s %6s %7s %8s %9s %7s %6s %6s %6s %6s %8s %9s\n", "ns", "p50", "p99",
	       "p99.9", "p99.99", "worst", ">5us", "NULL%", "faults", "nivcsw", "steal", "irq/s",
	       "load op/s");
	for (i = 0; i < tail_nr; i++) {
		const struct rig_result *s = &tail_contestants[i].sum;
		double seconds = (double)s->elapsed_ns / 1e9;

		if (!s->op.n)
			continue;
		print_hist(tail_contestants[i].name, &s->op);
		printf(" %6.2f %6ld %6ld %6ld %8.0f %9.0f\n",
		       s->allocs ? 100.0 * (double)s->nulls / (double)s->allocs : 0, s->faults,
		       s->preempted, s->steal_ticks, (double)s->interrupts / seconds,
		       (double)s->load_ops / seconds);
		print_hist("   empty control beside it", &s->control);
		printf("\n");
		print_hist("   padded control", &s->padded);
		printf("   %lu operations; p99.99 of single runs %lu to %lu%s\n",
		       (unsigned long)s->op.n, (unsigned long)tail_contestants[i].best_p9999,
		       (unsigned long)tail_contestants[i].worst_p9999,
		       s->is_fifo ? "" : "; NOT real-time: no right to SCHED_FIFO");
	}
	fflush(stdout);
}

const struct contestant *tail_find(const char *name)
{
	size_t i;

	for (i = 0; i < tail_nr; i++)
		if (strcmp(tail_contestants[i].name, name) == 0)
			return &tail_contestants[i];
	return NULL;
}
