/* SPDX-License-Identifier: MIT */
/*
 * gp.c - grace periods: cookies for every domain, and the machine that ends ours without ever waiting.
 *
 *	      wanted: started++        M           OLD drained: flip          FLIPPED drained: done = started
 *	IDLE ----------------> BEGUN -----> OLD ---------------------> FLIPPED ---------------------> IDLE
 *
 * M is a barrier on all CPUs (membarrier). Drained(p): sum out[p] over all lines; M; sum in[p]; they are equal.
 *
 * Why a section that may hold an object is waited for. X is unlinked, then a stamp s is loaded, with no fence
 * between; the period that raises done above s raised started to s + 1 after that load, or the load had seen it.
 *
 *  1. The first M, after started was raised: on the retirer's CPU it falls behind the load, or the load had seen
 *     s + 1. So it falls behind the unlinking, which everybody sees once M is over. (x86 alone would let the load
 *     pass the unlinking: M does not, in other domains too: theirs is before synchronize.)
 *  2. A section whose begin is not in a sum of in[p] counts behind the M before that sum, on its CPU. So do its
 *     loads, and the first M was over by then: it cannot find X. One whose begin is in the sum is waited for, in
 *     whichever phase it is: both are drained, OLD for those that read the phase long ago and counted late, after
 *     the period before had looked. One M for both 1. and 2. would not do: it comes to a late reader, who begins,
 *     before it comes to the retirer (tests/model/rcu.pml, NO_FIRST_BARRIER).
 *  3. An end that is in the sum of out[p] was counted before the M of that sum, which puts all that the section read
 *     before the free; and its begin, before it in program order or by what handed the token over, is in the sum of
 *     in[p] taken after M. So out first: equal sums have every begin that was seen paired with its end.
 *  4. New sections take the current phase: a phase that drains gains only those that had read it before. So a
 *     period ends when those do.
 *
 * Where the kernel refuses membarrier each CPU is visited, with the same effect (decision 0008). Where it refuses
 * that too, readers and retirers fence for themselves (NST_RCU_FENCED, nst_rcu_stamp_fences), and so does the
 * period: then in 1. and 2. two fences meet instead, and whoever's is first is seen by the other. When that
 * begins while the program runs, SETTLE_NS pass first: a sequence that has read the old phase has not been
 * preempted since, or it restarts, so only what a CPU has not yet executed is outstanding.
 *
 * Lock order: nst_rcu_lock is a leaf. It is tried by steps, and held for barriers, not for readers.
 * Fork: the child begins its period anew; readers: read.c. Signal: want, stamp and done are legal.
 */
#include "rcu.h"

#define SETTLE_NS 1000000000ull /* a virtual CPU may be away */
#define SPINS 200u
#define NAP_US 50u
#define NAP_US_MOST 1000u

struct nst_rcu_domain nst_rcu_domains[NST_RCU_DOMAINS] = {{
	.started = 1,
	.done = 1,
	.used = 1,
	.name = "own",
}};
struct nst_lock nst_rcu_lock = {.lock_class = NST_LOCK_RCU};
u32 nst_rcu_stamp_fences = 1;

static struct {
	void (*on_want)(void);
	void (*fork_check)(void);
	void (*on_fences)(void);
	u64 settled_ns; /* when all CPUs have seen that they must fence */
	u64 periods;
} gp;

/* No call: a program linked to the archive for the sake of this file gets what starts the library, too. */
int nst_start(void);
static int (*const brings_start)(void) __attribute__((used, section(".nst_brings"))) = nst_start;

/* ---- wishes and cookies ---- */

void nst_gp_want(struct nst_rcu_domain *d)
{
	if (nst_load_relaxed(&d->wanted)) /* relaxed: G3, after the acquire of the stamp */
		return;
	nst_store_relaxed(&d->wanted, 1u);
	if (gp.on_want)
		gp.on_want();
}

nst_cookie_t nst_gp_start_in(struct nst_rcu_domain *d)
{
	nst_cookie_t c;

	if (!nst_rcu_is_domain(d))
		return 0;
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 9
	c = nst_load_relaxed(&d->done); /* the period under way will do */
#else
	c = nst_gp_stamp(d);
#endif
	nst_gp_want(d);
	return c;
}

int nst_gp_done_in(struct nst_rcu_domain *d, nst_cookie_t cookie)
{
	if (!nst_rcu_is_domain(d))
		return -22;
	if (nst_gp_is_done(d, cookie))
		return 1;
	/* relaxed: who has the cookie has seen so many begin */
	return cookie > nst_load_relaxed(&d->started) ? -22 : 0;
}

nst_cookie_t nst_gp_start(void)
{
	return nst_gp_start_in(nst_rcu_own);
}

int nst_gp_done(nst_cookie_t cookie)
{
	return nst_gp_done_in(nst_rcu_own, cookie);
}

/* ---- barriers ---- */

/* From now on readers and retirers fence. */
static void let_all_fence(void)
{
	int phase = nst_load_relaxed(&nst_rcu_readers.phase);

	nst_store_relaxed(&gp.settled_ns, nst_sys_now_ns() + SETTLE_NS); /* with the lock */
	/* Pairs with: begin_slow(); and the sequences, which read it last before they count. */
	nst_store_release(&nst_rcu_readers.phase, phase | NST_RCU_FENCED);
	/* Pairs with: nst_gp_before_stamp(). */
	nst_store_release(&nst_rcu_stamp_fences, 1u);
	/* Pairs with: nst_fence_full() in open_fast_path(). */
	nst_fence_full();
	if (gp.on_fences)
		gp.on_fences();
	nst_warn(
		"the kernel refuses membarrier from now on: read sections cost a full barrier each");
}

static int settling(void)
{
	u64 until = nst_load_relaxed(&gp.settled_ns); /* it changes with the lock */

	return until && nst_sys_now_ns() < until;
}

int nst_gp_fence_locked(void)
{
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 8
	return 0;
#endif
	if (nst_load_relaxed(&nst_rcu_stamp_fences)) { /* it changes with the lock */
		/* Pairs with: begin_slow(), end_slow() and nst_gp_before_stamp(). */
		nst_fence_full();
		return settling() ? -11 : 0;
	}
	if (nst_sys_fence_process() == 0)
		return 0;
	let_all_fence();
	return -11;
}

/* ---- a period ---- */

void nst_gp_begin_locked(struct nst_rcu_domain *d)
{
	nst_store_relaxed(&d->stall_told, 0u);
	nst_store_relaxed(&d->blocker, (u64)0);		   /* a statistic */
	nst_store_relaxed(&d->begun_ns, nst_sys_now_ns()); /* a statistic */
	if (d->started !=
	    d->done) /* begun anew in a fork child: what was wished meanwhile is for the next */
		return;
	nst_store_relaxed(&d->wanted, 0u); /* before started: G3 */
	/* Pairs with: nst_gp_stamp(). */
	nst_store_release(&d->started, d->started + 1);
}

void nst_gp_end_locked(struct nst_rcu_domain *d, u32 self)
{
	nst_tsan_acquire(&nst_rcu_readers.ends);
	nst_store_relaxed(&d->state, (u32)NST_GP_IDLE); /* with the lock; others look */
	nst_store_relaxed(&d->forked, 0u);		/* as above */
	nst_store_relaxed(&d->begun_ns, (u64)0);	/* statistics */
	nst_store_relaxed(&d->blocker, (u64)0);
	nst_add_relaxed(&gp.periods, (u64)1);
	/* Pairs with: nst_gp_is_done(). */
	nst_store_release(&d->done, d->started);
	nst_add_relaxed(&d->pulse, 1u);
	if (nst_load_relaxed(&d->waiters) > self) /* relaxed: who comes now naps once for nothing */
		nst_sys_futex_wake_all(&d->pulse);
}

/* Has every section of phase @p ended that may hold what was unlinked before the period? */
static int drained(u64 p)
{
	u64 out = nst_rcu_sum_out(p);

	if (nst_rcu_sum_in(p) != out) /* not yet, as it seems: no need for a barrier */
		return 0;
	/* Pairs with: begin_slow() and end_slow(), where there is no barrier for all. */
	if (nst_gp_fence_locked())
		return 0;
	return nst_rcu_sum_in(p) == out;
}

static u64 other_phase(void)
{
	return ~(u64)nst_load_relaxed(&nst_rcu_readers.phase) & 1; /* it changes with the lock */
}

static void flip(void)
{
	/* relaxed: a reader that sees it late is OLD for the next period */
	nst_store_relaxed(&nst_rcu_readers.phase, nst_rcu_readers.phase ^ 1);
}

/* 1: there is more to do. @self: 1 for a waiter, who needs no wake-up. */
static int step_locked(struct nst_rcu_domain *d, u32 self)
{
	if (d->state == NST_GP_IDLE) {
		if (!nst_gp_is_wanted(d))
			return 0;
		nst_gp_begin_locked(d);
		d->state = NST_GP_BEGUN;
	}
	if (d->state == NST_GP_BEGUN) {
		if (nst_gp_fence_locked())
			return 1;
		d->state = NST_GP_OLD;
	}
	if (d->state == NST_GP_OLD) {
#if !defined(NST_TEST) || !defined(NST_BUSTED) || NST_BUSTED != 7
		if (!drained(other_phase()))
			return 1;
#endif
		flip();
		d->state = NST_GP_FLIPPED;
	}
	if (!drained(other_phase()))
		return 1;
	nst_gp_end_locked(d, self);
	return nst_gp_is_wanted(d);
}

static int step_own(u32 self)
{
	int more = 1;

	if (nst_trylock(&nst_rcu_lock)) {
		more = step_locked(nst_rcu_own, self);
		nst_unlock(&nst_rcu_lock);
	}
	if (more)
		nst_gp_watch(nst_rcu_own);
	return more;
}

int nst_gp_press(nst_cookie_t cookie)
{
	struct nst_rcu_domain *d = nst_rcu_own;
	unsigned int i;

	/* The period under way, and the one after it. */
	for (i = 0; i < 2 && !nst_gp_is_done(d, cookie) && nst_trylock(&nst_rcu_lock); i++) {
		if (d->started <= cookie)
			nst_store_relaxed(&d->wanted, 1u); /* G3: with the lock */
		step_locked(d, 0);
		nst_unlock(&nst_rcu_lock);
	}
	return nst_gp_is_done(d, cookie);
}

int nst_gp_step(struct nst_rcu_domain *d)
{
	return d == nst_rcu_own ? step_own(0) : nst_gp_nudge(d);
}

int nst_rcu_pass(void)
{
	int more = 0;

	for (struct nst_rcu_domain *d = nst_rcu_domains; d < nst_rcu_domains + NST_RCU_DOMAINS; d++)
		/* relaxed: a later pass sees it */
		if (nst_load_relaxed(&d->used) && nst_gp_is_wanted(d))
			more |= nst_gp_step(d);
	if (more && gp.on_want)
		gp.on_want();
	return more;
}

/* ---- waiting ---- */

/* After @tries fruitless looks: a few turns, then naps that grow. @pulse was read before the look. */
static void nap(struct nst_rcu_domain *d, u32 pulse, unsigned int tries)
{
	unsigned int i;

	if (tries < 4) {
		for (i = 0; i < SPINS; i++)
			nst_cpu_relax();
		return;
	}
	nst_sys_futex_wait(&d->pulse, pulse, nst_min(NAP_US << nst_min(tries - 4, 8), NAP_US_MOST));
}

/* The period under way may be the one. */
static void want_for(struct nst_rcu_domain *d, nst_cookie_t cookie)
{
	if (nst_load_relaxed(&d->started) <=
	    cookie) /* relaxed: a wish too many, or in the next round */
		nst_gp_want(d);
}

static int wait_own(nst_cookie_t cookie)
{
	struct nst_rcu_domain *d = nst_rcu_own;
	unsigned int tries;
	u32 pulse;

	for (tries = 0; !nst_gp_is_done(d, cookie); tries++) {
		pulse = nst_load_relaxed(&d->pulse); /* the futex looks again */
		want_for(d, cookie);
		step_own(1);
		if (!nst_gp_is_done(d, cookie))
			nap(d, pulse, tries);
	}
	return 0;
}

static int wait_other(struct nst_rcu_domain *d, nst_cookie_t cookie)
{
	unsigned int tries;
	int err = 0;
	u32 pulse;

	for (tries = 4; !err && !nst_gp_is_done(d, cookie); tries++) {
		pulse = nst_load_relaxed(&d->pulse); /* the futex looks again */
		want_for(d, cookie);
		nst_gp_nudge(d);
		err = nst_gp_refusal(d);
		if (!err && !nst_gp_is_done(d, cookie))
			nap(d, pulse, tries);
	}
	return err;
}

/* A reader by being online stands aside; @online: it is to come back. -EDEADLK: it is inside a section. */
static int stand_aside(struct nst_rcu_domain *d, int *online)
{
	const struct nst_rcu_domain_ops *o = &d->ops;

	*online = 0;
	if (!o->read_ongoing || !o->read_ongoing(o->ctx))
		return 0;
	if (!o->offline)
		return -35;
	o->offline(o->ctx);
	*online = 1;
	return o->read_ongoing(o->ctx) ? -35 : 0;
}

/* A fork child counts none of those it lost; the thread itself may be inside, in a handler. */
static void leave(struct nst_rcu_domain *d)
{
	u32 n = nst_load_relaxed(&d->waiters);

	while (n && !nst_cas_relaxed(&d->waiters, n, n - 1))
		n = nst_load_relaxed(&d->waiters);
}

int nst_gp_wait_begin(struct nst_rcu_domain *d, int *online)
{
	nst_add_relaxed(&d->waiters, 1u);
	return stand_aside(d, online);
}

void nst_gp_wait_end(struct nst_rcu_domain *d, int online)
{
	leave(d);
	if (online)
		d->ops.online(d->ops.ctx);
}

int nst_gp_wait_in(struct nst_rcu_domain *d, nst_cookie_t cookie)
{
	int online, err = nst_gp_done_in(d, cookie);

	if (err)
		return err < 0 ? err : 0;
	if (gp.fork_check)
		gp.fork_check();
	nst_lockdep_wait(d == nst_rcu_own ? NST_LOCKDEP_WAIT_PERIOD
					  : NST_LOCKDEP_WAIT_OTHERS_PERIOD);
	err = nst_gp_wait_begin(d, &online);
	if (!err)
		err = d == nst_rcu_own ? wait_own(cookie) : wait_other(d, cookie);
	nst_gp_wait_end(d, online);
	return err;
}

int nst_synchronize_rcu_in(struct nst_rcu_domain *d)
{
	nst_cookie_t c = nst_gp_start_in(d);

	return c ? nst_gp_wait_in(d, c) : -22;
}

int nst_gp_wait(nst_cookie_t cookie)
{
	return nst_gp_wait_in(nst_rcu_own, cookie);
}

int nst_synchronize_rcu(void)
{
	return nst_synchronize_rcu_in(nst_rcu_own);
}

/* ---- start, statistics ---- */

/* A line for each CPU, or NULL. Metadata comes at multiples of 64: one line more has room to move up. */
static struct nst_read_line *lines_of_cpus(void)
{
	void *p = nst_meta_alloc(((size_t)nst_sys_cpus.nr + 1) << NST_READ_LINE_SHIFT);

	return (void *)nst_round_up((uintptr_t)p, (size_t)1 << NST_READ_LINE_SHIFT);
}

void nst_rcu_init(void)
{
	struct nst_read_line *lines = nst_sys_rseq.usable ? lines_of_cpus() : NULL;

	nst_lock_wait(&nst_rcu_lock);
	if (nst_sys_fence_process() == 0) {
		/* Pairs with: nst_gp_before_stamp(). */
		nst_store_release(&nst_rcu_stamp_fences, 0u);
		if (lines)
			nst_rcu_readers_start_locked(lines);
	}
	nst_unlock(&nst_rcu_lock);
}

void nst_rcu_on_want(void (*fn)(void), void (*fork_check)(void))
{
	gp.on_want = fn;
	gp.fork_check = fork_check;
}

void nst_rcu_on_fences(void (*fn)(void))
{
	gp.on_fences = fn;
}

void nst_rcu_numbers(struct nst_rcu_numbers *out)
{
	u64 now = nst_sys_now_ns();

	*out = (struct nst_rcu_numbers){.periods = nst_load_relaxed(&gp.periods),
					.misused = nst_rcu_misused()};
	for (struct nst_rcu_domain *d = nst_rcu_domains; d < nst_rcu_domains + NST_RCU_DOMAINS;
	     d++) {
		u64 begun = nst_load_relaxed(&d->begun_ns); /* statistics, all of them */

		out->stalls += nst_load_relaxed(&d->stalls);
		out->domains += nst_load_relaxed(&d->used);
		if (!out->blocker)
			out->blocker = nst_load_relaxed(&d->blocker);
		if (begun && now > begun)
			out->oldest_ns = nst_max(out->oldest_ns, now - begun);
	}
}
