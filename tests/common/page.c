/* SPDX-License-Identifier: MIT */
/*
 * page.c - a process's statistics page: /proc/PID/fd, mmap, nst_stats_page_read().
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "page.h"

int page_number(pid_t pid)
{
	char path[64], link[320];
	struct dirent *e;
	int found = -1;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	while (dir && found < 0 && (e = readdir(dir)) != NULL) {
		ssize_t n = readlinkat(dirfd(dir), e->d_name, link, sizeof(link) - 1);
		struct stat st = {0};

		link[n > 0 ? n : 0] = 0;
		/* Who reads a page has it open, too, but not for writing. */
		if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
		    !(st.st_mode & S_IWUSR))
			continue;
		/* It may be in the making: there is nothing to touch yet. */
		if (fstatat(dirfd(dir), e->d_name, &st, 0) ||
		    st.st_size < (off_t)sizeof(struct nst_stats_page))
			continue;
		if (!strncmp(link, "/memfd:" NST_STATS_PAGE_NAME, 20) ||
		    strstr(link, "/" NST_STATS_PAGE_NAME "."))
			found = atoi(e->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

int page_open(pid_t pid)
{
	int number = page_number(pid);
	char path[64];

	if (number < 0) {
		errno = ENOENT;
		return -1;
	}
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, number);
	return open(path, O_RDONLY | O_CLOEXEC);
}

const void *page_map(int fd)
{
	void *p = mmap(NULL, sizeof(struct nst_stats_page), PROT_READ, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void nap_ms(long ms)
{
	struct timespec ts = {0, ms * 1000000};

	nanosleep(&ts, NULL);
}

int page_read(const void *map, struct nst_stats_page *out)
{
	int rc = -EAGAIN;

	for (int i = 0; i < 1000 && rc == -EAGAIN; i++) {
		if (i)
			nap_ms(1);
		rc = nst_stats_page_read(map, sizeof(*out), out);
	}
	return rc;
}

const void *page_wait(pid_t pid, unsigned int seconds)
{
	struct nst_stats_page *page = malloc(sizeof(*page));
	const void *map = NULL;

	for (unsigned int i = 0; page && i < seconds * 100 && !map; i++) {
		int fd = page_open(pid);

		if (fd >= 0) {
			map = page_map(fd);
			close(fd);
		}
		if (map && (page_read(map, page) || page->pid != (uint64_t)pid)) {
			munmap((void *)(uintptr_t)map, sizeof(*page)); /* not published yet */
			map = NULL;
		}
		if (!map)
			nap_ms(10);
	}
	free(page);
	return map;
}
