/* SPDX-License-Identifier: MIT */
/*
 * pairs.h - the loops of the pair benchmark, inlined into each worker so that every contestant's calls
 * are direct ones through its PLT, in the same code around them.
 *
 *	tight	allocate, free at once
 *	lifo	128 allocated, then 128 freed in the same order
 *	random	1024 alive; free one at random, allocate its successor
 *	cold	2000 objects that nobody touched lately: evict, free them; evict, allocate 2000
 *	bulk	16 at a time, out and back; objects are not touched, only pointers move
 *	hit	1024 allocations in a row (then freed, untimed)
 *	null	1024 requests that all get NULL
 *
 * tight, lifo and random write the first word of each object. Each timed slice follows an untimed run
 * of the same loop.
 */
#ifndef NST_BENCH_PAIRS_H
#define NST_BENCH_PAIRS_H

#include "bench.h"

enum pairs_pattern { TIGHT, LIFO, RANDOM, COLD, BULK, HIT, NULLS, NR_PATTERNS };

/* How a worker allocates. The first group belongs to the malloc worker, the second to libnostall's. */
enum pairs_variant {
	V_MALLOC, /* malloc, free */
	V_SIZED,  /* malloc, and the peer's own sized free */
	V_COPY_LOOP,
	V_COPY_MEMCPY,

	V_CACHE, /* nst_cache_alloc(NST_NORMAL), nst_cache_free */
	V_CACHE_NOLOCK,
	V_CACHE_FASTTRY, /* nst_cache_alloc(NST_FASTTRY), nst_cache_free_nolock; stocked */
	V_SIZE,		 /* nst_alloc(NST_NORMAL), nst_free */
	V_SIZE_SIZED,	 /* nst_alloc(NST_NORMAL), nst_free_sized */
	V_SIZE_NOLOCK,
	V_SIZE_FASTTRY,
	V_CACHE_STOCKED, /* as V_CACHE_NOLOCK, from a cache with stock for all that is asked */
	V_CACHE_STOCKED_NORMAL,
	V_PREFILLED, /* nst_sheaf_alloc(); hits only */
	NR_VARIANTS
};

struct pairs_job {
	uint32_t variant, pattern;
	uint64_t size, pairs;
};

struct pairs_answer {
	double ns;	 /* a pair; cold: a free; negative: this worker has no such job */
	double alloc_ns; /* cold: an allocation */
	uint64_t wrong;	 /* NULLs where an object was due, objects where NULL was */
};

typedef void *(*pairs_alloc_fn)(void *ctx, size_t size);
typedef void (*pairs_free_fn)(void *ctx, void *ptr, size_t size);

#define PAIRS_LIFO 128
#define PAIRS_RANDOM 1024
#define PAIRS_HITS 1024
#define PAIRS_COLD 2000
#define PAIRS_COLD_APART 7
#define PAIRS_BULK 16
#define PAIRS_EVICT_BYTES ((size_t)64 << 20)

/* The compiler must believe that somebody else reads and writes what @p points to. */
#define PAIRS_KEEP(p) __asm__ volatile("" : "+r"(p) : : "memory")

bench_always_inline uint64_t pairs_tight(pairs_alloc_fn alloc, pairs_free_fn give, void *ctx,
					 size_t size, uint64_t n)
{
	uint64_t i, wrong = 0;

	for (i = 0; i < n; i++) {
		void *p = alloc(ctx, size);

		if (__builtin_expect(!p, 0)) {
			wrong++;
			continue;
		}
		*(volatile uint64_t *)p = i;
		PAIRS_KEEP(p);
		give(ctx, p, size);
	}
	return wrong;
}

bench_always_inline uint64_t pairs_lifo(pairs_alloc_fn alloc, pairs_free_fn give, void *ctx,
					size_t size, uint64_t n)
{
	void *held[PAIRS_LIFO];
	uint64_t i, j, wrong = 0;

	for (i = 0; i < n; i += PAIRS_LIFO) {
		for (j = 0; j < PAIRS_LIFO; j++) {
			void *p = alloc(ctx, size);

			if (__builtin_expect(!!p, 1))
				*(volatile uint64_t *)p = j;
			else
				wrong++;
			held[j] = p;
		}
		for (j = 0; j < PAIRS_LIFO; j++)
			give(ctx, held[j], size);
	}
	return wrong;
}

/* The set outlives the call, so that the untimed run fills it and the timed one only replaces. */
bench_always_inline uint64_t pairs_random(pairs_alloc_fn alloc, pairs_free_fn give, void *ctx,
					  size_t size, uint64_t n, void **held)
{
	uint32_t seed = 12345;
	uint64_t i, wrong = 0;

	for (i = 0; i < n; i++) {
		void **slot, *p;

		seed = seed * 1664525u + 1013904223u;
		slot = &held[seed >> 22];
		give(ctx, *slot, size);
		p = alloc(ctx, size);
		if (__builtin_expect(!!p, 1))
			*(volatile uint64_t *)p = i;
		else
			wrong++;
		*slot = p;
	}
	return wrong;
}

bench_always_inline void pairs_run_random(struct pairs_answer *a, const struct pairs_job *job,
					  pairs_alloc_fn alloc, pairs_free_fn give, void *ctx)
{
	void *held[PAIRS_RANDOM];
	uint64_t start;
	size_t i;

	for (i = 0; i < PAIRS_RANDOM; i++) {
		held[i] = alloc(ctx, job->size);
		if (held[i])
			*(volatile uint64_t *)held[i] = i;
	}
	pairs_random(alloc, give, ctx, job->size, job->pairs / 8, held);
	start = bench_cpu_ns();
	a->wrong = pairs_random(alloc, give, ctx, job->size, job->pairs, held);
	a->ns = (double)(bench_cpu_ns() - start);
	for (i = 0; i < PAIRS_RANDOM; i++)
		give(ctx, held[i], job->size);
}

bench_always_inline void pairs_run_hit(struct pairs_answer *a, const struct pairs_job *job,
				       pairs_alloc_fn alloc, pairs_free_fn give, void *ctx)
{
	void *held[PAIRS_HITS];
	uint64_t done, start, ns = 0;
	double cost = bench_cpu_ns_cost();
	size_t i;

	for (done = 0; done < job->pairs; done += PAIRS_HITS) {
		start = bench_cpu_ns();
		for (i = 0; i < PAIRS_HITS; i++)
			held[i] = alloc(ctx, job->size);
		ns += bench_cpu_ns() - start;
		for (i = 0; i < PAIRS_HITS; i++) {
			a->wrong += !held[i];
			give(ctx, held[i], job->size);
		}
	}
	a->ns = (double)ns - cost * (double)(done / PAIRS_HITS);
}

bench_always_inline void pairs_run_nulls(struct pairs_answer *a, const struct pairs_job *job,
					 pairs_alloc_fn alloc, pairs_free_fn give, void *ctx)
{
	uint64_t start, i;

	start = bench_cpu_ns();
	for (i = 0; i < job->pairs; i++) {
		void *p = alloc(ctx, job->size);

		if (__builtin_expect(!!p, 0)) {
			a->wrong++;
			give(ctx, p, job->size);
		}
	}
	a->ns = (double)(bench_cpu_ns() - start);
}

/* pairs.c and pairs_cold.c */
void pairs_evict(void);
void pairs_cold_order(void **objects);

/* PAIRS_COLD objects that lie apart, the rest between them stays allocated. Made once a worker and variant. */
bench_always_inline int pairs_cold_make(pairs_alloc_fn alloc, void *ctx, size_t size, void **cold)
{
	size_t i;

	for (i = 0; i < (size_t)PAIRS_COLD * PAIRS_COLD_APART; i++) {
		void *p = alloc(ctx, size);

		if (!p)
			return -1;
		*(volatile uint64_t *)p = i;
		if (i % PAIRS_COLD_APART == 0)
			cold[i / PAIRS_COLD_APART] = p;
	}
	pairs_cold_order(cold);
	return 0;
}

bench_always_inline void pairs_run_cold(struct pairs_answer *a, const struct pairs_job *job,
					pairs_alloc_fn alloc, pairs_free_fn give, void *ctx,
					void **cold)
{
	double cost = bench_cpu_ns_cost();
	uint64_t start;
	size_t i;

	pairs_evict();
	for (i = 0; i < PAIRS_COLD; i++)
		PAIRS_KEEP(cold[i]);
	start = bench_cpu_ns();
	for (i = 0; i < PAIRS_COLD; i++)
		give(ctx, cold[i], job->size);
	a->ns = ((double)(bench_cpu_ns() - start) - cost) / PAIRS_COLD;
	pairs_evict();
	for (i = 0; i < PAIRS_COLD; i++)
		PAIRS_KEEP(cold[i]);
	start = bench_cpu_ns();
	for (i = 0; i < PAIRS_COLD; i++)
		cold[i] = alloc(ctx, job->size);
	a->alloc_ns = ((double)(bench_cpu_ns() - start) - cost) / PAIRS_COLD;
	for (i = 0; i < PAIRS_COLD; i++)
		a->wrong += !cold[i];
}

/* One job by one way to allocate; @cold is that way's own set. */
bench_always_inline void pairs_run(struct pairs_answer *a, const struct pairs_job *job,
				   pairs_alloc_fn alloc, pairs_free_fn give, void *ctx, void **cold)
{
	uint64_t start;

	switch (job->pattern) {
	case TIGHT:
		pairs_tight(alloc, give, ctx, job->size, job->pairs / 8);
		start = bench_cpu_ns();
		a->wrong = pairs_tight(alloc, give, ctx, job->size, job->pairs);
		a->ns = (double)(bench_cpu_ns() - start);
		break;
	case LIFO:
		pairs_lifo(alloc, give, ctx, job->size, job->pairs / 8);
		start = bench_cpu_ns();
		a->wrong = pairs_lifo(alloc, give, ctx, job->size, job->pairs);
		a->ns = (double)(bench_cpu_ns() - start);
		break;
	case RANDOM:
		pairs_run_random(a, job, alloc, give, ctx);
		break;
	case HIT:
		pairs_run_hit(a, job, alloc, give, ctx);
		break;
	case NULLS:
		pairs_run_nulls(a, job, alloc, give, ctx);
		break;
	case COLD:
		if (!cold[0] && pairs_cold_make(alloc, ctx, job->size, cold)) {
			a->ns = -1;
			return;
		}
		pairs_run_cold(a, job, alloc, give, ctx, cold);
		return;
	default:
		a->ns = -1;
		return;
	}
	a->ns /= (double)job->pairs;
}

/* 16 pointers out and back, by whatever @out and @back are. */
typedef size_t (*pairs_bulk_out_fn)(void *ctx, size_t size, size_t n, void **out);
typedef void (*pairs_bulk_back_fn)(void *ctx, size_t n, void **ptrs);

bench_always_inline void pairs_run_bulk(struct pairs_answer *a, const struct pairs_job *job,
					pairs_bulk_out_fn out, pairs_bulk_back_fn back, void *ctx)
{
	void *held[PAIRS_BULK];
	uint64_t start, i;
	int timed;

	for (timed = 0; timed < 2; timed++) {
		start = bench_cpu_ns();
		for (i = 0; i < job->pairs; i += PAIRS_BULK) {
			size_t got = out(ctx, job->size, PAIRS_BULK, held);
			void **kept = held;

			a->wrong += PAIRS_BULK - got;
			PAIRS_KEEP(kept);
			back(ctx, got, kept);
		}
		a->ns = (double)(bench_cpu_ns() - start) / (double)job->pairs;
	}
}

#endif
