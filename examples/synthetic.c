// SPDX-License-Identifier: MIT
/*
 * synthetic.c - a program whose profile is known, to hold a profiler against.
 *
 *	synthetic [threads] [CPU milliseconds a thread] [seed]
 *
 *	round -> alpha -> churn				half of the time
 *	round -> beta -> middle -> churn		three tenths
 *	round -> gamma -> gamma -> gamma -> churn	two tenths
 *
 * All of it is spent in churn(), which allocates and frees with malloc without pause, so that a
 * profile is right only if whole paths are; and a profiler that allocates as malloc does meets a
 * thread inside malloc at nearly every tick. Each path measures the CPU time it really used and
 * prints it: that, and not the plan, is what samples are compared with.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* One function, one name: not inlined, and not cloned for a constant argument. */
#if defined(__clang__)
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone))
#endif
#define NO_TAIL_CALL() __asm__ volatile("" ::: "memory")
#define SLOTS 256
#define MAX_THREADS 64

enum path { ALPHA, BETA, GAMMA, NR_PATHS };

static const char *const path_names[NR_PATHS] = {"alpha", "beta", "gamma_path"};
static const uint64_t slice_ns[NR_PATHS] = {500000, 300000, 200000};

struct worker {
	pthread_t thread;
	uint64_t seed, budget_ns;
	uint64_t used_ns[NR_PATHS], calls[NR_PATHS];
	void *slot[SLOTS];
};

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint32_t draw(struct worker *w)
{
	w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(w->seed >> 33);
}

/* Replaces objects of mixed sizes until the thread's CPU clock reads @until_ns. */
NOINLINE void churn(struct worker *w, uint64_t until_ns);
void churn(struct worker *w, uint64_t until_ns)
{
	do {
		for (int i = 0; i < 200; i++) {
			void **slot = &w->slot[draw(w) % SLOTS];
			size_t size = 16 + draw(w) % 600;

			free(*slot);
			*slot = malloc(size);
			if (*slot)
				memset(*slot, i, size < 64 ? size : 64);
		}
	} while (cpu_ns() < until_ns);
}

NOINLINE void alpha(struct worker *w, uint64_t until_ns);
void alpha(struct worker *w, uint64_t until_ns)
{
	churn(w, until_ns);
	NO_TAIL_CALL();
}

NOINLINE void middle(struct worker *w, uint64_t until_ns);
void middle(struct worker *w, uint64_t until_ns)
{
	churn(w, until_ns);
	NO_TAIL_CALL();
}

NOINLINE void beta(struct worker *w, uint64_t until_ns);
void beta(struct worker *w, uint64_t until_ns)
{
	middle(w, until_ns);
	NO_TAIL_CALL();
}

NOINLINE void gamma_path(struct worker *w, uint64_t until_ns, int depth);
void gamma_path(struct worker *w, uint64_t until_ns, int depth)
{
	if (depth)
		gamma_path(w, until_ns, depth - 1);
	else
		churn(w, until_ns);
	NO_TAIL_CALL();
}

NOINLINE void round_of_paths(struct worker *w);
void round_of_paths(struct worker *w)
{
	uint64_t start = cpu_ns(), now;

	for (int path = 0; path < NR_PATHS; path++) {
		/* Half to one and a half: a steady round would march in step with the sampler. */
		uint64_t until = start + slice_ns[path] / 2 + draw(w) % slice_ns[path];

		if (path == ALPHA)
			alpha(w, until);
		else if (path == BETA)
			beta(w, until);
		else
			gamma_path(w, until, 2);
		now = cpu_ns();
		w->used_ns[path] += now - start;
		w->calls[path]++;
		start = now;
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;

	while (cpu_ns() < w->budget_ns)
		round_of_paths(w);
	for (int i = 0; i < SLOTS; i++)
		free(w->slot[i]);
	return NULL;
}

static long number(char **argv, int argc, int i, long fallback)
{
	return argc > i ? strtol(argv[i], NULL, 10) : fallback;
}

int main(int argc, char **argv)
{
	long nr = number(argv, argc, 1, 4), ms = number(argv, argc, 2, 2500);
	long seed = number(argv, argc, 3, 1);
	static struct worker workers[MAX_THREADS];

	if (nr < 1 || nr > MAX_THREADS || ms < 1) {
		fprintf(stderr, "usage: synthetic [threads, 1 to %d] [CPU ms a thread] [seed]\n",
			MAX_THREADS);
		return 2;
	}
	for (long i = 0; i < nr; i++) {
		workers[i].seed = (uint64_t)(seed + i);
		workers[i].budget_ns = (uint64_t)ms * 1000000u;
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			return 1;
	}
	for (long i = 0; i < nr; i++)
		pthread_join(workers[i].thread, NULL);
	for (int path = 0; path < NR_PATHS; path++) {
		uint64_t used_ns = 0, calls = 0;

		for (long i = 0; i < nr; i++) {
			used_ns += workers[i].used_ns[path];
			calls += workers[i].calls[path];
		}
		printf("path=%s cpu_ns=%llu calls=%llu\n", path_names[path],
		       (unsigned long long)used_ns, (unsigned long long)calls);
	}
	return 0;
}
