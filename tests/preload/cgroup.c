/* SPDX-License-Identifier: MIT */
/*
 * cgroup.c - R4: programs on the preload in a control group with a limit on memory, of either version.
 *
 *	cgroup PRELOAD		each below as a child in the group, with PRELOAD in LD_PRELOAD
 *	cgroup fits		lives on little, allocates much: what it has freed must not count against it
 *	cgroup bounded		max is below the limit: ENOMEM, and it goes on
 *	cgroup unbounded	wants more than there is: ENOMEM, and it goes on
 *
 * With cgroup:off the limit is the kernel's alone: when a page is needed and none is allowed, it ends a process of the group.
 * Needs to make a group: root; of version 2 where no others lie between.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/trap.h"
#include "common/cgroup.h"
#include "preload.h"

#define MIB ((size_t)1 << 20)
#define LIMIT "64M"
#define LIMIT_BYTES (64 * MIB)

static struct {
	char parent[300], group[340];
	int enabled; /* the controller was passed on to groups by us */
	int version;
} g;

/* ---- the group ---- */

/* Has a line of the file this word? */
static int says(const char *dir, const char *file, const char *word)
{
	char path[400], line[400] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(path, "re");
	if (f && !fgets(line, sizeof(line), f))
		line[0] = 0;
	if (f)
		fclose(f);
	return strstr(line, word) != NULL;
}

static void find_parent(void)
{
	char line[300] = "";
	FILE *f = fopen("/proc/self/cgroup", "re");

	while (f && fgets(line, sizeof(line), f) && strncmp(line, "0::/", 4))
		line[0] = 0;
	if (f)
		fclose(f);
	line[strcspn(line, "\n")] = 0;
	if (!line[0])
		check_skip("no cgroup v2 here");
	snprintf(g.parent, sizeof(g.parent), CGROUP_MOUNT "%s", line[4] ? line + 3 : "");
}

static void unmake(void)
{
	rmdir(g.group);
	if (g.enabled)
		cgroup_put(g.parent, "cgroup.subtree_control", "-memory");
}

static void make(void)
{
	int err = 0;

	g.version = cgroup_of_version_1(g.parent, sizeof(g.parent)) ? 1 : 2;
	if (g.version != 1)
		find_parent();
	if (g.version != 1 && !says(g.parent, "cgroup.controllers", "memory"))
		check_skip("no cgroup v2 memory controller in %s", g.parent);
	if (g.version != 1 && !says(g.parent, "cgroup.subtree_control", "memory")) {
		err = cgroup_put(g.parent, "cgroup.subtree_control", "+memory");
		g.enabled = !err;
	}
	snprintf(g.group, sizeof(g.group), "%s/nostall-test.%d", g.parent, getpid());
	if (!err && mkdir(g.group, 0755))
		err = errno;
	if (!err)
		err = cgroup_put(g.group, g.version == 1 ? "memory.limit_in_bytes" : "memory.max",
				 LIMIT);
	/* A kernel without swap has no such file, nor version 1. */
	cgroup_put(g.group, "memory.swap.max", "0");
	if (!err)
		return;
	unmake();
	check_skip("no group with memory.max can be made in %s: %s", g.parent, strerror(err));
}

/* ---- what they do ---- */

/* A quarter of the limit at a time, of each size; 6 times the limit in all. */
static int fits(void)
{
	size_t size;
	int err, i;

	for (size = 16; size <= MIB; size *= 2) {
		if (use_up(size, LIMIT_BYTES / 4, &err) < LIMIT_BYTES / 4)
			return 2;
	}
	for (i = 0; i < 8; i++) {
		char *p = malloc(LIMIT_BYTES / 4);

		if (!p)
			return 3;
		memset(p, 1, LIMIT_BYTES / 4);
		free(p);
	}
	return goes_on() ? 0 : 4;
}

static int bounded(void)
{
	static const size_t sizes[] = {100, 3000, 40000, MIB};
	unsigned int i;
	int err;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t bytes = use_up(sizes[i], 4 * LIMIT_BYTES, &err);

		if (bytes < LIMIT_BYTES / 8 || bytes > LIMIT_BYTES || err != ENOMEM)
			return 2;
		if (!goes_on())
			return 3;
	}
	return 0;
}

static int unbounded(void)
{
	int err;

	use_up(10000, 16 * LIMIT_BYTES, &err);
	return err == ENOMEM && goes_on() ? 0 : 2;
}

static int live(const char *what)
{
	demand_preload();
	if (!strcmp(what, "fits"))
		return fits();
	return strcmp(what, "bounded") ? unbounded() : bounded();
}

static int run(const char *what, const char *preload, const char *conf)
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		setenv("LD_PRELOAD", preload, 1);
		setenv("NOSTALL_CONF", conf, 1);
		if (cgroup_put(g.group, "cgroup.procs", "0"))
			_exit(97);
		execl("/proc/self/exe", "cgroup", what, (char *)NULL);
		_exit(98);
	}
	child_wait(pid, 60, &status);
	return status;
}

int main(int argc, char **argv)
{
	const char *preload = argc > 1 ? argv[1] : "";
	int status;

	if (*preload != '/')
		return live(preload);
	make();
	status = run("fits", preload, "");
	check(!status, "a quarter of the limit at a time, again and again", "%s",
	      child_status(status));
	status = run("bounded", preload, "max:40M");
	check(!status, "max below the limit: ENOMEM, and it goes on", "%s", child_status(status));
	status = run("unbounded", preload, "");
	check(!status, "more than the limit: ENOMEM, and it goes on", "%s", child_status(status));
	status = run("unbounded", preload, "cgroup:off");
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "cgroup:off: the kernel ends it",
	      "%s", child_status(status));
	unmake();
	return check_status();
}
