/* SPDX-License-Identifier: MIT */
/*
 * cgroup.h - the control group of this process, for tests that make one of their own below it.
 */
#ifndef TEST_CGROUP_H
#define TEST_CGROUP_H

#include <stddef.h>

#define CGROUP_MOUNT "/sys/fs/cgroup"

/* Where the memory controller of version 1 has this process: 1; 0: there is none. */
int cgroup_of_version_1(char *path, size_t len);
/* @text into a file of the group: 0 or errno. */
int cgroup_put(const char *group, const char *file, const char *text);

#endif
