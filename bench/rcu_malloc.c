/* SPDX-License-Identifier: MIT */
/* rcu_malloc.c - the floor of rcu.h: malloc and free at once, of glibc or of what is preloaded. Nothing is deferred. */
#define _GNU_SOURCE
#include "rcu.h"

static void *alloc(size_t bytes)
{
	return malloc(bytes);
}

static void retire(void *p)
{
	free(p);
}

static void settle(void)
{
}

static const struct rcu_way way = {.alloc = alloc, .retire = retire, .settle = settle};

int main(void)
{
	static struct rcu_answer a;
	struct rcu_job job;

	for (;;) {
		bench_next(&job, sizeof(job));
		memset(&a, 0, sizeof(a));
		a.ns = -1;
		rcu_do(&way, &job, &a);
		bench_answer(&a, sizeof(a));
	}
}
