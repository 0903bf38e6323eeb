/* SPDX-License-Identifier: MIT */
/*
 * page.h - statistics pages of other processes: found through /proc, mapped, read.
 *
 * What is in one was written by another process and is not believed: the library's reader keeps counts
 * and names in bounds, and a page that could be cut short while it is mapped is read instead.
 */
#ifndef PAGE_H
#define PAGE_H

#include <nostall/nostall.h>
#include <stdio.h>
#include <sys/types.h>

/* Exit codes of `stat`; documented in its help and in nostall(1). */
enum page_exit {
	PAGE_NO_PROCESS = 3,
	PAGE_DENIED,
	PAGE_NONE,
	PAGE_OTHER_VERSION,
	PAGE_ENDED,
};

/* Of an error, for its one line. */
struct why {
	char text[512];
};

struct page {
	pid_t pid;
	char comm[64];	     /* of the process, printable */
	int number, fd;	     /* its descriptor there; the same opened here */
	uint64_t dev, ino;   /* what it is */
	const void *map;     /* NULL: read */
	int pidfd;	     /* -1 where the kernel has none */
	uint64_t pid_inside; /* the PID that the process itself sees */
};

/* Opens @pid's page. 0, or enum page_exit with @why. */
int page_open(struct page *p, pid_t pid, struct why *why);
/* The same; a process with the library is given a second to publish. */
int page_open_soon(struct page *p, pid_t pid, struct why *why);
void page_close(struct page *p);

/* Of a page of another version: "nostall ..., whose page is of ...; this is ...". */
void page_versions(const struct nst_stats_page *head, char *text, size_t len);

/* A copy. 0, or enum page_exit with @why. */
int page_load(const struct page *p, struct nst_stats_page *out, struct why *why);

/* A page that a process left in a file. 0; -EPROTO: of another version; else it is none. */
int page_load_file(const char *path, struct nst_stats_page *out);

/* Sleeps; 1 if the process ended meanwhile. */
int page_wait(const struct page *p, int ms);
/* Is the page still the one that the process has? */
int page_is_current(const struct page *p);

/* A number, or the name of one process alone. 0 with *pid, or enum page_exit with @why. */
int page_process(const char *name, pid_t *pid, struct why *why);

/* Every process. @fn may stop it by returning not 0, which is the result. */
int page_each_process(int (*fn)(pid_t pid, void *arg), void *arg);

/* /proc/PID/comm, printable; "" if there is no such process. */
void page_comm(pid_t pid, char *comm, size_t len);

#endif
