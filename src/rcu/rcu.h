/* SPDX-License-Identifier: MIT */
/*
 * rcu.h - FLOOR 5: readers and grace periods. It frees nothing and calls nobody back.
 *
 *	          wanted           started++, fence           the domain's readers are gone   done = started
 *	idle  ------------->  period begins  ------------------------------------------->  period over, idle
 *
 * G1. done <= started <= done + 1, and both only grow, from 1. They differ while a period is under way.
 * G2. What was unlinked before a stamp s was taken (nst_gp_stamp()) is seen by no reader once done > s.
 * G3. A wish (nst_gp_want()) that comes after the period's begin is not lost: wanted is cleared before
 *     started is raised. So done > s comes to pass if somebody wants after s was taken, and steps.
 *
 * Proof sketch of G2: gp.c. What is above is told of wishes through nst_rcu_on_want(), nothing else.
 */
#ifndef NST_RCU_RCU_H
#define NST_RCU_RCU_H

#include "../percpu/percpu.h"
#include <nostall/rcu.h>

/* Where a domain's period stands. Ours: nst_gp_step() drives it. Others': their thread does. */
enum nst_gp_state {
	NST_GP_IDLE,
	NST_GP_OLD,	/* begun: late readers of the phase that is not current */
	NST_GP_FLIPPED, /* readers of the phase that was current */
	NST_GP_SETTLE,	/* readers begin to fence for themselves: until settle_ns */
	NST_GP_CALLED,	/* another's synchronize is called */
};

struct nst_rcu_domain {
	u64 started; /* periods begun; what a retirer's stamp is */
	u64 done;    /* periods over */
	u32 wanted;  /* a period that begins from now on; a flag, any context sets it */
	u32 used;    /* 1: there is such a domain */

	struct nst_lock lock NST_LINE_ALIGNED; /* of all below, but for */
	u32 state;			       /* enum nst_gp_state */
	u32 waiters;			       /* threads in nst_gp_wait(): an atomic count */
	u32 holders;			       /* who may still ask for its cookies: an atomic count */
	u32 pulse;			       /* a futex: changes when a period is over */
	u64 begun_ns;			       /* when the period under way began */
	u64 settle_ns;
	u64 stalls;	  /* periods reported as stalled */
	u32 stall_told;	  /* this one was */
	u32 thread;	  /* a domain of others: enum thread_state in domain.c */
	u32 bell;	  /* the futex its thread sleeps on */
	u32 forked_first; /* the period under way is the first in a fork child */
	struct nst_rcu_domain_ops ops;
	char name[NST_RCU_DOMAIN_NAME];
} NST_LINE_ALIGNED;

/* All of them; ours is the first. Static, so that a stale pointer is found out. */
extern struct nst_rcu_domain nst_rcu_domains[NST_RCU_DOMAINS] NST_HIDDEN;
#define nst_rcu_own (&nst_rcu_domains[0])

/* 1: a retirer fences between unlinking and stamp, because nobody can do it for all (before start, too). */
extern u32 nst_rcu_stamp_fences NST_HIDDEN;

/* ---- for who retires: no-lock ---- */

/*
 * To be called before a stamp is loaded by hand (in a sequence: the load of d->started, and nothing else).
 * Context: any.  Waits: never.
 */
static inline void nst_gp_before_stamp(void)
{
	/* Pairs with: nst_store_release() in nst_rcu_init(): who sees 0 sees every period begun until then. */
	if (nst_unlikely(nst_load_acquire(&nst_rcu_stamp_fences)))
		nst_fence_full();
}

/*
 * The cookie of what is unlinked by now. No fence: the period's own, after started is raised, serves for it.
 * Context: any.  Waits: never.
 */
static inline nst_cookie_t nst_gp_stamp(const struct nst_rcu_domain *d)
{
	nst_gp_before_stamp();
	/* Pairs with: nst_store_release() in nst_gp_begin_locked(): a wish that follows is not lost (G3). */
	return nst_load_acquire(&d->started);
}

/* Have all who could see what was stamped with @cookie gone? Context: any.  Waits: never. */
static inline int nst_gp_is_done(const struct nst_rcu_domain *d, nst_cookie_t cookie)
{
	/* Pairs with: nst_store_release() in nst_gp_end_locked(). */
	return nst_load_acquire(&d->done) > cookie;
}

/* A period is to begin after this; no wake. Context: any.  Waits: never. */
void nst_gp_want(struct nst_rcu_domain *d);

/* ---- for the worker: may enter the kernel, never waits for a reader or a lock ---- */

/*
 * One step of @d: begins a period that is wanted, ends one whose readers are gone; of another's domain, wakes
 * its thread. Reports a stall. Call it until nst_gp_is_done(); between calls nothing moves (but others' steps).
 * Returns 1 if a period is under way or wanted still.
 * Context: thread.  Waits: never.  Syscalls: membarrier, clock_gettime, futex, write.  Locks: tries rcu.
 */
int nst_gp_step(struct nst_rcu_domain *d);
/* The same for all domains. */
int nst_rcu_pass(void);

/* ---- for floor 6: who holds a domain against nst_rcu_domain_destroy() ---- */

/* 1 and held, or 0: there is no such domain. Context: any.  Waits: never. */
int nst_rcu_domain_hold(struct nst_rcu_domain *d);
void nst_rcu_domain_let_go(struct nst_rcu_domain *d);

/* ---- start, fork, statistics ---- */

/* After metadata, CPUs and rseq are known. 0; without memory readers count with atomics, and it works. */
int nst_rcu_init(void);
/* @fn is called, in any context, when a period is wanted; it may set flags. @fork_check: a child is noticed. */
void nst_rcu_on_want(void (*fn)(void), void (*fork_check)(void));
/* In a child, once: one thread runs. */
void nst_rcu_after_fork(void);
/* And it is one of fork(): threads can be made. */
void nst_rcu_after_libc_fork(void);

struct nst_rcu_numbers {
	u64 periods;   /* over, of all domains */
	u64 stalls;    /* reported */
	u64 oldest_ns; /* how long the oldest period under way has been; 0: none is */
	u32 domains;
};
void nst_rcu_numbers(struct nst_rcu_numbers *out);

/* ---- within the folder ---- */

/*
 * The counts of one CPU, or of a stripe of threads without rseq. Sections are begun in one line and ended in
 * another: only sums over all lines mean something.
 */
struct nst_rcu_line {
	u64 in[2];  /* sections begun, by phase; at byte 8 * phase */
	u64 out[2]; /* and ended; at byte 16 + 8 * phase */
	u64 pad[12];
};

#endif
