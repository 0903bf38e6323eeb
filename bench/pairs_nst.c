/* SPDX-License-Identifier: MIT */
/*
 * pairs_nst.c - the worker of the pair benchmark for libnostall.
 *
 * Argument: "plain", as a program finds it; "stocked", with stock of each size for the largest job; or
 * "drained": every list, slab and free page is used up by no-lock requests first, with no worker to refill
 * them, so that a request walks all of its tries; or "charged", in an account, or "beside", in none where there is one.
 */
#define _GNU_SOURCE
#include "pairs.h"

#include <nostall/nostall.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *cache_alloc(void *cache, size_t size)
{
	(void)size;
	return nst_cache_alloc(cache, NST_NORMAL);
}

static void cache_free(void *cache, void *ptr, size_t size)
{
	(void)size;
	nst_cache_free(cache, ptr);
}

static void *cache_alloc_nolock(void *cache, size_t size)
{
	(void)size;
	return nst_cache_alloc_nolock(cache);
}

static void cache_free_nolock(void *cache, void *ptr, size_t size)
{
	(void)size;
	nst_cache_free_nolock(cache, ptr);
}

static void *cache_alloc_fasttry(void *cache, size_t size)
{
	(void)size;
	return nst_cache_alloc(cache, NST_FASTTRY);
}

static void *size_alloc(void *cache, size_t size)
{
	(void)cache;
	return nst_alloc(size, NST_NORMAL);
}

static void size_free(void *cache, void *ptr, size_t size)
{
	(void)cache;
	(void)size;
	nst_free(ptr);
}

static void size_free_sized(void *cache, void *ptr, size_t size)
{
	(void)cache;
	nst_free_sized(ptr, size);
}

static void *size_alloc_nolock(void *cache, size_t size)
{
	(void)cache;
	return nst_alloc_nolock(size);
}

static void *size_alloc_fasttry(void *cache, size_t size)
{
	(void)cache;
	return nst_alloc_fasttry(size);
}

static void size_free_nolock(void *cache, void *ptr, size_t size)
{
	(void)cache;
	(void)size;
	nst_free_nolock(ptr);
}

static size_t cache_out(void *cache, size_t size, size_t n, void **out)
{
	(void)size;
	return nst_cache_alloc_bulk(cache, NST_NORMAL, n, out);
}

static size_t cache_out_nolock(void *cache, size_t size, size_t n, void **out)
{
	(void)size;
	return nst_cache_alloc_bulk(cache, NST_NOLOCK, n, out);
}

static void cache_back(void *cache, size_t n, void **ptrs)
{
	nst_cache_free_bulk(cache, n, ptrs);
}

static size_t size_out(void *cache, size_t size, size_t n, void **out)
{
	(void)cache;
	return nst_alloc_bulk(size, NST_NORMAL, n, out);
}

static void size_back(void *cache, size_t n, void **ptrs)
{
	(void)cache;
	nst_free_bulk(n, ptrs);
}

/* Filled outside of what is timed. */
static void prefilled_hits(struct pairs_answer *a, const struct pairs_job *job)
{
	struct nst_cache *cache = nst_cache_of_size(job->size);
	double cost = bench_cpu_ns_cost();
	struct nst_prefilled *sheaf;
	void *held[PAIRS_HITS];
	uint64_t done, start, ns = 0;
	size_t i;

	if (nst_sheaf_prefill(cache, PAIRS_HITS, NST_NORMAL, &sheaf))
		return;
	for (done = 0; done < job->pairs; done += PAIRS_HITS) {
		start = bench_cpu_ns();
		for (i = 0; i < PAIRS_HITS; i++)
			held[i] = nst_sheaf_alloc(sheaf);
		ns += bench_cpu_ns() - start;
		for (i = 0; i < PAIRS_HITS; i++) {
			a->wrong += !held[i];
			nst_free(held[i]);
		}
		a->wrong += nst_sheaf_refill(sheaf, PAIRS_HITS, NST_NORMAL) != 0;
	}
	nst_sheaf_return(sheaf);
	a->ns = ((double)ns - cost * (double)(done / PAIRS_HITS)) / (double)job->pairs;
}

static int drained, stocked_sizes;

/* Enough for the largest job of the size. */
static int stock(struct nst_cache *cache, size_t size)
{
	return nst_stock(cache, size <= 64 ? 2 * PAIRS_COLD : PAIRS_RANDOM + 256, NST_CPU_ALL);
}

/* A typed cache a size; @stocked: with stock. */
static struct nst_cache *cache_of(size_t size, int stocked)
{
	static struct {
		size_t size;
		int stocked;
		struct nst_cache *cache;
	} known[64];
	size_t i;

	for (i = 0; i < BENCH_COUNT(known) - 1 && known[i].cache; i++)
		if (known[i].size == size && known[i].stocked == stocked)
			return known[i].cache;
	known[i].size = size;
	known[i].stocked = stocked;
	known[i].cache = nst_cache_create(stocked ? "bench-stocked" : "bench", size, 0, 0, NULL);
	if (!known[i].cache || (stocked && !drained && stock(known[i].cache, size)))
		fprintf(stderr, "pairs_nst: no cache of %zu bytes\n", size);
	return known[i].cache;
}

static void stock_size(size_t size)
{
	static uint8_t done[8193];

	if (stocked_sizes && !done[size] && stock(nst_cache_of_size(size), size))
		fprintf(stderr, "pairs_nst: no stock of %zu bytes\n", size);
	done[size] = 1;
}

static void bulk(struct pairs_answer *a, const struct pairs_job *job)
{
	void *cache = cache_of(job->size, 0);

	if (job->variant == V_CACHE)
		pairs_run_bulk(a, job, cache_out, cache_back, cache);
	else if (job->variant == V_CACHE_NOLOCK)
		pairs_run_bulk(a, job, cache_out_nolock, cache_back, cache);
	else if (job->variant == V_SIZE)
		pairs_run_bulk(a, job, size_out, size_back, NULL);
}

static void by_cache(struct pairs_answer *a, const struct pairs_job *job)
{
	static void *cold[5][PAIRS_COLD];
	void *cache =
		cache_of(job->size, job->variant != V_CACHE && job->variant != V_CACHE_NOLOCK);

	switch (job->variant) {
	case V_CACHE:
		pairs_run(a, job, cache_alloc, cache_free, cache, cold[0]);
		break;
	case V_CACHE_NOLOCK:
		pairs_run(a, job, cache_alloc_nolock, cache_free_nolock, cache, cold[1]);
		break;
	case V_CACHE_FASTTRY:
		pairs_run(a, job, cache_alloc_fasttry, cache_free_nolock, cache, cold[2]);
		break;
	case V_CACHE_STOCKED:
		pairs_run(a, job, cache_alloc_nolock, cache_free_nolock, cache, cold[3]);
		break;
	case V_CACHE_STOCKED_NORMAL:
		pairs_run(a, job, cache_alloc, cache_free, cache, cold[4]);
		break;
	}
}

static void by_size(struct pairs_answer *a, const struct pairs_job *job)
{
	static void *cold[4][PAIRS_COLD];

	stock_size(job->size);
	switch (job->variant) {
	case V_SIZE:
		pairs_run(a, job, size_alloc, size_free, NULL, cold[0]);
		break;
	case V_SIZE_SIZED:
		pairs_run(a, job, size_alloc, size_free_sized, NULL, cold[1]);
		break;
	case V_SIZE_NOLOCK:
		pairs_run(a, job, size_alloc_nolock, size_free_nolock, NULL, cold[2]);
		break;
	case V_SIZE_FASTTRY:
		pairs_run(a, job, size_alloc_fasttry, size_free_nolock, NULL, cold[3]);
		break;
	}
}

/* Takes all that no-lock requests can get, until a whole pass over the sizes gets nothing. */
static void drain(void)
{
	size_t size, got;

	do {
		for (got = 0, size = NST_NOLOCK_MAX; size; size = size > 16 ? size / 2 : 0)
			while (nst_alloc_nolock(size))
				got++;
	} while (got);
}

int main(int argc, char **argv)
{
	struct pairs_job job;

	if (argc < 3)
		return 2;
	bench_pin(bench_cpu(1));
	stocked_sizes = strcmp(argv[2], "stocked") == 0;
	drained = strcmp(argv[2], "drained") == 0;
	if (drained) {
		cache_of(64, 1);
		drain();
	}
	if (!strcmp(argv[2], "beside") || !strcmp(argv[2], "charged")) {
		struct nst_account *account =
			nst_account_create("bench", NULL, NST_NO_LIMIT, NST_NO_LIMIT);

		if (account && !strcmp(argv[2], "charged"))
			nst_account_enter(account);
	}
	for (;;) {
		struct pairs_answer a = {.ns = -1};

		bench_next(&job, sizeof(job));
		if (job.pattern == BULK)
			bulk(&a, &job);
		else if (job.variant == V_SIZE || job.variant == V_SIZE_SIZED ||
			 job.variant == V_SIZE_NOLOCK || job.variant == V_SIZE_FASTTRY)
			by_size(&a, &job);
		else if (job.variant == V_PREFILLED && job.pattern == HIT)
			prefilled_hits(&a, &job);
		else if (job.variant != V_PREFILLED)
			by_cache(&a, &job);
		bench_answer(&a, sizeof(a));
	}
}
