/* SPDX-License-Identifier: MIT */
/*
 * stats_names.h - the words of <nostall/stats.h> as text, and what tables and JSON compute alike.
 */
#ifndef STATS_NAMES_H
#define STATS_NAMES_H

#include <nostall/nostall.h>
#include <stddef.h>

extern const char *const stats_mode_names[NST_NR_MODES];
extern const char *const stats_null_names[NST_NR_NULLS];
extern const char *const stats_lock_names[NST_NR_LOCKS];

/* What is one number in struct nst_stats. */
struct stats_field {
	const char *name;
	size_t offset;
};
#define STATS_NR_MEMORY 5
#define STATS_NR_SLOW 18
#define STATS_NR_WAITING 5
#define STATS_NR_RETIRED 10
#define STATS_NR_RECLAIM 4
#define STATS_NR_DEBT 7
#define STATS_NR_PRESSURE 8
#define STATS_NR_COMPACT 4
#define STATS_NR_SPECULATE 6
#define STATS_NR_NOTIFY 7
#define STATS_NR_UNMEASURED 3
extern const struct stats_field stats_memory[STATS_NR_MEMORY], stats_slow[STATS_NR_SLOW];
/* Of deferred free: what is, and what is counted. */
extern const struct stats_field stats_speculate[STATS_NR_SPECULATE];
extern const struct stats_field stats_waiting[STATS_NR_WAITING], stats_retired[STATS_NR_RETIRED];
extern const struct stats_field stats_reclaim[STATS_NR_RECLAIM], stats_debt[STATS_NR_DEBT];
extern const struct stats_field stats_compact[STATS_NR_COMPACT];
extern const struct stats_field stats_notify[STATS_NR_NOTIFY], stats_pressure[STATS_NR_PRESSURE];
extern const char *const stats_unmeasured[STATS_NR_UNMEASURED];

/* What @part (0 to 1) of the holds of a lock took at most, to the power of two. */
uint64_t stats_hold_ns(const struct nst_lock_stats *l, double part);
uint64_t stats_cache_bytes(const struct nst_cache_stats *c);
uint64_t stats_cache_in_use(const struct nst_cache_stats *c);
/* @sorted has room for NST_STATS_PAGE_CACHES; how many. */
size_t stats_caches_sorted(const struct nst_stats_page *p, const struct nst_cache_stats **sorted);
/* Without what a terminal would obey, and without spaces. */
void stats_name(const char *name, char *printable, size_t len);

#endif
