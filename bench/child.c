/* SPDX-License-Identifier: MIT */
/*
 * child.c - contestants in processes of their own, and the two pipes to each.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

size_t bench_peers(struct bench_peer *out, size_t room)
{
	const char *given = getenv("BENCH_PEERS");
	char *list = given ? strdup(given) : NULL, *save = NULL, *name, *equals;
	size_t n = 0;

	out[n++] = (struct bench_peer){"glibc", NULL};
	for (name = list ? strtok_r(list, ":", &save) : NULL; name && n < room;
	     name = strtok_r(NULL, ":", &save)) {
		equals = strchr(name, '=');
		if (!equals)
			continue;
		*equals = '\0';
		out[n++] = (struct bench_peer){name, equals + 1};
	}
	if (name)
		printf("# %s and what follows it: more peers than fit\n", name);
	return n;
}

/* @exe in the directory of the running program. */
static void beside(const char *exe, char *path)
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 64);
	char *slash;

	path[n > 0 ? n : 0] = '\0';
	slash = strrchr(path, '/');
	snprintf(slash ? slash + 1 : path, 64, "%s", exe);
}

/* In the child: pipes at 3 and 4, the environment as asked, the program. */
static void become(const char *exe, const char *arg, const char *preload, const char *conf, int in,
		   int out)
{
	char path[PATH_MAX];

	beside(exe, path);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	in = fcntl(in, F_DUPFD_CLOEXEC, 10);
	out = fcntl(out, F_DUPFD_CLOEXEC, 10);
	if (dup2(in, 3) < 0 || dup2(out, 4) < 0)
		_exit(126);
	unsetenv("LD_PRELOAD");
	unsetenv("NOSTALL_CONF");
	if (preload)
		setenv("LD_PRELOAD", preload, 1);
	if (conf)
		setenv("NOSTALL_CONF", conf, 1);
	execl(path, exe, "--work", arg, (char *)NULL);
	fprintf(stderr, "bench: %s: %s\n", path, strerror(errno));
	_exit(127);
}

int bench_spawn(struct bench_child *child, const char *exe, const char *arg, const char *preload,
		const char *conf)
{
	int job[2], answer[2];

	signal(SIGPIPE, SIG_IGN);
	fflush(stdout);
	if (pipe2(job, O_CLOEXEC) || pipe2(answer, O_CLOEXEC))
		return -1;
	child->died = 0;
	child->pid = fork();
	if (child->pid < 0)
		return -1;
	if (child->pid == 0)
		become(exe, arg, preload, conf, job[0], answer[1]);
	close(job[0]);
	close(answer[1]);
	child->to = job[1];
	child->from = answer[0];
	return 0;
}

static int get(int fd, void *buf, size_t bytes)
{
	char *at = buf;

	while (bytes) {
		ssize_t n = read(fd, at, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		at += n;
		bytes -= (size_t)n;
	}
	return 0;
}

static int put(int fd, const void *buf, size_t bytes)
{
	const char *at = buf;

	while (bytes) {
		ssize_t n = write(fd, at, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		at += n;
		bytes -= (size_t)n;
	}
	return 0;
}

static int died(struct bench_child *child)
{
	int status = 0;

	child->died = 1;
	kill(child->pid, SIGKILL); /* it closed its pipe, or it hangs */
	waitpid(child->pid, &status, 0);
	printf("# child %d ended: %s %d\n", (int)child->pid,
	       WIFSIGNALED(status) ? "signal" : "exit",
	       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return -1;
}

/* No job takes a minute; a contestant that does hangs. */
static int wait_for(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int n;

	while ((n = poll(&p, 1, 60000)) < 0 && errno == EINTR)
		;
	if (n == 0)
		printf("# no answer within 60 s\n");
	return n == 1 ? 0 : -1;
}

int bench_ask(struct bench_child *child, const void *job, size_t job_bytes, void *answer,
	      size_t answer_bytes)
{
	if (child->died)
		return -1;
	if (put(child->to, job, job_bytes) || wait_for(child->from) ||
	    get(child->from, answer, answer_bytes))
		return died(child);
	return 0;
}

void bench_end(struct bench_child *child)
{
	close(child->to);
	close(child->from);
	if (!child->died)
		waitpid(child->pid, NULL, 0);
	child->died = 1;
}

void bench_next(void *job, size_t bytes)
{
	if (get(3, job, bytes))
		_exit(0);
}

void bench_answer(const void *answer, size_t bytes)
{
	if (put(4, answer, bytes))
		_exit(0);
}
