// SPDX-License-Identifier: MIT
/*
 * torture_rcu_read.c - readers: what they find stays as it is until their section ends.
 *
 * A section spins, yields, sleeps, stays for long, holds another inside it, or is handed to another
 * thread, which ends it. What was found is looked at twice: as the section begins and as it ends.
 */
#define _GNU_SOURCE
#include "torture_rcu.h"

#include <sched.h>
#include <time.h>
#include <errno.h>

#define HANDS 4u
#define STALL_US 40000u

/* What lies between threads: NULL, or somebody's section. */
static _Atomic(struct section *) hands[HANDS];

/* To a moment: signals would begin a nap anew. */
void rcu_nap_us(unsigned int us)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_nsec += (long)us * 1000;
	at.tv_sec += at.tv_nsec / 1000000000;
	at.tv_nsec %= 1000000000;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

static uint64_t word_of(struct thing *p)
{
	return atomic_load_explicit(&p->word, memory_order_relaxed);
}

/* Is it whole, and the one that was found? */
static int intact(struct thing *p, uint64_t word)
{
	size_t bytes = p->bytes;

	if (word_of(p) != word || bytes < THING_LEAST || bytes > THING_MOST)
		return 0;
	return __atomic_load_n((uint64_t *)(void *)((char *)p + bytes - 8), __ATOMIC_RELAXED) ==
		       ~word &&
	       word_of(p) == word;
}

static void look(struct thing *p, uint64_t word, struct rcu_torture_counts *n)
{
	if (!p)
		return;
	rcu_found(&n->seen_freed, !intact(p, word));
	/* One period may end of those that began before it was unlinked, none that began after. */
	rcu_found(&n->seen_old, atomic_load_explicit(&p->age, memory_order_relaxed) > 1);
}

static void begin(struct section *s, uint64_t *seed, struct rcu_torture_counts *n)
{
	s->token = nst_rcu_read_begin();
	s->thing = nst_rcu_dereference(rcu_torture.slot[rcu_draw(seed) % THING_SLOTS]);
	s->word = s->thing ? word_of(s->thing) : 0;
	look(s->thing, s->word, n);
	n->sections++;
}

static void end(struct section *s, struct rcu_torture_counts *n)
{
	look(s->thing, s->word, n);
	nst_rcu_read_end(s->token);
}

static void spin(uint32_t loops)
{
	while (loops--)
		__asm__ volatile("" ::: "memory");
}

/* Another inside it; they end in any order. */
static void nest(struct section *outer, uint64_t *seed, struct rcu_torture_counts *n)
{
	struct section inner;

	begin(&inner, seed, n);
	n->nested++;
	spin(rcu_draw(seed) % 500);
	if (rcu_draw(seed) % 2) {
		struct section first = *outer;

		*outer = inner;
		inner = first;
	}
	end(&inner, n);
}

void rcu_read_end_others(uint64_t *seed, struct rcu_torture_counts *n)
{
	struct section *s = atomic_exchange(&hands[rcu_draw(seed) % HANDS], NULL);

	if (!s)
		return;
	end(s, n);
	n->handed_on++;
	nst_free(s);
}

void rcu_read_end_all(struct rcu_torture_counts *n)
{
	for (unsigned int i = 0; i < HANDS; i++) {
		struct section *s = atomic_exchange(&hands[i], NULL);

		if (!s)
			continue;
		end(s, n);
		nst_free(s);
	}
}

/* 1 if somebody else ends it. */
static int hand_on(const struct section *mine, uint64_t *seed, struct rcu_torture_counts *n)
{
	struct section *s = nst_alloc(sizeof(*s), NST_NOWAIT | NST_NOWARN), *old;

	if (!s)
		return 0;
	*s = *mine;
	old = atomic_exchange(&hands[rcu_draw(seed) % HANDS], s);
	if (old) {
		end(old, n);
		nst_free(old);
	}
	return 1;
}

static void stay(struct section *s, uint64_t *seed, struct rcu_torture_counts *n)
{
	uint32_t how = rcu_draw(seed) % 4096;

	if (how < 2) {
		n->stalls++;
		rcu_nap_us(STALL_US);
	} else if (how < 80) {
		n->slept++;
		rcu_nap_us(20 + rcu_draw(seed) % 1000);
	} else if (how < 400) {
		sched_yield();
	} else if (how < 900) {
		nest(s, seed, n);
	} else if (how < 3000) {
		spin(rcu_draw(seed) % 3000);
	}
}

void rcu_read_some(uint64_t *seed, struct rcu_torture_counts *n, int handler)
{
	struct section s;

	begin(&s, seed, n);
	if (handler)
		spin(rcu_draw(seed) % 300);
	else
		stay(&s, seed, n);
	if (!handler && rcu_draw(seed) % 128 == 0 && hand_on(&s, seed, n))
		return;
	end(&s, n);
}
