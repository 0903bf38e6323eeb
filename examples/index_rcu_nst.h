/* SPDX-License-Identifier: MIT */
/* index_rcu_nst.h - for index_rcu.h: this library's sections; what is replaced is retired by its bare pointer. */
#ifndef INDEX_RCU_NST_H
#define INDEX_RCU_NST_H

#include <nostall/nostall.h>
#include <nostall/rcu.h>

#define RCU_NAME "nst_free_rcu, own sections"
#define RCU_HEAD /* what is retired brings nothing along */

typedef nst_rcu_token_t section_t;

static inline void section_thread(void)
{
	/* No thread is registered. */
}

static inline void section_thread_end(void)
{
}

static inline section_t section_begin(void)
{
	return nst_rcu_read_begin();
}

static inline void section_end(section_t section)
{
	nst_rcu_read_end(section);
}

static inline void *memory_alloc(size_t bytes)
{
	return nst_alloc(bytes, NST_NORMAL);
}

static inline void memory_free(void *p)
{
	nst_free(p);
}

/* @bytes: for who has to count for himself. */
static inline void memory_retire(void *p, size_t bytes)
{
	(void)bytes;
	nst_free_rcu(p);
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
