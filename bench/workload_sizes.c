/* SPDX-License-Identifier: MIT */
/*
 * workload_sizes.c - live windows of objects of many sizes, growing buffers, large mappings, batches.
 *
 *	small		16 to 1000 bytes, one of 10,000 live objects replaced at a time
 *	small-threads	the same in four threads
 *	wide		16 bytes to 64 KiB, each doubling as often; two threads
 *	many-sizes	200 sizes with four live objects each; two threads
 *	realloc		sixteen buffers grow by turns to 1 MiB
 *	large		128 KiB to 4 MiB, written page by page, sixteen live
 *	sh6		batches of small objects, freed forwards, backwards, every other first
 *	sh8		the same in four threads, each of which frees another's batch
 */
#include "workload.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- windows ---- */

#define WINDOW_MOST 10000

struct window {
	size_t (*size)(uint32_t *seed);
	unsigned long replacements;
	unsigned int live;
	uint32_t seed;
};

static size_t small_size(uint32_t *seed)
{
	return wl_between(seed, 16, 1000);
}

static size_t wide_size(uint32_t *seed)
{
	size_t least = (size_t)16 << wl_between(seed, 0, 11);

	return wl_between(seed, least, 2 * least);
}

static size_t large_size(uint32_t *seed)
{
	return wl_between(seed, 128 << 10, 4 << 20);
}

static void *replace(void *arg)
{
	struct window *w = arg;
	void **live = calloc(w->live, sizeof(*live));
	unsigned long n;
	unsigned int i;

	if (!live)
		_exit(3);
	for (n = 0; n < w->replacements; n++) {
		i = (unsigned int)wl_between(&w->seed, 0, w->live - 1);
		free(live[i]);
		live[i] = wl_take(w->size(&w->seed));
	}
	for (i = 0; i < w->live; i++)
		free(live[i]);
	free(live);
	return NULL;
}

static void windows(unsigned int threads, struct window like)
{
	struct window w[WL_THREADS];
	unsigned int i;

	for (i = 0; i < threads; i++) {
		w[i] = like;
		w[i].seed = i + 1;
	}
	/* A process that never starts a thread is a case of its own for some. */
	if (threads == 1)
		replace(&w[0]);
	else
		wl_parallel(threads, replace, w, sizeof(w[0]));
}

void wl_small(unsigned int percent)
{
	windows(1, (struct window){small_size, wl_amount(12000000, percent), WINDOW_MOST, 0});
}

void wl_small_threads(unsigned int percent)
{
	windows(4, (struct window){small_size, wl_amount(3000000, percent), WINDOW_MOST, 0});
}

void wl_wide(unsigned int percent)
{
	windows(2, (struct window){wide_size, wl_amount(2500000, percent), 1000, 0});
}

void wl_large(unsigned int percent)
{
	windows(1, (struct window){large_size, wl_amount(6000, percent), 16, 0});
}

/* ---- many sizes ---- */

#define SIZES 200
#define EACH 4

static void *each_size(void *arg)
{
	struct window *w = arg;
	void *live[SIZES][EACH] = {{NULL}};
	unsigned long n;
	size_t i;

	for (n = 0; n < w->replacements; n++) {
		uint32_t r = wl_random(&w->seed);
		size_t which = r % SIZES;
		void **slot = &live[which][(r >> 16) % EACH];

		free(*slot);
		*slot = wl_take(16 * (which + 1));
	}
	for (i = 0; i < SIZES * EACH; i++)
		free(live[i / EACH][i % EACH]);
	return NULL;
}

void wl_many_sizes(unsigned int percent)
{
	struct window w[2] = {{.seed = 1}, {.seed = 2}};

	w[0].replacements = w[1].replacements = wl_amount(9000000, percent);
	wl_parallel(2, each_size, w, sizeof(w[0]));
}

/* ---- realloc ---- */

#define BUFFERS 16
#define FULL (1u << 20)

void wl_realloc(unsigned int percent)
{
	struct {
		char *at;
		size_t bytes;
	} buffer[BUFFERS] = {{NULL, 0}}, *b;
	unsigned long n, steps = wl_amount(250000, percent);
	uint32_t seed = 1;
	size_t more;

	for (n = 0; n < steps; n++) {
		b = &buffer[wl_random(&seed) % BUFFERS];
		if (b->bytes > FULL) {
			free(b->at);
			b->at = NULL;
			b->bytes = 0;
		}
		more = 16 + wl_between(&seed, 0, b->bytes / 8);
		b->at = realloc(b->at, b->bytes + more);
		if (!b->at)
			_exit(3);
		wl_touch(b->at, b->bytes, b->bytes + more);
		b->bytes += more;
	}
	for (n = 0; n < BUFFERS; n++)
		free(buffer[n].at);
}

/* ---- batches ---- */

#define BATCH 1000
#define WAITING 8 /* batches of sh8 that nobody works on */

struct batch {
	void *object[BATCH];
	size_t n;
};

/* Sizes up to 64 bytes, then up to 128 ... 1024, and again. */
static void batch_fill(struct batch *b, unsigned long nth, uint32_t *seed)
{
	size_t most = (size_t)64 << (nth % 5);

	for (b->n = 0; b->n < BATCH; b->n++)
		b->object[b->n] = wl_take(wl_between(seed, 8, most));
}

static void free_every(struct batch *b, size_t first, size_t step)
{
	size_t i;

	for (i = first; i < b->n; i += step)
		free(b->object[i]);
}

static void batch_free(struct batch *b, unsigned long nth)
{
	switch (nth % 3) {
	case 0:
		free_every(b, 0, 1);
		break;
	case 1:
		free_every(b, 0, 2);
		free_every(b, 1, 2);
		break;
	default:
		while (b->n)
			free(b->object[--b->n]);
	}
	b->n = 0;
}

void wl_sh6(unsigned int percent)
{
	static struct batch batches[4];
	unsigned long n, rounds = wl_amount(20000, percent);
	uint32_t seed = 1;

	for (n = 0; n < rounds; n++) {
		batch_free(&batches[n % 4], n);
		batch_fill(&batches[n % 4], n, &seed);
	}
	for (n = 0; n < 4; n++)
		batch_free(&batches[n], 0);
}

static struct batch *_Atomic waiting[WAITING];

struct stranger {
	struct batch *own;
	unsigned long rounds;
	uint32_t seed;
};

static void *exchange(void *arg)
{
	struct stranger *s = arg;
	unsigned long n;

	for (n = 0; n < s->rounds; n++) {
		batch_free(s->own, n);
		batch_fill(s->own, n, &s->seed);
		s->own = atomic_exchange(&waiting[wl_random(&s->seed) % WAITING], s->own);
	}
	return NULL;
}

void wl_sh8(unsigned int percent)
{
	static struct batch batches[WL_THREADS + WAITING];
	struct stranger s[WL_THREADS];
	unsigned int i;

	for (i = 0; i < WAITING; i++)
		waiting[i] = &batches[WL_THREADS + i];
	for (i = 0; i < WL_THREADS; i++)
		s[i] = (struct stranger){&batches[i], wl_amount(3000, percent), i + 1};
	wl_parallel(WL_THREADS, exchange, s, sizeof(s[0]));
	for (i = 0; i < WL_THREADS + WAITING; i++)
		batch_free(&batches[i], 0);
}
