/* SPDX-License-Identifier: MIT */
/*
 * tail_nst.h - how the measured thread allocates in tail_nst.
 */
#ifndef NST_BENCH_TAIL_NST_H
#define NST_BENCH_TAIL_NST_H

enum tail_variant {
	TAIL_NOLOCK,  /* own lists, then one try of each lock */
	TAIL_FASTTRY, /* own lists only */
	TAIL_NOWAIT,  /* short locks taken, nothing slept for */
	TAIL_NORMAL,  /* the lock always taken */
	TAIL_DECLINE, /* own lists only; on NULL a refill thread is woken by a system call */
};

#endif
