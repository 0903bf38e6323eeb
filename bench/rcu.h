/* SPDX-License-Identifier: MIT */
/*
 * rcu.h - the loops of the benchmark of deferred free, inlined into each worker, so that every contestant's calls
 * are direct ones in the same code.
 *
 *	call	objects that were allocated and written, in turn or scattered, are retired; then all is reclaimed
 *	total	allocate, write, retire, again and again; then all is reclaimed
 *	tail	each retirement timed on its own
 *	reuse	from the retirement of one thing to its being free again, soon after other work
 *	read	a section that begins and ends
 *	period	waiting for a grace period, with threads that are registered and asleep
 *	stall	one reader stays in its section for two seconds, while objects are allocated and retired
 */
#ifndef NST_BENCH_RCU_H
#define NST_BENCH_RCU_H

#include "bench.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum rcu_op { RCU_CALL, RCU_TOTAL, RCU_TAIL, RCU_REUSE, RCU_READ, RCU_PERIOD, RCU_STALL };

struct rcu_job {
	uint32_t variant, op;
	uint64_t n; /* objects, sections, periods */
	uint32_t bytes;
	uint32_t bursts;  /* call: so many times, with all reclaimed in between */
	uint32_t scatter; /* call: 1: in another order than they were allocated in */
	uint32_t threads; /* period: how many sleep */
};

struct rcu_answer {
	double ns; /* a call, an object, a section, a period; stall: MiB above the beginning; negative: not done here */
	double more; /* call: retirement and reclaim, all CPU time, an object; stall: objects */
	struct bench_hist hist; /* tail, reuse */
};

/* A way to retire; what is NULL cannot be done that way. */
struct rcu_way {
	void *(*alloc)(size_t bytes); /* may give NULL */
	void (*retire)(void *p);
	void (*settle)(void); /* until all is free */
	void (*reuse)(void);  /* retires one thing, and returns when it is free */
	uint64_t (*begin)(void);
	void (*end)(uint64_t section);
	void (*period)(void);
	void (*thread)(void); /* register the calling thread, and take it back */
	void (*thread_end)(void);
	void (*idle)(void); /* it will sleep for long */
};

#define RCU_BYTES_LEAST 64u
#define RCU_OBJECTS_MOST (1u << 18)
#define RCU_STALL_NS 2000000000u

static void *rcu_object[RCU_OBJECTS_MOST];

static inline uint64_t rcu_process_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* VmRSS or VmHWM of this process, in KiB. */
static inline long rcu_memory_kib(const char *key)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	long kib = 0;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			kib = atol(line + strlen(key) + 1);
	if (f)
		fclose(f);
	return kib;
}

bench_always_inline void *rcu_written(const struct rcu_way *w, size_t bytes)
{
	uint64_t *p;

	while (!(p = w->alloc(bytes)))
		sched_yield();
	*p = bytes;
	return p;
}

static inline void rcu_shuffle(uint64_t n)
{
	uint64_t seed = 1;

	for (uint64_t i = n - 1; i; i--) {
		uint64_t k;
		void *p = rcu_object[i];

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		k = (seed >> 33) % (i + 1);
		rcu_object[i] = rcu_object[k];
		rcu_object[k] = p;
	}
}

bench_always_inline void rcu_fill(const struct rcu_way *w, const struct rcu_job *job)
{
	for (uint64_t i = 0; i < job->n; i++)
		rcu_object[i] = rcu_written(w, job->bytes);
	if (job->scatter)
		rcu_shuffle(job->n);
}

bench_always_inline void rcu_call(const struct rcu_way *w, const struct rcu_job *job,
				  struct rcu_answer *a)
{
	double objects = (double)job->n * job->bursts, sum = 0, all = 0;

	for (uint32_t k = 0; k < job->bursts; k++) {
		uint64_t all_begun, begun;

		rcu_fill(w, job);
		all_begun = rcu_process_ns();
		begun = bench_cpu_ns();
		for (uint64_t i = 0; i < job->n; i++)
			w->retire(rcu_object[i]);
		sum += (double)(bench_cpu_ns() - begun) - bench_cpu_ns_cost();
		w->settle();
		all += (double)(rcu_process_ns() - all_begun);
	}
	a->more = all / objects;
	a->ns = sum / objects;
}

bench_always_inline void rcu_total(const struct rcu_way *w, const struct rcu_job *job,
				   struct rcu_answer *a)
{
	uint64_t begun = rcu_process_ns();

	for (uint64_t i = 0; i < job->n; i++)
		w->retire(rcu_written(w, job->bytes));
	w->settle();
	a->ns = (double)(rcu_process_ns() - begun) / (double)job->n;
}

bench_always_inline void rcu_tail(const struct rcu_way *w, const struct rcu_job *job,
				  struct rcu_answer *a)
{
	for (uint64_t i = 0; i < job->n; i++) {
		void *p = rcu_written(w, job->bytes);
		uint64_t begun = bench_ns();

		w->retire(p);
		bench_hist_add(&a->hist, bench_ns() - begun);
	}
	w->settle();
	a->ns = (double)bench_hist_quantile(&a->hist, 0.5);
}

bench_always_inline void rcu_reuse(const struct rcu_way *w, const struct rcu_job *job,
				   struct rcu_answer *a)
{
	const struct timespec nap = {0, 3000000};

	for (uint64_t i = 0; i < job->n; i++) {
		uint64_t begun;

		for (int k = 0; k < 2000; k++)
			w->retire(rcu_written(w, job->bytes));
		nanosleep(&nap, NULL);
		begun = bench_ns();
		w->reuse();
		bench_hist_add(&a->hist, bench_ns() - begun);
	}
	a->ns = (double)bench_hist_quantile(&a->hist, 0.5);
}

bench_always_inline void rcu_read(const struct rcu_way *w, const struct rcu_job *job,
				  struct rcu_answer *a)
{
	uint64_t begun = bench_cpu_ns();

	for (uint64_t i = 0; i < job->n; i++) {
		uint64_t section = w->begin();

		__asm__ volatile("" : : : "memory");
		w->end(section);
	}
	a->ns = (double)(bench_cpu_ns() - begun) / (double)job->n;
}

/* ---- with other threads ---- */

struct rcu_others {
	const struct rcu_way *way;
	pthread_barrier_t begun, end;
};

static inline void *rcu_sleeper(void *arg)
{
	struct rcu_others *o = arg;

	o->way->thread();
	o->way->end(o->way->begin());
	o->way->idle();
	pthread_barrier_wait(&o->begun);
	pthread_barrier_wait(&o->end);
	o->way->thread_end();
	return NULL;
}

static inline void rcu_period(const struct rcu_way *w, const struct rcu_job *job,
			      struct rcu_answer *a)
{
	static pthread_t thread[4096];
	struct rcu_others o = {.way = w};
	uint64_t begun;
	uint32_t i, nr = job->threads;

	pthread_barrier_init(&o.begun, NULL, nr + 1);
	pthread_barrier_init(&o.end, NULL, nr + 1);
	for (i = 0; i < nr; i++)
		if (pthread_create(&thread[i], NULL, rcu_sleeper, &o))
			exit(1);
	pthread_barrier_wait(&o.begun);
	begun = bench_ns();
	for (uint64_t k = 0; k < job->n; k++)
		w->period();
	a->ns = (double)(bench_ns() - begun) / (double)job->n;
	pthread_barrier_wait(&o.end);
	for (i = 0; i < nr; i++)
		pthread_join(thread[i], NULL);
}

static inline void *rcu_staller(void *arg)
{
	const struct timespec two = {RCU_STALL_NS / 1000000000u, 0};
	struct rcu_others *o = arg;
	uint64_t section;

	o->way->thread();
	section = o->way->begin();
	pthread_barrier_wait(&o->begun);
	nanosleep(&two, NULL);
	o->way->end(section);
	o->way->thread_end();
	return NULL;
}

bench_always_inline void rcu_stall(const struct rcu_way *w, const struct rcu_job *job,
				   struct rcu_answer *a)
{
	struct rcu_others o = {.way = w};
	long before = rcu_memory_kib("VmRSS");
	uint64_t until, done = 0;
	pthread_t thread;

	pthread_barrier_init(&o.begun, NULL, 2);
	if (pthread_create(&thread, NULL, rcu_staller, &o))
		exit(1);
	pthread_barrier_wait(&o.begun);
	until = bench_ns() + RCU_STALL_NS - 50000000;
	while (done < job->n && (done % 64 || bench_ns() < until)) {
		uint64_t *p = w->alloc(job->bytes);

		if (!p) {
			if (bench_ns() >= until)
				break;
			sched_yield();
			continue;
		}
		*p = done++;
		w->retire(p);
	}
	a->more = (double)done;
	a->ns = (double)(rcu_memory_kib("VmHWM") - before) / 1024;
	pthread_join(thread, NULL);
	w->settle();
}

bench_always_inline void rcu_do(const struct rcu_way *w, const struct rcu_job *job,
				struct rcu_answer *a)
{
	switch ((enum rcu_op)job->op) {
	case RCU_CALL:
		rcu_call(w, job, a);
		break;
	case RCU_TOTAL:
		rcu_total(w, job, a);
		break;
	case RCU_TAIL:
		rcu_tail(w, job, a);
		break;
	case RCU_REUSE:
		if (w->reuse)
			rcu_reuse(w, job, a);
		break;
	case RCU_READ:
		if (w->begin)
			rcu_read(w, job, a);
		break;
	case RCU_PERIOD:
		if (w->period)
			rcu_period(w, job, a);
		break;
	case RCU_STALL:
		if (w->begin)
			rcu_stall(w, job, a);
		break;
	}
}

/* One job after the other, each by @serve, as long as there are any. */
bench_always_inline void rcu_serve(void (*serve)(struct rcu_job *job, struct rcu_answer *a))
{
	static struct rcu_answer a;
	struct rcu_job job;

	for (;;) {
		bench_next(&job, sizeof(job));
		memset(&a, 0, sizeof(a));
		a.ns = -1;
		serve(&job, &a);
		bench_answer(&a, sizeof(a));
	}
}

#endif
