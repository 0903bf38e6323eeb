// SPDX-License-Identifier: MIT
/*
 * torture.c - `nostall torture nolock`: every promise of the no-lock calls, in the worst weather; and the
 * command line of `nostall torture rcu` (torture_rcu.c).
 *
 * Uses the public API alone, so it judges the library that is installed. torture_work.c says what
 * the threads do. The verdict: nothing handed out twice, overwritten, misaligned or lost, errno never
 * touched, no child that found any of these or hung, no thread that stood still.
 */
#include "torture.h"
#include "torture_rcu.h"
#include "tool.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 256
#define HANG_SECONDS 60 /* a fork child may take this long before it counts as hung */

struct torture torture = {.threads = 4, .seconds = 60};

static int help(void)
{
	printf("usage: nostall torture nolock|rcu [OPTION...]\n\n"
	       "  --seconds N   how long; default 60\n"
	       "  --seed S      of what the threads draw; default the time, printed\n"
	       "  --threads N   default 4; 1 to %d\n"
	       "  --rate-hz N   signals a second aimed at each thread; default 50000, rcu 5000\n"
	       "\nNOSTALL_CONF chooses the path: sequences:none, debug:3. Exit code 1 if anything is wrong.\n",
	       MAX_THREADS);
	return TOOL_OK;
}

/* *@rcu: what is tortured. */
static int options_read(int argc, char **argv, int *rcu)
{
	static const struct option options[] = {
		{"seconds", required_argument, NULL, 's'},
		{"seed", required_argument, NULL, 'S'},
		{"threads", required_argument, NULL, 't'},
		{"rate-hz", required_argument, NULL, 'r'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	static const struct {
		int c;
		const char *name;
		long long *to, min, max;
	} numbers[] = {
		{'s', "--seconds", &torture.seconds, 1, 86400 * 30},
		{'S', "--seed", &torture.seed, 0, INT64_MAX},
		{'t', "--threads", &torture.threads, 1, MAX_THREADS},
		{'r', "--rate-hz", &torture.rate_hz, 1, 1000000},
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (c == 'h')
			exit(help());
		if (c == ':')
			return usage_error("torture", "%s needs a number", argv[optind - 1]);
		if (c == '?')
			return usage_error("torture",
					   "'%s' is not an option; there are --seconds, --seed, "
					   "--threads, --rate-hz, --help",
					   argv[optind - 1]);
		for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
			if (numbers[i].c != c)
				continue;
			*numbers[i].to = number_arg("torture", numbers[i].name, optarg,
						    numbers[i].min, numbers[i].max);
			if (*numbers[i].to < 0)
				return TOOL_USAGE;
		}
	}
	if (optind + 1 != argc || (strcmp(argv[optind], "nolock") && strcmp(argv[optind], "rcu")))
		return usage_error("torture", "say what, once: nolock or rcu");
	*rcu = !strcmp(argv[optind], "rcu");
	if (!torture.rate_hz)
		torture.rate_hz = *rcu ? 5000 : 50000;
	return 0;
}

/* Once a second, until time is up: has each thread gone on? Meanwhile short threads come and go. */
static int watch(struct torture_thread **threads, struct torture_counts *sum)
{
	uint64_t last[MAX_THREADS] = {0}, seed = (uint64_t)torture.seed ^ 0x5eed;
	time_t start = time(NULL), second = start, since[MAX_THREADS];

	for (int i = 0; i < MAX_THREADS; i++)
		since[i] = start;
	while (second - start < torture.seconds) {
		if (!torture_short_thread(seed++, sum))
			return 0;
		usleep(2000);
		second = time(NULL);
		for (int i = 0; i < torture.threads; i++) {
			uint64_t now = torture_thread_progress(threads[i]);

			if (now != last[i])
				since[i] = second;
			last[i] = now;
			if (second - since[i] > HANG_SECONDS + 10) {
				printf("hung_thread=%d after_operations=%" PRIu64 "\n", i, now);
				return 0;
			}
		}
	}
	return 1;
}

/* After all is freed: the cache must be able to say that nothing of it is alive. */
static void count_lost(struct torture_counts *sum)
{
	while (nst_maintain()) /* drains the side lists */
		;
	sum->lost += atomic_load_explicit(&torture.live, memory_order_relaxed);
	sum->lost += nst_cache_destroy(torture.cache);
}

static int verdict(const struct torture_counts *sum)
{
	struct nst_stats stats;
	uint64_t wrong = sum->handed_out_twice + sum->overwritten + sum->misaligned +
			 sum->wrong_errno + sum->lost + sum->fork_failed;

#define X(name) printf(#name "=%" PRIu64 "\n", sum->name);
	TORTURE_COUNTS(X)
#undef X
	if (nst_stats_read(&stats, sizeof(stats)) == 0) {
		printf("side_pushed=%" PRIu64 "\nside_drained=%" PRIu64 "\nside_corrupt=%" PRIu64
		       "\n",
		       stats.side_pushed, stats.side_drained, stats.side_corrupt);
		wrong += stats.side_corrupt;
	}
	if (atomic_load_explicit(&torture.failed, memory_order_relaxed)) {
		printf("note.storm=a thread could not be given its timer\n");
		wrong++;
	}
	printf("torture=%s seed=%lld\n", wrong ? "failed" : "passed", torture.seed);
	return wrong ? TOOL_NO : TOOL_OK;
}

static int torture_run(void)
{
	struct torture_thread *threads[MAX_THREADS];
	struct torture_counts sum = {0};

	for (int i = 0; i < torture.threads; i++) {
		threads[i] = torture_thread_start((uint64_t)torture.seed * 1000 + (uint64_t)i);
		if (!threads[i]) {
			fprintf(stderr, "nostall torture: no more threads\n");
			return TOOL_NO;
		}
	}
	if (!watch(threads, &sum)) {
		printf("torture=failed seed=%lld\n", torture.seed);
		fflush(stdout);
		_exit(TOOL_NO); /* hung threads cannot be joined */
	}
	atomic_store_explicit(&torture.stop, 1, memory_order_relaxed);
	for (int i = 0; i < torture.threads; i++)
		torture_thread_end(threads[i], &sum);
	torture_passed_on_end(&sum);
	count_lost(&sum);
	return verdict(&sum);
}

int verb_torture(int argc, char **argv)
{
	char sequences[64];
	int code, rcu = 0;

	torture.seed = (long long)time(NULL);
	code = options_read(argc, argv, &rcu);
	if (code)
		return code;
	if (rcu) {
		rcu_torture.threads = torture.threads;
		rcu_torture.seconds = torture.seconds;
		rcu_torture.rate_hz = torture.rate_hz;
		rcu_torture.seed = torture.seed;
		return torture_rcu_run();
	}
	torture.cache = nst_cache_create("torture", 96, 0, NST_CACHE_NOLOCK, NULL);
	if (!torture.cache || !torture_handler_set() || !owner_start()) {
		fprintf(stderr,
			"nostall torture: no memory, or no 8 TiB of address space for the owner map "
			"(vm.overcommit_memory=2, ulimit -v)\n");
		return TOOL_NO;
	}
	nst_info("sequences", sequences, sizeof(sequences));
	printf("torture nolock: sequences=%s threads=%lld seconds=%lld rate_hz=%lld seed=%lld\n",
	       sequences, torture.threads, torture.seconds, torture.rate_hz, torture.seed);
	fflush(stdout);
	return torture_run();
}
