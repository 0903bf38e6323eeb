/* SPDX-License-Identifier: MIT */
/*
 * spike.c - what becomes of a spike: how soon is memory back, and what do the calls of who had it take?
 *
 *	fill	objects of every size, or pages, to so many MiB; all is written
 *	free	in another order, but for a fiftieth; then nobody calls
 *	idle	until what is resident is within a tenth and 8 MiB of the pages with a live object
 *
 * The longest call is that of the wall clock: a thread that is preempted in the midst of one shows, too, so calls are
 * timed by the thread's own CPU time as well. Movable pages are freed as a checkerboard, and moved together.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <nostall/nostall.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define PAGE ((size_t)4096)
#define NR ((size_t)4 << 20)

static struct object {
	char *at;
	size_t bytes;
} * object;
static size_t nr;
static uint32_t seed = 1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct longest {
	uint64_t wall, cpu, calls, above; /* the last: calls of more than 200 us of CPU time */
};

static uint32_t below(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)seed * n) >> 32);
}

static uint64_t resident(void)
{
	static struct nst_stats s;

	nst_stats_read(&s, sizeof(s));
	return s.resident_bytes - s.metadata_bytes;
}

static void note(struct longest *l, uint64_t wall, uint64_t cpu)
{
	wall = bench_ns() - wall;
	cpu = bench_cpu_ns() - cpu;
	l->calls++;
	l->wall = wall > l->wall ? wall : l->wall;
	l->cpu = cpu > l->cpu ? cpu : l->cpu;
	l->above += cpu > 200000;
}

static size_t some_size(void)
{
	size_t top = (size_t)16 << below(12);

	return top / 2 + below((uint32_t)(top / 2)) + 1;
}

static int migrate(void *ctx, void *data, void *to, void *from, size_t bytes)
{
	struct object *o = &object[(uintptr_t)data];
	int err = -EAGAIN;

	(void)ctx;
	pthread_mutex_lock(&lock);
	if (o->at == from) {
		memcpy(to, from, bytes);
		o->at = to;
		err = 0;
	}
	pthread_mutex_unlock(&lock);
	return err;
}

static int by_address(const void *a, const void *b)
{
	const struct object *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

static uint64_t live_bytes(void)
{
	uint64_t pages = 0, last = 0;

	qsort(object, nr, sizeof(*object), by_address);
	for (size_t i = 0; i < nr; i++) {
		uint64_t first = (uintptr_t)object[i].at / PAGE;
		uint64_t end = ((uintptr_t)object[i].at + object[i].bytes - 1) / PAGE;

		first = first == last ? first + 1 : first;
		if (end >= first)
			pages += end - first + 1;
		last = end;
	}
	return pages * PAGE;
}

static struct object one(struct nst_mover *m, int pages, struct longest *l)
{
	struct object o = {NULL, pages ? PAGE : some_size()};
	uint64_t wall = bench_ns(), cpu = bench_cpu_ns();

	if (m)
		o.at = nst_pages_alloc_movable(m, 0, NST_NORMAL, (void *)nr);
	else if (pages)
		o.at = nst_pages_alloc(0, NST_NORMAL);
	else
		o.at = nst_alloc(o.bytes, NST_NORMAL);
	note(l, wall, cpu);
	if (!o.at)
		exit(1);
	memset(o.at, 1, o.bytes);
	return o;
}

static void release(void *p, struct longest *l)
{
	uint64_t wall = bench_ns(), cpu = bench_cpu_ns();

	nst_free(p);
	note(l, wall, cpu);
}

static void report(const char *name, const char *what, const struct longest *l)
{
	printf("%-12s %-6s %10llu calls, longest %8.1f us of CPU time (%llu above 200 us), %8.1f us by the clock\n",
	       name, what, (unsigned long long)l->calls, (double)l->cpu / 1e3,
	       (unsigned long long)l->above, (double)l->wall / 1e3);
}

/* Until it is within the bound, or a minute has gone: seconds. */
static double wait_for(uint64_t most)
{
	uint64_t from = bench_ns();

	while (resident() > most && bench_ns() - from < 60000000000u)
		usleep(5000);
	return (double)(bench_ns() - from) / 1e9;
}

static void spike(const char *name, size_t bytes, int pages, struct nst_mover *m)
{
	struct longest alloc = {0}, release_ = {0};
	uint64_t top, live, most;
	size_t have = 0, kept = 0;
	double seconds;

	for (nr = 0; have < bytes && nr < NR; nr++) {
		object[nr] = one(m, pages, &alloc);
		have += object[nr].bytes;
	}
	top = resident();
	for (size_t i = 0; i < nr; i++) {
		pthread_mutex_lock(&lock);
		if (m ? i % 2 == 0 : below(50) != 0) {
			release(object[i].at, &release_);
			object[i].at = NULL;
		}
		pthread_mutex_unlock(&lock);
	}
	if (m) {
		live = nr / 2 * PAGE;
	} else {
		for (size_t i = 0; i < nr; i++)
			if (object[i].at)
				object[kept++] = object[i];
		nr = kept;
		live = live_bytes();
	}
	most = live + live / 10 + 8 * MIB;
	seconds = wait_for(most);
	report(name, "alloc", &alloc);
	report(name, "free", &release_);
	printf("%-12s %.0f MiB at the top, pages with a live object %.1f MiB, resident %.1f MiB after %.2f s\n",
	       name, (double)top / 1048576, (double)live / 1048576, (double)resident() / 1048576,
	       seconds);
	for (size_t i = 0; i < nr; i++) {
		pthread_mutex_lock(&lock);
		nst_free(object[i].at);
		pthread_mutex_unlock(&lock);
	}
	usleep(3000000);
}

/* What no library can be better than: pages had from the kernel, one at a time, and as many as a step of the zone has. */
static void kernel_alone(size_t bytes, size_t step)
{
	char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct longest l = {0};

	if (at == MAP_FAILED)
		return;
	for (size_t i = 0; i < bytes; i += step) {
		uint64_t wall = bench_ns(), cpu = bench_cpu_ns();

		if (madvise(at + i, step, MADV_POPULATE_WRITE))
			break;
		note(&l, wall, cpu);
	}
	report("kernel", step == PAGE ? "page" : "step", &l);
	munmap(at, bytes);
}

int main(void)
{
	size_t bytes = (bench_quick() ? 128 : 512) * MIB;
	struct nst_stats s;

	bench_header("spike: how soon is memory back, and the longest call of who had it");
	object = calloc(NR, sizeof(*object));
	if (!object)
		return 1;
	spike("objects", bytes, 0, NULL);
	spike("pages", bytes, 1, NULL);
	spike("movable", bytes / 4, 1, nst_mover_register(migrate, NULL, 0));
	kernel_alone(bytes, PAGE);
	kernel_alone(bytes, 128 << 10);
	nst_stats_read(&s, sizeof(s));
	printf("movable      %llu runs moved, %llu blocks emptied; zone lock held %.1f us at the longest\n",
	       (unsigned long long)s.compact.moved, (unsigned long long)s.compact.blocks,
	       (double)s.locks[NST_LOCK_ZONE].longest_hold_ns / 1e3);
	return 0;
}
