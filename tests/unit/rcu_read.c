/* SPDX-License-Identifier: MIT */
/*
 * rcu_read.c - a section is counted once where it begins and once where it ends, whoever ends it and where:
 * Q1. By sequence where the thread has rseq, by atomics elsewhere; before the library has started, too.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#include "mm/mm.h"
#include "common/check.h"
#include "common/trap.h"

#define DEEP 300

static struct {
	int started;
	nst_rcu_token_t token;
	int waited; /* what a period said that was waited for then */
} early;

/* Linked before the library, whose constructor has the same priority. */
__attribute__((constructor(101))) static void before_start(void)
{
	early.started = nst_is_started();
	nst_rcu_read_end(nst_rcu_read_begin());
	early.waited = nst_synchronize_rcu();
	early.token = nst_rcu_read_begin();
}

/* From debug:1 on it is noted where sections begin. */
static int by_sequence(void)
{
	return nst_sys_rseq.usable && !nst_mm.debug;
}

static u64 open_now(void)
{
	return nst_rcu_sum_in(0) + nst_rcu_sum_in(1) - nst_rcu_sum_out(0) - nst_rcu_sum_out(1);
}

/* Sections begun in lines of CPUs, so far. */
static u64 begun_in_lines(void)
{
	u64 n = 0;

	for (unsigned int i = 0; nst_rcu_readers.lines && i < nst_sys_cpus.nr; i++)
		n += nst_rcu_readers.lines[i].in[0] + nst_rcu_readers.lines[i].in[1];
	return n;
}

static void check_before_start(void)
{
	nst_cookie_t c = nst_gp_start();

	check(!early.started, "Q1 it had not started", "it had");
	check(early.waited == 0, "Q1 a period before the start", "%d", early.waited);
	check(early.token != 0 && open_now() == 1, "Q1 a section begun before the start",
	      "%llu open", (unsigned long long)open_now());
	for (int i = 0; i < 5; i++)
		nst_gp_step(nst_rcu_own);
	check(nst_gp_done(c) == 0, "Q2 is waited for after it", "it is not");
	nst_rcu_read_end(early.token);
	check(open_now() == 0, "Q1 and ends", "%llu open", (unsigned long long)open_now());
	check(nst_gp_wait(c) == 0, "Q2 then the period is over", "it is not");
}

static void check_counts(void)
{
	u64 lines, zero = 0, here = nst_rcu_open_here();
	nst_rcu_token_t t[DEEP];

	nst_rcu_read_end(nst_rcu_read_begin()); /* a thread's first is by atomics */
	lines = begun_in_lines();
	for (int i = 0; i < DEEP; i++) {
		t[i] = nst_rcu_read_begin();
		zero += t[i] == 0;
	}
	check(zero == 0, "Q1 a token is never 0", "%llu are", (unsigned long long)zero);
	check(open_now() == DEEP, "Q1 sections nest", "%llu open", (unsigned long long)open_now());
	check(begun_in_lines() - lines == (by_sequence() ? DEEP : 0),
	      "Q1 by sequence where there is rseq", "%llu were",
	      (unsigned long long)(begun_in_lines() - lines));
	check((uintptr_t)nst_rcu_readers.lines % sizeof(struct nst_read_line) == 0,
	      "no two CPUs share a line", "%p", (void *)nst_rcu_readers.lines);
	check(nst_rcu_open_here() - here == DEEP, "Q8 a thread counts its own", "%llu",
	      (unsigned long long)nst_rcu_open_here());
	for (int i = 0; i < DEEP; i += 2)
		nst_rcu_read_end(t[i]);
	for (int i = 1; i < DEEP; i += 2)
		nst_rcu_read_end(t[i]);
	check(open_now() == 0 && nst_rcu_open_here() == here, "Q1 they end in any order",
	      "%llu open, %llu here", (unsigned long long)open_now(),
	      (unsigned long long)nst_rcu_open_here());
}

static void *end_it(void *arg)
{
	nst_rcu_read_end(*(nst_rcu_token_t *)arg);
	return NULL;
}

static void *begin_it(void *arg)
{
	*(nst_rcu_token_t *)arg = nst_rcu_read_begin();
	return NULL;
}

static void check_elsewhere(void)
{
	nst_rcu_token_t t = nst_rcu_read_begin();
	pthread_t thread;

	pthread_create(&thread, NULL, end_it, &t);
	pthread_join(thread, NULL);
	check(open_now() == 0, "Q1 ended by another thread", "%llu open",
	      (unsigned long long)open_now());
	pthread_create(&thread, NULL, begin_it, &t);
	pthread_join(thread, NULL);
	check(open_now() == 1, "Q1 outlives its thread", "%llu open",
	      (unsigned long long)open_now());
	nst_rcu_read_end(t);
	check(open_now() == 0, "Q1 and ends here", "%llu open", (unsigned long long)open_now());
	if (cpu_nth(1) < 0)
		return;
	run_on_cpu(0, cpu_nth(0));
	t = nst_rcu_read_begin();
	run_on_cpu(0, cpu_nth(1));
	check(open_now() == 1, "Q1 moved to another CPU", "%llu open",
	      (unsigned long long)open_now());
	nst_rcu_read_end(t);
	run_on_cpu(0, -1);
	check(open_now() == 0, "Q1 ended there", "%llu open", (unsigned long long)open_now());
}

/* A thread that libc did not register with the kernel: its CPU number reads -1. */
static void *unregistered(void *arg)
{
	u32 *cpu = (u32 *)(nst_thread_pointer() + (uintptr_t)nst_rseq_offset + NST_RSEQ_CPU_ID);
	u64 lines = begun_in_lines();
	u32 was = *cpu;
	nst_rcu_token_t t;

	nst_rcu_read_end(nst_rcu_read_begin());
	lines = begun_in_lines();
	for (u32 i = 1; i <= 2; i++) {
		__atomic_store_n(cpu, -i, __ATOMIC_RELAXED);
		t = nst_rcu_read_begin();
		*(u64 *)arg += open_now() != 1;
		nst_rcu_read_end(t);
		*(u64 *)arg += open_now() != 0 || begun_in_lines() != lines;
	}
	__atomic_store_n(cpu, was, __ATOMIC_RELAXED);
	t = nst_rcu_read_begin();
	*(u64 *)arg += begun_in_lines() != lines + 1;
	__atomic_store_n(cpu, -1, __ATOMIC_RELAXED);
	nst_rcu_read_end(t); /* begun by sequence, ended by atomics */
	*(u64 *)arg += open_now() != 0;
	__atomic_store_n(cpu, was, __ATOMIC_RELAXED);
	return NULL;
}

static void check_unregistered(void)
{
	pthread_t thread;
	u64 wrong = 0;

	if (!by_sequence())
		return;
	run_on_cpu(0, cpu_nth(0)); /* the kernel writes the number when the thread moves */
	pthread_create(&thread, NULL, unregistered, &wrong);
	pthread_join(thread, NULL);
	run_on_cpu(0, -1);
	check(wrong == 0, "Q1 threads without rseq count elsewhere", "%llu wrong",
	      (unsigned long long)wrong);
}

static volatile sig_atomic_t hits;

static void nested(int sig)
{
	nst_rcu_token_t a = nst_rcu_read_begin(), b = nst_rcu_read_begin();

	(void)sig;
	nst_rcu_read_end(a);
	nst_rcu_read_end(b);
	hits++;
}

static void check_handler(void)
{
	struct sigaction sa = {.sa_handler = nested, .sa_flags = SA_RESTART};
	struct itimerval on = {{0, 50}, {0, 50}}, off = {{0, 0}, {0, 0}};
	u64 here = nst_rcu_open_here();

	sigaction(SIGALRM, &sa, NULL);
	nst_test_delay[NST_SEQ_IN][3] = nst_test_delay[NST_SEQ_OUT][3] = 200;
	nst_test_delay[NST_SEQ_IN][1] = 200;
	setitimer(ITIMER_REAL, &on, NULL);
	for (int i = 0; hits < 2000 && i < 100000000; i++)
		nst_rcu_read_end(nst_rcu_read_begin());
	setitimer(ITIMER_REAL, &off, NULL);
	memset(nst_test_delay, 0, sizeof(nst_test_delay));
	check(hits >= 2000 && open_now() == 0 && nst_rcu_open_here() == here,
	      "Q1 in handlers that interrupt sections' begin and end", "%d hits, %llu open",
	      (int)hits, (unsigned long long)open_now());
	if (by_sequence())
		check(nst_test_restarts[NST_SEQ_IN] && nst_test_restarts[NST_SEQ_OUT],
		      "Q1 both sequences were restarted", "%llu, %llu",
		      (unsigned long long)nst_test_restarts[NST_SEQ_IN],
		      (unsigned long long)nst_test_restarts[NST_SEQ_OUT]);
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	check_before_start();
	check_counts();
	check_elsewhere();
	check_unregistered();
	check_handler();
	check_counts();
	return check_status();
}
