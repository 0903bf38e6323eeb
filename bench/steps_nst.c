/* SPDX-License-Identifier: MIT */
/*
 * steps_nst.c - the calls to count of libnostall. Takes its rseq area back from the kernel, so that a
 * step does not restart a sequence (steps.c).
 */
#define _GNU_SOURCE
#include "bench.h"
#include "steps.h"

#include <nostall/nostall.h>
#include <nostall/rcu.h>

#include <stdio.h>
#include <string.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BATCH 128
#define BULK 16

static void *held[BATCH];

static int take_rseq_back(int cpu)
{
	struct rseq *area =
		(struct rseq *)(void *)((char *)__builtin_thread_pointer() + __rseq_offset);

	if (__rseq_size == 0)
		return 0; /* the none form runs, which can be stepped */
	if (syscall(SYS_rseq, area, 32, RSEQ_FLAG_UNREGISTER, RSEQ_SIG))
		return -1;
	area->cpu_id_start = (uint32_t)cpu;
	area->cpu_id = (uint32_t)cpu;
	return 0;
}

#define COUNT(name, call)                                                                          \
	do {                                                                                       \
		STEPS_BEGIN(name, 1);                                                              \
		call;                                                                              \
		STEPS_END();                                                                       \
	} while (0)

static void count_typed(struct nst_cache *cache)
{
	void *p;

	COUNT("cache_alloc NORMAL", p = nst_cache_alloc(cache, NST_NORMAL));
	COUNT("cache_free", nst_cache_free(cache, p));
	COUNT("cache_alloc_nolock", p = nst_cache_alloc_nolock(cache));
	COUNT("cache_free_nolock", nst_cache_free_nolock(cache, p));
	COUNT("cache_alloc FASTTRY", p = nst_cache_alloc(cache, NST_FASTTRY));
	nst_cache_free(cache, p);
}

static void count_sized(volatile size_t *size)
{
	size_t bytes = *size;
	void *p;

	COUNT("alloc NORMAL", p = nst_alloc(bytes, NST_NORMAL));
	COUNT("free", nst_free(p));
	p = nst_alloc(bytes, NST_NORMAL);
	COUNT("free_sized", nst_free_sized(p, bytes));
	COUNT("alloc_nolock", p = nst_alloc_nolock(bytes));
	COUNT("free_nolock", nst_free_nolock(p));
	COUNT("alloc_fasttry", p = nst_alloc_fasttry(bytes));
	nst_free(p);
}

static void count_bulk(struct nst_cache *cache)
{
	COUNT("cache_alloc_bulk of 16", nst_cache_alloc_bulk(cache, NST_NORMAL, BULK, held));
	COUNT("cache_free_bulk of 16", nst_cache_free_bulk(cache, BULK, held));
}

static void count_pages(void)
{
	void *p;

	COUNT("pages_alloc_nolock order 0", p = nst_pages_alloc_nolock(0));
	COUNT("pages_free_nolock order 0", nst_pages_free_nolock(p));
}

static void count_rcu(volatile size_t *size)
{
	nst_rcu_token_t section;
	void *p;

	nst_rcu_read_end(nst_rcu_read_begin()); /* a thread's first makes itself known */
	p = nst_alloc(*size, NST_NORMAL);
	COUNT("free_rcu", nst_free_rcu(p));
	COUNT("rcu_read_begin", section = nst_rcu_read_begin());
	COUNT("rcu_read_end", nst_rcu_read_end(section));
}

/* Where there is an account: of a thread that is in it, and of one that is in none. */
static void count_account(struct nst_cache *cache, volatile size_t *size)
{
	struct nst_account *a = nst_account_create("bench", NULL, NST_NO_LIMIT, NST_NO_LIMIT);
	nst_account_token_t t = nst_account_enter(a);
	size_t bytes = *size;
	void *p;
	int i;

	for (i = 0; i < BATCH; i++)
		held[i] = nst_alloc(bytes, NST_NORMAL);
	nst_free_bulk(BATCH / 2, held);
	for (i = 0; i < BATCH / 2; i++)
		held[i] = nst_cache_alloc(cache, NST_NORMAL);
	nst_free_bulk(BATCH / 4, held);
	COUNT("alloc NORMAL, charged", p = nst_alloc(bytes, NST_NORMAL));
	COUNT("free, charged", nst_free(p));
	COUNT("cache_alloc NORMAL, charged", p = nst_cache_alloc(cache, NST_NORMAL));
	COUNT("cache_free, charged", nst_cache_free(cache, p));
	COUNT("account_exit", nst_account_exit(t));
	for (i = 0; i < BATCH; i++)
		held[i] = nst_cache_alloc(cache, NST_NORMAL);
	nst_free_bulk(BATCH / 2, held);
	COUNT("alloc NORMAL, beside", p = nst_alloc(bytes, NST_NORMAL));
	COUNT("free, beside", nst_free(p));
	COUNT("cache_alloc NORMAL, beside", p = nst_cache_alloc(cache, NST_NORMAL));
	COUNT("cache_free, beside", nst_cache_free(cache, p));
	COUNT("account_enter", t = nst_account_enter(a));
	nst_account_exit(t);
}

static void count_reserves(struct nst_cache *cache)
{
	struct nst_pool *pool = nst_pool_create(cache, 4, 1, 4);
	struct nst_prefilled *sheaf;
	void *p;

	if (!pool || nst_sheaf_prefill(cache, 4, NST_NORMAL, &sheaf))
		return;
	COUNT("sheaf_alloc", p = nst_sheaf_alloc(sheaf));
	nst_cache_free(cache, p);
	p = nst_pool_alloc(pool, NST_NORMAL);
	nst_pool_free(pool, p);
	COUNT("pool_alloc NORMAL", p = nst_pool_alloc(pool, NST_NORMAL));
	COUNT("pool_free", nst_pool_free(pool, p));
	nst_sheaf_return(sheaf);
	nst_pool_destroy(pool);
}

static void count_null(struct nst_cache *cache)
{
	void *p;

	while (nst_cache_alloc(cache, NST_FASTTRY))
		;
	COUNT("cache_alloc FASTTRY, NULL", p = nst_cache_alloc(cache, NST_FASTTRY));
	while (nst_cache_alloc_nolock(cache))
		;
	COUNT("cache_alloc_nolock, NULL", p = nst_cache_alloc_nolock(cache));
	(void)p;
}

static void warm(struct nst_cache *cache, size_t size)
{
	int round, i;

	for (round = 0; round < 100; round++) {
		for (i = 0; i < BATCH; i++)
			held[i] = nst_cache_alloc(cache, NST_NORMAL);
		for (i = 0; i < BATCH; i++)
			nst_cache_free(cache, held[i]);
		for (i = 0; i < BATCH; i++)
			held[i] = nst_alloc(size, NST_NORMAL);
		for (i = 0; i < BATCH; i++)
			nst_free(held[i]);
		for (i = 0; i < 32; i++)
			held[i] = nst_pages_alloc(0, NST_NORMAL);
		for (i = 0; i < 32; i++)
			nst_pages_free(held[i]);
	}
	/* Leave this CPU's list half full, so that each call counted is a hit. */
	for (i = 0; i < BATCH / 4; i++)
		held[i] = nst_cache_alloc(cache, NST_NORMAL);
	for (i = 0; i < BATCH / 4; i++)
		held[i] = nst_alloc(size, NST_NORMAL);
	for (i = 0; i < BATCH / 8; i++) {
		nst_free_rcu(nst_alloc(size, NST_NORMAL));
		nst_maintain();
	}
}

static void lifo_typed(struct nst_cache *cache)
{
	size_t i;

	for (i = 0; i < BATCH; i++)
		held[i] = nst_cache_alloc(cache, NST_NORMAL);
	for (i = 0; i < BATCH; i++)
		nst_cache_free(cache, held[i]);
}

static void lifo_sized(size_t size)
{
	size_t i;

	for (i = 0; i < BATCH; i++)
		held[i] = nst_alloc(size, NST_NORMAL);
	for (i = 0; i < BATCH; i++)
		nst_free(held[i]);
}

static void count_lifo(struct nst_cache *cache, size_t size)
{
	int i;

	for (i = 0; i < 100; i++)
		lifo_typed(cache);
	STEPS_BEGIN("cache pair, lifo 128", BATCH);
	lifo_typed(cache);
	STEPS_END();
	for (i = 0; i < 100; i++)
		lifo_sized(size);
	STEPS_BEGIN("pair by size, lifo 128", BATCH);
	lifo_sized(size);
	STEPS_END();
}

int main(void)
{
	volatile size_t size = 64;
	int cpu = bench_cpu(0);
	struct nst_cache *cache;

	bench_pin(cpu);
	cache = nst_cache_create("bench", size, 0, 0, NULL);
	if (!cache)
		return 1;
	warm(cache, size);
	if (take_rseq_back(cpu)) {
		perror("steps_nst: rseq");
		return 1;
	}
	count_typed(cache);
	count_sized(&size);
	count_bulk(cache);
	count_pages();
	count_rcu(&size);
	count_reserves(cache);
	count_lifo(cache, size);
	count_null(cache);
	count_account(cache, &size);
	return 0;
}
