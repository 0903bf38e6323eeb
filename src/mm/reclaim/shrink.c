/* SPDX-License-Identifier: MIT */
/*
 * shrink.c - shrinkers: who can give memory back, and how much each is asked for.
 *
 *	asked = put off + (count >> priority) x 4 / seeks	1 to twice what it has; 128 at a time
 *
 * What was asked for and not freed is put off until it is asked again (Linux, mm/shrinker.c).
 *
 * A shrinker's state is one word, so that its functions never run twice at a time and end before it goes:
 *
 *	FREE -> MAKING -> READY <-> BUSY
 *			  READY -> FREE		unregister, which waits while it is BUSY
 *
 * Who finds it BUSY goes on to the next: somebody is reclaiming there.
 *
 * Fork: one that a lost thread was in is ready in the child.
 */
#define NST_NO_MACROS
#include "reclaim.h"

#define BATCH 128u
#define NAP_US 200u

enum state { FREE, MAKING, READY, BUSY };

struct nst_shrinker {
	u32 state, flags;
	unsigned int seeks;
	size_t (*count)(void *ctx);
	size_t (*scan)(void *ctx, size_t nr);
	void *ctx;
	u64 put_off;	  /* by who has it BUSY */
	uintptr_t runner; /* who that is */
};
static struct nst_shrinker shrinkers[NST_NR_SHRINKERS];
static u32 nr_shrinkers; /* a hint */

#define ALL_FLAGS ((u32)(NST_SHRINKER_IO | NST_SHRINKER_CLIENT))

struct nst_shrinker *nst_shrinker_register(size_t (*count)(void *ctx),
					   size_t (*scan)(void *ctx, size_t nr), void *ctx,
					   unsigned int seeks, uint32_t flags)
{
	struct nst_shrinker *s = shrinkers;

	if (!count || !scan || flags & ~ALL_FLAGS) {
		nst_warn("nst_shrinker_register(): %s; allowed: both, and flags of 0x%x",
			 !count || !scan ? "a function is missing" : "unknown flags", ALL_FLAGS);
		return NULL;
	}
	if (nst_start())
		return NULL;
	nst_fork_check();
	/* Pairs with: nst_store_release() in ask(), of who was here before. */
	while (!nst_cas_acquire(&s->state, (u32)FREE, (u32)MAKING))
		if (++s == shrinkers + NST_NR_SHRINKERS)
			return NULL;
	s->flags = flags;
	s->seeks = seeks;
	s->count = count;
	s->scan = scan;
	s->ctx = ctx;
	s->put_off = 0;
	nst_add_relaxed(&nr_shrinkers, 1u); /* a hint */
	/* Pairs with: nst_cas_acquire() in ask(). */
	nst_store_release(&s->state, (u32)READY);
	return s;
}

/* 1 if it is one. */
static int is_one(const struct nst_shrinker *s)
{
	size_t at = (size_t)((uintptr_t)s - (uintptr_t)shrinkers);

	return at < sizeof(shrinkers) && at % sizeof(*s) == 0 && nst_hint(&s->state) >= READY;
}

int nst_shrinker_unregister(struct nst_shrinker *s)
{
	if (!is_one(s))
		return -22;
	nst_fork_check();
	/* Pairs with: nst_store_release() in ask(). As a swap it hands that on to who registers next. */
	while (!nst_cas_acquire(&s->state, (u32)READY, (u32)FREE)) {
		/* relaxed: it is this thread, or it is not */
		if (nst_load_relaxed(&s->runner) == nst_thread_pointer())
			return -35;
		nst_sys_futex_wait(&s->state, BUSY, NAP_US);
	}
	nst_sub_relaxed(&nr_shrinkers, 1u);
	return 0;
}

int nst_shrink_are_some(void)
{
	return nst_hint(&nr_shrinkers) != 0;
}

/* How many to ask for of @n. */
static u64 pressure(const struct nst_shrinker *s, u64 n, unsigned int priority)
{
	u64 part = n >> priority;

	part = s->seeks ? part * 4 / s->seeks : n / 2;
	if (!priority)
		part = nst_max(part, nst_min(n, BATCH)); /* the last round: the dearest, too */
	return nst_min(nst_max(part, 1) + s->put_off, 2 * n);
}

/* What it freed. */
static u64 run(struct nst_shrinker *s, unsigned int priority)
{
	u64 left = pressure(s, s->count(s->ctx), priority), freed = 0;

	while (left) {
		size_t nr = (size_t)nst_min(left, BATCH), n = s->scan(s->ctx, nr);

		if (n == NST_SHRINK_STOP)
			break;
		freed += n;
		left -= nr;
	}
	s->put_off = left;
	return freed;
}

static int is_excluded(const struct nst_shrinker *s, nst_mode_t mode)
{
	return (s->flags & NST_SHRINKER_IO && mode & NST_NOIO) ||
	       (s->flags & NST_SHRINKER_CLIENT && mode & NST_NOCLIENT);
}

static u64 ask(struct nst_shrinker *s, nst_mode_t mode, unsigned int priority, int *busy)
{
	u64 freed = 0;

	/* Pairs with: nst_store_release() in nst_shrinker_register() and below. */
	if (!nst_cas_acquire(&s->state, (u32)READY, (u32)BUSY)) {
		*busy |= nst_hint(&s->state) == BUSY;
		return 0;
	}
	nst_store_relaxed(&s->runner,
			  nst_thread_pointer()); /* whoever compares it is this thread, or is not */
	if (!is_excluded(s, mode)) {
		nst_lockdep_reclaim_begin(s->flags);
		freed = run(s, priority);
		nst_lockdep_reclaim_end();
	}
	nst_store_relaxed(&s->runner, (uintptr_t)0); /* as above */
	/* Pairs with: nst_cas_acquire() above and in nst_shrinker_unregister(). */
	nst_store_release(&s->state, (u32)READY);
	return freed;
}

u64 nst_shrink(nst_mode_t mode, unsigned int priority, int *busy)
{
	struct nst_shrinker *s;
	struct nst_errand e;
	u64 freed = 0;

	*busy = 0;
	if (!nst_shrink_are_some())
		return 0;
	e = nst_errand_begin(mode);
	for (s = shrinkers; s < shrinkers + NST_NR_SHRINKERS; s++)
		freed += ask(s, mode, priority, busy);
	nst_errand_end(e);
	nst_count(NST_COUNT_SHRUNK, freed);
	return freed;
}

void nst_shrink_after_fork(void)
{
	struct nst_shrinker *s;

	for (s = shrinkers; s < shrinkers + NST_NR_SHRINKERS; s++) {
		if (s->state == MAKING)
			s->state = FREE;
		if (s->state == BUSY && s->runner != nst_thread_pointer())
			s->state = READY;
	}
}
