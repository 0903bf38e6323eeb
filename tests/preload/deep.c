/* SPDX-License-Identifier: MIT */
/*
 * deep.c - allocates in a constructor that runs before the library's, and in atfork handlers that were
 * registered before its own.
 *
 * Constructors run from the leaves of the dependencies up, and of unrelated ones those that were
 * loaded last run first: this library is needed only by middle.c, which the program needs.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "deep.h"

#define NR 1200u

static unsigned char *made[DEEP_MADE];
static unsigned int wrong;
static int first;

/* More than any list of a CPU holds. Forks of several threads run it at the same time. */
static void allocate(void)
{
	unsigned char *objects[NR];
	unsigned int i, bad = 0;

	for (i = 0; i < NR; i++) {
		size_t size = 16 + i % 8 * 500;

		objects[i] = malloc(size);
		if (!objects[i])
			bad++;
		else
			memset(objects[i], (int)(i & 0xff), size);
	}
	for (i = 0; i < NR; i++) {
		if (objects[i])
			bad += *objects[i] != (i & 0xff);
		free(objects[i]);
	}
	__atomic_fetch_add(&wrong, bad, __ATOMIC_RELAXED);
}

/* The library reserves 64 MiB of addresses and more. Nothing here may allocate. */
static int reserved(void)
{
	int fd = open("/proc/self/statm", O_RDONLY);
	char text[64] = "";
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	return n <= 0 || strtoul(text, NULL, 10) > (64ul << 20) / 4096;
}

__attribute__((constructor)) static void before_all(void)
{
	unsigned int i;

	first = !reserved();
	/* Before the first allocation, or the library's would be first after all. */
	pthread_atfork(allocate, allocate, allocate);
	for (i = 0; i < DEEP_MADE; i++) {
		made[i] = malloc(100 + i);
		if (made[i])
			memset(made[i], (int)(i & 0xff), 100 + i);
	}
	allocate();
}

int deep_ran_first(void)
{
	return first;
}

unsigned int deep_wrong(void)
{
	return wrong;
}

unsigned char *deep_made(unsigned int n)
{
	return made[n];
}
