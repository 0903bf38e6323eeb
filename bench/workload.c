/* SPDX-License-Identifier: MIT */
/*
 * workload.c - one workload of malloc and free, in the shapes the field measures allocators with.
 *
 *	workload NAME PERCENT
 *
 * It knows no library: which malloc it gets is the preload's business. bench/workloads runs it.
 */
#include "workload.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE 4096

static const struct {
	const char *name;
	void (*run)(unsigned int percent);
} workloads[] = {
	{"larson", wl_larson},
	{"handoff", wl_handoff},
	{"handoff-1g", wl_handoff_1g},
	{"cache-scratch", wl_cache_scratch},
	{"cache-thrash", wl_cache_thrash},
	{"small", wl_small},
	{"small-threads", wl_small_threads},
	{"wide", wl_wide},
	{"many-sizes", wl_many_sizes},
	{"realloc", wl_realloc},
	{"large", wl_large},
	{"sh6", wl_sh6},
	{"sh8", wl_sh8},
	{"floor", wl_floor},
	{"peak-rest", wl_peak_rest},
	{"leak-rest", wl_leak_rest},
	{"idle-threads", wl_idle_threads},
};

unsigned long wl_amount(unsigned long full, unsigned int percent)
{
	unsigned long n = full * percent / 100;

	return n ? n : 1;
}

uint32_t wl_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

size_t wl_between(uint32_t *seed, size_t low, size_t high)
{
	return low + (size_t)(((uint64_t)wl_random(seed) * (high - low + 1)) >> 32);
}

void wl_touch(void *ptr, size_t from, size_t to)
{
	volatile char *p = ptr;
	size_t at;

	for (at = from; at < to; at += PAGE)
		p[at] = 1;
	if (to > from)
		p[to - 1] = 1;
}

void *wl_take(size_t size)
{
	void *p = malloc(size);

	if (!p)
		_exit(3);
	wl_touch(p, 0, size);
	return p;
}

void wl_parallel(unsigned int n, void *(*body)(void *), void *arg, size_t bytes)
{
	pthread_t thread[WL_THREADS];
	unsigned int i;

	for (i = 0; i < n; i++)
		if (pthread_create(&thread[i], NULL, body, (char *)arg + i * bytes))
			_exit(4);
	for (i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
}

/* Without stdio, whose buffers are allocated. */
long wl_resident_kib(void)
{
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char text[128] = "";
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	const char *at = n > 0 ? strchr(text, ' ') : NULL;

	if (fd >= 0)
		close(fd);
	return at ? strtol(at, NULL, 10) * (sysconf(_SC_PAGESIZE) / 1024) : -1;
}

void wl_say(const char *key, long value)
{
	dprintf(1, "%s=%ld\n", key, value);
}

int main(int argc, char **argv)
{
	unsigned int percent = argc == 3 ? (unsigned int)atoi(argv[2]) : 0;
	size_t i;

	for (i = 0; percent && i < sizeof(workloads) / sizeof(workloads[0]); i++) {
		if (strcmp(argv[1], workloads[i].name) != 0)
			continue;
		workloads[i].run(percent);
		return 0;
	}
	fprintf(stderr, "workload: NAME PERCENT\n");
	return 2;
}
