// SPDX-License-Identifier: MIT
/*
 * torture_rcu.c - `nostall torture rcu`: nothing is freed while a reader sees it, and everything once.
 *
 * Uses the public API alone, so it judges the library that is installed. torture_rcu.h draws what is done.
 */
#include "torture_rcu.h"
#include "tool.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define HANG_SECONDS                                                                               \
	70 /* a thread may wait for a child's thread of functions, or for a stalled reader */

/* 0 when a thread hangs. Forks while it watches, four times a second. */
static int watch(void)
{
	uint64_t last[256] = {0};
	time_t begin = time(NULL), since[256] = {0};

	while (time(NULL) - begin < rcu_torture.seconds && !atomic_load(&rcu_torture.found)) {
		usleep(250000);
		if (!rcu_torture_fork())
			return 1;
		for (unsigned int i = 0; i < rcu_torture.threads; i++) {
			uint64_t now = rcu_torture_progress(i);

			if (now != last[i] || !since[i])
				since[i] = time(NULL);
			last[i] = now;
			if (time(NULL) - since[i] <= HANG_SECONDS)
				continue;
			printf("hung_thread=%u after_operations=%llu\n", i,
			       (unsigned long long)now);
			return 0;
		}
	}
	return 1;
}

static int verdict(const struct rcu_torture_counts *sum)
{
	uint64_t wrong = rcu_torture_print(sum);
	struct nst_stats stats;

	if (nst_stats_read(&stats, sizeof(stats)) == 0)
		printf("sealed_pages=%llu\nmixed=%llu\nbrought_pages=%llu\ndead_bits=%llu\nruns=%llu\nothers=%llu\n",
		       (unsigned long long)stats.retired.sealed_pages,
		       (unsigned long long)stats.retired.mixed,
		       (unsigned long long)stats.retired.brought_pages,
		       (unsigned long long)stats.retired.dead_bits,
		       (unsigned long long)stats.retired.runs,
		       (unsigned long long)stats.retired.others);
	printf("torture=%s seed=%lld\n", wrong ? "failed" : "passed", rcu_torture.seed);
	return wrong ? TOOL_NO : TOOL_OK;
}

int torture_rcu_run(void)
{
	struct rcu_torture_counts sum = {0};
	char sequences[64];

	nst_info("sequences", sequences, sizeof(sequences));
	printf("torture rcu: sequences=%s threads=%lld seconds=%lld rate_hz=%lld seed=%lld\n",
	       sequences, rcu_torture.threads, rcu_torture.seconds, rcu_torture.rate_hz,
	       rcu_torture.seed);
	fflush(stdout);
	if (!rcu_torture_start()) {
		fprintf(stderr, "nostall torture: no memory, or no more threads\n");
		return TOOL_NO;
	}
	if (!watch()) {
		printf("torture=failed seed=%lld\n", rcu_torture.seed);
		fflush(stdout);
		_exit(TOOL_NO); /* hung threads cannot be joined */
	}
	rcu_torture_end(&sum);
	return verdict(&sum);
}
