/* SPDX-License-Identifier: MIT */
/*
 * ring.h - retired pointers go into this CPU's open page, full pages to a worker	<- NO-LOCK FAST PATH
 *
 *	struct nst_ring_table		  struct nst_ring, one per CPU
 *	  fast ----> [-2][-1][0][1]...	  page[]:  ...   sealed   |  open  |   ready   | NULL ...
 *	  real ----> [-2][-1][0][1]...		        ^ tail	    ^ open    	       ^ head
 *	  stripes -> [0][1]...		  positions count up, modulo 2^32; slot = position & mask
 *
 * R1. Only the CPU writes open, inside a sequence; only the worker writes tail, head and slots. Neither
 *     waits for the other, and no fence is needed: what passes between them passes by a release.
 * R2. head - tail <= mask: one slot at least is NULL, and the one after the last ready page is. So a
 *     CPU that finds its next slot filled finds a ready page, never a sealed one.
 * R3. The slot at open is never NULL, and its page is the CPU's until open has moved on; from then on
 *     nobody writes to it (rseq_ops.h says why), and it is the worker's.
 * R4. A page's stamp was read from *started after the retire of its newest pointer began, and stored
 *     before that pointer was counted. So it is never too early; too late it may be, after an interrupted
 *     retire.
 *
 * A page is a struct nst_sheaf of any cap: sheaf-sized pages are, once ripe, full sheaves for a barn.
 *
 * "Worker" is whoever holds the lock that the owner of the table has for it: one at a time for a table.
 * A thread without sequences works on the ring of a stripe, as in sheaf.h. Every ring has a number:
 * CPUs (or concurrency ids) first, then stripes.
 *
 * Fork: the child sees one cut in program order: nothing is counted twice or torn. What the worker was
 * doing may be half done; nst_ring_table_after_fork() mends it. A page it had taken is not in the ring.
 */
#ifndef NST_PERCPU_RING_H
#define NST_PERCPU_RING_H

#include "../arch/none.h"
#include "sheaf.h"

#define NST_RING_SLOTS_LEAST 4u /* a power of two; one of them is never used (R2) */
#define NST_PAGE_POINTERS 510u	/* cap of a page of 4096 bytes */

/* Always full, nothing ready: entries for CPUs never used and for threads without rseq. */
extern struct nst_ring nst_ring_none NST_HIDDEN;
/* For a table's fast until the library has started, when sequences find CPU 0 (rseq_ops.h). */
extern struct nst_ring *nst_ring_boot[3] NST_HIDDEN;
#define NST_RING_BOOT_FAST (nst_ring_boot + 2)

/** struct nst_ring_table - one ring per CPU */
struct nst_ring_table {
	struct nst_ring **fast; /* what the inlined sequence indexes: == real, or full rings only */
	struct nst_ring **real;
	struct nst_stripe *stripes;
	u32 slots; /* of each ring */
	u32 instrumented;
};

/* ---- who retires ---- */

/*
 * Append @o to the open page of this CPU, stamped with *@started as it is now. The inlined
 * nst_seq_retire(table->fast, &started, o) is the same for a thread that has sequences, and FULL for
 * others.
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 * Return: NST_PUSH_OK; NST_PUSH_FULL: the page is full (advance), or there is no ring, or every stripe
 *         is held; nothing has changed.
 */
enum nst_push nst_ring_retire(struct nst_ring_table *t, const u64 *started, void *o);
/* As many of the @n pointers at @in as the page has room for, in order, by one commit. How many. */
size_t nst_ring_retiren(struct nst_ring_table *t, const u64 *started, void *const *in, size_t n);
/*
 * The open page is sealed and the next ready one opened, if it is full. Context: any.
 *
 * Return: NST_ADVANCE_OK; NST_ADVANCE_NOT_FULL: there is room, somebody else has advanced;
 *         NST_ADVANCE_NOTHING_READY: until the worker adds a page, or there is no ring.
 */
enum nst_advance nst_ring_advance(struct nst_ring_table *t);
/*
 * Retire, and advance where that helps: a few times at most, since others may fill what was opened. *@sealed: how many
 * pages were sealed.
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 * Return: NST_PUSH_OK or NST_PUSH_FULL, and nothing has changed but perhaps the open page.
 */
enum nst_push nst_ring_push(struct nst_ring_table *t, const u64 *started, void *o, u32 *sealed);
/* All @n, as far as ready pages go; how many. */
size_t nst_ring_pushn(struct nst_ring_table *t, const u64 *started, void *const *in, size_t n);
/* The ring this thread would use just now, for nst_ring_make(). Context: any. */
unsigned int nst_ring_here(void);

/* ---- tables. Context: thread ---- */

/* Start, from nst_percpu_init(); 0 or -ENOMEM. */
int nst_ring_init(void);
/* A fast table whose rings are full, for every CPU. */
struct nst_ring **nst_ring_fast_none(void);
/* No rings yet: every retire is FULL. @slots: a power of two. 0 or -ENOMEM. */
int nst_ring_table_init(struct nst_ring_table *t, u32 slots);
/* Ring number @i, with @first for its open page. 0; -EEXIST or -ENOMEM, and @first is the caller's. Locks: the worker's. */
int nst_ring_make(struct nst_ring_table *t, unsigned int i, struct nst_sheaf *first);
/* Numbers run from 0 to this less one. */
unsigned int nst_ring_nr(const struct nst_ring_table *t);
/* Ring number @i, or NULL where none was made. Context: any. */
struct nst_ring *nst_ring_number(const struct nst_ring_table *t, unsigned int i);
/* What a ring of @slots takes, without its pages; the entries of a table for @cpus. Context: any. */
size_t nst_ring_bytes(u32 slots);
size_t nst_ring_entries_bytes(unsigned int cpus);
/* Nobody retires here any more. Pages still in rings are leaked: nst_ring_take_any() first. */
void nst_ring_table_exit(struct nst_ring_table *t);
/* In a fork child: stripes whose holders do not exist are let go, a worker's half step is undone or done. */
void nst_ring_table_after_fork(struct nst_ring_table *t);
/* Send every inlined sequence to the slow path, or back. */
void nst_ring_table_instrument(struct nst_ring_table *t, int on);

/* ---- the worker: of one ring. Context: thread. Locks: the worker's ---- */

/** struct nst_ring_cut - what lay in the open page at a moment: page->obj[from] to obj[to - 1] */
struct nst_ring_cut {
	struct nst_sheaf *page;
	u32 at; /* its position */
	u32 from, to;
};

/*
 * The oldest sealed page, which is the caller's from now on, or NULL. Its pointers below *@prefix were
 * claimed before and are not to be freed again.
 */
struct nst_sheaf *nst_ring_take_sealed(struct nst_ring *r, u32 *prefix);
/* Stamp of the oldest sealed page, UINT64_MAX if none is. */
u64 nst_ring_oldest(struct nst_ring *r);
/* The same, or that of one before it. Without the lock, of a ring that may just go: none of its words is followed. */
u64 nst_ring_oldest_hint(const struct nst_ring *r);
/*
 * Are @pages sealed, or some and none is ready? How many are, and *@newest is the stamp of the last; else 0. A ring that has
 * just been asked says 0 until it has sealed half as many again, or @pages / 4: whoever is in the way may stay.
 */
u32 nst_ring_press(struct nst_ring *r, u32 pages, u64 *newest);
/* The first part of it. Without the lock: a hint, as above. */
int nst_ring_is_pressed(const struct nst_ring *r, u32 pages);
/* @page is emptied, and is the last of the ready. 0; -ENOSPC: no slot is free, it is the caller's still. */
int nst_ring_add_ready(struct nst_ring *r, struct nst_sheaf *page);
u32 nst_ring_sealed(const struct nst_ring *r);
u32 nst_ring_ready(const struct nst_ring *r);
/* What the open page holds now, less its prefix: nothing if from == to. */
struct nst_ring_cut nst_ring_look(struct nst_ring *r);
/*
 * A grace period after nst_ring_look(): the pointers of @cut are the caller's to free, and become the
 * prefix of the page, which the CPU goes on filling. 0; -ESTALE: the page has been taken, or they have been
 * claimed, since, and they are not the caller's.
 */
int nst_ring_claim(struct nst_ring *r, const struct nst_ring_cut *cut);
/*
 * For how many looks ring @r has got nothing; this is one. 0: it has, or what it holds has not been claimed.
 */
u32 nst_ring_still(struct nst_ring *r);
/*
 * A CPU's ring number @i leaves the table, if it holds nothing that has not been claimed: its pages, linked by next.
 * NULL: it stays. Nobody may keep a cut of it. Who retires there has no ring until another is made.
 * Waits: short, for the fence.
 */
struct nst_sheaf *nst_ring_unmake(struct nst_ring_table *t, unsigned int i);
/* For a table nobody retires to any more: any page, sealed first, then the open one, then ready ones; or NULL. */
struct nst_sheaf *nst_ring_take_any(struct nst_ring *r, u32 *prefix);

#endif
