/* SPDX-License-Identifier: MIT */
/*
 * measure.c - runs a program with a library preloaded and says what it took: itself and the children it
 * waited for.
 *
 *	measure FD PRELOAD|- PROGRAM ARG...
 *	measure --header QUESTION
 *	FD gets one line, user_us= system_us= wall_us= peak_kib= status=; the other form prints the head of an answer
 *
 * A program of its own because the peak that the kernel remembers is at least that of whoever forked: a
 * driver of 15 MiB would hide every smaller one.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void become(const char *preload, char **argv)
{
	if (strcmp(preload, "-") != 0)
		setenv("LD_PRELOAD", preload, 1);
	execvp(argv[0], argv);
	fprintf(stderr, "measure: %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static long us(struct timeval t)
{
	return t.tv_sec * 1000000l + t.tv_usec;
}

int main(int argc, char **argv)
{
	struct rusage usage;
	int fd, status;
	uint64_t start;
	pid_t pid;

	if (argc == 3 && strcmp(argv[1], "--header") == 0) {
		bench_header(argv[2]);
		return 0;
	}
	if (argc < 4)
		return 2;
	fd = atoi(argv[1]);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	start = bench_ns();
	pid = fork();
	if (pid < 0)
		return 1;
	if (pid == 0)
		become(argv[2], argv + 3);
	if (wait4(pid, &status, 0, &usage) != pid)
		return 1;
	dprintf(fd, "user_us=%ld system_us=%ld wall_us=%lu peak_kib=%ld status=%d\n",
		us(usage.ru_utime), us(usage.ru_stime),
		(unsigned long)((bench_ns() - start) / 1000), usage.ru_maxrss,
		WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return 0;
}
