/* SPDX-License-Identifier: MIT */
/*
 * steps.h - how a target tells the stepper (steps.c) what to count: STEPS_BEGIN("malloc"), the call,
 * STEPS_END(). Both are traps; nothing of the target but the calls lies between them.
 *
 * @calls of STEPS_BEGIN divides the counts, for an average over several calls.
 */
#ifndef NST_BENCH_STEPS_H
#define NST_BENCH_STEPS_H

#if defined(__x86_64__)
#define STEPS_BEGIN(name, calls)                                                                   \
	__asm__ volatile("int3" : : "a"((const char *)(name)), "d"((long)(calls)) : "memory")
#define STEPS_END() __asm__ volatile("int3" : : "a"(0L), "d"(0L) : "memory")
#else
#define STEPS_BEGIN(name, calls) ((void)(name), (void)(calls))
#define STEPS_END() ((void)0)
#endif

#endif
