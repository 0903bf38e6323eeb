/* SPDX-License-Identifier: MIT */
/*
 * held.h - within the folder: what this thread holds, an array that handlers may change between any two instructions.
 */
#ifndef NST_LOCKDEP_HELD_H
#define NST_LOCKDEP_HELD_H

#include "engine.h"

/* NULL: there is none, or it is the validator itself that asks. */
static inline struct nst_ld_thread *this_thread(void)
{
	struct nst_ld_thread *t = nst_thread.lockdep;

	/*
	 * A block of this generation: the tables have been seen. relaxed: as above.
	 * Pairs with: nst_store_release() in nst_lockdep_start().
	 */
	if (nst_unlikely(!t || t->generation != nst_load_relaxed(&nst_ld.generation)))
		t = nst_load_acquire(&nst_lockdep_ops) ? nst_ld_thread_slow() : NULL;
	return t && !t->busy ? t : NULL;
}

/* A broken variant that the tests must catch. */
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 82 /* whatever signals are open */
#define ALL_THE_SAME 1
#else
#define ALL_THE_SAME 0
#endif

/* ---- what is held ---- */

/* A new entry behind all; NULL: there is none. */
static inline struct nst_ld_held *append(struct nst_ld_thread *t)
{
	u32 i = nst_ld_nr(t);

	if (nst_unlikely(i == NST_LD_HELD_MAX)) {
		nst_ld_full(NST_LD_FULL_HELD);
		return NULL;
	}
	nst_store_relaxed(&t->held[i].lock, NULL); /* relaxed, both: for handlers of this thread */
	nst_barrier();
	nst_ld_set_nr(t, i + 1);
	return &t->held[i];
}

/* An entry that is reserved; NULL: there is none. */
static inline struct nst_ld_held *reserve(struct nst_ld_thread *t)
{
	u32 i;

	for (i = t->level; nst_unlikely(nst_ld_nr(t) >= NST_LD_SHORT) && i < nst_ld_nr(t); i++) {
		if (t->held[i].lock == NST_LD_HOLE) {
			nst_store_relaxed(&t->held[i].lock,
					  NULL); /* relaxed: for handlers of this thread */
			return &t->held[i];
		}
	}
	return append(t);
}

/* ---- chains and limits: each entry has those of all up to it ---- */

/* Those of @e, from the entry before it that is there. */
static inline void chain_on(const struct nst_ld_thread *t, struct nst_ld_held *e)
{
	const struct nst_ld_held *before = NULL;
	u32 k, limit;

	for (k = (u32)(e - t->held); k-- > t->level && !before;)
		if (nst_ld_is_held(&t->held[k]))
			before = &t->held[k];
	limit = before ? before->limit : NST_WAIT_SLEEP;
	e->key = nst_ld_chain_step(before ? before->key : 0, e);
	e->limit = (u8)(e->inner && (e->inner < limit || e->override) ? e->inner : limit);
}

/* What lies from @i on, after something before it or in it has changed. */
static inline void chain_again(struct nst_ld_thread *t, u32 i)
{
	for (; i < nst_ld_nr(t); i++)
		if (nst_ld_is_held(&t->held[i]))
			chain_on(t, &t->held[i]);
}

/* ---- the short way, which looks at one number ---- */

static inline void close_fast(struct nst_ld_thread *t)
{
	nst_store_relaxed(&t->fast, 0u); /* relaxed: for handlers of this thread */
	nst_barrier();
}

/* What is known is known of this thread, in this epoch, with these signals open. */
static inline u64 seed_of(const struct nst_ld_thread *t, u32 epoch)
{
	return nst_mix64(nst_mix64(ALL_THE_SAME ? 0 : NST_LD_OPEN(t)) +
			 ((u64)t->tag << 32 | epoch));
}

/* If nothing closes it any more. It uses no hole again: that it comes to an end is seen here, where a hole was made. */
static inline void open_fast(struct nst_ld_thread *t)
{
	const u32 epoch =
		nst_load_relaxed(&nst_lockdep_is_on); /* relaxed, all of them: seen soon */

	if (!epoch || t->fast == epoch || nst_ld_nr(t) >= NST_LD_SHORT || t->pinned || t->busy ||
	    t->popping || t->handlers || t->depth[NST_SECTION_NONBLOCK] ||
	    nst_load_relaxed(&nst_ld.hold_ticks) ||
	    nst_load_relaxed(&nst_ld.stacks) == NST_LD_STACKS_ALL ||
	    t->generation != nst_load_relaxed(&nst_ld.generation))
		return;
	t->seed = seed_of(t, epoch);
	nst_barrier();
	nst_store_relaxed(&t->fast, epoch); /* relaxed: for handlers of this thread */
}

/* ---- what is taken, and let go ---- */

/* @e was reserved. */
static inline void fill(struct nst_ld_thread *t, struct nst_ld_held *e,
			const struct nst_ld_held *new)
{
	nst_barrier();
	/* relaxed: the watcher looks at threads that wait (nst_ld_watch()), and looks again whether they do */
	nst_store_relaxed(&e->ip, new->ip);
	nst_store_relaxed(&e->class, new->class);
	nst_store_relaxed(&e->how, new->how);
	e->inner = new->inner;
	e->override = new->override;
	e->pins = 0;
	chain_on(t, e);
	nst_barrier();
	nst_store_relaxed(&e->lock, new->lock); /* relaxed: for handlers of this thread */
}

static inline struct nst_ld_held *push(struct nst_ld_thread *t, const struct nst_ld_held *new)
{
	struct nst_ld_held *e = reserve(t);

	if (!e)
		return NULL;
	if (nst_unlikely(nst_load_relaxed(&nst_ld.hold_ticks))) /* a limit, seen soon */
		t->since_ticks[e - t->held] = nst_ticks();
	fill(t, e, new);
	if (nst_unlikely(e != &t->held[nst_ld_nr(t) - 1]))
		chain_again(t, (u32)(e - t->held) + 1);
	return e;
}

/* @e is let go. */
static inline int is_held_long(const struct nst_ld_thread *t, const struct nst_ld_held *e)
{
	const u64 limit = nst_load_relaxed(&nst_ld.hold_ticks); /* as above */
	const u64 since = nst_unlikely(limit) ? t->since_ticks[e - t->held] : 0;

	return nst_unlikely(since) && nst_ticks() - since > limit;
}

static inline struct nst_ld_held *find(struct nst_ld_thread *t, const void *lock)
{
	u32 i;

	for (i = nst_ld_nr(t); i-- > 0;)
		if (t->held[i].lock == lock)
			return &t->held[i];
	return NULL;
}

/* relaxed, all of them: for handlers of this thread */
static inline void drop_last(struct nst_ld_thread *t, u32 nr)
{
	nst_store_relaxed(&t->held[nr - 1].lock, NULL);
	nst_barrier();
	nst_ld_set_nr(t, nr - 1);
	nst_barrier();
}

static inline u32 ends_in_hole(const struct nst_ld_thread *t)
{
	u32 nr = nst_ld_nr(t);

	return nr && t->held[nr - 1].lock == NST_LD_HOLE ? nr : 0;
}

/*
 * A handler may come between any two of these, and take and let go. One that comes amid a pop drops its own last entry
 * alone: holes below it are being dropped by what it interrupted, which drops one that it leaves, too.
 */
static inline void pop(struct nst_ld_thread *t, struct nst_ld_held *e)
{
	const u32 amid = nst_load_relaxed(&t->popping);
	u32 nr = nst_ld_nr(t);

	t->pinned -= e->pins;
	if (nst_likely(!amid && e == &t->held[nr - 1] && (nr == 1 || e[-1].lock != NST_LD_HOLE))) {
		drop_last(t, nr);
		return;
	}
	nst_store_relaxed(&e->lock, NST_LD_HOLE);
	if (amid) {
		if (e == &t->held[nst_ld_nr(t) - 1])
			drop_last(t, nst_ld_nr(t));
		return;
	}
	chain_again(t, (u32)(e - t->held) + 1);
	close_fast(t);
	do {
		nst_store_relaxed(&t->popping, 1u);
		nst_barrier();
		while ((nr = ends_in_hole(t)) != 0)
			drop_last(t, nr);
		nst_store_relaxed(&t->popping, 0u);
		nst_barrier();
	} while (ends_in_hole(t));
	open_fast(t);
}

#endif
