/* SPDX-License-Identifier: MIT */
/*
 * page.h - a process's statistics page, found and read as any other program would.
 */
#ifndef TEST_PAGE_H
#define TEST_PAGE_H

#include <nostall/nostall.h>
#include <sys/types.h>

/* Number of the descriptor that is the page in @pid's /proc/PID/fd, or -1. */
int page_number(pid_t pid);
/* The same opened for reading here, or -1 with errno. */
int page_open(pid_t pid);
/* Mapped for reading; NULL if it cannot be. */
const void *page_map(int fd);
/* A copy; the result of nst_stats_page_read(), tried for up to a second. */
int page_read(const void *map, struct nst_stats_page *out);
/* The first publication of @pid, for up to @seconds: opened and mapped, or NULL. */
const void *page_wait(pid_t pid, unsigned int seconds);

#endif
