/* SPDX-License-Identifier: MIT */
/*
 * mix.h - mixed operations on the whole API, every byte written and checked, every object owned.
 *
 *	mix_step(): pick a slot; empty: allocate, take, write    full: check, give, free
 *
 * A no-lock mix makes only requests that may not wait and only frees that may not; an ordinary mix
 * makes all the others. Several mixes, in threads and in handlers, share the same caches. A step
 * makes no system call of its own and keeps its findings in memory.
 */
#ifndef TEST_MIX_H
#define TEST_MIX_H

#include <nostall/nostall.h>
#include <nostall/rcu.h>
#include "check.h"

#define MIX_SLOTS 256u
#define MIX_CTOR_WORD 0x636f6e7374727563u

/* 0: no free is deferred. For tests that count what is served between two passes. */
extern int mix_retires;

/* The caches that all mixes of a program share. */
struct mix_caches {
	struct nst_cache *small, *middle, *ctor;
	struct nst_rcu_domain *domain; /* that nobody reads in */
};

#define MIX_SMALL_BYTES 64u
#define MIX_MIDDLE_BYTES 520u
#define MIX_CTOR_BYTES 200u

/* Who makes the request: the kinds of request it draws from. */
enum mix_who { MIX_NOLOCK, MIX_ORDINARY };

struct mix_object {
	unsigned char *ptr;
	uint32_t size;
	uint16_t kind;
};

struct mix_count {
	uint64_t tries, got;
};

#define MIX_KINDS 24u

struct mix {
	struct rng rng;
	const struct mix_caches *caches;
	enum mix_who who;
	unsigned int owner; /* 1 to 255; 0: no owner map */
	unsigned int slots; /* of object[], up to MIX_SLOTS */
	uint32_t size_max;  /* largest object by size */
	uint64_t steps;
	uint64_t damaged;   /* objects that were not as written */
	uint64_t not_zero;  /* NST_ZERO, and was not */
	uint64_t not_built; /* not as the constructor left it */
	uint64_t misaligned;
	uint64_t errno_changed;
	struct mix_count count[MIX_KINDS];
	struct mix_object object[MIX_SLOTS];
};

void mix_caches_make(struct mix_caches *caches, uint32_t flags);
/* Objects of each cache and of every size class in every CPU's own lists. 0 or -errno. */
int mix_caches_stock(const struct mix_caches *caches, size_t n);
/* Objects still alive, summed; the caches are gone when it is 0. */
size_t mix_caches_destroy(struct mix_caches *caches);

void mix_init(struct mix *mix, const struct mix_caches *caches, enum mix_who who, uint64_t seed,
	      unsigned int owner);
void mix_step(struct mix *mix);
/* Checks and frees all that is held. */
void mix_empty(struct mix *mix);
/* Findings other than the owner map's. */
uint64_t mix_errors(const struct mix *mix);
/* One check each: nothing damaged, zero where wanted, constructed, aligned, errno untouched. */
void mix_check(const struct mix *mix, const char *what);
uint64_t mix_tries(const struct mix *mix);
uint64_t mix_got(const struct mix *mix);
const char *mix_kind_name(enum mix_who who, unsigned int kind);
/* Tries and hits by kind, for people. */
void mix_print(const struct mix *mix);

#endif
