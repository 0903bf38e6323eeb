/* SPDX-License-Identifier: MIT */
/*
 * threads.c - R7: ten thousand short-lived threads, objects that outlive them, a child of a process that has
 * many, and every way to leave with threads still at work.
 *
 *	threads			all, then each way to leave, as a child of its own
 *	threads leave WAY	one of them
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/trap.h"
#include "preload.h"

#define NR_THREADS 10000u
#define AT_ONCE 50u
#define NR_ASLEEP 300
#define NR_LEAVES 10

static uint64_t seed;
static unsigned int wrong;
static pthread_key_t key;
static unsigned int freed_by_key;

/* ---- storm ---- */

/* Churns, frees what the thread before it left, leaves something to the next. */
static void *short_life(void *arg)
{
	static void *left;
	struct rng rng = {seed + (uintptr_t)arg};
	char *mine = malloc(20 + (uintptr_t)arg % 3000);
	unsigned int bad = churn(&rng, 30);

	if (mine)
		memset(mine, 1, 20);
	free(__atomic_exchange_n(&left, mine, __ATOMIC_ACQ_REL));
	pthread_setspecific(key, malloc(100));
	if (bad || !mine)
		__atomic_fetch_add(&wrong, bad + !mine, __ATOMIC_RELAXED);
	return NULL;
}

static void from_key(void *ptr)
{
	free(ptr);
	free(malloc(50));
	__atomic_fetch_add(&freed_by_key, 1, __ATOMIC_RELAXED);
}

static void storm(void)
{
	pthread_t threads[AT_ONCE];
	unsigned int made = 0, i;

	pthread_key_create(&key, from_key);
	while (made < NR_THREADS) {
		for (i = 0; i < AT_ONCE; i++, made++)
			if (pthread_create(&threads[i], NULL, short_life, (void *)(uintptr_t)made))
				check_broken("pthread_create");
		for (i = 0; i < AT_ONCE; i++)
			pthread_join(threads[i], NULL);
	}
	check(wrong == 0, "10,000 threads find their objects as they left them", "%u did not",
	      wrong);
	check(freed_by_key == NR_THREADS, "thread-specific data is freed as a thread ends",
	      "%u of %u", freed_by_key, NR_THREADS);
}

/* ---- a child frees the stacks of threads it does not have ---- */

static pthread_mutex_t asleep = PTHREAD_MUTEX_INITIALIZER;

static void *sleeper(void *arg)
{
	pthread_mutex_lock(&asleep);
	pthread_mutex_unlock(&asleep);
	return arg;
}

/* libc does so with the lock of its list of stacks held, as soon as a thread of the child's ends. */
static int thread_in_child(int *status)
{
	pthread_t t;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		check_broken("fork");
	if (!pid) {
		pthread_mutex_unlock(&asleep);
		_exit(pthread_create(&t, NULL, sleeper, NULL) || pthread_join(t, NULL));
	}
	return child_wait(pid, 40, status) == 0 && !*status;
}

static void many_and_a_child(void)
{
	static pthread_t threads[NR_ASLEEP];
	int i, status = 0, good = 0;

	pthread_mutex_lock(&asleep);
	for (i = 0; i < NR_ASLEEP; i++)
		if (pthread_create(&threads[i], NULL, sleeper, NULL))
			check_broken("pthread_create");
	for (i = 0; i < 5 && good == i; i++)
		good += thread_in_child(&status);
	pthread_mutex_unlock(&asleep);
	for (i = 0; i < NR_ASLEEP; i++)
		pthread_join(threads[i], NULL);
	check(good == 5, "300 threads alive: a child makes a thread, which ends", "%d of 5, %s",
	      good, child_status(status));
}

/* ---- leaving ---- */

static void *for_ever(void *arg)
{
	struct rng rng = {seed + (uintptr_t)arg};

	for (;;)
		if (churn(&rng, 500))
			_exit(90);
	return NULL;
}

static void *kept[1000];

static void free_kept(void)
{
	unsigned int i;

	for (i = 0; i < 1000; i++)
		free(kept[i]);
	for (i = 0; i < 1000; i++)
		free(malloc(i * 7));
}

/* After exit() and its handlers. */
__attribute__((destructor)) static void last(void)
{
	char *p = malloc(3000);

	if (kept[0] && (!p || !is_ours(p)))
		_exit(91);
	free(p);
}

static void *ends_the_process(void *arg)
{
	usleep(3000);
	exit((int)(uintptr_t)arg);
}

/* Never returns: in the end the exit status is 7. */
static int leave(const char *way)
{
	pthread_t t;
	uintptr_t i;

	for (i = 0; i < 4; i++)
		if (pthread_create(&t, NULL, for_ever, (void *)i))
			return 92;
	for (i = 0; i < 1000; i++)
		kept[i] = malloc(i * 11);
	atexit(free_kept);
	usleep(1000);
	if (!strcmp(way, "quick_exit"))
		quick_exit(7);
	if (!strcmp(way, "_exit"))
		_exit(7);
	if (!strcmp(way, "exit"))
		exit(7);
	if (!strcmp(way, "abort"))
		abort();
	pthread_create(&t, NULL, ends_the_process, (void *)7);
	if (!strcmp(way, "pthread_exit"))
		pthread_exit(NULL);
	pause();
	return 93;
}

static void leaves(void)
{
	static const char *const ways[] = {"return", "exit",	     "quick_exit", "_exit",
					   "thread", "pthread_exit", "abort"};
	unsigned int i, k;

	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		int status = 0, good = 0, want = strcmp(ways[i], "abort") ? 7 << 8 : SIGABRT;

		for (k = 0; k < NR_LEAVES; k++)
			good += child_wait(child_exec("leave", ways[i]), 40, &status) == 0 &&
				status == want;
		check(good == NR_LEAVES, ways[i], "%d of %d ended as they should, the last: %s",
		      good, NR_LEAVES, child_status(status));
	}
}

int main(int argc, char **argv)
{
	demand_preload();
	if (argc > 2) {
		seed = 1;
		if (strcmp(argv[2], "return"))
			return leave(argv[2]);
		kept[0] = malloc(8);
		return 7;
	}
	seed = seed_of(argc, argv);
	check_deadline(50, "threads end");
	many_and_a_child();
	storm();
	leaves();
	return check_status();
}
