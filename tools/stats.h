/* SPDX-License-Identifier: MIT */
/* stats.h - a snapshot for people, and as JSON: what `stat` shows and `run` sums up with. */
#ifndef STATS_H
#define STATS_H

#include <nostall/nostall.h>
#include <stdio.h>

struct shown {
	const struct nst_stats_page *now;
	const struct nst_stats_page *before; /* for what is per second; NULL: none of it */
	const char *comm;
	long long pid;
};

/* The tables. */
void stats_print(FILE *out, const struct shown *s);
/* One line, one object. */
void stats_print_json(FILE *out, const struct shown *s);

/* Sums over modes, and of the counters that must be 0. */
uint64_t stats_requests(const struct nst_stats *s);
uint64_t stats_nulls(const struct nst_stats *s);
uint64_t stats_must_be_0(const struct nst_stats *s);

#endif
