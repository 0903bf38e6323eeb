/* SPDX-License-Identifier: MIT */
/*
 * root.c - a tree of files in the place of the kernel's, for tests that say what those contain.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "check.h"
#include "root.h"

const char *root = "";

const char *root_path(const char *path)
{
	static char text[4][400];
	static unsigned int next;
	char *t = text[next++ % 4];

	snprintf(t, sizeof(text[0]), "%s%s", root, path);
	return t;
}

void root_put(const char *path, const char *text)
{
	int fd = open(root_path(path), O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		check_broken(path);
	close(fd);
}
