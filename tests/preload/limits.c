/* SPDX-License-Identifier: MIT */
/*
 * limits.c - a program under a limit gets NULL and ENOMEM, and goes on: RLIMIT_AS, RLIMIT_DATA or the
 * library's own max, there before it started, or RLIMIT_AS set by itself; and mlockall(), after which no
 * memory may be lost.
 *
 *	limits			each, as a child of its own
 *	limits below|small	what the child does: the limit was there before it
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/trap.h"
#include "preload.h"

#define MIB ((size_t)1 << 20)
#define LIMIT (300 * MIB)
#define LEAST (64 * MIB)
#define SMALL (24 * MIB)
#define TRIES 500 /* 10 ms apart */

static void *thread(void *arg)
{
	return malloc(arg ? 1000 : 0);
}

/* ---- a limit, before ---- */

static int below(void)
{
	static const size_t sizes[] = {100, 3000, 40000, MIB};
	pthread_t t;
	unsigned int i;
	int err;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t bytes = use_up(sizes[i], 2 * LIMIT, &err);

		printf("size=%zu bytes=%zu\n", sizes[i], bytes);
		check(bytes < LIMIT && err == ENOMEM, "under the limit: NULL, ENOMEM",
		      "at %zu bytes, errno %d", bytes, err);
		check(bytes >= LEAST, "and 64 MiB of 300 are served", "%zu, in objects of %zu",
		      bytes, sizes[i]);
		check(goes_on(), "and the program goes on", "it does not");
	}
	check(!malloc(2 * LIMIT) && errno == ENOMEM, "nor does one object get more", "it does");
	/* What was freed is the kernel's again when the worker has seen it. */
	for (i = 0; i < TRIES && pthread_create(&t, NULL, thread, &err); i++)
		usleep(10000);
	check(i < TRIES && pthread_join(t, NULL) == 0, "threads can be made", "they cannot");
	return check_status();
}

/* Little, and all of it used up. */
static int small(void)
{
	int err;
	size_t bytes = use_up(1000, SMALL, &err);

	check(bytes >= SMALL / 4 && err == ENOMEM, "a quarter is served, then ENOMEM",
	      "%zu bytes, errno %d", bytes, err);
	check(goes_on(), "and the program goes on", "it does not");
	return check_status();
}

/* @resource, or the option max where it is negative. */
static void before(char **argv, const char *name, const char *what, int resource, size_t bytes)
{
	struct rlimit limit = {bytes, bytes};
	int status = 0, got;
	pid_t pid;

	printf("# %s\n", name);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		if (resource < 0)
			setenv("NOSTALL_CONF", "max:200M", 1);
		else if (setrlimit((__rlimit_resource_t)resource, &limit))
			_exit(97);
		execl("/proc/self/exe", argv[0], what, (char *)NULL);
		_exit(98);
	}
	got = child_wait(pid, 30, &status);
	check(got == 0 && !status, name, "%s", child_status(status));
}

/* ---- RLIMIT_AS, by itself ---- */

/*
 * Addresses that the library has reserved stay its own: such a limit does not bound malloc(), and what
 * else the program maps is refused. It must not fail in any other way.
 */
static int by_itself(void)
{
	struct rlimit limit = {LIMIT, LIMIT};
	int err;
	size_t bytes;

	if (setrlimit(RLIMIT_AS, &limit))
		return 2;
	bytes = use_up(1000, LIMIT, &err);
	if (bytes < LEAST || (bytes < LIMIT && err != ENOMEM))
		return 3;
	bytes = use_up(4 * MIB, LIMIT, &err);
	if (bytes < LEAST || (bytes < LIMIT && err != ENOMEM))
		return 4;
	errno = 0;
	if (!malloc(SIZE_MAX / 4) && errno != ENOMEM)
		return 5;
	return goes_on() ? 0 : 6;
}

/* ---- mlockall ---- */

static size_t resident(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long all, pages = 0;

	if (!f || fscanf(f, "%lu %lu", &all, &pages) != 2)
		pages = 0;
	if (f)
		fclose(f);
	return pages * 4096;
}

/* As real-time programs do. Mappings that are freed come back all the same. */
static int locked(void)
{
	size_t start, now;
	int i;

	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		return CHECK_SKIP;
	start = resident();
	for (i = 0; i < 60; i++) {
		char *p = malloc(4 * MIB);

		if (!p)
			return 2;
		memset(p, 1, 4 * MIB);
		free(p);
	}
	now = resident();
	if (now > start + 100 * MIB)
		return 3;
	return goes_on() ? 0 : 4;
}

static void child(const char *name, int (*life)(void))
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		_exit(life());
	}
	child_wait(pid, 30, &status);
	if (status == CHECK_SKIP << 8)
		printf("skip %s: not allowed here\n", name);
	else
		check(status == 0, name, "%s", child_status(status));
}

int main(int argc, char **argv)
{
	demand_preload();
	if (argc > 1)
		return strcmp(argv[1], "small") ? below() : small();
	before(argv, "RLIMIT_AS before the start", "below", RLIMIT_AS, LIMIT);
	before(argv, "RLIMIT_DATA before the start", "below", RLIMIT_DATA, LIMIT);
	before(argv, "RLIMIT_DATA of little", "small", RLIMIT_DATA, SMALL);
	before(argv, "max:200M", "below", -1, 0);
	child("RLIMIT_AS of its own: the program goes on", by_itself);
	child("mlockall(): no memory is lost", locked);
	return check_status();
}
