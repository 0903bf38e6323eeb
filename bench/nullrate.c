/* SPDX-License-Identifier: MIT */
/*
 * nullrate.c - how often does a no-lock request get NULL, with the worker on and a stock of at most 1 MiB
 * a CPU?
 *
 * A SCHED_FIFO thread takes 64 objects 10,000 times a second. What becomes of them decides how hard that is:
 *
 *	own	it frees them itself, a burst later: they are back in its CPU's lists
 *	handed	a thread on another CPU frees them: every object must be brought back
 *	kept	nobody frees them: all of it is new memory
 *
 * Each line is a process of its own. Printed beside the rate: the stock asked for and what the CPUs' lists
 * held at the end, the bursts that came late, and the reasons the library counted. Last: requests within a
 * stocked amount, where one NULL is one too many.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <nostall/nostall.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define BURST 64
#define PERIOD_NS 100000
#define STOCK_BYTES ((size_t)1 << 20)
#define RING 65536 /* handed: objects on their way */

enum fate { OWN, HANDED, KEPT };
enum way { NOLOCK, FASTTRY, NOWAIT, ATOMIC };

struct job {
	uint32_t way, fate;
	uint32_t order_plus_1; /* 0: objects of size */
	uint32_t within_stock;
	uint64_t size, milliseconds;
};

struct answer {
	uint64_t requests, nulls, bursts, late, waves;
	uint64_t elapsed_ns;
	uint64_t stock_objects, stock_bytes, in_cpus_bytes; /* a CPU */
	uint64_t reasons[NST_NR_NULLS];
	uint64_t resident_bytes;
	int32_t is_fifo, failed;
};

static struct {
	const struct job *job;
	struct answer *answer;
	struct nst_cache *cache;
	void *ring[RING];
	_Atomic uint64_t put, taken;
	_Atomic int stop;
	void *own[BURST];
} run;

static void *request(void)
{
	static const nst_mode_t modes[] = {NST_NOLOCK, NST_FASTTRY, NST_NOWAIT, NST_ATOMIC};
	nst_mode_t mode = modes[run.job->way];

	if (run.job->order_plus_1)
		return nst_pages_alloc(run.job->order_plus_1 - 1, mode);
	return nst_cache_alloc(run.cache, mode);
}

static void give_back(void *p)
{
	nst_free_nolock(p);
}

/* The other CPU: frees what arrives. */
static void *receive(void *arg)
{
	uint64_t at = 0;

	bench_pin(bench_cpu(1));
	while (!atomic_load_explicit(&run.stop, memory_order_relaxed) ||
	       at != atomic_load_explicit(&run.put, memory_order_acquire)) {
		if (at == atomic_load_explicit(&run.put, memory_order_acquire)) {
			struct timespec t = {0, 50000};

			nanosleep(&t, NULL);
			continue;
		}
		nst_free(run.ring[at % RING]);
		atomic_store_explicit(&run.taken, ++at, memory_order_release);
	}
	return arg;
}

/* To the receiver, or back at once when it has fallen behind. */
static void hand_over(void *p)
{
	uint64_t put = atomic_load_explicit(&run.put, memory_order_relaxed);

	if (put - atomic_load_explicit(&run.taken, memory_order_acquire) >= RING) {
		give_back(p);
		return;
	}
	run.ring[put % RING] = p;
	atomic_store_explicit(&run.put, put + 1, memory_order_release);
}

static void burst(void)
{
	void *got[BURST];
	size_t i;

	for (i = 0; i < BURST; i++) {
		got[i] = request();
		run.answer->requests++;
		if (got[i])
			*(volatile uint64_t *)got[i] = i;
		else
			run.answer->nulls++;
	}
	for (i = 0; i < BURST; i++) {
		if (run.job->fate == HANDED && got[i])
			hand_over(got[i]);
		if (run.job->fate != OWN)
			continue;
		if (run.own[i])
			give_back(run.own[i]);
		run.own[i] = got[i];
	}
}

static void *take(void *arg)
{
	struct sched_param fifo = {.sched_priority = 50};
	uint64_t next, start, end;

	bench_pin(bench_cpu(0));
	run.answer->is_fifo = pthread_setschedparam(pthread_self(), SCHED_FIFO, &fifo) == 0;
	start = next = bench_ns();
	end = start + run.job->milliseconds * 1000000;
	while (next < end) {
		struct timespec t;

		next += PERIOD_NS;
		t.tv_sec = (time_t)(next / 1000000000);
		t.tv_nsec = (long)(next % 1000000000);
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
		run.answer->late += bench_ns() > next + PERIOD_NS;
		run.answer->bursts++;
		burst();
	}
	run.answer->elapsed_ns = bench_ns() - start;
	return arg;
}

static int stock(void)
{
	size_t n = run.answer->stock_objects;

	if (run.job->order_plus_1)
		return nst_pages_stock(run.job->order_plus_1 - 1, n, NST_CPU_ALL);
	return run.cache ? nst_stock(run.cache, n, NST_CPU_ALL) : -1;
}

/* As many objects as fit the stock, on every CPU, and nothing freed in between. */
static void take_within(void)
{
	size_t n = run.answer->stock_objects, i, wave;
	void **got = calloc(n, sizeof(*got));

	for (wave = 0; got && wave < 20; wave++) {
		bench_pin(bench_cpu(wave & 1));
		run.answer->failed |= stock() != 0;
		for (i = 0; i < n; i++) {
			got[i] = request();
			run.answer->requests++;
			run.answer->nulls += !got[i];
		}
		for (i = 0; i < n; i++)
			nst_free(got[i]);
		run.answer->waves++;
	}
	free(got);
}

static void note_cache(void)
{
	static struct nst_cache_stats caches[256];
	size_t i, n = nst_stats_caches(caches, BENCH_COUNT(caches), sizeof(caches[0]));

	for (i = 0; i < n && i < BENCH_COUNT(caches); i++)
		if (strcmp(caches[i].name, "bench-null") == 0)
			run.answer->in_cpus_bytes = caches[i].in_cpus * caches[i].slot_bytes;
}

static void note_stats(void)
{
	static struct nst_stats stats;

	if (nst_stats_read(&stats, sizeof(stats)))
		return;
	memcpy(run.answer->reasons, stats.null_reasons, sizeof(run.answer->reasons));
	run.answer->resident_bytes = stats.resident_bytes;
}

static int prepare(const struct job *job)
{
	size_t size = job->order_plus_1 ? NST_PAGE_SIZE << (job->order_plus_1 - 1) : job->size;

	if (!job->order_plus_1)
		run.cache = nst_cache_create("bench-null", size, 0, NST_CACHE_NOLOCK, NULL);
	run.answer->stock_objects = STOCK_BYTES / size < 4096 ? STOCK_BYTES / size : 4096;
	run.answer->stock_bytes = run.answer->stock_objects * size;
	return stock();
}

static void work(void)
{
	static struct answer answer;
	static struct job job;
	pthread_t taker, receiver;

	bench_next(&job, sizeof(job));
	run.job = &job;
	run.answer = &answer;
	if (prepare(&job)) {
		answer.failed = 1;
	} else if (job.within_stock) {
		take_within();
	} else {
		pthread_create(&receiver, NULL, receive, NULL);
		pthread_create(&taker, NULL, take, NULL);
		pthread_join(taker, NULL);
		note_cache();
		atomic_store(&run.stop, 1);
		pthread_join(receiver, NULL);
	}
	note_stats();
	bench_answer(&answer, sizeof(answer));
}

/* ---- the driver ---- */

static const char *const way_names[] = {"NOLOCK", "FASTTRY", "NOWAIT", "ATOMIC"};
static const char *const fate_names[] = {"own", "handed", "kept"};

static void print_reasons(const struct answer *a)
{
	static const char *const names[] = {
#define REASON(name, what) #name,
		NST_NULL_TABLE(REASON)
#undef REASON
	};
	size_t i;

	for (i = 0; i < NST_NR_NULLS; i++)
		if (a->reasons[i])
			printf(" %s=%llu", names[i], (unsigned long long)a->reasons[i]);
}

static void ask(struct job job)
{
	static struct answer a;
	struct bench_child child;
	char what[32];

	if (bench_spawn(&child, "nullrate", "null", NULL, NULL))
		exit(1);
	if (job.order_plus_1)
		snprintf(what, sizeof(what), "order %u", job.order_plus_1 - 1);
	else
		snprintf(what, sizeof(what), "%llu B", (unsigned long long)job.size);
	if (bench_ask(&child, &job, sizeof(job), &a, sizeof(a)) || a.failed) {
		printf("  %-8s %-8s %-7s failed\n", what, way_names[job.way], fate_names[job.fate]);
		bench_end(&child);
		return;
	}
	bench_end(&child);
	printf("  %-8s %-8s %-7s %9.4f %9llu %9llu", what, way_names[job.way],
	       job.within_stock ? "stocked" : fate_names[job.fate],
	       a.requests ? 100.0 * (double)a.nulls / (double)a.requests : 0,
	       (unsigned long long)a.nulls, (unsigned long long)a.requests);
	printf(" %8.0f %6llu %8llu %8llu %8llu",
	       a.elapsed_ns ? (double)a.bursts * 1e9 / (double)a.elapsed_ns : 0,
	       (unsigned long long)a.late, (unsigned long long)a.stock_bytes >> 10,
	       (unsigned long long)a.in_cpus_bytes >> 10,
	       (unsigned long long)a.resident_bytes >> 10);
	print_reasons(&a);
	printf("%s\n", job.within_stock || a.is_fifo ? "" : " (not real-time)");
	fflush(stdout);
}

static void heading(const char *what)
{
	printf("\n%s\n  %-8s %-8s %-7s %9s %9s %9s %8s %6s %8s %8s %8s\n", what, "", "", "fate",
	       "NULL %", "NULLs", "requests", "bursts/s", "late", "stocked", "in CPUs'",
	       "resident");
	printf("  %-53s %8s %6s %8s %8s %8s  reasons\n", "", "", "", "KiB/CPU", "KiB, all", "KiB");
}

int main(int argc, char **argv)
{
	static const uint64_t sizes[] = {64, 256, 1024};
	struct job job = {.milliseconds = bench_quick() ? 300 : 1500};
	uint32_t order, i;

	if (argc > 1 && strcmp(argv[1], "--work") == 0) {
		work();
		return 0;
	}
	bench_header(
		"nullrate: how often a no-lock request gets NULL; 64 objects 10,000 times a second, worker on");
	heading("objects by mode (aim: NOLOCK below 0.1 %)");
	for (i = 0; i < BENCH_COUNT(sizes); i++) {
		job.size = sizes[i];
		for (job.way = NOLOCK; job.way <= ATOMIC; job.way++)
			for (job.fate = OWN; job.fate <= KEPT; job.fate++)
				if (job.way <= FASTTRY || (job.fate == HANDED && i == 0))
					ask(job);
	}
	heading("page runs by order and mode, freed by the taker or by another CPU");
	for (order = 0; order <= NST_ORDER_NOLOCK_MAX; order++) {
		job.order_plus_1 = order + 1;
		for (job.way = NOLOCK; job.way <= FASTTRY; job.way++)
			for (job.fate = OWN; job.fate <= HANDED; job.fate++)
				ask(job);
	}
	/* Not stocked in any CPU: what the zone keeps ready for all of them. */
	heading("NOLOCK again with 16 MiB ready in the zone, not 1: high:16M");
	setenv("NOSTALL_CONF", "high:16M", 1);
	job.way = NOLOCK;
	job.order_plus_1 = 0;
	job.size = 1024;
	for (job.fate = HANDED; job.fate <= KEPT; job.fate++)
		ask(job);
	job.fate = HANDED;
	for (order = 0; order <= NST_ORDER_NOLOCK_MAX; order++) {
		job.order_plus_1 = order + 1;
		ask(job);
	}
	unsetenv("NOSTALL_CONF");
	heading("as many as stocked, 20 times over (aim: 0)");
	job.order_plus_1 = 0;
	job.within_stock = 1;
	for (i = 0; i < BENCH_COUNT(sizes); i++) {
		job.size = sizes[i];
		for (job.way = NOLOCK; job.way <= FASTTRY; job.way++)
			ask(job);
	}
	for (order = 0; order <= NST_ORDER_NOLOCK_MAX; order++) {
		job.order_plus_1 = order + 1;
		for (job.way = NOLOCK; job.way <= FASTTRY; job.way++)
			ask(job);
	}
	return 0;
}
