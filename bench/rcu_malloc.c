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

static void serve(struct rcu_job *job, struct rcu_answer *a)
{
	rcu_do(&way, job, a);
}

int main(void)
{
	rcu_serve(serve);
}
