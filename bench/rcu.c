/* SPDX-License-Identifier: MIT */
/*
 * rcu.c - what does it cost to free after a grace period? Beside liburcu (call_rcu, defer_rcu; memb, qsbr), ck_epoch, and
 * malloc and free at once, which defer nothing: the floor.
 *
 * Contestants are processes that take turns (bench.h). CPU time: of the calling thread for a call, of the whole
 * process, the library's threads included, where it says all. What memory a stalled reader leaves behind is asked of
 * processes that begin anew.
 */
#define _GNU_SOURCE
#include "rcu.h"
#include "rcu_nst.h"

#include <math.h>

#define ROUNDS_MOST 64
#define MOST 16

struct contestant {
	const char *name, *exe, *preload, *conf;
	uint32_t variant;
	struct bench_child child;
	int there;
	double ns[ROUNDS_MOST], more[ROUNDS_MOST];
	struct bench_hist hist;
};

static struct contestant contestants[MOST] = {
	{.name = "nst_free_rcu", .exe = "rcu_nst", .variant = RCU_NST_PAGES},
	{.name = "nst by head", .exe = "rcu_nst", .variant = RCU_NST_HEAD},
	{.name = "nst by dead bits",
	 .exe = "rcu_nst",
	 .variant = RCU_NST_BITS,
	 .conf = "worker:off,high:64K"},
	{.name = "nst wait, free each", .exe = "rcu_nst", .variant = RCU_NST_WAIT},
	{.name = "nst foreign, free", .exe = "rcu_nst", .variant = RCU_NST_FOREIGN},
	{.name = "call_rcu memb", .exe = "rcu_urcu_memb", .variant = 0},
	{.name = "defer_rcu memb", .exe = "rcu_urcu_memb", .variant = 1},
	{.name = "call_rcu qsbr", .exe = "rcu_urcu_qsbr", .variant = 0},
	{.name = "defer_rcu qsbr", .exe = "rcu_urcu_qsbr", .variant = 1},
	{.name = "ck_epoch", .exe = "rcu_ck"},
};
static size_t nr = 10;
static size_t rounds;

static struct contestant *find(const char *name)
{
	for (size_t i = 0; i < nr; i++)
		if (!strcmp(contestants[i].name, name) && contestants[i].there)
			return &contestants[i];
	return NULL;
}

/* The floors: glibc, and mimalloc where it is. */
static void add_floors(void)
{
	static struct bench_peer peers[BENCH_MAX_PEERS];
	static char names[BENCH_MAX_PEERS][64];
	size_t n = bench_peers(peers, BENCH_MAX_PEERS);

	for (size_t i = 0; i < n && nr < MOST; i++) {
		if (strcmp(peers[i].name, "glibc") && strncmp(peers[i].name, "mimalloc", 8))
			continue;
		snprintf(names[i], sizeof(names[i]), "%s, not deferred", peers[i].name);
		contestants[nr++] = (struct contestant){
			.name = names[i], .exe = "rcu_malloc", .preload = peers[i].preload};
	}
}

static int start(struct contestant *c)
{
	return bench_spawn(&c->child, c->exe, "rcu", c->preload, c->conf);
}

/* -1: this contestant cannot. */
static int ask(struct contestant *c, struct rcu_job *job, size_t round)
{
	static struct rcu_answer a;

	job->variant = c->variant;
	c->ns[round] = c->more[round] = NAN;
	if (!c->there || bench_ask(&c->child, job, sizeof(*job), &a, sizeof(a)))
		return -1;
	if (a.ns < 0)
		return -1;
	c->ns[round] = a.ns;
	c->more[round] = a.more;
	bench_hist_merge(&c->hist, &a.hist);
	return 0;
}

static void round_robin(struct rcu_job *job, size_t times)
{
	for (size_t i = 0; i < nr; i++)
		memset(&contestants[i].hist, 0, sizeof(contestants[i].hist));
	for (size_t r = 0; r < times; r++)
		for (size_t i = 0; i < nr; i++) {
			struct contestant *c = &contestants[(i + r) % nr];
			uint64_t n = job->n;

			if (c->variant == RCU_NST_WAIT && !strcmp(c->exe, "rcu_nst"))
				job->n = n / 64 + 1;
			ask(c, job, r);
			job->n = n;
		}
}

/* ---- tables ---- */

static double quantile(const double *v, size_t n, double q)
{
	double copy[ROUNDS_MOST];

	memcpy(copy, v, n * sizeof(*v));
	return bench_quantile(copy, n, q);
}

/* The median over rounds of the ratio within a round. */
static double ratio(const double *a, const double *b, size_t n)
{
	double copy[ROUNDS_MOST];

	for (size_t i = 0; i < n; i++)
		copy[i] = a[i] / b[i];
	return bench_quantile(copy, n, 0.5);
}

/* Of the figure that lies @offset behind a contestant. */
static double *figure(struct contestant *c, int more)
{
	return more ? c->more : c->ns;
}

static void print_ratio(const double *v, const double *of)
{
	double r = of ? ratio(v, of, rounds) : NAN;

	if (isnan(r))
		printf(" %11s", "-");
	else
		printf(" %11.3f", r);
}

static void table(const char *title, int more)
{
	struct contestant *floor = find("glibc, not deferred"), *call = find("call_rcu memb");

	printf("\n%s\n  %-24s %9s %9s %9s %9s %11s %11s\n", title, "", "median", "q1", "q3",
	       "worst", "x floor", "x call_rcu");
	for (size_t i = 0; i < nr; i++) {
		double *v = figure(&contestants[i], more);

		if (!contestants[i].there || isnan(v[0]))
			continue;
		printf("  %-24s %9.2f %9.2f %9.2f %9.2f", contestants[i].name,
		       quantile(v, rounds, 0.5), quantile(v, rounds, 0.25),
		       quantile(v, rounds, 0.75), quantile(v, rounds, 1));
		print_ratio(v, floor ? figure(floor, more) : NULL);
		print_ratio(v, call ? figure(call, more) : NULL);
		putchar('\n');
	}
	fflush(stdout);
}

static void histograms(const char *title)
{
	printf("\n%s\n  %-24s %9s %9s %9s %9s %9s %11s\n", title, "", "p50", "p90", "p99", "p99.9",
	       "p99.99", "worst");
	for (size_t i = 0; i < nr; i++) {
		const struct bench_hist *h = &contestants[i].hist;

		if (!h->n)
			continue;
		printf("  %-24s %9lu %9lu %9lu %9lu %9lu %11lu\n", contestants[i].name,
		       (unsigned long)bench_hist_quantile(h, 0.5),
		       (unsigned long)bench_hist_quantile(h, 0.9),
		       (unsigned long)bench_hist_quantile(h, 0.99),
		       (unsigned long)bench_hist_quantile(h, 0.999),
		       (unsigned long)bench_hist_quantile(h, 0.9999), (unsigned long)h->worst);
	}
	fflush(stdout);
}

/* ---- aims ---- */

static void aim(const char *what, double is, double most)
{
	if (!isnan(is))
		printf("  aim: %-52s %9.3f  at most %g: %s\n", what, is, most,
		       is <= most ? "reached" : "missed");
	fflush(stdout);
}

static double median(const char *name, int more)
{
	struct contestant *c = find(name);

	return c ? quantile(figure(c, more), rounds, 0.5) : NAN;
}

static double times(const char *name, const char *other, int more)
{
	struct contestant *c = find(name), *o = find(other);

	return c && o ? ratio(figure(c, more), figure(o, more), rounds) : NAN;
}

static double tail(const char *name, double q)
{
	struct contestant *c = find(name);

	return c && c->hist.n ? (double)bench_hist_quantile(&c->hist, q) : NAN;
}

/* ---- questions ---- */

static void calls(int quick)
{
	struct rcu_job job = {.op = RCU_CALL, .n = 120, .bytes = 64, .bursts = 64};

	rounds = quick ? 5 : 40;
	round_robin(&job, rounds);
	table("the call that retires, 64 bytes, 120 at a time: ns of the calling thread", 0);
	aim("ns of the call", median("nst_free_rcu", 0), 5);
	aim("x call_rcu memb", times("nst_free_rcu", "call_rcu memb", 0), 0.1);
	aim("dead bits, x the call", times("nst by dead bits", "nst_free_rcu", 0), 5);
	job.n = 8192;
	job.bursts = 1;
	round_robin(&job, rounds);
	table("8192 at a time: ns of the calling thread", 0);
	table("the same, until all is free: ns an object, all CPU time", 1);
	job.op = RCU_TOTAL;
	job.n = quick ? 65536 : 262144;
	rounds = quick ? 3 : 20;
	round_robin(&job, rounds);
	table("allocate, write, retire and reclaim, 64 bytes: ns an object, all CPU time", 0);
	aim("ns an object", median("nst_free_rcu", 0), 15);
	aim("x glibc, not deferred", times("nst_free_rcu", "glibc, not deferred", 0), 0.5);
	aim("x mimalloc, not deferred", times("nst_free_rcu", "mimalloc, not deferred", 0), 1);
	aim("foreign, ns above glibc, not deferred",
	    median("nst foreign, free", 0) - median("glibc, not deferred", 0), 12);
	job = (struct rcu_job){
		.op = RCU_CALL, .n = RCU_OBJECTS_MOST, .bytes = 256, .bursts = 1, .scatter = 1};
	rounds = quick ? 2 : 10;
	round_robin(&job, rounds);
	table("64 MiB of 256 bytes, retired in random order: ns of the calling thread", 0);
	table("the same, until all is free: ns an object, all CPU time", 1);
}

static void tails(int quick)
{
	struct rcu_job job = {.op = RCU_TAIL, .n = quick ? 100000 : 1000000, .bytes = 64};

	round_robin(&job, quick ? 1 : 5);
	histograms("the call that retires, each timed: ns, the clock's own some 25 included");
	aim("p99.99, x call_rcu memb", tail("nst_free_rcu", 0.9999) / tail("call_rcu memb", 0.9999),
	    0.2);
	job = (struct rcu_job){.op = RCU_REUSE, .n = quick ? 20 : 300, .bytes = 64};
	round_robin(&job, 1);
	histograms("from retirement to reuse, 3 ms after other work: ns");
	aim("median ns to reuse", tail("nst_free_rcu", 0.5), 1500000);
}

static void readers(int quick)
{
	static const uint32_t threads[] = {0, 256, 1024};
	struct rcu_job job = {.op = RCU_READ, .n = 1000000};
	double alone = NAN;
	char title[96];

	rounds = quick ? 3 : 20;
	round_robin(&job, rounds);
	table("a section's begin and end: ns", 0);
	aim("ns of a section", median("nst_free_rcu", 0), 3);
	for (size_t i = 0; i < BENCH_COUNT(threads); i++) {
		job = (struct rcu_job){
			.op = RCU_PERIOD, .n = quick ? 20 : 200, .threads = threads[i]};
		round_robin(&job, rounds);
		snprintf(title, sizeof(title),
			 "a grace period, %u threads registered and asleep: ns", threads[i]);
		table(title, 0);
		alone = i ? alone : median("nst_free_rcu", 0);
	}
	aim("1024 threads, x none", median("nst_free_rcu", 0) / alone, 1.2);
}

/* Each in a process of its own; once more with a small budget. */
static void stalled(int quick)
{
	struct rcu_job job = {.op = RCU_STALL, .n = quick ? 2000000 : 20000000, .bytes = 64};
	static const char *const confs[] = {NULL, "rcu_budget:8M"};
	static const char *const notes[] = {"", ", rcu_budget:8M"};

	printf("\n64 bytes, a reader stays for 2 s: peak resident MiB above the beginning, objects retired\n");
	for (size_t i = 0; i < nr; i++)
		for (size_t k = 0; k < BENCH_COUNT(confs); k++) {
			struct contestant c = contestants[i];

			if (!c.there || (k && strcmp(c.name, "nst_free_rcu")))
				continue;
			if (strstr(c.name, "defer_rcu") || c.variant == RCU_NST_WAIT)
				continue; /* who retires stands still, or waits for itself */
			c.conf = confs[k];
			c.child = (struct bench_child){0};
			if (start(&c) == 0 && ask(&c, &job, 0) == 0)
				printf("  %-40s %9.1f %12.0f\n",
				       strcat(strcpy((char[64]){0}, c.name), notes[k]), c.ns[0],
				       c.more[0]);
			bench_end(&c.child);
		}
	fflush(stdout);
}

int main(void)
{
	int quick = bench_quick();

	bench_header("rcu: deferred free, beside liburcu, ck_epoch and malloc that defers nothing");
	add_floors();
	for (size_t i = 0; i < nr; i++) {
		contestants[i].there = start(&contestants[i]) == 0;
		if (!contestants[i].there)
			printf("# %s cannot be started\n", contestants[i].name);
	}
	calls(quick);
	tails(quick);
	readers(quick);
	for (size_t i = 0; i < nr; i++)
		bench_end(&contestants[i].child);
	stalled(quick);
	return 0;
}
