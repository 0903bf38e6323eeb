// SPDX-License-Identifier: MIT
/*
 * watched.c - a program of the library for `nostall stat` to look at.
 *
 *	watched <what> [milliseconds]			less when SIGUSR1 comes
 *
 * what: busy, idle, closes (all its descriptors, then busy), execs (/bin/sleep after the time), other
 * (bears a page of another version), garbage (bears one that is none).
 */
#define _GNU_SOURCE
#include "foreign_page.h"
#include <nostall/nostall.h>
#include <nostall/rcu.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define NR 2000

static void nap(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

static void work(void)
{
	static void *object[NR];

	for (int i = 0; i < NR; i++)
		object[i] = nst_alloc(64 + (size_t)(i % 8) * 100, NST_NORMAL);
	for (int i = 0; i < NR; i++)
		nst_free(object[i]);
	nst_free(nst_alloc_nolock(1 << 20)); /* too large: NULL */
	for (int i = 0; i < NR; i++)
		nst_free_rcu(nst_alloc(64, NST_NORMAL));
	nst_free_rcu(nst_alloc(100000, NST_NORMAL));
}

static volatile sig_atomic_t told;

static void end(int sig)
{
	(void)sig;
	told = 1;
}

static void busy(long ms)
{
	for (long done = 0; done < ms && !told; done += 20) {
		work();
		nap(20);
	}
}

/* What `stat` would take for a page by its name. */
static void bear(uint64_t magic, uint32_t version)
{
	foreign_page_write(memfd_create(NST_STATS_PAGE_NAME, MFD_CLOEXEC), magic, version);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "busy";
	struct sigaction sa = {.sa_handler = end, .sa_flags = SA_RESTART};
	long ms = argc > 2 ? atol(argv[2]) : 1000;

	sigaction(SIGUSR1, &sa, NULL);
	if (!strcmp(what, "closes"))
		for (int fd = 3; fd < 256; fd++)
			close(fd);
	if (!strcmp(what, "other"))
		bear(NST_STATS_PAGE_MAGIC, NST_STATS_PAGE_VERSION + 1);
	if (!strcmp(what, "garbage"))
		bear(1, 1);
	if (!strcmp(what, "busy") || !strcmp(what, "closes") || !strcmp(what, "execs"))
		busy(ms);
	else
		nap(ms);
	if (!strcmp(what, "execs"))
		execl("/bin/sleep", "sleep", "3", (char *)NULL);
	return 0;
}
