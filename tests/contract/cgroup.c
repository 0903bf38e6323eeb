/* SPDX-License-Identifier: MIT */
/*
 * cgroup.c - C34: under the memory limit of a control group, and under RLIMIT_AS, a program gets NULL and goes on; the
 * kernel ends nobody. And C33 where it is real: what a group tells of pressure, and PSI.
 *
 *	cgroup			makes a group of version 1, and each below a child of its own in it
 *	cgroup LIFE		what the child does
 *
 * What the kernel counted is read afterwards: memory.failcnt, and oom_kill of memory.oom_control. Needs to make a
 * group: root. Version 2 is tests/contract/pressure.c's, with a tree that looks like it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/cgroup.h"
#include "common/check.h"
#include "common/trap.h"
#include <nostall/nostall.h>
#include <nostall/stats.h>

#define MIB ((size_t)1 << 20)
#define LIMIT (64 * MIB)
#define TMPFS 0x01021994

static char group[400];

/* ---- the group ---- */

/* The number behind @word in a file of the group; -1: it is not there. */
static long long get(const char *file, const char *word)
{
	char path[500], text[4096] = "";
	const char *s;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", group, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	if (fd >= 0)
		close(fd);
	s = strstr(text, word);
	return s ? strtoll(s + strlen(word), NULL, 10) : -1;
}

static void make(void)
{
	char parent[300];
	int err;

	if (!cgroup_of_version_1(parent, sizeof(parent)))
		check_skip("no memory controller of version 1 here");
	snprintf(group, sizeof(group), "%s/nostall-test.%d", parent, getpid());
	err = mkdir(group, 0755) ? errno : cgroup_put(group, "memory.limit_in_bytes", "64M");
	if (!err)
		return;
	rmdir(group);
	check_skip("no group with a limit can be made at %s: %s", group, strerror(err));
}

/* The last of its processes may still be on its way out. */
static void unmake(void)
{
	uint64_t since = 0;

	while (rmdir(group) && errno == EBUSY && check_patience(&since))
		;
}

/* ---- lives ---- */

static struct nst_stats *stats(void)
{
	static struct nst_stats s;

	nst_stats_read(&s, sizeof(s));
	return &s;
}

/* Objects of @size in a list, written all over, until there is none; how many bytes. */
static void *use_up(size_t size, size_t most, size_t *bytes)
{
	void **list = NULL, **p;

	for (*bytes = 0; *bytes < most && (p = nst_alloc(size, NST_NORMAL)); *bytes += size) {
		memset(p, 0x5a, size);
		*p = list;
		list = p;
	}
	return list;
}

static void let_go(void *list)
{
	void *next;

	for (; list; list = next) {
		next = *(void **)list;
		nst_free(list);
	}
}

/* As above, as soon as @least is served: what the worker has in its hands is neither used nor free. */
static void *use_up_soon(size_t size, size_t least, size_t most, size_t *bytes)
{
	uint64_t since = 0;
	void *list;

	while ((list = use_up(size, most, bytes)), *bytes < least && check_patience(&since))
		let_go(list);
	return list;
}

/* A quarter of it at least can be had again. */
static int goes_on(size_t bytes)
{
	size_t again;

	let_go(use_up_soon(1000, bytes / 4, bytes / 4, &again));
	return again >= bytes / 4;
}

/* Of each size NULL comes, between half of the limit and all; then it goes on. */
static int until_null(size_t limit)
{
	static const size_t sizes[] = {100, 3000, 40000, MIB, 5 * MIB};

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t bytes;
		void *list = use_up_soon(sizes[i], limit / 2, 4 * limit, &bytes);

		printf("# of %zu bytes each: %zu, then NULL\n", sizes[i], bytes);
		if (bytes < limit / 2 || bytes > limit)
			return 2;
		let_go(list);
		if (!goes_on(bytes))
			return 3;
	}
	return 0;
}

static int life_null(void)
{
	char text[600];

	nst_info("memory_limit", text, sizeof(text));
	if (strncmp(text, "67108864 of cgroup v1 ", 22) || stats()->pressure.limit_bytes != LIMIT)
		return 4;
	/* C18: what may wait by default is of the limit, too. */
	if (nst_rcu_use() || stats()->retired.budget_bytes != LIMIT / 4)
		return 5;
	return until_null(LIMIT);
}

/* What nobody touches is counted as if somebody had. */
static int life_untouched(void)
{
	void *p[64];
	unsigned int n = 0;

	while (n < 64 && (p[n] = nst_alloc(5 * MIB, NST_NORMAL)) != NULL)
		n++;
	if (n < 6 || n > 12)
		return 2;
	if (nst_alloc(2 * LIMIT, NST_NORMAL))
		return 3;
	while (n--) {
		memset(p[n], 1, 5 * MIB);
		nst_free(p[n]);
	}
	return goes_on(20 * MIB) ? 0 : 4;
}

/* A third of the limit is somebody else's. */
static int life_beside(void)
{
	char *other =
		mmap(NULL, LIMIT / 3, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t bytes;
	void *list;

	memset(other, 1, LIMIT / 3);
	list = use_up(3000, 4 * LIMIT, &bytes);
	printf("# beside %zu: %zu\n", LIMIT / 3, bytes);
	let_go(list);
	return bytes < LIMIT / 3 || bytes > LIMIT * 2 / 3 ? 2 : !goes_on(bytes);
}

/* Two that grow at a time. */
static int life_two(void)
{
	int there[2], back[2], status;
	char go = 0;
	size_t bytes;
	pid_t pid;
	void *list;

	if (pipe(there) || pipe(back))
		return 90;
	pid = fork();
	list = use_up(3000, 4 * LIMIT, &bytes);
	printf("# one of two: %zu\n", bytes);
	fflush(stdout);
	/* Neither gives back before the other has got NULL, too. */
	if (write(pid ? there[1] : back[1], &go, 1) != 1 ||
	    read(pid ? back[0] : there[0], &go, 1) != 1)
		return 91;
	let_go(list);
	if (!pid)
		_exit(goes_on(bytes) ? 0 : 2);
	return waitpid(pid, &status, 0) == pid && !status ? !goes_on(bytes) : 3;
}

/* cgroup:off: nothing is known, nothing refused. */
static int life_off(void)
{
	size_t bytes;

	let_go(use_up(3000, LIMIT / 2, &bytes));
	return bytes < LIMIT / 2 || stats()->pressure.limit_bytes ? 2 : 0;
}

/* RLIMIT_AS, there before it started. */
static int life_address_space(void)
{
	return until_null(300 * MIB);
}

/* What was used is free again, and above half of the limit that is told. */
static int life_told(void)
{
	uint64_t since = 0;
	size_t bytes;
	void *list;

	while (!(stats()->pressure.watched & 2) && check_patience(&since))
		;
	list = use_up(2000, LIMIT * 5 / 8, &bytes);
	let_go(list);
	since = 0;
	while (!(stats()->pressure.group_events && stats()->pressure.given_back) &&
	       check_patience(&since))
		;
	printf("# told %llu times, %llu bytes went back\n",
	       (unsigned long long)stats()->pressure.group_events,
	       (unsigned long long)stats()->pressure.given_back);
	return stats()->pressure.group_events ? stats()->pressure.given_back ? 0 : 3 : 2;
}

/* A file larger than the limit is read again and again: who reads stalls, and PSI says so. */
static int life_stall(void)
{
	static char buf[MIB];
	char path[] = "nostall-stall-XXXXXX";
	int fd = mkstemp(path);
	uint64_t since = 0;
	struct statfs fs;

	unlink(path);
	if (fd < 0 || fstatfs(fd, &fs) || fs.f_type == TMPFS)
		return CHECK_SKIP;
	while (!(stats()->pressure.watched & 1) && check_patience(&since))
		if (stats()->pressure.error)
			return CHECK_SKIP;
	for (int i = 0; i < 96; i++)
		if (write(fd, buf, sizeof(buf)) != sizeof(buf))
			return CHECK_SKIP;
	for (since = 0; !stats()->pressure.stall_events && check_patience(&since);) {
		lseek(fd, 0, SEEK_SET);
		while (read(fd, buf, sizeof(buf)) > 0)
			;
	}
	printf("# %llu events\n", (unsigned long long)stats()->pressure.stall_events);
	return stats()->pressure.stall_events && stats()->pressure.reliefs ? 0 : 2;
}

static const struct life {
	const char *name, *conf, *promise;
	int (*run)(void);
} lives[] = {
	{"null", "", "C34 under a group's limit: NULL, and it goes on", life_null},
	{"untouched", "", "C34 mappings that nobody touched count", life_untouched},
	{"beside", "", "C34 what else the group has counts", life_beside},
	{"two", "", "C34 two that grow at a time", life_two},
	{"off", "cgroup:off", "C34 cgroup:off", life_off},
	{"told", "pressure_at:50", "C33 the group tells of usage", life_told},
	{"stall", "pressure_stall:1", "C33 PSI tells of stalls", life_stall},
};
#define NR_LIVES (sizeof(lives) / sizeof(lives[0]))

static int live(const char *name)
{
	for (size_t i = 0; i < NR_LIVES; i++)
		if (!strcmp(lives[i].name, name))
			return lives[i].run();
	return strcmp(name, "address-space") ? 99 : life_address_space();
}

static void run(const char *name, const char *conf, const char *promise, size_t address_space)
{
	struct rlimit limit = {address_space, address_space};
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		setenv("NOSTALL_CONF", conf, 1);
		if (address_space ? setrlimit(RLIMIT_AS, &limit)
				  : cgroup_put(group, "cgroup.procs", "0"))
			_exit(97);
		execl("/proc/self/exe", "cgroup", name, (char *)NULL);
		_exit(98);
	}
	child_wait(pid, 50, &status);
	if (status == CHECK_SKIP << 8)
		printf("skip %s: not possible here\n", promise);
	else
		check(!status, promise, "%s", child_status(status));
}

static void check_kernel(void)
{
	long long killed = get("memory.oom_control", "oom_kill ");

	printf("# failcnt=%lld max_usage=%lld\n", get("memory.failcnt", ""),
	       get("memory.max_usage_in_bytes", ""));
	check(killed <= 0, "C34 the kernel's OOM killer was not reached", "it ended %lld", killed);
}

int main(int argc, char **argv)
{
	size_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1)
		return live(argv[1]);
	check_deadline(110, "C34 in time");
	run("address-space", "", "C34 under RLIMIT_AS: NULL, and it goes on", 300 * MIB);
	make();
	for (i = 0; i < NR_LIVES; i++)
		run(lives[i].name, lives[i].conf, lives[i].promise, 0);
	check_kernel();
	unmake();
	return check_status();
}
