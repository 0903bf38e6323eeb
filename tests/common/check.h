/* SPDX-License-Identifier: MIT */
/*
 * check.h - what every test program prints and returns: one line a check, then the exit status.
 *
 *	ok <name>
 *	not ok <name>: <why>
 *
 * A program ends with `return check_status();`: 0 when everything held. A test that cannot run here
 * says why and exits 77. A wait that can fail ends by check_deadline(), never by the harness.
 */
#ifndef TEST_CHECK_H
#define TEST_CHECK_H

#include <stdarg.h>
#include <stdint.h>

#define CHECK_SKIP 77

/* One check. @why is printed when it does not hold. Thread. */
void check(int holds, const char *name, const char *why, ...) __attribute__((format(printf, 3, 4)));
/* As check(), prints nothing when it holds: for loops. */
void check_quiet(int holds, const char *name, const char *why, ...)
	__attribute__((format(printf, 3, 4)));
/* Enough has happened to judge by. Else the test has shown nothing: it fails, but has found no fault (must-fail). */
void check_seen(int enough, const char *name, const char *why, ...)
	__attribute__((format(printf, 3, 4)));
/* 0 if every check held, else 1; 99 if all that did not was check_seen(). */
int check_status(void);
/* This test cannot run here. */
void check_skip(const char *why, ...) __attribute__((format(printf, 1, 2), noreturn));
/* A step that the test itself needs went wrong: not a verdict on the library. */
void check_broken(const char *what) __attribute__((noreturn));
/* Fail as @name unless called again within @seconds; 0 ends it. The handler is SIGALRM's. */
void check_deadline(unsigned int seconds, const char *name);
/*
 * For what comes by itself, or by a pass: while (!state && check_patience(&since)), @since 0 at first. A millisecond
 * later 1; 0 when 20 seconds have gone since the first call. Never so many tries instead: on a loaded machine they are
 * over before another thread has had a CPU, and nst_maintain() does nothing while the worker has the pass.
 */
int check_patience(uint64_t *since);

/* ---- random numbers: repeatable, each thread its own ---- */

struct rng {
	uint64_t state;
};

/* argv[1], else NST_SEED, else the clock; printed. */
uint64_t seed_of(int argc, char **argv);

static inline uint64_t rng_next(struct rng *rng)
{
	rng->state += 0x9e3779b97f4a7c15u;
	uint64_t z = rng->state;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static inline uint32_t rng_below(struct rng *rng, uint32_t n)
{
	return (uint32_t)(((rng_next(rng) >> 32) * n) >> 32);
}

/* A size from @min to @max, each doubling as likely as the next. */
static inline uint32_t rng_size(struct rng *rng, uint32_t min, uint32_t max)
{
	uint32_t doublings = 32 - (uint32_t)__builtin_clz(max);
	uint32_t top = 1u << rng_below(rng, doublings + 1);
	uint32_t size = top / 2 + rng_below(rng, top / 2 + 1);
	return size < min ? min : size > max ? max : size;
}

/* An environment variable as a number, or @otherwise. */
long env_long(const char *name, long otherwise);

#endif
