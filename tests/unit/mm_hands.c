/* SPDX-License-Identifier: MIT */
/*
 * mm_hands.c - F5: a fork that comes as a list goes from one hand to another loses none of it, and calls none twice.
 *
 * A thread that maintains is stopped at each point of a hand-over in turn; this one forks then, and in the child waits for
 * all that was retired, and counts.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include "retire.h"

#define NR_HEADS 40u
#define NR_RUNS 12u
#define RUN_BYTES 40000u

static struct nst_rcu_head head[NR_HEADS];
static unsigned int called[NR_HEADS], foreign[NR_HEADS];
static void *run[NR_RUNS];

static void fn_head(struct nst_rcu_head *h)
{
	unsigned int i = (unsigned int)(h - head);

	memset(h, 0xee, sizeof(*h)); /* as a free would */
	called[i]++;
}

static void fn_ptr(void *ptr)
{
	(*(unsigned int *)ptr)++;
}

static void retire_some(unsigned int first, unsigned int end)
{
	for (unsigned int i = first; i < end; i++) {
		nst_call_rcu(&head[i], fn_head, 8);
		nst_free_rcu_mightsleep(&foreign[i], fn_ptr);
	}
	for (unsigned int i = first * NR_RUNS / NR_HEADS; i < end * NR_RUNS / NR_HEADS; i++)
		nst_free_rcu(run[i]);
}

static void is_done(const char *where)
{
	unsigned int i, lost = 0, twice = 0;
	struct nst_retired_stats now;

	nst_rcu_barrier();
	for (i = 0; i < NR_HEADS; i++) {
		lost += !called[i] + !foreign[i];
		twice += (called[i] > 1) + (foreign[i] > 1);
	}
	now = ways_now();
	check(!lost && !twice, where, "%u not called, %u twice", lost, twice);
	check(now.waiting_bytes == 0 && now.head_bytes == 0, "nothing waits any more",
	      "%llu bytes, %llu in heads", (unsigned long long)now.waiting_bytes,
	      (unsigned long long)now.head_bytes);
}

static void *maintain(void *stop)
{
	while (!__atomic_load_n((int *)stop, __ATOMIC_ACQUIRE))
		nst_maintain();
	return NULL;
}

/* Stopped at @point, whatever of it there is to hand over. */
static void fork_at(unsigned int point)
{
	uint64_t since = 0, before;
	int stop = 0;
	pthread_t thread;
	pid_t pid;

	memset(called, 0, sizeof(called));
	memset(foreign, 0, sizeof(foreign));
	for (unsigned int i = 0; i < NR_RUNS; i++)
		run[i] = nst_alloc(RUN_BYTES, NST_NORMAL);
	retire_some(0, NR_HEADS / 2);
	before = __atomic_load_n(&nst_test_delayed, __ATOMIC_RELAXED);
	__atomic_store_n(&nst_test_delay[NST_SEQ_HAND][point], UINT32_MAX, __ATOMIC_RELAXED);
	if (pthread_create(&thread, NULL, maintain, &stop))
		check_broken("thread");
	while (__atomic_load_n(&nst_test_delayed, __ATOMIC_RELAXED) == before &&
	       check_patience(&since))
		;
	check(__atomic_load_n(&nst_test_delayed, __ATOMIC_RELAXED) != before, "it comes there",
	      "point %u", point);
	/* Whoever comes next finds more. */
	retire_some(NR_HEADS / 2, NR_HEADS);
	fflush(stdout);
	pid = fork();
	__atomic_store_n(&nst_test_delay[NST_SEQ_HAND][point], 0, __ATOMIC_RELAXED);
	if (pid == 0) {
		is_done("in the child each is called once");
		fflush(stdout);
		_exit(check_status());
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	check_child(pid, 30, 0, "(the child)");
	is_done("in the parent, too");
}

TEST_CONF("worker:off")

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	nst_rcu_use();
	for (unsigned int point = 0; point < NST_SEQ_POINTS; point++)
		fork_at(point);
	return check_status();
}
