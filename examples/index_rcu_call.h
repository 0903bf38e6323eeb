/* SPDX-License-Identifier: MIT */
/*
 * index_rcu_call.h - for index_rcu.h: liburcu with malloc. What is retired begins with a head, which call_rcu()
 * writes to.
 */
#ifndef INDEX_RCU_CALL_H
#define INDEX_RCU_CALL_H

#include <stdlib.h>
#include "index_rcu_memb.h"

#define RCU_NAME "call_rcu, liburcu's sections"
#define RCU_HEAD                                                                                   \
	struct rcu_head head;                                                                      \
	size_t waits_bytes;

struct retired_head {
	RCU_HEAD
};

static uint64_t retired_bytes, freed_bytes;

static inline void *memory_alloc(size_t bytes)
{
	return malloc(bytes);
}

static inline void memory_free(void *p)
{
	free(p);
}

static void retired_free(struct rcu_head *head)
{
	struct retired_head *r = (struct retired_head *)(void *)head;

	__atomic_fetch_add(&freed_bytes, r->waits_bytes, __ATOMIC_RELAXED);
	free(r);
}

static inline void memory_retire(void *p, size_t bytes)
{
	struct retired_head *r = p;

	r->waits_bytes = bytes;
	__atomic_fetch_add(&retired_bytes, bytes, __ATOMIC_RELAXED);
	urcu_memb_call_rcu(&r->head, retired_free);
}

static inline void memory_settle(void)
{
	urcu_memb_barrier();
}

/* liburcu does not say how many periods there were. */
static inline void memory_numbers(uint64_t *waiting_bytes, uint64_t *periods)
{
	uint64_t freed = __atomic_load_n(&freed_bytes, __ATOMIC_RELAXED);

	*waiting_bytes = __atomic_load_n(&retired_bytes, __ATOMIC_RELAXED) - freed;
	*periods = 0;
}

#endif
