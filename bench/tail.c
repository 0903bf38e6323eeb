/* SPDX-License-Identifier: MIT */
/*
 * tail.c - how long can one operation of a SCHED_FIFO thread take while four ordinary threads allocate
 * and signals rain? The rig is in rig.h; contestants take turns, each run of one in between the others'.
 *
 * Beside every maximum stands what the machine did meanwhile: steal time, page faults and involuntary
 * switches of the measured thread, and two controls that did not allocate.
 */
#include "rig.h"
#include "tail_nst.h"

#include <stdlib.h>
#include <string.h>

static struct contestant {
	const char *name, *exe, *preload;
	uint32_t variant;
	struct bench_child child;
	struct rig_result sum;
	uint64_t best_p9999, worst_p9999; /* of single runs */
} contestants[3 + BENCH_MAX_PEERS];
static size_t nr;

static void add(const char *name, const char *exe, const char *preload, uint32_t variant)
{
	struct contestant *c = &contestants[nr++];

	c->name = name;
	c->exe = exe;
	c->preload = preload;
	c->variant = variant;
}

static void start_all(void)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (bench_spawn(&contestants[i].child, contestants[i].exe, "rig",
				contestants[i].preload, NULL))
			exit(1);
}

static void end_all(void)
{
	size_t i;

	for (i = 0; i < nr; i++)
		bench_end(&contestants[i].child);
}

static void round_robin(struct rig_job job, unsigned int rounds)
{
	static struct rig_result r;
	unsigned int round;
	size_t i;

	for (i = 0; i < nr; i++) {
		memset(&contestants[i].sum, 0, sizeof(contestants[i].sum));
		contestants[i].best_p9999 = UINT64_MAX;
		contestants[i].worst_p9999 = 0;
	}
	for (round = 0; round < rounds; round++) {
		start_all();
		for (i = 0; i < nr; i++) {
			struct contestant *c = &contestants[i];
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

static unsigned long q(const struct bench_hist *h, double quantile)
{
	return (unsigned long)bench_hist_quantile(h, quantile);
}

static void print_hist(const char *name, const struct bench_hist *h)
{
	printf("  %-26s %6lu %6lu %7lu %8lu %9lu %7lu", name, q(h, 0.5), q(h, 0.99), q(h, 0.999),
	       q(h, 0.9999), (unsigned long)h->worst, (unsigned long)h->over_5us);
}

static void print_table(void)
{
	size_t i;

	printf("  %-26s %6s %6s %7s %8s %9s %7s %6s %6s %6s %6s %8s %9s\n", "ns", "p50", "p99",
	       "p99.9", "p99.99", "worst", ">5us", "NULL%", "faults", "nivcsw", "steal", "irq/s",
	       "load op/s");
	for (i = 0; i < nr; i++) {
		const struct rig_result *s = &contestants[i].sum;
		double seconds = (double)s->elapsed_ns / 1e9;

		if (!s->op.n)
			continue;
		print_hist(contestants[i].name, &s->op);
		printf(" %6.2f %6ld %6ld %6ld %8.0f %9.0f\n",
		       s->allocs ? 100.0 * (double)s->nulls / (double)s->allocs : 0, s->faults,
		       s->preempted, s->steal_ticks, (double)s->interrupts / seconds,
		       (double)s->load_ops / seconds);
		print_hist("   empty control beside it", &s->control);
		printf("\n");
		print_hist("   padded control", &s->padded);
		printf("   %lu operations; p99.99 of single runs %lu to %lu%s\n",
		       (unsigned long)s->op.n, (unsigned long)contestants[i].best_p9999,
		       (unsigned long)contestants[i].worst_p9999,
		       s->is_fifo ? "" : "; NOT real-time: no right to SCHED_FIFO");
	}
	fflush(stdout);
}

static const struct contestant *find(const char *name)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (strcmp(contestants[i].name, name) == 0)
			return &contestants[i];
	return NULL;
}

static void print_aims(void)
{
	const struct contestant *ours = find("nostall NOLOCK"), *best = NULL;
	uint64_t p, peer_p = UINT64_MAX, peer_worst = UINT64_MAX;
	size_t i;

	for (i = 0; i < nr; i++) {
		const struct contestant *c = &contestants[i];

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
	       (unsigned long)p, q(&ours->sum.control, 0.9999), q(&ours->sum.padded, 0.9999),
	       best->name, (unsigned long)peer_p, (double)p / (double)peer_p);
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
	struct bench_peer peers[BENCH_MAX_PEERS];
	struct rig_job job = {.period_us = 200, .burst = 16, .size_max = 2032};
	int quick = bench_quick();
	size_t i, n;

	bench_header("tail: ns of one operation of a SCHED_FIFO thread among four that allocate");
	add("nostall NOLOCK", "tail_nst", NULL, TAIL_NOLOCK);
	add("nostall FASTTRY", "tail_nst", NULL, TAIL_FASTTRY);
	add("nostall NORMAL", "tail_nst", NULL, TAIL_NORMAL);
	n = bench_peers(peers, BENCH_MAX_PEERS);
	for (i = 0; i < n; i++)
		add(peers[i].name, "tail_malloc", peers[i].preload, 0);

	job.milliseconds = quick ? 500 : 2500;
	job.storm_hz = 10000;
	printf("\nsignal storm: 10 kHz at each of the four threads, sizes 16 to 2048, %zu runs each\n",
	       (size_t)(quick ? 2 : 4));
	round_robin(job, quick ? 2 : 4);
	print_table();
	print_aims();

	job.storm_hz = 0;
	job.milliseconds = quick ? 500 : 2000;
	printf("\nno signals\n");
	round_robin(job, quick ? 1 : 2);
	print_table();
	print_aims();

	job.trace = 1;
	job.period_us = 1000;
	printf("\ncauses of outliers: no signals, the CPU's interrupts read around each burst\n");
	round_robin(job, 1);
	for (i = 0; i < nr; i++)
		print_causes(&contestants[i]);
	return 0;
}
