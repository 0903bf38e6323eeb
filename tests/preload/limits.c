/* SPDX-License-Identifier: MIT */
/*
 * limits.c - R4: a program under a limit gets NULL and ENOMEM, and goes on: RLIMIT_AS, RLIMIT_DATA or the
 * library's own max, there before it started, or RLIMIT_AS set by itself; and mlockall(), after which no
 * memory may be lost.
 *
 *	limits			each, as a child of its own
 *	limits below|small|none	what the child does: the limit was there before it
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
#define TOO_LITTLE (8 * MIB)

/* Number @which of /proc/self/statm, in bytes. */
static size_t statm(int which)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	while (f && which-- >= 0)
		if (fscanf(f, "%lu", &pages) != 1)
			pages = 0;
	if (f)
		fclose(f);
	return pages * 4096;
}

static size_t mapped(void)
{
	return statm(0);
}

static size_t resident(void)
{
	return statm(1);
}

static void *thread(void *arg)
{
	return malloc(arg ? 1000 : 0);
}

/* ---- a limit, before ---- */

static size_t least_of_limit(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_AS, &limit) || limit.rlim_cur == RLIM_INFINITY ? LEAST : 200 * MIB;
}

static int below(void)
{
	static const size_t sizes[] = {100, 3000, 40000, MIB, 20 * MIB};
	size_t least = least_of_limit();
	uint64_t since = 0;
	pthread_t t;
	unsigned int i;
	int err, no_thread;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t bytes = use_up(sizes[i], 2 * LIMIT, &err);

		printf("size=%zu bytes=%zu\n", sizes[i], bytes);
		check(bytes < LIMIT && err == ENOMEM, "under the limit: NULL, ENOMEM",
		      "at %zu bytes, errno %d", bytes, err);
		/* Of 40,000 bytes each, 64 KiB are taken. */
		check(bytes >= (sizes[i] == 40000 ? least / 2 : least),
		      "and as much of 300 MiB as it should is served", "%zu, in objects of %zu",
		      bytes, sizes[i]);
		check(goes_on(), "and the program goes on", "it does not");
	}
	check(!malloc(2 * LIMIT) && errno == ENOMEM, "nor does one object get more", "it does");
	/* What was freed is the kernel's again when the worker has seen it. */
	while ((no_thread = pthread_create(&t, NULL, thread, &err)) && check_patience(&since))
		;
	check(!no_thread && pthread_join(t, NULL) == 0, "threads can be made", "they cannot");
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

/* The library cannot start, and the program runs all the same. */
static int none(void)
{
	void *p = &p;

	errno = 0;
	if (malloc(100) || errno != ENOMEM)
		return 2;
	errno = 0;
	if (calloc(1, 100) || realloc(NULL, 100) || errno != ENOMEM)
		return 3;
	free(NULL);
	return posix_memalign(&p, 64, 100) == ENOMEM && p == &p ? 7 : 4;
}

static void too_little(char **argv)
{
	static const char line[] =
		"nostall: no memory to start (error 12): every request gets NULL; ";
	struct rlimit limit = {TOO_LITTLE, TOO_LITTLE};
	char said[400] = "";
	int end[2];
	ssize_t n;
	pid_t pid;

	if (pipe(end))
		check_broken("pipe");
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		if (dup2(end[1], STDERR_FILENO) < 0 || setrlimit(RLIMIT_AS, &limit))
			_exit(97);
		execl("/proc/self/exe", argv[0], "none", (char *)NULL);
		_exit(98);
	}
	close(end[1]);
	check_child(pid, 30, 7,
		    "too little to start: NULL and ENOMEM, and the program's exit status");
	n = read(end[0], said, sizeof(said) - 1);
	check(n > 0 && !strncmp(said, line, sizeof(line) - 1) && strchr(said, '\n') == &said[n - 1],
	      "and one line says so", "'%s'", said);
	close(end[0]);
}

/* ---- RLIMIT_AS, by itself ---- */

#define OVER (64 * MIB)

/* What the process has mapped and may touch: about what it would have with libc's malloc. */
static size_t own_size(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long start, end;
	size_t bytes = 0;
	char line[512], perms[5];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx %4s", &start, &end, perms) == 3 && perms[0] == 'r' &&
		    end - start < 8 * MIB)
			bytes += end - start;
	if (f)
		fclose(f);
	return bytes;
}

static int set_limit(int how, size_t bytes)
{
	struct rlimit limit = {bytes, RLIM_INFINITY};
	struct rlimit64 limit64 = {bytes, RLIM64_INFINITY};

	switch (how) {
	case 0:
		return setrlimit(RLIMIT_AS, &limit);
	case 1:
		return setrlimit64(RLIMIT_AS, &limit64);
	case 2:
		return prlimit(0, RLIMIT_AS, &limit, NULL);
	default:
		return prlimit64(getpid(), RLIMIT_AS, &limit64, NULL);
	}
}

/* Maps @size again and again until refused; how many bytes that were. */
static size_t map_up(size_t size)
{
	static void *list[4096];
	size_t nr = 0, bytes;

	while (nr < 4096 && (list[nr] = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
					     0)) != MAP_FAILED)
		nr++;
	bytes = nr * size;
	while (nr)
		munmap(list[--nr], size);
	return bytes;
}

/* What was freed goes back by itself, a little later. */
static size_t map_up_soon(size_t size, size_t wanted)
{
	uint64_t since = 0;
	size_t bytes;

	while ((bytes = map_up(size)) < wanted && check_patience(&since))
		;
	return bytes;
}

/* The same of what malloc() gets: what the worker has in its hands is neither used nor free. */
static size_t use_up_soon(size_t size, size_t wanted, int *err)
{
	uint64_t since = 0;
	size_t bytes;

	while ((bytes = use_up(size, 4 * OVER, err)) < wanted && check_patience(&since))
		;
	return bytes;
}

static int of_each_size(void)
{
	static const size_t sizes[] = {100, 3000, MIB, 3 * MIB, 10 * MIB, 30 * MIB};
	unsigned int i;
	int err;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		/* 3 MiB take 4, and one of 30 may not fit twice. */
		size_t least = OVER * 2 / 5, bytes = use_up_soon(sizes[i], least, &err);

		printf("over=%zu size=%zu bytes=%zu\n", OVER, sizes[i], bytes);
		fflush(stdout);
		if (bytes > OVER || err != ENOMEM)
			return 3;
		if (bytes < least)
			return 4;
		if (!goes_on())
			return 5;
	}
	return 0;
}

/* Of 64 MiB over what it has, malloc() gets most, or mmap() does, as with libc's malloc. */
static int by_itself(int how)
{
	size_t own = own_size(), got;
	void *kept = malloc(20 * MIB);
	pthread_t t;
	int err;

	memset(kept, 5, 20 * MIB);
	if (mapped() < own + 10 * LIMIT)
		return 90; /* there is nothing to give back */
	if (set_limit(how, own + 20 * MIB + OVER))
		return 91;
	if (mapped() > own + 20 * MIB + OVER / 4)
		return 2;
	got = map_up(MIB);
	printf("mmap: %zu of %zu\n", got, OVER);
	if (got < OVER * 3 / 4)
		return 6;
	err = of_each_size();
	if (err)
		return err;
	if (map_up_soon(MIB, OVER / 2) < OVER / 2)
		return 7;
	if (pthread_create(&t, NULL, thread, &err) || pthread_join(t, NULL))
		return 8;
	if (*(char *)kept != 5 || ((char *)kept)[20 * MIB - 1] != 5)
		return 9;
	free(kept);
	errno = 0;
	return malloc(SIZE_MAX / 4) || errno != ENOMEM ? 10 : 0;
}

static int by_setrlimit(void)
{
	return by_itself(0);
}

static int by_setrlimit64(void)
{
	return by_itself(1);
}

static int by_prlimit(void)
{
	return by_itself(2);
}

static int by_prlimit64(void)
{
	return by_itself(3);
}

/* What goes back under a limit is a multiple of that. The worker may start meanwhile, and lists be made. */
static int gave_back(size_t before)
{
	return mapped() + LIMIT < before;
}

/* Raised again: all is as before. And a limit that is refused, or of another kind, changes nothing. */
static int raised(void)
{
	struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY}, wrong = {2, 1}, now;
	size_t before = mapped();
	void *p;

	if (before < own_size() + 10 * LIMIT)
		return 90; /* there is nothing to give back */
	errno = 0;
	if (setrlimit(RLIMIT_AS, &wrong) != -1 || errno != EINVAL || gave_back(before))
		return 2;
	if (getrlimit(RLIMIT_CORE, &now) || setrlimit(RLIMIT_CORE, &now) || gave_back(before))
		return 3;
	if (set_limit(0, LIMIT) || setrlimit(RLIMIT_AS, &none))
		return 4;
	p = malloc(2 * LIMIT);
	if (!p)
		return 5;
	memset(p, 1, MIB);
	free(p);
	return goes_on() ? 0 : 6;
}

/* Threads allocate meanwhile, and a child that is forked. */
static int stop;

static void *churner(void *arg)
{
	struct rng rng = {(uintptr_t)arg};
	uintptr_t wrong = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
		wrong += churn(&rng, 100);
	return (void *)wrong;
}

static int among_threads(void)
{
	struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
	uintptr_t i, wrong = 0;
	pthread_t t[3];
	int status = 0;
	pid_t pid;
	void *got;

	for (i = 0; i < 3; i++)
		if (pthread_create(&t[i], NULL, churner, (void *)(i + 1)))
			return 2;
	for (i = 0; i < 40; i++) {
		if (set_limit(0, 3000 * MIB))
			return 3;
		free(malloc(30 * MIB));
		setrlimit(RLIMIT_AS, &none);
	}
	pid = fork();
	if (!pid)
		_exit(set_limit(0, 3000 * MIB) || !goes_on());
	if (child_wait(pid, 40, &status) || status)
		return 4;
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	for (i = 0; i < 3; i++) {
		pthread_join(t[i], &got);
		wrong += (uintptr_t)got;
	}
	return wrong ? 5 : 0;
}

/* ---- mlockall ---- */

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
		return !strcmp(argv[1], "none")	   ? none()
		       : !strcmp(argv[1], "small") ? small()
						   : below();
	before(argv, "RLIMIT_AS before the start", "below", RLIMIT_AS, LIMIT);
	before(argv, "RLIMIT_DATA before the start", "below", RLIMIT_DATA, LIMIT);
	before(argv, "RLIMIT_DATA of little", "small", RLIMIT_DATA, SMALL);
	before(argv, "max:200M", "below", -1, 0);
	too_little(argv);
	child("RLIMIT_AS of its own, by setrlimit()", by_setrlimit);
	child("by setrlimit64()", by_setrlimit64);
	child("by prlimit()", by_prlimit);
	child("by prlimit64()", by_prlimit64);
	child("raised again, and limits that are none", raised);
	child("while threads allocate, and in a child", among_threads);
	child("mlockall(): no memory is lost", locked);
	return check_status();
}
