/* SPDX-License-Identifier: MIT */
/*
 * cgroup.c - the control group of this process, for tests that make one of their own below it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "cgroup.h"

#define CONTROLLER ":memory:"

int cgroup_of_version_1(char *path, size_t len)
{
	char line[300] = "", *at = NULL;
	FILE *f = fopen("/proc/self/cgroup", "re");

	while (f && !at && fgets(line, sizeof(line), f))
		at = strstr(line, CONTROLLER "/");
	if (f)
		fclose(f);
	if (!at)
		return 0;
	at += strlen(CONTROLLER);
	at[strcspn(at, "\n")] = 0;
	snprintf(path, len, CGROUP_MOUNT "/memory%.200s", at[1] ? at : "");
	return 1;
}

int cgroup_put(const char *group, const char *file, const char *text)
{
	char path[500];
	int fd, err;

	snprintf(path, sizeof(path), "%s/%s", group, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	err = fd < 0 || write(fd, text, strlen(text)) < 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
	return err;
}
