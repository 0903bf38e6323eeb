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
	NST_GP_BEGUN,	/* started was raised; no barrier yet */
	NST_GP_OLD,	/* late readers of the phase that is not current */
	NST_GP_FLIPPED, /* readers of the phase that was current */
	NST_GP_CALLED,	/* another's synchronize is called */
};

struct nst_rcu_domain {
	u64 started; /* periods begun, 1 at first: a stamp is a copy of it */
	u64 done;    /* periods over */
	u32 wanted;  /* a flag, set in any context: one more is to begin */
	u32 used;    /* 1: there is such a domain; 2: it is being made, or destroyed */
	struct nst_rcu_domain_ops ops;

	u64 begun_ns NST_LINE_ALIGNED; /* when the period under way began; 0: none is */
	u64 stalls;		       /* reported */
	u64 blocker;	/* a thread that holds the reported one up; 0: none is known */
	u32 waiters;	/* threads in nst_gp_wait_in(): an atomic count */
	u32 holders;	/* floor 6 has something retired to it: an atomic count */
	u32 askers;	/* threads in nst_rcu_is_reading(): an atomic count */
	u32 pulse;	/* a futex: changes when a period is over */
	u32 bell;	/* the futex its thread sleeps on */
	u32 thread;	/* enum thread_state in domain.c */
	u32 state;	/* enum nst_gp_state; by nst_rcu_lock */
	u32 forked;	/* no period has ended since this process was forked */
	u32 stall_told; /* the period under way was reported */
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
	/* Pairs with: nst_rcu_init(): who sees 0 sees every period begun until then; let_all_fence(). */
	if (nst_unlikely(nst_load_acquire(&nst_rcu_stamp_fences)))
		/* Pairs with: nst_gp_fence_locked(): the period sees what is unlinked, or the stamp that it has begun. */
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
/*
 * For who is busy with other things: of our domain, what can be done at once towards the end of the period that @cookie
 * waits for, at most two from beginning to end. Wakes no worker, reports nothing. Is it over?
 * Context: thread.  Waits: never.  Syscalls: membarrier, clock_gettime, futex.  Locks: tries rcu.
 */
int nst_gp_press(nst_cookie_t cookie);

/* ---- for floor 6: who holds a domain against nst_rcu_domain_destroy() ---- */

/* 1 and held once, or 0: there is no such domain. Context: any.  Waits: never. */
int nst_rcu_domain_hold(struct nst_rcu_domain *d);
/* @n times less. */
void nst_rcu_domain_let_go(struct nst_rcu_domain *d, u32 n);
/* Does anything of it wait? Ours is held always. Context: any.  Waits: never. */
static inline int nst_rcu_domain_is_held(const struct nst_rcu_domain *d)
{
	/* Pairs with: nst_rcu_domain_let_go(): what was freed is. */
	return d == nst_rcu_own || nst_load_acquire(&d->holders);
}
/*
 * The calling thread is to wait for @d's readers. One that is a reader by being online (qsbr) stands aside; *@online is for
 * nst_gp_wait_end(), which comes in any case. 0, or -EDEADLK: it is inside a section. Context: thread.
 */
int nst_gp_wait_begin(struct nst_rcu_domain *d, int *online);
void nst_gp_wait_end(struct nst_rcu_domain *d, int online);
/*
 * Is the calling thread known to be a reader, of whatever domain: then it had better not sleep. What a section of ours
 * was begun by is known; others' domains are asked.
 * Context: thread.  Waits: never.
 */
int nst_rcu_is_reading(void);
/* Why a wait for @d, which is not ours, would never end, -errno; or 0. Context: thread. */
int nst_gp_refusal(struct nst_rcu_domain *d);

/* ---- start, fork, statistics ---- */

/* After metadata, CPUs and rseq are known. Without memory or membarrier readers count with atomics. */
void nst_rcu_init(void);
/* @fn is called, in any context, when a period is wanted; it may set flags. @fork_check: a child is noticed. */
void nst_rcu_on_want(void (*fn)(void), void (*fork_check)(void));
/* @fn is called, with the lock held, when retirers must fence from then on: nst_rcu_stamp_fences. */
void nst_rcu_on_fences(void (*fn)(void));
/* @fn says how many bytes wait for periods: for reports. */
void nst_rcu_on_stall(u64 (*fn)(void));
/* In a child, once: one thread runs. */
void nst_rcu_after_fork(void);
/* And it is one of fork(): threads can be made. */
void nst_rcu_after_libc_fork(void);
extern struct nst_lock nst_rcu_lock NST_HIDDEN;

struct nst_rcu_numbers {
	u64 periods;   /* over, of all domains */
	u64 stalls;    /* reported */
	u64 blocker;   /* a thread that holds up a period that was reported; 0: none is known */
	u64 oldest_ns; /* how long the oldest period under way has been; 0: none is */
	u64 misused;   /* tokens that were none */
	u32 domains;
};
void nst_rcu_numbers(struct nst_rcu_numbers *out);

/* ---- within the folder ---- */

/* Readers must fence: the phase is then negative. */
#define NST_RCU_FENCED INT32_MIN

/** struct nst_rcu_readers - what every section reads */
struct nst_rcu_readers {
	int phase; /* of sections that begin now, 0 or 1; and NST_RCU_FENCED */
	struct nst_read_line
		*lines; /* one for each CPU; NULL while phase is negative from the start */
	u32 noted;	/* who begins a section is, for reports: none goes by sequence */
	u64 ends; /* for TSan: sections that ended come before periods that end. Of no other use: a store of its own would begin anew */
} NST_LINE_ALIGNED;
extern struct nst_rcu_readers nst_rcu_readers NST_HIDDEN;

/* read.c. Sums over all CPUs and stripes: sections begun and ended. */
u64 nst_rcu_sum_in(u64 phase);
u64 nst_rcu_sum_out(u64 phase);
/* Sections that this thread has begun and not ended. */
u64 nst_rcu_open_here(void);
/* May @t be the block of a thread that has had sections? */
int nst_rcu_is_reader(const struct nst_thread *t);
u64 nst_rcu_misused(void);
/* They count by sequence from now on, in @lines. Locks: needs nst_rcu_lock. */
void nst_rcu_readers_start_locked(struct nst_read_line *lines);
void nst_rcu_readers_after_fork(void);

/* gp.c. Locks: need nst_rcu_lock. */
void nst_gp_begin_locked(struct nst_rcu_domain *d);
/* A barrier for every reader and retirer, 0; or -EAGAIN: they are given time to fence, try again. */
int nst_gp_fence_locked(void);
void nst_gp_end_locked(struct nst_rcu_domain *d, u32 self);

/* A period is wanted, or is under way (in a fork child: was cut off). */
static inline int nst_gp_is_wanted(const struct nst_rcu_domain *d)
{
	return nst_load_relaxed(&d->wanted) || /* relaxed: who looks looks again */
	       nst_load_relaxed(&d->done) != nst_load_relaxed(&d->started);
}

/* domain.c. Context: any. */
int nst_rcu_is_domain(const struct nst_rcu_domain *d);
/* Wake the thread of another's domain, if there is work; 1: a period is wanted or under way. */
int nst_gp_nudge(struct nst_rcu_domain *d);
/* stall.c. One line, if the period under way has taken too long. Context: thread, nst_rcu_lock not held. */
void nst_gp_watch(struct nst_rcu_domain *d);
/* How long the period under way has been, ns; 0: none is. */
u64 nst_gp_age_ns(const struct nst_rcu_domain *d);

#endif
