/* SPDX-License-Identifier: MIT */
/*
 * lean.c - C16 with real threads: what flows from a CPU to another grows nothing, and a peak is gone soon after.
 *
 * Memory is the pages that the library itself counts as resident; its own memory is bounded otherwise
 * (many_cpus.c). How soon is for many_cpus.c as well, whose clock is its own: here the worker is only waited for.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <nostall/nostall.h>
#include "common/check.h"
#include "common/trap.h"

#define RING 1024u
#define MIB ((uint64_t)1 << 20)
#define SLACK (2 * MIB) /* two CPUs' lists, when the worker has looked at them or has not yet */
#define IDLE_THREADS 200

static struct {
	void *_Atomic slot[RING];
	uint64_t objects, seed;
} flow;

static uint64_t resident(void)
{
	static struct nst_stats s;

	nst_stats_read(&s, sizeof(s));
	return s.resident_bytes - s.metadata_bytes;
}

/* Mostly small, now and then a run of pages: 2 KiB on average. */
static size_t some_size(struct rng *rng)
{
	return rng_below(rng, 4096) < 100 ? 65536 : rng_size(rng, 16, 2048);
}

static void *consumer(void *cpu)
{
	run_on_cpu(0, cpu_nth((unsigned int)(uintptr_t)cpu));
	for (uint64_t n = 0; n < flow.objects; n++) {
		void *p;

		while ((p = atomic_exchange(&flow.slot[n % RING], NULL)) == NULL)
			sched_yield();
		nst_free(p);
	}
	return NULL;
}

/* Most that is resident in each half of the flow; the first begins after an eighth. */
static uint64_t produce(uint64_t most[2])
{
	struct rng rng = {flow.seed};
	uint64_t bytes = 0;

	for (uint64_t n = 0; n < flow.objects; n++) {
		size_t size = some_size(&rng);
		void *p = nst_alloc(size, NST_NORMAL);

		if (!p)
			check_broken("memory");
		bytes += size;
		*(volatile char *)p = 1;
		while (atomic_load(&flow.slot[n % RING]))
			sched_yield();
		atomic_store(&flow.slot[n % RING], p);
		if (n % RING == 0 && n >= flow.objects / 8) {
			uint64_t now = resident(), *m = &most[n >= flow.objects / 2];

			*m = now > *m ? now : *m;
		}
	}
	return bytes;
}

static void producer_and_consumer(void)
{
	uint64_t most[2] = {0, 0}, bytes;
	pthread_t other;

	flow.objects = (uint64_t)env_long("TEST_OPS", 600000);
	if (pthread_create(&other, NULL, consumer, (void *)1))
		check_broken("pthread_create");
	run_on_cpu(0, cpu_nth(0));
	bytes = produce(most);
	pthread_join(other, NULL);
	check(bytes > flow.objects * 1024, "a flow from one CPU to another", "%llu MiB",
	      (unsigned long long)(bytes / MIB));
	check(most[1] <= most[0] + SLACK, "grows nothing", "%llu KiB, then %llu",
	      (unsigned long long)most[0] >> 10, (unsigned long long)most[1] >> 10);
}

/* Within a minute: the harness's patience, not the promise. */
static uint64_t wait_for(uint64_t bytes)
{
	uint64_t now = resident();

	for (int i = 0; i < 6000 && now > bytes; i++) {
		usleep(10000);
		now = resident();
	}
	return now;
}

static void back(uint64_t floor, const char *what)
{
	uint64_t now = wait_for(floor + floor / 10);

	check(now <= floor + floor / 10, what, "%llu KiB, the floor is %llu",
	      (unsigned long long)now >> 10, (unsigned long long)floor >> 10);
}

/* Objects of many sizes, freed in another order; then this thread calls nothing. */
static void peak(uint64_t floor)
{
	size_t nr = (size_t)env_long("TEST_OPS", 600000) / 2;
	void **object = calloc(nr, sizeof(*object));
	struct rng rng = {flow.seed};
	uint64_t top;

	if (!object)
		check_broken("calloc");
	for (size_t i = 0; i < nr; i++)
		object[i] = nst_alloc(16 + rng_below(&rng, 200), NST_NORMAL);
	top = resident();
	for (size_t i = 0; i < nr; i++)
		nst_free(object[(i * 1000003) % nr]);
	free(object);
	check(top > 4 * floor, "a peak", "%llu KiB", (unsigned long long)top >> 10);
	back(floor, "is gone without a call");
}

static pthread_barrier_t all_idle;

static void *use_and_idle(void *arg)
{
	char *p = nst_alloc(MIB, NST_NORMAL);

	if (!p)
		check_broken("memory");
	memset(p, 1, MIB);
	for (int i = 0; i < 1000; i++)
		nst_free(nst_alloc(100, NST_NORMAL));
	nst_free(p);
	pthread_barrier_wait(&all_idle); /* all have had theirs */
	pthread_barrier_wait(&all_idle);
	return arg;
}

static void idle_threads(uint64_t floor)
{
	pthread_t thread[IDLE_THREADS];

	pthread_barrier_init(&all_idle, NULL, IDLE_THREADS + 1);
	for (int i = 0; i < IDLE_THREADS; i++)
		if (pthread_create(&thread[i], NULL, use_and_idle, NULL))
			check_broken("pthread_create");
	pthread_barrier_wait(&all_idle);
	back(floor, "200 threads that idle after a MiB each keep nothing");
	pthread_barrier_wait(&all_idle);
	for (int i = 0; i < IDLE_THREADS; i++)
		pthread_join(thread[i], NULL);
}

TEST_CONF("worker:on,nodes:1")

int main(int argc, char **argv)
{
	uint64_t floor;

	conf_apply(argv);
	flow.seed = seed_of(argc, argv);
	check_deadline(240, "memory goes back");
	if (cpu_nth(1) < 0 || cpu_nth(1) == cpu_nth(0))
		check_skip("one CPU only");
	floor = resident();
	producer_and_consumer();
	back(floor, "and what flowed is gone");
	peak(floor);
	idle_threads(floor);
	return check_status();
}
