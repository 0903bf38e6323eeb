/* SPDX-License-Identifier: MIT */
/* index_rcu_memb.h - sections of liburcu, flavour memb, for index_rcu.h: a thread that reads is registered. */
#ifndef INDEX_RCU_MEMB_H
#define INDEX_RCU_MEMB_H

#include <urcu/urcu-memb.h>

typedef int section_t;

static inline void section_thread(void)
{
	urcu_memb_register_thread();
}

static inline void section_thread_end(void)
{
	urcu_memb_unregister_thread();
}

static inline section_t section_begin(void)
{
	urcu_memb_read_lock();
	return 0;
}

static inline void section_end(section_t section)
{
	(void)section;
	urcu_memb_read_unlock();
}

#endif
