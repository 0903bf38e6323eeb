/* SPDX-License-Identifier: MIT */
/*
 * watermark.c - C13: who may use the last pages of a zone.
 *
 *	free ready pages:  |------ NOLOCK, NOWAIT, NORMAL ------|--- ATOMIC ---|--- NOFAIL ---|
 *						min	     min / 2		  0
 *
 * No more memory can become ready (option max), nobody refills (worker:off): each mode takes pages
 * until NULL, and must stop where it is meant to, within one batch.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/check.h"
#include "common/trap.h"
#include <nostall/nostall.h>

#define NR_PAGES 65536u
#define BATCH 128u

static void *page[NR_PAGES];
static unsigned int nr;

static struct nst_zone_stats *zone(void)
{
	static struct nst_stats stats;

	if (nst_stats_read(&stats, sizeof(stats)))
		check_broken("nst_stats_read");
	return &stats.zones[0];
}

static unsigned int take_all(nst_mode_t mode)
{
	unsigned int before = nr;

	while (nr < NR_PAGES && (page[nr] = nst_pages_alloc(0, mode)))
		nr++;
	return nr - before;
}

static void free_all(void)
{
	while (nr)
		nst_pages_free(page[--nr]);
}

static void check_floor(const char *name, uint64_t floor)
{
	uint64_t left = zone()->pages_free;

	check(left >= floor && left < floor + BATCH, name, "%llu pages left, %llu are to be",
	      (unsigned long long)left, (unsigned long long)floor);
}

static uint64_t watermark_nulls(void)
{
	static struct nst_stats stats;

	nst_stats_read(&stats, sizeof(stats));
	return stats.null_reasons[NST_NULL_WATERMARK];
}

TEST_CONF("worker:off,max:64M,high:16M")

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	check_deadline(60, "C13 in time");
	run_on_cpu(0, cpu_nth(0));
	uint64_t min = zone()->pages_min;
	check(min == (16u << 20) / 4096 / 4, "C13 min is a quarter of high", "%llu pages",
	      (unsigned long long)min);

	/* Make all ready that may be; then nothing is left to grow. */
	take_all(NST_NORETRY);
	check(nr > 8192 && nr < NR_PAGES, "C13 max holds", "%u pages", nr);
	check_floor("C13 NORETRY stops at min", min);
	free_all();

	uint64_t before = watermark_nulls();
	check(take_all(NST_NOLOCK) > 4096, "C13 NOLOCK is served above min", "%u pages", nr);
	check_floor("C13 NOLOCK stops at min", min);
	check(watermark_nulls() - before == 1, "C13 its NULL is counted with its reason", "%llu",
	      (unsigned long long)(watermark_nulls() - before));
	take_all(NST_NOWAIT);
	check_floor("C13 NOWAIT stops at min", min);
	check(take_all(NST_ATOMIC | NST_NOMEMALLOC) < BATCH, "C13 NOMEMALLOC vetoes the reserve",
	      "%u pages", nr);
	check_floor("C13 NOMEMALLOC stops at min", min);
	check(take_all(NST_ATOMIC) > 0, "C13 ATOMIC goes below min", "it did not");
	check_floor("C13 ATOMIC stops at half of min", min / 2);
	check(take_all(NST_NOLOCK) < BATCH, "C13 NOLOCK gets nothing from the reserve", "it did");

	/* NOFAIL waits for ever when there is nothing: ask for no more than there is. */
	uint64_t left = zone()->pages_free;
	unsigned int got = 0;
	while (got + BATCH < left && (page[nr] = nst_pages_alloc(0, NST_NOFAIL)))
		nr++, got++;
	check(got + BATCH >= left, "C13 NOFAIL takes all of the reserve", "%u of %llu pages", got,
	      (unsigned long long)left);
	uint64_t ready = zone()->pages_ready;
	free_all();
	check(zone()->pages_free + 2 * BATCH > ready, "C13 all pages come back", "%llu of %llu",
	      (unsigned long long)zone()->pages_free, (unsigned long long)ready);
	return check_status();
}
