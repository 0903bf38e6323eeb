/* SPDX-License-Identifier: MIT */
/* rcu_nst.h - the ways of rcu_nst.c, by number. */
#ifndef NST_BENCH_RCU_NST_H
#define NST_BENCH_RCU_NST_H

enum rcu_nst_way {
	RCU_NST_PAGES,	 /* nst_free_rcu(), pages of pointers */
	RCU_NST_HEAD,	 /* nst_free_rcu_head() */
	RCU_NST_FOREIGN, /* malloc, nst_free_rcu_foreign(p, free) */
	RCU_NST_WAIT,	 /* nst_synchronize_rcu(), nst_free() */
	RCU_NST_BITS,	 /* nst_free_rcu() without a page to be had */
	NR_RCU_NST
};

#endif
