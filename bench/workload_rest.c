/* SPDX-License-Identifier: MIT */
/*
 * workload_rest.c - what stays resident of a process that rests.
 *
 *	floor		one malloc
 *	peak-rest	four threads build a peak of 256 MiB, free it all and wait, two seconds
 *	leak-rest	the same, but one object in a thousand stays
 *	idle-threads	200 threads, one after the other, allocate and free 1 MiB, then wait, two seconds
 *
 * Nobody calls the allocator while it rests. base_kib is read when the threads are there and nothing has
 * been allocated yet.
 */
#define _GNU_SOURCE
#include "workload.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

#define REST_SECONDS 2

/* Objects remember each other, so that no table of them is resident. */
struct object {
	struct object *next;
};

static struct object *build(size_t bytes, size_t most, uint32_t seed)
{
	struct object *list = NULL, *o;
	size_t size, sum = 0;

	while (sum < bytes) {
		size = wl_between(&seed, sizeof(*o), most);
		o = wl_take(size);
		o->next = list;
		list = o;
		sum += size;
	}
	return list;
}

/* Frees all but each @keep'th; 0: all. */
static void drop(struct object *list, unsigned int keep)
{
	struct object *next;
	unsigned int n;

	for (n = 1; list; list = next, n++) {
		next = list->next;
		if (!keep || n % keep)
			free(list);
	}
}

void wl_floor(unsigned int percent)
{
	(void)percent;
	free(wl_take(64));
	usleep(200000);
	wl_say("settled_kib", wl_resident_kib());
}

/* ---- a peak ---- */

static pthread_barrier_t step;

struct builder {
	size_t bytes;
	unsigned int keep;
	uint32_t seed;
};

/* Steps: all are there; base read; all are built; all is freed; the rest is over. */
static void *builder(void *arg)
{
	struct builder *b = arg;
	struct object *list;

	pthread_barrier_wait(&step);
	pthread_barrier_wait(&step);
	list = build(b->bytes, 2000, b->seed);
	pthread_barrier_wait(&step);
	drop(list, b->keep);
	pthread_barrier_wait(&step);
	pthread_barrier_wait(&step);
	return NULL;
}

static void *rest(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&step);
	wl_say("base_kib", wl_resident_kib());
	pthread_barrier_wait(&step);
	pthread_barrier_wait(&step);
	pthread_barrier_wait(&step);
	sleep(REST_SECONDS);
	wl_say("settled_kib", wl_resident_kib());
	pthread_barrier_wait(&step);
	return NULL;
}

static void peak(unsigned int percent, unsigned int keep)
{
	struct builder b[WL_THREADS];
	pthread_t watcher;
	unsigned int i;

	pthread_barrier_init(&step, NULL, WL_THREADS + 1);
	for (i = 0; i < WL_THREADS; i++)
		b[i] = (struct builder){wl_amount((256ul << 20) / WL_THREADS, percent), keep,
					i + 1};
	if (pthread_create(&watcher, NULL, rest, NULL))
		_exit(4);
	wl_parallel(WL_THREADS, builder, b, sizeof(b[0]));
	pthread_join(watcher, NULL);
}

void wl_peak_rest(unsigned int percent)
{
	peak(percent, 0);
}

void wl_leak_rest(unsigned int percent)
{
	peak(percent, 1000);
}

/* ---- many threads that do nothing any more ---- */

#define IDLERS 200

static sem_t idle_turn[IDLERS], idle_done, idle_over;

static void *idler(void *arg)
{
	uintptr_t nth = (uintptr_t)arg;

	sem_post(&idle_done);
	sem_wait(&idle_turn[nth]);
	drop(build(1 << 20, 2000, (uint32_t)nth + 1), 0);
	sem_post(&idle_done);
	sem_wait(&idle_over);
	return NULL;
}

static void start_idlers(pthread_t *thread)
{
	uintptr_t i;

	sem_init(&idle_done, 0, 0);
	sem_init(&idle_over, 0, 0);
	for (i = 0; i < IDLERS; i++) {
		sem_init(&idle_turn[i], 0, 0);
		if (pthread_create(&thread[i], NULL, idler, (void *)i))
			_exit(4);
	}
	for (i = 0; i < IDLERS; i++)
		sem_wait(&idle_done);
}

void wl_idle_threads(unsigned int percent)
{
	pthread_t thread[IDLERS];
	unsigned int i;

	(void)percent;
	start_idlers(thread);
	wl_say("base_kib", wl_resident_kib());
	for (i = 0; i < IDLERS; i++) {
		sem_post(&idle_turn[i]);
		sem_wait(&idle_done);
	}
	sleep(REST_SECONDS);
	wl_say("settled_kib", wl_resident_kib());
	for (i = 0; i < IDLERS; i++)
		sem_post(&idle_over);
	for (i = 0; i < IDLERS; i++)
		pthread_join(thread[i], NULL);
}
