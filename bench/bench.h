/* SPDX-License-Identifier: MIT */
/*
 * bench.h - what the benchmarks share: contestants in processes of their own, clocks, figures.
 *
 *	driver --- job --->  child (glibc)                 one job at a time, round robin, so that
 *	       <-- answer -- child (LD_PRELOAD=jemalloc)   all contestants share the same minutes;
 *	                     child (libnostall) ...        ratios are taken within one round
 *
 * Why processes and not dlopen(): a malloc that is dlopen()ed beside glibc's is reached by a pointer
 * instead of a PLT slot, does not own brk, its constructor and thread hooks run late, and it shares the
 * process with the others' threads. Preloaded, each is what its users run.
 *
 * A benchmark never asserts: it prints what it finds and exits with 0. It exits with 1 only if it could
 * not measure at all.
 */
#ifndef NST_BENCH_H
#define NST_BENCH_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define BENCH_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define bench_always_inline static inline __attribute__((always_inline))

/* ---- clocks and machine ---- */

uint64_t bench_ns(void);	/* CLOCK_MONOTONIC */
uint64_t bench_cpu_ns(void);	/* CPU time of this thread */
double bench_cpu_ns_cost(void); /* what one bench_cpu_ns() adds to an interval, in ns */

/* QUICK=1 in the environment: about a tenth of the samples. */
int bench_quick(void);

/* The nth CPU this process may use; the last one if there are fewer. */
int bench_cpu(unsigned int nth);
void bench_pin(int cpu);

/* One line: the question, machine, kernel, build, load and date. */
void bench_header(const char *question);

/* ---- contestants ---- */

struct bench_peer {
	const char *name;
	const char *preload; /* path, NULL for glibc */
};

/* glibc and those of BENCH_PEERS (NAME=PATH:NAME=PATH, as scripts/bench made it), in @out. Returns how many. */
size_t bench_peers(struct bench_peer *out, size_t room);
#define BENCH_MAX_PEERS 10

struct bench_child {
	pid_t pid;
	int to, from;
	int died;
};

/*
 * Starts program @exe of the directory of this one, with "--work" and @arg, @preload and NOSTALL_CONF
 * as given (NULL: none). Returns 0 or -1.
 */
int bench_spawn(struct bench_child *child, const char *exe, const char *arg, const char *preload,
		const char *conf);

/* Sends @job, receives @answer. Returns 0; -1 once the child has died, which is said once. */
int bench_ask(struct bench_child *child, const void *job, size_t job_bytes, void *answer,
	      size_t answer_bytes);

/* Closes the pipes and waits for the child. */
void bench_end(struct bench_child *child);

/* The child's side: the next job, or exit. */
void bench_next(void *job, size_t bytes);
void bench_answer(const void *answer, size_t bytes);

/* ---- figures ---- */

/* The q quantile of @v, which is sorted in place; NaN for n == 0. */
double bench_quantile(double *v, size_t n, double q);

/* Durations in ns: exact below 16, then 16 buckets a doubling. */
#define BENCH_HIST_BUCKETS 1024
struct bench_hist {
	uint64_t n, worst, over_5us;
	uint32_t bucket[BENCH_HIST_BUCKETS];
};

void bench_hist_add(struct bench_hist *h, uint64_t ns);
void bench_hist_merge(struct bench_hist *h, const struct bench_hist *other);
uint64_t bench_hist_quantile(const struct bench_hist *h, double q);
/* How many were shorter than 2^@log2 ns; @log2 from 4 on. */
uint64_t bench_hist_below(const struct bench_hist *h, unsigned int log2);

/* ---- numbers of the system ---- */

/* Steal time of @cpu in ticks of 10 ms (the unit of /proc/stat); -1 if not shown. */
long bench_steal_ticks(int cpu);

/* Interrupts that @cpu has taken; in @local_timer those of its timer. */
uint64_t bench_interrupts(int cpu, uint64_t *local_timer);

#endif
