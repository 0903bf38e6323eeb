/* SPDX-License-Identifier: MIT */
/*
 * rcu_nolock.c - Q5: begin, end, start and done are no-lock (C1 to C4): a thread that the kernel kills at its first
 * system call makes millions while others make periods, on CPUs with and without rseq; no page fault; the domain's
 * lock held by a thread stopped inside it. A step then does not wait either.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "mm/mm.h"
#include "common/check.h"
#include "common/maps.h"
#include "common/trap.h"

#define ROUNDS 1000000
#define SECONDS 60

static struct {
	int done, stop;
	uint64_t wrong;
	int stopped, release; /* of the holder of the lock */
} t;
static __thread int is_holder;

static void work(struct rng *rng, unsigned int rounds)
{
	nst_rcu_token_t a, b;
	nst_cookie_t c;

	for (unsigned int i = 0; i < rounds; i++) {
		a = nst_rcu_read_begin();
		b = rng_below(rng, 2) ? nst_rcu_read_begin() : 0;
		c = nst_gp_start();
		t.wrong += c == 0 || !a || nst_gp_done(c) != 0; /* we are inside */
		if (b)
			nst_rcu_read_end(b);
		nst_rcu_read_end(a);
		t.wrong += nst_gp_done(c) < 0;
	}
}

static void *periods(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&t.stop, __ATOMIC_RELAXED))
		t.wrong += nst_synchronize_rcu() != 0;
	return NULL;
}

/* Its first section is under the trap as well. */
static void *trapped(void *arg)
{
	struct rng rng = {(uint64_t)(uintptr_t)arg};

	trap_syscalls(TRAP_ALLOW_NONE);
	work(&rng, ROUNDS);
	__atomic_store_n(&t.done, 1, __ATOMIC_RELEASE);
	for (;;) /* nothing else may be done */
		nst_cpu_relax();
	return NULL;
}

static void check_syscalls(void)
{
	pthread_t thread[2];
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		pthread_create(&thread[0], NULL, periods, NULL);
		pthread_create(&thread[1], NULL, trapped, (void *)7);
		while (!__atomic_load_n(&t.done, __ATOMIC_ACQUIRE))
			usleep(1000);
		_exit(t.wrong ? 9 : 0);
	}
	if (child_wait(pid, SECONDS, &status))
		check(0, "Q5 no system call", "not done in %d s", SECONDS);
	else
		check(status == 0, "Q5 no system call", "%s", child_status(status));
}

static long faults(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return u.ru_minflt + u.ru_majflt;
}

static void check_faults(void)
{
	struct rng rng = {3};
	pthread_t thread;
	long before;

	nst_maintain();
	work(&rng, 10);
	pthread_create(&thread, NULL, periods, NULL);
	maps_make_resident(); /* there has been a fork */
	before = faults();
	work(&rng, ROUNDS / 2);
	before = faults() - before;
	__atomic_store_n(&t.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	check(before == 0, "Q5 no page fault", "%ld", before);
	check(t.wrong == 0, "Q5 cookies are right", "%llu are not", (unsigned long long)t.wrong);
}

static void held(int lock_class)
{
	if (!is_holder || lock_class != NST_LOCK_RCU)
		return;
	__atomic_store_n(&t.stopped, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&t.release, __ATOMIC_ACQUIRE))
		usleep(500);
}

static void *hold(void *arg)
{
	is_holder = 1;
	*(int *)arg = nst_synchronize_rcu();
	return NULL;
}

static void check_held(void)
{
	struct rng rng = {5};
	pthread_t thread;
	nst_cookie_t c;
	int err = -1;

	nst_test_held = held;
	pthread_create(&thread, NULL, hold, &err);
	while (!__atomic_load_n(&t.stopped, __ATOMIC_ACQUIRE))
		usleep(500);
	work(&rng, 1000);
	c = nst_gp_start();
	check(nst_gp_step(nst_rcu_own) == 1 && nst_gp_done(c) == 0,
	      "Q5 with the lock held all return, a step too", "done %d", nst_gp_done(c));
	__atomic_store_n(&t.release, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	check(err == 0 && nst_gp_wait(c) == 0 && t.wrong == 0, "Q5 and then the period ends", "%d",
	      err);
}

TEST_CONF("check:off") /* as CONF_UNCHECKED has it */

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	check_deadline(2 * SECONDS, "Q5 in time");
	check_syscalls();
	check_faults();
	check_held();
	return check_status();
}
