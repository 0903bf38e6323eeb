/* SPDX-License-Identifier: MIT */
/*
 * sys_pressure.c - which control group a process is in, what it may have there, and files that say memory is short: in a
 * tree of the test's that looks like the kernel's.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/check.h"
#include "common/root.h"
#include "common/trap.h"
#include "sys/sys.h"

#define MIB ((u64)1 << 20)

static void dir(const char *path)
{
	char *s, all[400];

	snprintf(all, sizeof(all), "%s", root_path(path));
	for (s = all + strlen(root) + 1; (s = strchr(s, '/')) != NULL; *s++ = '/') {
		*s = 0;
		mkdir(all, 0755);
	}
	mkdir(all, 0755);
}

static void limits(const char *folder, int version, const char *limit, const char *used)
{
	char path[300];

	dir(folder);
	snprintf(path, sizeof(path), "%s/%s", folder,
		 version == 1 ? "memory.limit_in_bytes" : "memory.max");
	root_put(path, limit);
	snprintf(path, sizeof(path), "%s/%s", folder,
		 version == 1 ? "memory.usage_in_bytes" : "memory.current");
	root_put(path, used);
	snprintf(path, sizeof(path), "%s/memory.stat", folder);
	root_put(
		path,
		version == 1
			? "cache 9\nactive_file 7\ntotal_inactive_file 1000\ntotal_active_file 24\n"
			: "anon 5\ninactive_file 2000\nactive_file 48\nslab 3\n");
}

static void found(const char *text, int version, const char *folder, const char *what)
{
	int is;

	root_put("/proc/self/cgroup", text);
	is = nst_sys_group_find();
	check(is == version, what, "version %d, not %d", is, version);
	check(!version || !strcmp(nst_sys_group_dir(0), root_path(folder)), what, "'%s', not '%s'",
	      nst_sys_group_dir(0), root_path(folder));
}

static void which_group(void)
{
	dir("/proc/self");
	dir("/sys/fs/cgroup/memory/a/b");
	dir("/sys/fs/cgroup/c");
	found("9:name=systemd:/x\n4:memory:/a/b\n0::/\n", 1, "/sys/fs/cgroup/memory/a/b",
	      "version 1");
	found("4:cpu,memory,pids:/a\n", 1, "/sys/fs/cgroup/memory/a", "among other controllers");
	found("4:memory:/\n", 1, "/sys/fs/cgroup/memory", "the root of it");
	found("5:memoryless:/a\n0::/c\n", 2, "/sys/fs/cgroup/c", "version 2");
	found("0::/docker/0123\n", 2, "/sys/fs/cgroup", "a path that is not to be seen here");
	found("3:cpu:/a\n", 0, "", "none");
	found("", 0, "", "nothing");
	found("4:memory", 0, "", "cut short");
}

static struct nst_sys_group group(int rc)
{
	struct nst_sys_group g;
	int is;

	nst_sys_group_find();
	is = nst_sys_group_read(&g);
	check(is == rc, "read", "%d, not %d", is, rc);
	return g;
}

static void how_much(void)
{
	struct nst_sys_group g;

	root_put("/proc/self/cgroup", "4:memory:/a/b\n");
	group(-2);
	limits("/sys/fs/cgroup/memory/a", 1, "67108864\n", "33554432\n");
	limits("/sys/fs/cgroup/memory/a/b", 1, "9223372036854771712\n", "1048576\n");
	g = group(0);
	check(g.limit == 64 * MIB && g.used == 32 * MIB - 1024,
	      "of the one above, without pages of files", "%llu, %llu", (unsigned long long)g.limit,
	      (unsigned long long)g.used);
	check(g.anonymous > 65536 && g.anonymous < 4096 * MIB, "anonymous", "%llu",
	      (unsigned long long)g.anonymous);
	limits("/sys/fs/cgroup/memory/a/b", 1, "50331648\n", "33554432\n");
	g = group(0);
	check(g.limit == 48 * MIB, "of the one with less room", "%llu",
	      (unsigned long long)g.limit);
	root_put("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "52428800\n");
	check(nst_sys_group_read(&g) == 0 && g.limit == 50 * MIB, "as it is now", "%llu",
	      (unsigned long long)g.limit);
	root_put("/proc/self/cgroup", "0::/c\n");
	limits("/sys/fs/cgroup/c", 2, "max\n", "33554432\n");
	group(-2);
	limits("/sys/fs/cgroup/c", 2, "134217728\n", "33554432\n");
	g = group(0);
	check(g.limit == 128 * MIB && g.used == 32 * MIB - 2048, "version 2", "%llu, %llu",
	      (unsigned long long)g.limit, (unsigned long long)g.used);
}

/* The descriptor that was opened last of @path; -1: there is none. */
static int descriptor_of(const char *path)
{
	char name[64], to[PATH_MAX];
	ssize_t n;
	int fd;

	for (fd = 1000; fd > 2; fd--) {
		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		n = readlink(name, to, sizeof(to) - 1);
		if (n > 0 && (to[n] = 0, strstr(to, path)))
			return fd;
	}
	return -1;
}

/* The program has closed it, and opened another file that got the number. */
static void closed(void)
{
	struct nst_sys_kept k;
	char text[64];
	int other;

	root_put("/one", "1\n");
	root_put("/two", "2\n");
	check(nst_sys_keep(&k, root_path("/one"), O_RDONLY) == 0 && k.fd >= 60, "out of the way",
	      "%d", k.fd);
	check(nst_sys_kept_read(&k, text, sizeof(text)) == 2 && text[0] == '1', "read", "'%s'",
	      text);
	check(nst_sys_kept_read(&k, text, sizeof(text)) == 2, "and again", "'%s'", text);
	other = open(root_path("/two"), O_RDONLY);
	dup2(other, k.fd);
	check(nst_sys_kept_read(&k, text, sizeof(text)) < 0 && !text[0],
	      "another's file is not read", "'%s'", text);
	nst_sys_kept_close(&k);
	check(descriptor_of("/two") >= 60 && k.fd == -1, "nor closed", "-");
	close(descriptor_of("/two"));
	close(other);
	check(nst_sys_keep(&k, root_path("/none"), O_RDONLY) == -2 && k.fd == -1, "there is none",
	      "%d", k.fd);
}

static unsigned int fired(u64 ns)
{
	return nst_sys_pressure_poll(ns);
}

#define STALL (1u << NST_PRESSURE_STALL)
#define GROUP (1u << NST_PRESSURE_GROUP)
#define GIVEN (1u << NST_PRESSURE_FILE)

/* What may not be written: its total is read. */
static void sampled(void)
{
	u64 now = nst_sys_now_ns(), second = 1000000000;
	char text[512];

	dir("/proc/pressure");
	root_put("/proc/self/cgroup", "");
	nst_sys_group_find();
	root_put("/proc/pressure/memory",
		 "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000\nfull total=9\n");
	check(nst_sys_pressure_open("", 150000, 0) == STALL, "a total is read", "-");
	nst_sys_pressure_text(text, sizeof(text));
	check(strstr(text, "/proc/pressure/memory (read every 2 s)") != NULL, "and said so", "'%s'",
	      text);
	check(fired(now + second) == 0, "nothing yet", "-");
	root_put("/proc/pressure/memory",
		 "some avg10=0.00 avg60=0.00 avg300=0.00 total=150999\nfull total=9\n");
	check(fired(now + 3 * second) == 0, "below the mark", "-");
	root_put("/proc/pressure/memory",
		 "some avg10=0.00 avg60=0.00 avg300=0.00 total=300999\nfull total=9\n");
	check(fired(now + 4 * second) == 0, "not within 2 s", "-");
	check(fired(now + 6 * second) == STALL && fired(now + 9 * second) == 0, "at the mark, once",
	      "-");
	nst_sys_pressure_close();
	check(descriptor_of("pressure/memory") < 0, "closed", "%d",
	      descriptor_of("pressure/memory"));
}

static void fifo(void)
{
	char path[400], text[512];
	int fd, other[2];

	snprintf(path, sizeof(path), "%s", root_path("/fifo"));
	mkfifo(path, 0600);
	check(nst_sys_pressure_open(path, 150000, 0) == GIVEN, "a FIFO", "-");
	check(fired(0) == 0, "nothing was written", "-");
	fd = open(path, O_WRONLY | O_NONBLOCK);
	if (write(fd, "abc", 3) != 3)
		check_broken(path);
	check(fired(0) == GIVEN && fired(0) == 0, "an event, once", "-");
	/* Its number is the program's now, who is told something by it. */
	if (pipe(other) || dup2(other[0], descriptor_of("/fifo")) < 0)
		check_broken("dup2");
	close(fd);
	fd = descriptor_of("pipe:");
	if (write(other[1], "mine", 4) != 4)
		check_broken("pipe");
	fired(0);
	check(read(other[0], text, sizeof(text)) == 4, "what is another's is not read", "-");
	nst_sys_pressure_close();
	check(fcntl(fd, F_GETFD) >= 0, "nor closed", "%d", fd);
	close(fd);
	close(other[0]);
	close(other[1]);
	check(nst_sys_pressure_open(root_path("/nowhere"), 150000, 0) == 0 &&
		      nst_sys_pressure_error() == -2,
	      "there is none", "%d", nst_sys_pressure_error());
	nst_sys_pressure_text(text, sizeof(text));
	check(strstr(text, "/nowhere, error 2") != NULL, "and that is said", "'%s'", text);
	nst_sys_pressure_close();
}

static void events(void)
{
	root_put("/proc/self/cgroup", "0::/c\n");
	limits("/sys/fs/cgroup/c", 2, "134217728\n", "33554432\n");
	root_put("/sys/fs/cgroup/c/memory.events", "low 7\nhigh 3\nmax 0\noom 0\noom_kill 0\n");
	nst_sys_group_find();
	unlink(root_path("/proc/pressure/memory"));
	check(nst_sys_pressure_open("", 150000, 0) == GROUP, "memory.events", "-");
	check(nst_sys_pressure_error() == -2, "no PSI", "%d", nst_sys_pressure_error());
	check(fired(0) == 0, "what was before is none", "-");
	root_put("/sys/fs/cgroup/c/memory.events", "low 9\nhigh 3\nmax 0\noom 0\noom_kill 0\n");
	check(fired(0) == 0, "nor is low", "-");
	root_put("/sys/fs/cgroup/c/memory.events", "low 9\nhigh 4\nmax 0\noom 0\noom_kill 0\n");
	check(fired(0) == GROUP && fired(0) == 0, "high, once", "-");
	root_put("/sys/fs/cgroup/c/memory.events", "low 9\nhigh 4\nmax 2\noom 1\noom_kill 0\n");
	check(fired(0) == GROUP && fired(0) == 0, "max and oom, once", "-");
	nst_sys_pressure_close();
	mkfifo(root_path("/sys/fs/cgroup/c/memory.pressure"), 0600);
	check(nst_sys_pressure_open("", 150000, 0) == (STALL | GROUP),
	      "the group's own PSI, where it has one", "-");
	nst_sys_pressure_close();
}

/* In the tree the kernel tells nothing of; the descriptor is made, and written by the test. */
static void told(void)
{
	u64 n = 1;
	int fd, mine;

	root_put("/proc/self/cgroup", "4:memory:/a/b\n");
	root_put("/sys/fs/cgroup/memory/a/b/cgroup.event_control", "");
	root_put("/sys/fs/cgroup/memory/a/b/memory.pressure_level", "");
	nst_sys_group_find();
	check(nst_sys_pressure_open("", 150000, 45 * MIB) == GROUP, "usage", "-");
	fd = descriptor_of("[eventfd]");
	check(fired(0) == 0, "nobody has told", "-");
	if (write(fd, &n, 8) != 8)
		check_broken("eventfd");
	check(fired(0) == GROUP && fired(0) == 0, "told, once", "-");
	mine = eventfd(5, EFD_NONBLOCK);
	dup2(mine, fd);
	check(fired(0) == 0 && read(mine, &n, 8) == 8 && n == 5, "another's is not read", "%llu",
	      (unsigned long long)n);
	nst_sys_pressure_close();
	check(fcntl(fd, F_GETFD) >= 0, "nor closed", "-");
	close(fd);
	close(mine);
}

TEST_CONF("worker:off,pressure:off")

int main(int argc, char **argv)
{
	static char made[] = "/tmp/nostall-pressure-XXXXXX";
	char command[200];

	(void)argc;
	conf_apply(argv);
	if (!mkdtemp(made))
		check_broken(made);
	root = made;
	nst_test_root = root;
	which_group();
	how_much();
	closed();
	sampled();
	fifo();
	events();
	told();
	snprintf(command, sizeof(command), "rm -r %s", root);
	if (system(command))
		check_broken(command);
	return check_status();
}
