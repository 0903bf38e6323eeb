/* SPDX-License-Identifier: MIT */
/*
 * locks.c - how long are the library's central locks held, and does it let an idle machine sleep?
 *
 * Four threads move objects of all sizes and page runs between CPUs through lists too short for them, so
 * that every request in a few takes a central lock. Holds are the library's own histograms, by powers of
 * two: a quantile is the upper end of its bucket. A holder that is preempted holds on; with two threads a
 * CPU that sets the worst, so a second run has one thread a CPU.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <nostall/nostall.h>

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NR_THREADS 4
#define NR_EXCHANGE 8192
#define NR_KEPT 512

struct job {
	uint32_t threads, milliseconds, idle_seconds, allocates;
};

struct answer {
	struct nst_lock_stats locks[NST_NR_LOCKS];
	uint64_t operations, elapsed_ns;
	uint64_t wakeups, worker_wakeups, idle_ns;
	uint32_t tasks;
	long steal_ticks;
};

static void *_Atomic exchange[NR_EXCHANGE];
static _Atomic int stop;

static void *an_object(uint32_t seed)
{
	if (seed >> 28 == 0)
		return nst_pages_alloc((seed >> 20) & 3, NST_NORMAL);
	if (seed >> 28 == 1)
		return nst_alloc_nolock(16 + (seed >> 8) % 4096);
	return nst_alloc(16 + (seed >> 8) % 8176, NST_NORMAL);
}

/* Builds up and tears down a set, and exchanges single objects, so that lists run both empty and full. */
static void *load(void *arg)
{
	uintptr_t id = (uintptr_t)arg;
	uint32_t seed = (uint32_t)id * 99991 + 7;
	void *kept[NR_KEPT];
	uint64_t n = 0;
	size_t i;

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		for (i = 0; i < NR_KEPT; i++) {
			seed = seed * 1664525u + 1013904223u;
			kept[i] = an_object(seed);
			if (kept[i])
				*(volatile char *)kept[i] = 1;
		}
		for (i = 0; i < NR_KEPT; i++) {
			seed = seed * 1664525u + 1013904223u;
			nst_free(atomic_exchange(&exchange[(seed >> 16) % NR_EXCHANGE], kept[i]));
		}
		n += NR_KEPT;
	}
	return (void *)(uintptr_t)n;
}

/* Voluntary switches of all tasks of this process but the caller. */
static uint64_t switches(uint32_t *tasks)
{
	DIR *dir = opendir("/proc/self/task");
	uint64_t sum = 0;
	struct dirent *e;

	*tasks = 0;
	while (dir && (e = readdir(dir))) {
		char path[300], line[256];
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/status", e->d_name);
		f = e->d_name[0] != '.' && atoi(e->d_name) != gettid() ? fopen(path, "r") : NULL;
		while (f && fgets(line, sizeof(line), f))
			if (strncmp(line, "voluntary_ctxt_switches:", 24) == 0)
				sum += strtoull(line + 24, NULL, 10);
		if (f) {
			fclose(f);
			*tasks += 1;
		}
	}
	if (dir)
		closedir(dir);
	return sum;
}

static void run_load(const struct job *job, struct answer *a)
{
	pthread_t threads[NR_THREADS];
	uint64_t start = bench_ns();
	uintptr_t i;
	void *n;

	a->steal_ticks = -bench_steal_ticks(bench_cpu(0)) - bench_steal_ticks(bench_cpu(1));
	for (i = 0; i < job->threads; i++)
		pthread_create(&threads[i], NULL, load, (void *)i);
	usleep(job->milliseconds * 1000);
	atomic_store(&stop, 1);
	for (i = 0; i < job->threads; i++) {
		pthread_join(threads[i], &n);
		a->operations += (uintptr_t)n;
	}
	a->elapsed_ns = bench_ns() - start;
	a->steal_ticks += bench_steal_ticks(bench_cpu(0)) + bench_steal_ticks(bench_cpu(1));
}

static void run_idle(const struct job *job, struct answer *a)
{
	static struct nst_stats before, after;
	uint64_t start, woken;

	if (job->allocates)
		nst_free(nst_alloc(100, NST_NORMAL));
	sleep(1); /* the worker backs off */
	nst_stats_read(&before, sizeof(before));
	start = bench_ns();
	woken = switches(&a->tasks);
	sleep(job->idle_seconds);
	a->wakeups = switches(&a->tasks) - woken;
	a->idle_ns = bench_ns() - start;
	nst_stats_read(&after, sizeof(after));
	a->worker_wakeups = after.worker_wakeups - before.worker_wakeups;
}

static void work(void)
{
	static struct answer answer;
	static struct nst_stats stats;
	struct job job;

	bench_next(&job, sizeof(job));
	if (job.threads)
		run_load(&job, &answer);
	nst_stats_read(&stats, sizeof(stats));
	memcpy(answer.locks, stats.locks, sizeof(answer.locks));
	if (job.idle_seconds)
		run_idle(&job, &answer);
	bench_answer(&answer, sizeof(answer));
}

static int ask(struct job job, struct answer *a)
{
	struct bench_child child;
	int failed;

	if (bench_spawn(&child, "locks", "locks", NULL, NULL))
		exit(1);
	failed = bench_ask(&child, &job, sizeof(job), a, sizeof(*a));
	bench_end(&child);
	return failed;
}

static unsigned long long hold_quantile(const struct nst_lock_stats *l, double q)
{
	uint64_t all = 0, seen = 0;
	unsigned int i;

	for (i = 0; i < NST_HOLD_BUCKETS; i++)
		all += l->hold_log2_ns[i];
	for (i = 0; i < NST_HOLD_BUCKETS; i++) {
		seen += l->hold_log2_ns[i];
		if (seen && (double)seen > q * (double)all)
			return 2ull << i;
	}
	return 0;
}

static void print_locks(const char *what, const struct answer *a)
{
	static const char *const names[] = {
#define LOCK(name, about) #name,
		NST_LOCK_TABLE(LOCK)
#undef LOCK
	};
	size_t i;

	printf("\n%s: %.2f M objects a second, steal ticks %ld\n  %-8s %12s %12s %10s %10s %10s %10s %12s\n",
	       what, (double)a->operations * 1e3 / (double)a->elapsed_ns, a->steal_ticks,
	       "hold, ns", "taken", "try failed", "waited", "p50 <", "p99 <", "p99.99 <", "worst");
	for (i = 0; i < NST_NR_LOCKS; i++) {
		const struct nst_lock_stats *l = &a->locks[i];

		printf("  %-8s %12llu %12llu %10llu %10llu %10llu %10llu %12llu\n", names[i],
		       (unsigned long long)l->taken, (unsigned long long)l->try_failed,
		       (unsigned long long)l->waited, hold_quantile(l, 0.5), hold_quantile(l, 0.99),
		       hold_quantile(l, 0.9999), (unsigned long long)l->longest_hold_ns);
	}
	fflush(stdout);
}

static void print_idle(const char *what, struct job job)
{
	static struct answer a;

	if (ask(job, &a))
		return;
	printf("  %-44s %6.2f wake-ups a second of %u other thread(s), worker runs %.2f a second\n",
	       what, (double)a.wakeups * 1e9 / (double)a.idle_ns, a.tasks,
	       (double)a.worker_wakeups * 1e9 / (double)a.idle_ns);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static struct answer a;
	int quick = bench_quick();
	uint32_t ms = quick ? 1000 : 6000, idle = quick ? 2 : 10;

	if (argc > 1 && strcmp(argv[1], "--work") == 0) {
		work();
		return 0;
	}
	bench_header("locks: holds of the central locks, and wake-ups when idle");
	if (!ask((struct job){4, ms, 0, 0}, &a))
		print_locks("four threads on all CPUs", &a);
	memset(&a, 0, sizeof(a));
	if (!ask((struct job){2, ms, 0, 0}, &a))
		print_locks("two threads on all CPUs", &a);
	printf("\nidle, %u s\n", idle);
	print_idle("loaded, not used", (struct job){0, 0, idle, 0});
	print_idle("after one allocation", (struct job){0, 0, idle, 1});
	print_idle("after a second of the load above", (struct job){4, 1000, idle, 0});
	return 0;
}
