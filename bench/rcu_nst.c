/* SPDX-License-Identifier: MIT */
/*
 * rcu_nst.c - deferred free as this library has it, by each of its ways (rcu.h).
 *
 * The way by dead bits is forced: with worker:off rings get no pages, and all pages that a retirement could
 * bring are taken first.
 */
#define _GNU_SOURCE
#include "rcu.h"
#include "rcu_nst.h"

#include <math.h>

#include <nostall/nostall.h>
#include <nostall/rcu.h>

struct with_head {
	uint64_t first;
	struct nst_rcu_head head;
};

static void *alloc(size_t bytes)
{
	return nst_alloc(bytes, NST_NORMAL);
}

static void retire(void *p)
{
	nst_free_rcu(p);
}

static void free_head(struct nst_rcu_head *head)
{
	nst_free((char *)head - offsetof(struct with_head, head));
}

static void retire_head(void *p)
{
	nst_free_rcu_head(&((struct with_head *)p)->head, free_head, 0);
}

static void *foreign_alloc(size_t bytes)
{
	return malloc(bytes);
}

static void retire_foreign(void *p)
{
	while (nst_free_rcu_foreign(p, free))
		sched_yield();
}

static void retire_and_wait(void *p)
{
	nst_synchronize_rcu();
	nst_free(p);
}

static void settle(void)
{
	nst_rcu_barrier();
}

static uint64_t waiting(void)
{
	static struct nst_stats s;

	nst_stats_read(&s, sizeof(s));
	return s.retired.waiting_bytes;
}

/* A run counts as waiting from its retirement until it is free. */
static void reuse(void)
{
	const struct timespec nap = {0, 20000};

	nst_free_rcu(nst_alloc(60000, NST_NORMAL));
	while (waiting() >= 60000)
		nanosleep(&nap, NULL);
}

static uint64_t begin(void)
{
	return nst_rcu_read_begin();
}

static void end(uint64_t section)
{
	nst_rcu_read_end(section);
}

static void period(void)
{
	nst_synchronize_rcu();
}

static void nothing(void)
{
}

#define READERS                                                                                    \
	.begin = begin, .end = end, .period = period, .thread = nothing, .thread_end = nothing,    \
	.idle = nothing
static const struct rcu_way ways[NR_RCU_NST] = {
	[RCU_NST_PAGES] = {alloc, retire, settle, reuse, READERS},
	[RCU_NST_HEAD] = {alloc, retire_head, settle, NULL, READERS},
	[RCU_NST_FOREIGN] = {foreign_alloc, retire_foreign, settle, NULL, READERS},
	[RCU_NST_WAIT] = {alloc, retire_and_wait, nothing, NULL, READERS},
	[RCU_NST_BITS] = {alloc, retire, settle, NULL, READERS},
};

/* No page for this CPU: what is retired has its bit and nothing else. */
static void take_pages(void)
{
	while (nst_pages_alloc(0, NST_FASTTRY))
		;
}

static void by_bits(const struct rcu_job *job, struct rcu_answer *a)
{
	if (job->op != RCU_CALL)
		return;
	rcu_fill(&ways[RCU_NST_BITS], job);
	take_pages();
	for (uint64_t i = 0; i < job->n; i++) /* what pages there still are */
		retire(rcu_object[i]);
	uint64_t section = begin(); /* who allocates outside gets pages ready */
	rcu_fill(&ways[RCU_NST_BITS], job);
	end(section);
	take_pages();
	uint64_t before = bench_cpu_ns();
	for (uint64_t i = 0; i < job->n; i++)
		retire(rcu_object[i]);
	a->ns = (double)(bench_cpu_ns() - before) / (double)job->n;
	a->more = NAN;
	settle();
}

static void serve(struct rcu_job *job, struct rcu_answer *a)
{
	/* The readers are the same ones. */
	if (job->variant != RCU_NST_PAGES && (job->op == RCU_READ || job->op == RCU_PERIOD))
		return;
	switch (job->variant) {
	case RCU_NST_PAGES:
		rcu_do(&ways[RCU_NST_PAGES], job, a);
		break;
	case RCU_NST_HEAD:
		rcu_do(&ways[RCU_NST_HEAD], job, a);
		break;
	case RCU_NST_FOREIGN:
		rcu_do(&ways[RCU_NST_FOREIGN], job, a);
		break;
	case RCU_NST_WAIT:
		rcu_do(&ways[RCU_NST_WAIT], job, a);
		break;
	case RCU_NST_BITS:
		by_bits(job, a);
		break;
	}
}

int main(void)
{
	rcu_serve(serve);
}
