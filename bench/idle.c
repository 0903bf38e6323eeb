/* SPDX-License-Identifier: MIT */
/*
 * idle.c - what does the library cost a program that hardly uses it? Start and memory of a hello-world
 * without it, linked with it, with one allocation, and with its malloc preloaded.
 *
 * Runs alternate. Start: from fork to the end of the program, wall and CPU time. Memory: the program's own
 * VmRSS as it ends, and 200 ms later, when the worker has done what it wants to do; private is what no
 * other process shares.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_RUNS 512

extern char **environ;

struct program {
	const char *name, *exe, *arg;
	int preloaded; /* with the library that BENCH_OURS names */
	double wall_ms[MAX_RUNS], cpu_ms[MAX_RUNS], over_ms[MAX_RUNS];
	double rss_kib[MAX_RUNS], private_kib[MAX_RUNS], later_rss_kib[MAX_RUNS],
		later_private_kib[MAX_RUNS];
	size_t n, nr_later;
};

static struct program programs[] = {
	{.name = "hello alone", .exe = "hello", .arg = "none"},
	{.name = "linked with the library", .exe = "hello_nst", .arg = "none"},
	{.name = "and one nst_alloc", .exe = "hello_nst", .arg = "one"},
	{.name = "linked, worker:off", .exe = "hello_nst", .arg = "none-off"},
	{.name = "alone, malloc preloaded", .exe = "hello", .arg = "none", .preloaded = 1},
};

static void path_of(const char *exe, char *path)
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 64);
	char *slash;

	path[n > 0 ? n : 0] = '\0';
	slash = strrchr(path, '/');
	snprintf(slash ? slash + 1 : path, 64, "%s", exe);
}

/* Runs @p once; the program prints "rss_kib private_kib" to its standard output. */
static int run_once(const struct program *p, const char *when, double *wall_ms, double *cpu_ms,
		    double *rss, double *private)
{
	posix_spawn_file_actions_t actions;
	char path[PATH_MAX], text[128] = "";
	char *argv[4];
	struct rusage usage;
	int out[2], status;
	uint64_t start;
	pid_t pid;

	path_of(p->exe, path);
	argv[0] = path;
	argv[1] = strdupa(p->arg);
	argv[2] = strdupa(when);
	argv[3] = NULL;
	if (pipe2(out, O_CLOEXEC))
		return -1;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	setenv("NOSTALL_CONF", strstr(p->arg, "off") ? "worker:off" : "", 1);
	if (p->preloaded)
		setenv("LD_PRELOAD", getenv("BENCH_OURS"), 1);
	start = bench_ns();
	status = posix_spawn(&pid, path, &actions, NULL, argv, environ);
	unsetenv("LD_PRELOAD");
	posix_spawn_file_actions_destroy(&actions);
	close(out[1]);
	if (status == 0)
		wait4(pid, &status, 0, &usage);
	*wall_ms = (double)(bench_ns() - start) / 1e6;
	if (read(out[0], text, sizeof(text) - 1) <= 0)
		status = -1;
	close(out[0]);
	if (status || sscanf(text, "%lf %lf", rss, private) != 2)
		return -1;
	*cpu_ms = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
		  (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
	return 0;
}

/* One round over all programs; what a program takes beyond the first is taken within the round. */
static void round_robin(size_t runs, const char *when)
{
	size_t i, k;

	for (i = 0; i < runs && i < MAX_RUNS; i++)
		for (k = 0; k < BENCH_COUNT(programs); k++) {
			struct program *p = &programs[k];
			double wall, cpu, rss, private;

			if (p->preloaded && !getenv("BENCH_OURS"))
				continue;
			if (run_once(p, when, &wall, &cpu, &rss, &private))
				continue;
			if (strcmp(when, "later") == 0) {
				p->later_rss_kib[p->nr_later] = rss;
				p->later_private_kib[p->nr_later++] = private;
				continue;
			}
			p->wall_ms[p->n] = wall;
			p->cpu_ms[p->n] = cpu;
			p->over_ms[p->n] = k ? wall - programs[0].wall_ms[p->n] : 0;
			p->rss_kib[p->n] = rss;
			p->private_kib[p->n++] = private;
		}
}

int main(void)
{
	size_t k;

	bench_header("idle: a hello-world with and without the library");
	round_robin(bench_quick() ? 40 : 300, "end");
	round_robin(bench_quick() ? 3 : 10, "later");
	printf("  %-26s %8s %8s %8s %8s %9s %9s %9s %9s %9s\n  %-26s %8s %8s %8s %8s %9s %9s %9s %9s %9s\n",
	       "", "wall ms", "q3", "worst", "CPU ms", "over", "VmRSS KiB", "private", "200 ms on",
	       "private", "", "median", "", "", "median", "hello ms", "at end", "KiB", "VmRSS KiB",
	       "KiB");
	for (k = 0; k < BENCH_COUNT(programs); k++) {
		struct program *p = &programs[k];

		if (!p->n)
			continue;
		printf("  %-26s %8.3f %8.3f %8.3f %8.3f %9.3f %9.0f %9.0f %9.0f %9.0f\n", p->name,
		       bench_quantile(p->wall_ms, p->n, 0.5),
		       bench_quantile(p->wall_ms, p->n, 0.75), bench_quantile(p->wall_ms, p->n, 1),
		       bench_quantile(p->cpu_ms, p->n, 0.5), bench_quantile(p->over_ms, p->n, 0.5),
		       bench_quantile(p->rss_kib, p->n, 0.5),
		       bench_quantile(p->private_kib, p->n, 0.5),
		       bench_quantile(p->later_rss_kib, p->nr_later, 0.5),
		       bench_quantile(p->later_private_kib, p->nr_later, 0.5));
	}
	printf("  aim: the library adds less than 2 ms of start and 4096 KiB resident\n");
	return 0;
}
