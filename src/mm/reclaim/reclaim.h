/* SPDX-License-Identifier: MIT */
/*
 * reclaim.h - within the folder: what is done where memory is short.
 *
 *	reclaim.c	a request that found nothing reclaims, in rounds; a thread does it before
 *	shrink.c	who can give memory back
 *	notify.c	who is told of changes of a mapping
 *	reaper.c	who gives memory back when all else fails
 *	reserve.c	pages below the watermarks, for who holds a ticket
 *	debt.c		who took without waiting makes up for it
 */
#ifndef NST_MM_RECLAIM_H
#define NST_MM_RECLAIM_H

#include "../mm.h"
#include <nostall/account.h>
#include <nostall/notify.h>
#include <nostall/reclaim.h>

/* ---- reclaim.c ---- */

/** struct nst_reclaim - of one request, zeroed; it is on the stack of who makes it */
struct nst_reclaim {
	u32 rounds, last;
	u32 waited; /* rounds of others, not counted */
	u32 ooms;   /* rounds of out-of-memory notifiers */
};
/* A walk found nothing: 1, and memory was reclaimed as @mode has it: walk again; 0: it is NULL. Context: thread. */
int nst_reclaim_again(struct nst_reclaim *rc, nst_mode_t mode, unsigned int order);
/* The request is over. */
void nst_reclaim_end(struct nst_reclaim *rc, int served);
/*
 * One light round for nobody's request: how many pages this thread has freed in it. 0 in reclaim, or to who holds a ticket.
 * Context: thread.
 */
u64 nst_reclaim_earn(nst_mode_t mode);
/* A zone cannot be filled. Context: thread. */
void nst_reclaim_want(void);
/* Where there is no thread for it. Context: thread. */
void nst_reclaim_help(void);
void nst_reclaim_after_fork(void);

/* Memory is short elsewhere: shrinkers are asked, by whom nst_reclaim_want() says, at this priority. Context: thread. */
void nst_reclaim_press(unsigned int priority);

/*
 * A function of the program's works for all, for a request of @mode: its own requests do not reclaim, do no more than @mode
 * may, and are charged to nobody, since this thread's account may be at its max. errno is kept.
 */
struct nst_errand {
	nst_account_token_t account;
	nst_scope_t scope;
	int saved_errno;
};
struct nst_errand nst_errand_begin(nst_mode_t mode);
void nst_errand_end(struct nst_errand e);

/* ---- pressure.c. Who calls these has the pass. ---- */

/* Is there pressure? What the pass is to do for it: a set of enum nst_pass, 0 for none. Looks whatever the clock says if @now. */
unsigned int nst_pressure_pass(u64 ns, int now);
/* After such a pass: 1 and another is to come soon. */
int nst_pressure_pass_end(void);
void nst_pressure_after_fork(void);
size_t nst_pressure_text(char *buf, size_t len);
/* But for what is counted. */
void nst_pressure_fill(struct nst_pressure_stats *s);

/* ---- shrink.c ---- */

int nst_shrink_are_some(void);
/* All are asked, those that @mode does not exclude: what they freed. *busy: another thread is at one. */
u64 nst_shrink(nst_mode_t mode, unsigned int priority, int *busy);
void nst_shrink_after_fork(void);

/* ---- notify.c, reaper.c ---- */

void nst_notify_after_fork(void);
/* Nothing else helped: 1: something was freed, or may have been by now: look again; 0: nothing will come. Context: thread. */
int nst_oom_relieve(nst_mode_t mode, u32 *rounds);
/* What the reaper would do, where there is none. Context: thread. */
void nst_oom_help(void);
void nst_oom_after_fork(void);
/* NST_OOM_INTERVAL_MS; tests make it shorter. */
extern u32 nst_oom_interval_us NST_HIDDEN;

/* ---- reserve.c ---- */

/* A run from the reserve whose ticket this thread holds, or NULL. Locks: takes its zone. Context: thread. */
struct nst_page *nst_reserve_take(unsigned int order, nst_mode_t mode);
/* @p, from a reserve, is about to be free: it has as many pages again. Locks: needs z->lock. Context: any. */
void nst_reserve_put_locked(struct nst_zone *z, struct nst_page *p);
/* The same where the lock is busy: its next ticket holder finds it, or the worker. Context: any. */
void nst_reserve_push(struct nst_page *p);
/* What was pushed: 1 if there was any. Context: thread. */
int nst_reserve_pass(void);
/* More than the watermark is free: reserves that lack pages have them again. Locks: needs z->lock. Context: any. */
void nst_reserve_refill_locked(struct nst_zone *z);
/* In a fork child: @z has lost its lists; then, once: tickets of other threads are back. */
void nst_reserve_zone_lost(struct nst_zone *z);
void nst_reserve_after_fork(void);
/* Bytes of all of them, and of those in use. Locks: takes zones. */
void nst_reserve_bytes(u64 *most, u64 *now);
/* This thread ends, for libc to call: if it has a ticket, that is given back. */
void nst_reserve_thread_ends(void);
/* NST_MEMALLOC without a ticket: one line, once. */
void nst_reserve_missing(nst_mode_t mode, struct nst_site site);

#endif
