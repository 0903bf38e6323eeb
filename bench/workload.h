/* SPDX-License-Identifier: MIT */
/*
 * workload.h - what the workloads share: numbers, objects that are touched, threads, resident memory.
 *
 * A workload does a fixed amount of work, so that its CPU time is the figure. It prints what the system
 * cannot tell of it from outside: base_kib, resident before its work, and settled_kib, behind it.
 */
#ifndef NST_BENCH_WORKLOAD_H
#define NST_BENCH_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

#define WL_THREADS 4

/* @percent of the full amount, at least 1. */
unsigned long wl_amount(unsigned long full, unsigned int percent);

uint32_t wl_random(uint32_t *seed);
/* Uniform in [@low, @high]. */
size_t wl_between(uint32_t *seed, size_t low, size_t high);

/* An object with its first and last byte and one in each page written; the program ends if there is none. */
void *wl_take(size_t size);
void wl_touch(void *ptr, size_t from, size_t to);

/* Runs @body(arg + i * bytes) in @n threads (WL_THREADS at most) at once, returns when all have ended. */
void wl_parallel(unsigned int n, void *(*body)(void *), void *arg, size_t bytes);

long wl_resident_kib(void);
void wl_say(const char *key, long value);

void wl_larson(unsigned int percent);
void wl_handoff(unsigned int percent);
void wl_handoff_1g(unsigned int percent);
void wl_cache_scratch(unsigned int percent);
void wl_cache_thrash(unsigned int percent);

void wl_small(unsigned int percent);
void wl_small_threads(unsigned int percent);
void wl_wide(unsigned int percent);
void wl_many_sizes(unsigned int percent);
void wl_realloc(unsigned int percent);
void wl_large(unsigned int percent);
void wl_sh6(unsigned int percent);
void wl_sh8(unsigned int percent);

void wl_floor(unsigned int percent);
void wl_peak_rest(unsigned int percent);
void wl_leak_rest(unsigned int percent);
void wl_idle_threads(unsigned int percent);

#endif
