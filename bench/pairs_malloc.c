/* SPDX-License-Identifier: MIT */
/*
 * pairs_malloc.c - the worker of the pair benchmark for glibc and whatever is preloaded in its place,
 * and the plain copy of pointers that bulk is compared with.
 *
 * Argument: "alone", or "threads" for a process with a second, sleeping thread: glibc skips atomics
 * in a process that never had one.
 */
#define _GNU_SOURCE
#include "pairs.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *plain_alloc(void *ctx, size_t size)
{
	(void)ctx;
	return malloc(size);
}

static void plain_free(void *ctx, void *ptr, size_t size)
{
	(void)ctx;
	(void)size;
	free(ptr);
}

/* The sized free of the peers: jemalloc's takes flags, the other two do not. */
static void (*sized)(void *ptr, size_t size);
static void (*sized_flags)(void *ptr, size_t size, int flags);

static void sized_free(void *ctx, void *ptr, size_t size)
{
	(void)ctx;
	sized(ptr, size);
}

static void sized_flags_free(void *ctx, void *ptr, size_t size)
{
	(void)ctx;
	sized_flags(ptr, size, 0);
}

static void find_sized(void)
{
	*(void **)&sized_flags = dlsym(RTLD_DEFAULT, "sdallocx");
	*(void **)&sized = dlsym(RTLD_DEFAULT, "mi_free_size");
	if (!sized)
		*(void **)&sized = dlsym(RTLD_DEFAULT, "tc_free_sized");
	if (dlsym(RTLD_DEFAULT, "tc_free_sized"))
		sized_flags = NULL; /* tcmalloc has sdallocx too */
}

static size_t malloc_out(void *ctx, size_t size, size_t n, void **out)
{
	size_t i;

	(void)ctx;
	for (i = 0; i < n; i++)
		out[i] = malloc(size);
	return n;
}

static void free_back(void *ctx, size_t n, void **ptrs)
{
	(void)ctx;
	while (n)
		free(ptrs[--n]);
}

/* What a bulk call could cost at least: a stack of pointers behind a call that is not inlined. */
static struct {
	size_t count;
	void *ptr[256];
} stack = {.count = 128};

__attribute__((noinline)) static size_t loop_out(void *ctx, size_t size, size_t n, void **out)
{
	size_t i, count = stack.count - n;

	(void)ctx;
	(void)size;
	for (i = 0; i < n; i++) {
		void *p = stack.ptr[count + i];

		PAIRS_KEEP(p); /* one by one: neither memcpy nor vectors */
		out[i] = p;
	}
	stack.count = count;
	return n;
}

__attribute__((noinline)) static void loop_back(void *ctx, size_t n, void **ptrs)
{
	size_t i, count = stack.count;

	(void)ctx;
	for (i = 0; i < n; i++) {
		void *p = ptrs[i];

		PAIRS_KEEP(p);
		stack.ptr[count + i] = p;
	}
	stack.count = count + n;
}

__attribute__((noinline)) static size_t memcpy_out(void *ctx, size_t size, size_t n, void **out)
{
	(void)ctx;
	(void)size;
	stack.count -= n;
	memcpy(out, &stack.ptr[stack.count], n * sizeof(*out));
	return n;
}

__attribute__((noinline)) static void memcpy_back(void *ctx, size_t n, void **ptrs)
{
	(void)ctx;
	memcpy(&stack.ptr[stack.count], ptrs, n * sizeof(*ptrs));
	stack.count += n;
}

static void bulk(struct pairs_answer *a, const struct pairs_job *job)
{
	if (job->variant == V_MALLOC)
		pairs_run_bulk(a, job, malloc_out, free_back, NULL);
	else if (job->variant == V_COPY_LOOP)
		pairs_run_bulk(a, job, loop_out, loop_back, NULL);
	else if (job->variant == V_COPY_MEMCPY)
		pairs_run_bulk(a, job, memcpy_out, memcpy_back, NULL);
}

static void work(struct pairs_answer *a, const struct pairs_job *job)
{
	static void *cold[PAIRS_COLD], *cold_sized[PAIRS_COLD];

	if (job->pattern == BULK)
		bulk(a, job);
	else if (job->variant == V_MALLOC)
		pairs_run(a, job, plain_alloc, plain_free, NULL, cold);
	else if (job->variant == V_SIZED && sized_flags)
		pairs_run(a, job, plain_alloc, sized_flags_free, NULL, cold_sized);
	else if (job->variant == V_SIZED && sized)
		pairs_run(a, job, plain_alloc, sized_free, NULL, cold_sized);
}

static void *asleep(void *arg)
{
	for (;;)
		pause();
	return arg;
}

int main(int argc, char **argv)
{
	struct pairs_job job;
	pthread_t other;

	if (argc < 3)
		return 2;
	if (strcmp(argv[2], "threads") == 0)
		pthread_create(&other, NULL, asleep, NULL);
	find_sized();
	bench_pin(bench_cpu(1));
	for (;;) {
		struct pairs_answer a = {.ns = -1};

		bench_next(&job, sizeof(job));
		work(&a, &job);
		bench_answer(&a, sizeof(a));
	}
}
