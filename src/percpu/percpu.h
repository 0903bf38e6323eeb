/* SPDX-License-Identifier: MIT */
/*
 * percpu.h - FLOOR 4: one copy per CPU. Tables of per-CPU stacks, and the memory they live in.
 *
 *	struct nst_pcs_table
 *	  fast -> [-4][-3][-2][-1][0][1]...	what the inlined sequences index: == real, or a table of empty
 *	  real -> [-4][-3][-2][-1][0][1]...	stacks only, so that every call takes the slow path (instrumented)
 *	  stripes -> [0][1]...		for threads without rseq
 *
 * T1. An entry of real is nst_pcs_none or a stack that only its CPU writes, inside a sequence; a
 *     taker swaps it out with nst_pcs_take() and then owns it.
 * T2. Takers of one table are serialised by a lock of their caller.
 * T3. The memory of stacks and tables is resident from the moment a table names it.
 *
 * Entries -3 and -4 are no stacks. -3 leads to the rings that lie beside the stacks (ring.h), so that who has
 * the one table finds the other; -4 is a number of the owner's, 0 at first and in the table of empty stacks.
 *
 * Fork: the child sees one cut in program order; each sequence has one commit, so stacks are whole.
 * Stripes held by lost threads are let go. Signal: all pops and pushes are legal in a handler.
 */
#ifndef NST_PERCPU_PERCPU_H
#define NST_PERCPU_PERCPU_H

#include "../lockdep/lockdep.h"
#include "../arch/none.h"
#include "sheaf.h"

#if defined(__SANITIZE_THREAD__)
#define NST_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define NST_TSAN 1
#endif
#endif

/*
 * ThreadSanitizer does not see inside the sequences: that objects change hands, one by one and with the
 * whole stack when it is taken (area.c), is announced to it.
 */
#ifdef NST_TSAN
void __tsan_acquire(void *);
void __tsan_release(void *);
#define nst_tsan_acquire(p) __tsan_acquire(p)
#define nst_tsan_release(p) __tsan_release(p)
#else
#define nst_tsan_acquire(p) ((void)(p))
#define nst_tsan_release(p) ((void)(p))
#endif

/* The stripes of a table, or NULL. Context: any. */
static inline struct nst_stripe *nst_pcs_stripes(const struct nst_pcs_table *t)
{
	/* Pairs with: nst_cas_release() in ensure_stripes(). */
	return nst_load_acquire(&t->stripes);
}

/* Its entries. Context: any. */
static inline struct nst_pcs **nst_pcs_real(const struct nst_pcs_table *t)
{
	/* Pairs with: nst_store_release() in ensure_entries(), by the address: it is read through this. */
	struct nst_pcs **real = nst_load_relaxed(&t->real);

	nst_tsan_acquire(real); /* which knows no order by address */
	return real;
}

/* ---- area.c ---- */

/* Always empty, always full: entries for CPUs never used and for threads without rseq. */
extern struct nst_pcs nst_pcs_none NST_HIDDEN;

/* Start: after options, CPUs and rseq are known; 0 or -errno. @arena_bytes scales the reservation; 0: the least. */
int nst_percpu_init(size_t arena_bytes);
/* The library's own memory: zeroed, resident, aligned to 64 bytes; never a user's. Context: thread. */
extern char *nst_meta_base NST_HIDDEN; /* it is never below */
void *nst_meta_alloc(size_t bytes);
void nst_meta_free(void *p, size_t bytes);
u64 nst_meta_bytes(void);
/* Address space of it that is not used back, but for a little. Context: thread. */
void nst_meta_cut(void);
/* After a fork: resident and writable again. Context: thread. */
void nst_meta_make_ready(void);

#define NST_RINGS_BESIDE (-3)
#define NST_NUMBER_BESIDE (-4)
#define NST_BESIDE 4 /* entries before that of CPU 0 */

/* A fast table whose stacks have and take nothing, for every CPU. */
struct nst_pcs **nst_pcs_fast_none(void);
/* Every entry nst_pcs_none; 0 or -errno. @cap: room of each stack, in pointers. */
int nst_pcs_table_init(struct nst_pcs_table *t, u32 cap);
/*
 * The same with no memory of its own until it gets its first stack; not for inlined sequences. Its stacks have
 * memory for @room pointers and begin with room for @cap.
 */
void nst_pcs_table_init_lazy(struct nst_pcs_table *t, u32 cap, u32 room);
void nst_pcs_table_exit(struct nst_pcs_table *t);
/* What a table with stacks for @room pointers takes on @cpus CPUs, and in stripes; what it takes now. Locks: the takers'. */
u64 nst_pcs_table_bytes(unsigned int cpus, u32 room);
u64 nst_pcs_table_bytes_now(const struct nst_pcs_table *t);
/* Make sure @cpu has a stack, or that there are stripes where this thread needs them. Context: thread. */
int nst_pcs_ensure(struct nst_pcs_table *t, unsigned int cpu);
/* Does this thread have sequences? Context: any. */
int nst_pcs_by_sequence(void);
/* Does this CPU (or this thread's stripes) have a stack? Context: any. */
int nst_pcs_has_stack(const struct nst_pcs_table *t);
/* Stack number @i for a taker: CPUs first, then stripes. */
unsigned int nst_pcs_nr_stacks(const struct nst_pcs_table *t);
/* Take stack @i away from whoever uses it; NULL if there is none or the fence failed. Context: thread. */
struct nst_pcs *nst_pcs_take(struct nst_pcs_table *t, unsigned int i);
/* Put a stack taken by nst_pcs_take() back, or another in its place. */
void nst_pcs_put(struct nst_pcs_table *t, unsigned int i, struct nst_pcs *s);
/* @old with more room, or another with it and the same objects, @old freed; NULL without memory, @old as it was. */
struct nst_pcs *nst_pcs_grow(struct nst_pcs *old, u32 cap);
/* Stack @i may hold one more, while it has memory for it. Locks: the takers'. */
void nst_pcs_widen(struct nst_pcs_table *t, unsigned int i);
/* A taken stack may hold what it could at first, unless it holds more. */
void nst_pcs_narrow(const struct nst_pcs_table *t, struct nst_pcs *s);
/* What stack @i is to hold ahead of need, in pointers, 0 at first; of a taken one it is raised. Locks: the takers'. */
u32 nst_pcs_stock(const struct nst_pcs_table *t, unsigned int i);
void nst_pcs_set_stock(struct nst_pcs *s, u32 stock);
/* For how many looks stack @i has held as much as now; this is one. 0: it is empty. Locks: the takers'. */
u32 nst_pcs_still(const struct nst_pcs_table *t, unsigned int i);
/* Objects in stack @i, at some moment. Context: any. */
u32 nst_pcs_count(const struct nst_pcs_table *t, unsigned int i);
/* Pointer @k of stack @i, at some moment; NULL if there is none. Context: any. */
void *nst_pcs_peek(const struct nst_pcs_table *t, unsigned int i, u32 k);
/* Room of stack @i; 0 if there is none. Context: any. */
u32 nst_pcs_cap(const struct nst_pcs_table *t, unsigned int i);
/* In a fork child: stripes whose holders do not exist are let go. */
void nst_pcs_table_after_fork(struct nst_pcs_table *t);
/* Send every inlined sequence to the slow path, or back. */
void nst_pcs_table_instrument(struct nst_pcs_table *t, int on);
/* The same for a while, whatever it was sent to. What nst_pcs_fast_open() says stays. */
void nst_pcs_table_close(struct nst_pcs_table *t, int on);
/* For good, to entries of its own, so that who has the fast table knows whose it is: 0 or -errno. */
int nst_pcs_table_set_apart(struct nst_pcs_table *t);
/* The fast table of a table that is not closed: what a slab's pages lead to. */
struct nst_pcs **nst_pcs_fast_open(const struct nst_pcs_table *t);
struct nst_lock *nst_meta_lock(void);

#endif
