/* SPDX-License-Identifier: MIT */
/*
 * workload_threads.c - objects that wander between threads, and threads that share cache lines.
 *
 *	larson		a server's threads: each replaces objects of an array, then leaves it to a successor
 *	handoff		producers allocate, consumers free, in batches through a bounded queue
 *	handoff-1g	one such pair until 1 GiB has gone through; is more resident than early on?
 *	cache-scratch	threads begin with neighbours that one thread allocated: do they stay neighbours?
 *	cache-thrash	each thread's own small objects: do two threads get halves of one line?
 */
#include "workload.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- larson ---- */

#define LARSON_SLOTS 1000
#define LARSON_GENERATIONS 20

struct server {
	void *slot[LARSON_SLOTS];
	uint32_t seed;
	unsigned int generations;
	unsigned long replacements;
};

static sem_t larson_ended;

static void *serve(void *arg)
{
	struct server *s = arg;
	pthread_t successor;
	unsigned long i;

	for (i = 0; i < s->replacements; i++) {
		void **slot = &s->slot[wl_random(&s->seed) % LARSON_SLOTS];

		free(*slot);
		*slot = wl_take(wl_between(&s->seed, 8, 512));
	}
	if (--s->generations == 0)
		sem_post(&larson_ended);
	else if (pthread_create(&successor, NULL, serve, s) || pthread_detach(successor))
		_exit(4);
	return NULL;
}

void wl_larson(unsigned int percent)
{
	static struct server servers[WL_THREADS];
	pthread_t first;
	unsigned int i;
	size_t k;

	sem_init(&larson_ended, 0, 0);
	for (i = 0; i < WL_THREADS; i++) {
		servers[i].seed = i + 1;
		servers[i].generations = LARSON_GENERATIONS;
		servers[i].replacements = wl_amount(200000, percent);
		for (k = 0; k < LARSON_SLOTS; k++)
			servers[i].slot[k] = wl_take(64);
		if (pthread_create(&first, NULL, serve, &servers[i]) || pthread_detach(first))
			_exit(4);
	}
	for (i = 0; i < WL_THREADS; i++)
		sem_wait(&larson_ended);
}

/* ---- producer and consumer ---- */

#define BATCH 256
#define QUEUED 16

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	unsigned long head, tail; /* batches taken out, put in */
	void *batch[QUEUED][BATCH];
};

struct end {
	struct queue *queue;
	unsigned long batches, warm; /* @warm: after so many the base is read; 0: not */
	size_t low, high;
	int produces;
};

static void put(struct queue *q, void **batch)
{
	pthread_mutex_lock(&q->lock);
	while (q->tail - q->head == QUEUED)
		pthread_cond_wait(&q->moved, &q->lock);
	memcpy(q->batch[q->tail++ % QUEUED], batch, sizeof(q->batch[0]));
	pthread_cond_signal(&q->moved);
	pthread_mutex_unlock(&q->lock);
}

static void get(struct queue *q, void **batch)
{
	pthread_mutex_lock(&q->lock);
	while (q->tail == q->head)
		pthread_cond_wait(&q->moved, &q->lock);
	memcpy(batch, q->batch[q->head++ % QUEUED], sizeof(q->batch[0]));
	pthread_cond_signal(&q->moved);
	pthread_mutex_unlock(&q->lock);
}

static void produce(struct end *e)
{
	uint32_t seed = 7;
	void *batch[BATCH];
	unsigned long n;
	size_t i;

	for (n = 0; n < e->batches; n++) {
		for (i = 0; i < BATCH; i++)
			batch[i] = wl_take(wl_between(&seed, e->low, e->high));
		put(e->queue, batch);
	}
}

static void consume(struct end *e)
{
	void *batch[BATCH];
	unsigned long n;
	size_t i;

	for (n = 0; n < e->batches; n++) {
		if (e->warm && n == e->warm)
			wl_say("base_kib", wl_resident_kib());
		get(e->queue, batch);
		for (i = 0; i < BATCH; i++)
			free(batch[i]);
	}
}

static void *work(void *arg)
{
	struct end *e = arg;

	if (e->produces)
		produce(e);
	else
		consume(e);
	return NULL;
}

/* @like: both ends of each pair, but for the queue. */
static void pairs_of(unsigned int pairs, struct end like)
{
	static struct queue queues[WL_THREADS / 2];
	struct end ends[WL_THREADS];
	unsigned int i;

	for (i = 0; i < 2 * pairs; i++) {
		ends[i] = like;
		ends[i].queue = &queues[i / 2];
		ends[i].produces = i % 2;
		pthread_mutex_init(&queues[i / 2].lock, NULL);
		pthread_cond_init(&queues[i / 2].moved, NULL);
	}
	wl_parallel(2 * pairs, work, ends, sizeof(ends[0]));
}

void wl_handoff(unsigned int percent)
{
	pairs_of(2, (struct end){.batches = wl_amount(20000, percent), .low = 16, .high = 512});
}

void wl_handoff_1g(unsigned int percent)
{
	struct end like = {.low = 64, .high = 264};

	like.batches = wl_amount((1ul << 30) / (BATCH * (like.low + like.high) / 2), percent);
	like.warm = like.batches / 16 + 1;
	pairs_of(1, like);
	wl_say("settled_kib", wl_resident_kib());
}

/* ---- lines that threads share ---- */

#define SCRATCH_BYTES 8
#define SCRATCH_WRITES 2000

struct scratch {
	char *first; /* allocated by main; NULL: none */
	unsigned long rounds;
};

static void *scratch(void *arg)
{
	struct scratch *s = arg;
	unsigned long n;
	unsigned int i;

	free(s->first);
	for (n = 0; n < s->rounds; n++) {
		volatile char *p = wl_take(SCRATCH_BYTES);

		for (i = 0; i < SCRATCH_WRITES; i++)
			p[i % SCRATCH_BYTES]++;
		free((void *)(uintptr_t)p);
	}
	return NULL;
}

static void scratches(unsigned long rounds, int neighbours)
{
	struct scratch s[WL_THREADS];
	unsigned int i;

	for (i = 0; i < WL_THREADS; i++) {
		s[i].first = neighbours ? wl_take(SCRATCH_BYTES) : NULL;
		s[i].rounds = rounds;
	}
	wl_parallel(WL_THREADS, scratch, s, sizeof(s[0]));
}

void wl_cache_scratch(unsigned int percent)
{
	scratches(wl_amount(200000, percent), 1);
}

void wl_cache_thrash(unsigned int percent)
{
	scratches(wl_amount(200000, percent), 0);
}
