/* SPDX-License-Identifier: MIT */
/*
 * limits.c - a program under a limit gets NULL and ENOMEM, and goes on: RLIMIT_AS set before it started
 * or by itself, and mlockall(), after which no memory may be lost.
 *
 *	limits			each, as a child of its own
 *	limits below		what the child does: RLIMIT_AS was there before it
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

static void *thread(void *arg)
{
	return malloc(arg ? 1000 : 0);
}

/* What a program does when it has heard ENOMEM and freed some. */
static int goes_on(void)
{
	struct rng rng = {1};
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	int lines = 0;

	while (f && fgets(line, sizeof(line), f))
		lines++;
	if (f)
		fclose(f);
	return lines > 10 && churn(&rng, 5000) == 0;
}

/* Allocates objects of @size until NULL, or @most bytes; frees them. How many bytes; *@err as of the NULL. */
static size_t use_up(size_t size, size_t most, int *err)
{
	void **list = NULL, **p = NULL;
	size_t bytes = 0;

	errno = 0;
	while (bytes < most && (p = malloc(size)) != NULL) {
		*p = list;
		list = p;
		bytes += size;
	}
	*err = p ? 0 : errno;
	while ((p = list) != NULL) {
		list = *p;
		free(p);
	}
	return bytes;
}

/* ---- RLIMIT_AS, before ---- */

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
	check(pthread_create(&t, NULL, thread, &err) == 0 && pthread_join(t, NULL) == 0,
	      "threads can be made", "they cannot");
	return check_status();
}

static void before(char **argv)
{
	struct rlimit limit = {LIMIT, LIMIT};
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		setrlimit(RLIMIT_AS, &limit);
		execl("/proc/self/exe", argv[0], "below", (char *)NULL);
		_exit(98);
	}
	check(child_wait(pid, 30, &status) == 0 && !status, "RLIMIT_AS before the start", "%s",
	      child_status(status));
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
		return below();
	before(argv);
	child("RLIMIT_AS of its own: the program goes on", by_itself);
	child("mlockall(): no memory is lost", locked);
	return check_status();
}
