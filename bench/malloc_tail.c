/* SPDX-License-Identifier: MIT */
/*
 * malloc_tail.c - how long can one malloc or free of a SCHED_FIFO thread take while four ordinary threads
 * do the same? Ours is preloaded, like the peers: plain malloc, which may wait.
 */
#include "tail_runs.h"

#include <stdlib.h>
#include <unistd.h>

#define OURS "nostall"
#define AIM_P9999 5000
#define AIM_WORST 100000
#define FIRST 5 /* 2^5 ns: the least that a column of its own shows */
#define LAST 20

static void print_histogram(void)
{
	unsigned int e;
	size_t i;

	printf("  operations by time\n  %-12s", "below ns");
	for (e = FIRST; e <= LAST; e++)
		printf(" %8lu", 1ul << e);
	printf(" %8s\n", "longer");
	for (i = 0; i < tail_nr; i++) {
		const struct bench_hist *h = &tail_contestants[i].sum.op;
		uint64_t below, before = 0;

		printf("  %-12s", tail_contestants[i].name);
		for (e = FIRST; e <= LAST; e++, before = below) {
			below = bench_hist_below(h, e);
			printf(" %8lu", (unsigned long)(below - before));
		}
		printf(" %8lu\n", (unsigned long)(h->n - before));
	}
}

static void print_aims(void)
{
	const struct contestant *ours = tail_find(OURS);
	const struct rig_result *s = ours ? &ours->sum : NULL;

	if (!s || !s->op.n)
		return;
	printf("  the measured thread is %s\n",
	       s->is_fifo ? "SCHED_FIFO" : "an ordinary one: no right to SCHED_FIFO");
	printf("  aim: p99.99 at most %d ns: %lu (empty control %lu, padded %lu)\n", AIM_P9999,
	       tail_q(&s->op, 0.9999), tail_q(&s->control, 0.9999), tail_q(&s->padded, 0.9999));
	printf("  aim: worst at most %d ns: %lu (empty control %lu, padded %lu); blocked in a burst %ld times\n",
	       AIM_WORST, (unsigned long)s->op.worst, (unsigned long)s->control.worst,
	       (unsigned long)s->padded.worst, s->blocked);
}

static void ask(const char *what, struct rig_job job)
{
	printf("\n%s\n", what);
	tail_round_robin(job, bench_quick() ? 1 : 2);
	tail_print_table();
	print_histogram();
	print_aims();
	fflush(stdout);
}

int main(void)
{
	struct rig_job job = {.size_max = 4080}; /* 16 to 4095 bytes */
	const char *ours = getenv("BENCH_OURS");

	bench_header(
		"malloc-tail: ns of one malloc or free of a SCHED_FIFO thread among four that allocate");
	if (ours && access(ours, R_OK) == 0)
		tail_add(OURS, "tail_malloc", ours, 0);
	else
		printf("# no library of ours: run scripts/bench\n");
	tail_add_peers();
	job.milliseconds = bench_quick() ? 300 : 2500;
	job.period_us = 50;
	job.burst = 1;
	ask("16 B to 4 KiB, one operation each 50 us", job);
	job.period_us = 500;
	job.burst = 32;
	ask("the same, 32 operations each 500 us", job);
	job.hand_over = 1;
	ask("the same, and another thread frees what is allocated", job);
	return 0;
}
