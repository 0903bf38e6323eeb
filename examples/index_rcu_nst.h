/* SPDX-License-Identifier: MIT */
/* index_rcu_nst.h - for index_rcu.h: this library's sections; what is replaced is retired by its bare pointer. */
#ifndef INDEX_RCU_NST_H
#define INDEX_RCU_NST_H

#include "index_rcu_memory.h"

#define RCU_NAME "nst_free_rcu, own sections"

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

/* @bytes: for who has to count for himself. */
static inline void memory_retire(void *p, size_t bytes)
{
	(void)bytes;
	nst_free_rcu(p);
}

#endif
