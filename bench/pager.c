/* SPDX-License-Identifier: MIT */
/*
 * pager.c - what does it give a demand pager that its faults take no lock?
 *
 * The pager of examples/, under three policies of speculation and with the lock always taken; policies alternate within a
 * round, and ratios are taken within it. The lock is one for readers and writers, which prefers writers: a fault holds it for
 * reading until its page is there, a change of mappings for writing. With source_us a page takes that long besides, asleep:
 * who changes mappings waits for it behind the lock, and all other faults behind him.
 */
#define _GNU_SOURCE
#include "pager_job.h"

#include <string.h>

#define ROUNDS_MOST 9
#define POLICIES 4
#define LOCK 3

static const char *const names[POLICIES] = {"retry", "leave", "missing", "lock"};

struct setting {
	uint32_t fault_threads, changers, source_us;
};

static const struct setting settings[] = {{1, 0, 0},   {2, 0, 0},   {2, 1, 0},	 {2, 2, 0},
					  {1, 1, 100}, {2, 0, 100}, {2, 1, 100}, {4, 2, 100}};

struct figures {
	double rate[ROUNDS_MOST], ratio[ROUNDS_MOST], changes[ROUNDS_MOST];
	struct pager_answer sum;
};

static struct figures figures[POLICIES];

static void add(struct figures *f, const struct pager_answer *a, int round)
{
	f->rate[round] = a->faults_a_second;
	f->changes[round] = a->changes_a_second;
	f->sum.success += a->success;
	f->sum.abort += a->abort;
	f->sum.retry += a->retry;
	f->sum.miss += a->miss;
	bench_hist_merge(&f->sum.touch, &a->touch);
}

/* 0; -1: it cannot be measured, which is said. */
static int ask_round(struct bench_child *child, struct pager_job job, int round)
{
	static struct pager_answer a;

	for (int i = 0; i < POLICIES; i++) {
		job.policy = (uint32_t)((i + round) % POLICIES);
		if (bench_ask(child, &job, sizeof(job), &a, sizeof(a)))
			return -1;
		if (a.failed) {
			printf("# no userfaultfd: %s\n", strerror(a.failed));
			return -1;
		}
		add(&figures[job.policy], &a, round);
	}
	for (int i = 0; i < POLICIES; i++)
		figures[i].ratio[round] = figures[i].rate[round] / figures[LOCK].rate[round];
	return 0;
}

static void print(const struct setting *s, size_t rounds)
{
	for (int i = 0; i < POLICIES; i++) {
		struct figures *f = &figures[i];
		const struct bench_hist *h = &f->sum.touch;

		printf("%7u %8u %9u %-8s %9.0f %6.2f %9.0f %7.1f %7.1f %8.1f %8.1f %9llu %7llu %5llu\n",
		       s->fault_threads, s->changers, s->source_us, names[i],
		       bench_quantile(f->rate, rounds, 0.5), bench_quantile(f->ratio, rounds, 0.5),
		       bench_quantile(f->changes, rounds, 0.5),
		       (double)bench_hist_quantile(h, 0.5) / 1e3,
		       (double)bench_hist_quantile(h, 0.99) / 1e3,
		       (double)bench_hist_quantile(h, 0.999) / 1e3, (double)h->worst / 1e3,
		       (unsigned long long)f->sum.success, (unsigned long long)f->sum.abort,
		       (unsigned long long)(f->sum.retry + f->sum.miss));
	}
}

static int measure(struct bench_child *child)
{
	int rounds = bench_quick() ? 2 : 7;

	printf("# threads changers source_us policy    faults/s  ratio changes/s  p50_us  p99_us p99.9_us worst_us"
	       "   success   abort again\n");
	for (size_t i = 0; i < BENCH_COUNT(settings); i++) {
		struct pager_job job = {.fault_threads = settings[i].fault_threads,
					.changers = settings[i].changers,
					.source_us = settings[i].source_us,
					.milliseconds = bench_quick() ? 150 : 400};

		memset(figures, 0, sizeof(figures));
		for (int r = 0; r < rounds; r++)
			if (ask_round(child, job, r))
				return 1;
		print(&settings[i], (size_t)rounds);
	}
	return 0;
}

int main(void)
{
	struct bench_child child;
	int rc = 1;

	bench_header(
		"a demand pager: faults a second of two clients, by policy; ratio: to the lock always taken");
	if (bench_spawn(&child, "pager_nst", NULL, NULL, NULL))
		return 1;
	rc = measure(&child);
	bench_end(&child);
	return rc;
}
