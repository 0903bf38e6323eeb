/* SPDX-License-Identifier: MIT */
/*
 * tail_runs.h - contestants of a question on tails: they take turns in the rig (rig.h), and one table.
 */
#ifndef NST_BENCH_TAIL_RUNS_H
#define NST_BENCH_TAIL_RUNS_H

#include "rig.h"

struct contestant {
	const char *name, *exe, *preload;
	uint32_t variant;
	struct bench_child child;
	struct rig_result sum;
	uint64_t best_p9999, worst_p9999; /* of single runs */
};

#define TAIL_MAX (3 + BENCH_MAX_PEERS)
extern struct contestant tail_contestants[TAIL_MAX];
extern size_t tail_nr;

void tail_add(const char *name, const char *exe, const char *preload, uint32_t variant);

/* glibc and the peers, each with tail_malloc. */
void tail_add_peers(void);

/* @rounds runs of @job by each, one after the other, in processes of their own; adds them up. */
void tail_round_robin(struct rig_job job, unsigned int rounds);

void tail_print_table(void);

/* NULL: not among them. */
const struct contestant *tail_find(const char *name);

/* @h's quantile, as printf takes it. */
unsigned long tail_q(const struct bench_hist *h, double quantile);

#endif
