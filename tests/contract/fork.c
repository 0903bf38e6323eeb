/* SPDX-License-Identifier: MIT */
/*
 * fork.c - C6: fork() from a thread, _Fork() from a signal handler and vfork() + exec, while others
 * allocate. The child allocates and frees, in every mode.
 *
 * The child has one thread. What the others held when they vanished is abandoned, which is counted,
 * never waited for: a child that hangs is killed after ten seconds and the check fails.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "common/mix.h"
#include "common/owner.h"
#include "common/trap.h"

#define NR_CHURN 3

extern char **environ;

static struct {
	struct mix_caches caches;
	uint64_t seed;
	int stop;
	unsigned int forks;
	pid_t from_handler;
	struct mix child;
} t;

/*
 * The child's life: both kinds of request, objects of both kept. The owner map is a copy of the
 * parent's as of the fork, so that an object of a vanished thread handed out again is seen too.
 * Returns the exit status: which step went wrong. Prints nothing: stdio may be locked for ever.
 */
static int child_requests(unsigned int round, enum mix_who who)
{
	uint64_t before = owner_errors();
	int ordinary = who == MIX_ORDINARY;

	mix_init(&t.child, &t.caches, who, t.seed * 7 + round, 240 + (unsigned int)ordinary);
	for (int i = 0; i < 1500; i++)
		mix_step(&t.child);
	mix_empty(&t.child);
	if (mix_errors(&t.child))
		return 10 + ordinary;
	if (ordinary && mix_got(&t.child) * 100 < mix_tries(&t.child) * 90)
		return 20;
	return owner_errors() == before ? 0 : 30;
}

static int child_life(unsigned int round)
{
	int rc = child_requests(round, MIX_NOLOCK);

	rc = rc ? rc : child_requests(round, MIX_ORDINARY);
	nst_maintain();
	return rc;
}

/* What the handler interrupted may hold a lock: ordinary requests only after it has returned. */
static volatile sig_atomic_t in_child_of_handler;

static void *churn(void *arg)
{
	unsigned int i = (unsigned int)(uintptr_t)arg;
	struct mix *mix = malloc(sizeof(*mix));

	mix_init(mix, &t.caches, i == 1 ? MIX_NOLOCK : MIX_ORDINARY, t.seed + i, i);
	while (!__atomic_load_n(&t.stop, __ATOMIC_ACQUIRE)) {
		mix_step(mix);
		if (in_child_of_handler)
			_exit(child_life(t.forks));
	}
	mix_empty(mix);
	mix_check(mix, "C6 the parent's threads");
	free(mix);
	return NULL;
}

static void reap(pid_t pid, const char *name, unsigned int *bad)
{
	int status, rc = child_wait(pid, 40, &status);

	if (rc == 0 && status == 0)
		return;
	check_quiet(*bad >= 3, name, "round %u: %s", t.forks,
		    rc ? "hung, killed" : child_status(status));
	++*bad;
}

static void check_fork(unsigned int rounds)
{
	unsigned int bad = 0;

	for (unsigned int i = 0; i < rounds && bad < 3; i++, t.forks++) {
		fflush(stdout);
		pid_t pid = fork();
		if (pid < 0)
			check_broken("fork");
		if (pid == 0)
			_exit(child_life(i));
		reap(pid, "C6 fork", &bad);
	}
	check(bad == 0, "C6 fork while others allocate", "%u of %u children", bad, rounds);
}

/* A child that forks again: what it began anew must be fit to be abandoned once more. */
static void check_grandchild(void)
{
	unsigned int bad = 0;
	pid_t pid = fork();

	if (pid == 0) {
		int status, rc = child_life(1);
		pid_t again = fork();

		if (again == 0)
			_exit(child_life(2));
		waitpid(again, &status, 0);
		_exit(rc ? rc : status ? 40 : 0);
	}
	reap(pid, "C6 fork", &bad);
	check(bad == 0, "C6 a child's child", "see above");
}

/* ---- from a handler ---- */

static void fork_here(int sig)
{
	(void)sig;
	pid_t pid = _Fork();
	if (pid == 0) {
		int rc = child_requests(t.forks, MIX_NOLOCK);

		if (rc)
			_exit(rc);
		in_child_of_handler = 1;
		return;
	}
	__atomic_store_n(&t.from_handler, pid, __ATOMIC_RELEASE);
}

static void *interrupted(void *arg)
{
	return churn(arg);
}

static void check_fork_in_handler(unsigned int rounds)
{
	struct sigaction sa = {.sa_handler = fork_here, .sa_flags = SA_RESTART};
	unsigned int bad = 0;
	pthread_t thread;

	sigaction(SIGUSR1, &sa, NULL);
	pthread_create(&thread, NULL, interrupted, (void *)(uintptr_t)9);
	for (unsigned int i = 0; i < rounds && bad < 3; i++, t.forks++) {
		struct timespec ts = {0, 200000 + (long)(i % 17) * 10000};

		nanosleep(&ts, NULL);
		t.from_handler = 0;
		pthread_kill(thread, SIGUSR1);
		while (!__atomic_load_n(&t.from_handler, __ATOMIC_ACQUIRE))
			nanosleep(&ts, NULL);
		reap(t.from_handler, "C6 _Fork", &bad);
	}
	check(bad == 0, "C6 _Fork in a handler that interrupts requests", "%u of %u children", bad,
	      rounds);
	__atomic_store_n(&t.stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
}

/* ---- exec ---- */

/* The child of vfork calls nothing of ours: it executes, as posix_spawn's does. */
static pid_t vfork_exec(char *const argv[])
{
	pid_t pid = vfork();

	if (pid == 0) {
		execve(argv[0], argv, environ);
		_exit(98);
	}
	return pid;
}

/* 0: an emulator runs this program, whose own locks a _Fork() in a handler may leave held in the child. */
static int check_exec(unsigned int rounds)
{
	char *const argv[] = {(char[]){"/proc/self/exe"}, (char[]){"--after-exec"}, NULL};
	unsigned int bad = 0;
	int status;
	pid_t pid = vfork_exec(argv);

	if (child_wait(pid, 40, &status) == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 98) {
		printf("# an emulator: no program of this machine can be executed here\n");
		return 0;
	}
	for (unsigned int i = 0; i < rounds; i++) {
		reap(vfork_exec(argv), "C6 vfork and exec", &bad);
		if (posix_spawn(&pid, argv[0], NULL, NULL, argv, environ))
			check_broken("posix_spawn");
		reap(pid, "C6 posix_spawn", &bad);
	}
	check(bad == 0, "C6 vfork and exec while others allocate", "%u of %u", bad, 2 * rounds);
	return 1;
}

static int after_exec(void)
{
	void *object = nst_alloc(100, NST_NORMAL), *other = nst_alloc_nolock(100);

	nst_free(object);
	nst_free_nolock(other);
	return object ? 0 : 1;
}

TEST_CONF("worker:on")

int main(int argc, char **argv)
{
	pthread_t thread[NR_CHURN];
	unsigned int rounds = (unsigned int)env_long("TEST_FORKS", 40);

	if (argc > 1 && !strcmp(argv[1], "--after-exec"))
		return after_exec();
	conf_apply(argv);
	t.seed = seed_of(argc, argv);
	check_deadline(300, "C6 in time");
	owner_start();
	mix_caches_make(&t.caches, 0);
	mix_caches_stock(&t.caches, 32);
	for (uintptr_t i = 0; i < NR_CHURN; i++)
		pthread_create(&thread[i], NULL, churn, (void *)(i + 1));
	check_fork(rounds);
	check_grandchild();
	if (check_exec(rounds / 2))
		check_fork_in_handler(rounds);
	__atomic_store_n(&t.stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < NR_CHURN; i++)
		pthread_join(thread[i], NULL);
	check(owner_errors() == 0 && owner_live() == 0, "C6 nothing handed out twice",
	      "%llu errors, %llu still owned", (unsigned long long)owner_errors(),
	      (unsigned long long)owner_live());
	owner_report();
	size_t alive = mix_caches_destroy(&t.caches);
	check(alive == 0, "C6 the parent lost nothing", "%zu objects alive", alive);
	return check_status();
}
