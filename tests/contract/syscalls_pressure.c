/* SPDX-License-Identifier: MIT */
/*
 * syscalls_pressure.c - the steps of docs/syscalls.md in a control group, and where something says that memory is short.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#define NST_NO_MACROS
#include "mm/mm.h"
#include "contract/syscalls.h"

#define FIFO "/proc/pressure/memory"

static char root[100];

static void make(const char *path, const char *text)
{
	char all[300], *s;
	int fd;

	snprintf(all, sizeof(all), "%s%s", root, path);
	for (s = all + 1; (s = strchr(s, '/')) != NULL; *s++ = '/') {
		*s = 0;
		mkdir(all, 0755);
	}
	fd = open(all, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	must(fd >= 0 && write(fd, text, strlen(text)) >= 0);
	close(fd);
}

void pressure_tree_remove(void)
{
	char command[150];

	snprintf(command, sizeof(command), "rm -r %s", root);
	must(system(command) == 0);
}

void pressure_tree(void)
{
	static const char dir[] = "/sys/fs/cgroup/memory/a/";
	static const char *const files[][2] = {
		{"memory.limit_in_bytes", "268435456\n"},
		{"memory.usage_in_bytes", "1048576\n"},
		{"memory.stat", "total_inactive_file 0\n"},
		{"memory.pressure_level", ""},
		{"cgroup.event_control", ""},
	};
	char path[100];

	snprintf(root, sizeof(root), "/tmp/nostall-syscalls.%d", getpid());
	mkdir(root, 0700);
	make("/proc/self/cgroup", "4:memory:/a\n");
	make(FIFO, "");
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", dir, files[i][0]);
		make(path, files[i][1]);
	}
	nst_test_root = root;
}

void path_group(void)
{
	pressure_tree();
	nst_group_init();
	nst_group_ask(1);
	must(nst_group_quota > 0 && nst_group_quota != ~0ull);
	nst_group_quota = 0;
	begin("group");
	nst_group_ask(1);
	end();
	must(nst_group_quota > 0);
	pressure_tree_remove();
}

void path_pressure_new(void)
{
	pressure_tree();
	begin("pressure-new");
	nst_maintain();
	end();
	pressure_tree_remove();
}

/* A FIFO in place of the kernel's file: the test may write to it. */
static void fifo(char *path, size_t len)
{
	pressure_tree();
	snprintf(path, len, "%s%s", root, FIFO);
	must(unlink(path) == 0 && mkfifo(path, 0600) == 0);
	nst_maintain();
}

void path_pressure(void)
{
	char path[200];

	fifo(path, sizeof(path));
	begin("pressure");
	nst_maintain();
	end();
	pressure_tree_remove();
}

void path_relief(void)
{
	static void *p[3000];
	char path[200];
	int fd;

	fifo(path, sizeof(path));
	for (int i = 0; i < 3000; i++)
		p[i] = nst_alloc(1024, NST_NORMAL);
	for (int i = 0; i < 3000; i++)
		nst_free(p[i]);
	nst_maintain();
	fd = open(path, O_WRONLY | O_NONBLOCK);
	must(write(fd, "x", 1) == 1);
	begin("relief");
	nst_maintain();
	end();
	pressure_tree_remove();
}
