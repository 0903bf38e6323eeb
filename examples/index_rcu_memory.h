/* SPDX-License-Identifier: MIT */
/* index_rcu_memory.h - memory of this library, for index_rcu.h, however it is retired: it brings nothing along. */
#ifndef INDEX_RCU_MEMORY_H
#define INDEX_RCU_MEMORY_H

#include <nostall/nostall.h>
#include <nostall/rcu.h>

#define RCU_HEAD

static inline void *memory_alloc(size_t bytes)
{
	return nst_alloc(bytes, NST_NORMAL);
}

static inline void memory_free(void *p)
{
	nst_free(p);
}

static inline void memory_settle(void)
{
	nst_rcu_barrier();
}

static inline void memory_numbers(uint64_t *waiting_bytes, uint64_t *periods)
{
	static struct nst_stats s;

	nst_stats_read(&s, sizeof(s));
	*waiting_bytes = s.retired.waiting_bytes;
	*periods = s.rcu_periods;
}

#endif
