// SPDX-License-Identifier: MIT
/*
 * speculative_pager.c - a demand pager whose faults take no lock, and which checks itself.
 *
 *	speculative_pager					each policy for a moment, then a file, then a snapshot
 *	speculative_pager check SECONDS POLICY STEP [THREADS]	readers, writers and changes; every byte is known
 *	speculative_pager steps					speculation is made to fail at each step, under each policy
 *	speculative_pager file PATH [READERS [THREADS]]		other processes read a file by it; one is killed
 *	speculative_pager snapshot PATH [READERS [THREADS]]	the same, of a packed snapshot that is made first
 *	speculative_pager greedy PATH [READERS [THREADS]]	the same file; one takes all the memory for tables it can get
 *
 * POLICY: retry, leave, missing (nostall/speculate.h), or lock: nothing is speculated. STEP: where speculation is made to
 * fail, 0 (nowhere) to 7 (everywhere): enum pager_step. Exit status: 0; 1: a byte was wrong, a table stale; 77: this
 * kernel gives no userfaultfd, which is said.
 *
 * pager.h says how it works.
 */
#define _GNU_SOURCE
#include "pager.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS_MOST 64

static int number(const char *text, int most)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*text && !*end && n >= 0 && n <= most)
		return (int)n;
	fprintf(stderr, "speculative_pager: '%s' is not a number from 0 to %d\n", text, most);
	exit(2);
}

static enum pager_policy policy_named(const char *name)
{
	for (int i = 0; i < PAGER_POLICIES; i++)
		if (!strcmp(name, pager_policy_name[i]))
			return (enum pager_policy)i;
	fprintf(stderr, "speculative_pager: no policy '%s'; there are: retry leave missing lock\n",
		name);
	exit(2);
}

static int check(double seconds, enum pager_policy policy, int step, int threads)
{
	printf("speculative_pager: policy=%s fail=%d, %d fault threads, %.1f s\n",
	       pager_policy_name[policy], step, threads, seconds);
	return pager_check(seconds, policy, (enum pager_step)step, threads);
}

/* In a process of its own: counts begin at 0. */
static int apart(int (*fn)(int), int arg)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		int rc = fn(arg);

		fflush(stdout);
		_exit(rc);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int moment(int policy)
{
	return check(0.7, (enum pager_policy)policy, STEP_NONE, 2);
}

static int everywhere(int policy)
{
	return check(0.7, (enum pager_policy)policy, STEP_ANY, 2);
}

/* Step by step, always, and at the end everywhere, now and then. */
static int failing(int which)
{
	return check(0.12, (enum pager_policy)(which % PAGER_LOCK), 1 + which / PAGER_LOCK, 2);
}

static int steps(void)
{
	int rc = 0;

	for (int i = 0; i < PAGER_LOCK * (PAGER_STEPS - 1) && !rc; i++)
		rc = apart(failing, i);
	return rc;
}

/* A file of some MiB that the machine has, or this program. */
static int some_file(int packed)
{
	static const char *const paths[] = {"/usr/bin/python3", "/usr/bin/git", "/bin/bash"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (!access(paths[i], R_OK))
			return pager_serve(paths[i], packed, 3, 2);
	return pager_serve("/proc/self/exe", packed, 3, 2);
}

static int all(void)
{
	int rc = 0;

	for (int i = 0; i < PAGER_POLICIES && !rc; i++)
		rc = apart(moment, i);
	if (!rc)
		rc = apart(everywhere, PAGER_RETRY);
	if (!rc)
		rc = apart(some_file, 0);
	return rc ? rc : apart(some_file, 1);
}

static int usage(void)
{
	fprintf(stderr, "usage: speculative_pager [steps | check SECONDS POLICY STEP [THREADS] | "
			"file PATH [READERS [THREADS]] | snapshot PATH [READERS [THREADS]] | "
			"greedy PATH [READERS [THREADS]]]\n");
	return 2;
}

int main(int argc, char **argv)
{
	int threads = argc > 5 ? number(argv[5], THREADS_MOST) : 2;

	if (argc == 1)
		return all();
	if (!strcmp(argv[1], "steps") && argc == 2)
		return steps();
	if (!strcmp(argv[1], "check") && argc >= 5)
		return check(number(argv[2], 3600), policy_named(argv[3]),
			     number(argv[4], PAGER_STEPS - 1), threads);
	threads = argc > 4 ? number(argv[4], THREADS_MOST) : 2;
	if ((!strcmp(argv[1], "file") || !strcmp(argv[1], "snapshot")) && argc >= 3)
		return pager_serve(argv[2], argv[1][0] == 's',
				   argc > 3 ? number(argv[3], THREADS_MOST) : 3, threads);
	if (!strcmp(argv[1], "greedy") && argc >= 3)
		return pager_serve_greedy(argv[2], argc > 3 ? number(argv[3], THREADS_MOST) : 3,
					  threads);
	return usage();
}
