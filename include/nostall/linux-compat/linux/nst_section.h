/* SPDX-License-Identifier: MIT */
/*
 * nst_section.h - within the compat headers: the read sections of a thread, that of rcu_read_lock() and those of its spinlocks.
 *
 * A kernel's grace period waits for whoever holds a spinlock or has interrupts off, too (synchronize_rcu(), "Consolidated
 * flavors", 5.0; with PREEMPT_RT rt_spin_lock() is a reader): kernel C relies on it, without rcu_read_lock().
 */
#ifndef NST_COMPAT_SECTION_H
#define NST_COMPAT_SECTION_H

#include <linux/compiler.h>
#include <linux/types.h>
#include <nostall/rcu.h>

#define NST_COMPAT_RCU_DEEP 32u

/* The outermost first. Beyond so many deep, the ones around protect. Which of two ends first does not matter: one is left. */
struct nst_compat_rcu {
	unsigned int depth;
	nst_rcu_token_t token[NST_COMPAT_RCU_DEEP];
};
NST_COMPAT_SHARED __thread struct nst_compat_rcu nst_compat_rcu;

/* The depth first: a handler that comes in between uses the next place. */
NST_COMPAT_INLINE void nst_compat_section_begin(void)
{
	const unsigned int i = nst_compat_rcu.depth;

	__atomic_store_n(&nst_compat_rcu.depth, i + 1, __ATOMIC_RELAXED);
	barrier();
	if (likely(i < NST_COMPAT_RCU_DEEP))
		nst_compat_rcu.token[i] = nst_rcu_read_begin();
}

NST_COMPAT_INLINE void nst_compat_section_end(void)
{
	const unsigned int i = nst_compat_rcu.depth - 1;
	const nst_rcu_token_t token = i < NST_COMPAT_RCU_DEEP ? nst_compat_rcu.token[i] : 0;

	barrier();
	__atomic_store_n(&nst_compat_rcu.depth, i, __ATOMIC_RELAXED);
	barrier();
	if (likely(token))
		nst_rcu_read_end(token);
}

#endif
