/* SPDX-License-Identifier: MIT */
/*
 * domain.c - domains of readers that are not ours, their threads, and what a child of a fork does with them.
 *
 *	wanted --> [ nst_gp_begin_locked(): started++, barrier ] --> synchronize() --> done = started
 *	           the domain's own thread, which alone may block on its readers
 *
 * D1. ops and name are written before used is 1, and stay until the domain is destroyed.
 * D2. state, started and done change with nst_rcu_lock, or in a fork child's one thread.
 *
 * Fork: a child has no such thread and makes one when it is first needed; after _Fork(), when libc may not be able
 * to, who waits gets -EDEADLK. Readers that the fork caught in a section never leave it: the child's first period
 * (forked) is refused once it has taken rcu_stall_ms, and served again should it end.
 * Signal: want, stamp, done and hold are legal.
 */
#include "rcu.h"

#define NAP_US 50000u /* (tune) without the worker, and nobody waiting */
#define MS 1000000ull

/* GONE: the domain is being destroyed, and whoever still finds it starts no thread. */
enum thread_state { NO_THREAD, HAS_THREAD, STOPPING, GONE, NEVER };

/* Whoever asks for a period of it holds it, or has it from its user. */
int nst_rcu_is_domain(const struct nst_rcu_domain *d)
{
	uintptr_t at = (uintptr_t)d - (uintptr_t)nst_rcu_domains;

	return at < sizeof(nst_rcu_domains) && at % sizeof(*d) == 0 &&
	       /* Pairs with: nst_store_release() in nst_rcu_domain_create(). */
	       nst_load_acquire(&d->used) == 1;
}

int nst_rcu_domain_hold(struct nst_rcu_domain *d)
{
	if (!nst_rcu_is_domain(d))
		return 0;
	nst_add_relaxed(&d->holders, 1u); /* destroying beside a first use is the user's mistake */
	return 1;
}

void nst_rcu_domain_let_go(struct nst_rcu_domain *d, u32 n)
{
	/* Pairs with: nst_rcu_domain_is_held(). */
	nst_sub_release(&d->holders, n);
}

/*
 * Its functions may be called while it is there:
 *
 *	ask	askers++, fence, used?			destroy		used = 2, fence, askers?
 *
 * Either the asker sees that it goes, or who destroys it waits for the asker, which is not long.
 */
static int asks(struct nst_rcu_domain *d)
{
	int inside;
	u32 n;

	if (!nst_load_relaxed(&d->used)) /* most are not */
		return 0;
	nst_add_relaxed(&d->askers, 1u);
	/* Pairs with: nst_fence_full() in wait_for_askers(). */
	nst_fence_full();
	inside = nst_rcu_is_domain(d) && d->ops.read_ongoing && d->ops.read_ongoing(d->ops.ctx);
	do {
		/* relaxed: the swap checks it. 0: a fork child's */
		n = nst_load_relaxed(&d->askers);
		/* Pairs with: nst_load_acquire() in wait_for_askers(). */
	} while (n && !nst_cas_release(&d->askers, n, n - 1));
	return inside;
}

int nst_rcu_is_reading(void)
{
	struct nst_rcu_domain *d;

	if (nst_rcu_open_here())
		return 1;
	for (d = nst_rcu_domains + 1; d < nst_rcu_domains + NST_RCU_DOMAINS; d++)
		if (asks(d))
			return 1;
	return 0;
}

static void wait_for_askers(struct nst_rcu_domain *d)
{
	u32 n;

	/* Pairs with: nst_fence_full() in asks(). */
	nst_fence_full();
	/* Pairs with: nst_cas_release() in asks(). */
	while ((n = nst_load_acquire(&d->askers)) != 0)
		nst_sys_futex_wait(&d->askers, n, 100);
}

/* ---- its thread ---- */

static void ring(struct nst_rcu_domain *d)
{
	nst_add_relaxed(&d->bell, 1u);
	nst_sys_futex_wake(&d->bell);
}

/* Begun and fenced, or to be tried again. */
static int begin(struct nst_rcu_domain *d)
{
	int err;

	nst_lock_wait(&nst_rcu_lock);
	if (d->state == NST_GP_IDLE)
		nst_gp_begin_locked(d);
	nst_store_relaxed(&d->state, (u32)NST_GP_BEGUN); /* with the lock; nst_gp_nudge() looks */
	err = nst_gp_fence_locked();
	if (!err)
		nst_store_relaxed(&d->state, (u32)NST_GP_CALLED); /* as above */
	nst_unlock(&nst_rcu_lock);
	return err;
}

static void one_period(struct nst_rcu_domain *d)
{
	while (begin(d))
		nst_sys_futex_wait(&d->bell, nst_load_relaxed(&d->bell), NAP_US); /* a nap */
	d->ops.synchronize(d->ops.ctx);
	nst_lock_wait(&nst_rcu_lock);
	nst_gp_end_locked(d, 0);
	nst_unlock(&nst_rcu_lock);
}

static void *serve(void *arg)
{
	struct nst_rcu_domain *d = arg;

	for (;;) {
		u32 bell = nst_load_relaxed(&d->bell); /* what comes after rings anew */

		if (nst_load_relaxed(&d->thread) == STOPPING) /* relaxed: as above */
			break;
		if (nst_gp_is_wanted(d))
			one_period(d);
		else
			nst_sys_futex_wait(&d->bell, bell, NAP_US);
	}
	/* Pairs with: nst_load_acquire() in stop_thread(). */
	nst_store_release(&d->thread, (u32)GONE);
	return NULL;
}

/* 0 or -errno. */
static int ensure_thread(struct nst_rcu_domain *d)
{
	u32 state = nst_load_relaxed(&d->thread); /* relaxed: the start itself is a swap */

	if (state == NEVER)
		return -35;
	if (state != NO_THREAD || !nst_cas_relaxed(&d->thread, (u32)NO_THREAD, (u32)HAS_THREAD))
		return 0;
	if (!nst_sys_thread_start(serve, d))
		return 0;
	nst_store_relaxed(&d->thread, (u32)NO_THREAD); /* the next one tries again */
	return -11;
}

int nst_gp_nudge(struct nst_rcu_domain *d)
{
	/* relaxed: it looks itself */
	int wanted = nst_gp_is_wanted(d), called = nst_load_relaxed(&d->state) == NST_GP_CALLED;

	if (ensure_thread(d) == 0 && wanted && !called)
		ring(d);
	nst_gp_watch(d);
	return wanted || called;
}

int nst_gp_refusal(struct nst_rcu_domain *d)
{
	int err = ensure_thread(d);

	if (err)
		return err;
	/* relaxed: at some moment */
	if (nst_load_relaxed(&d->forked) &&
	    nst_gp_age_ns(d) >= nst_option(NST_OPT_rcu_stall_ms) * MS)
		return -35;
	return 0;
}

/* ---- made and destroyed ---- */

static int is_name(const char *s)
{
	size_t n = 0;

	for (; s && s[n] && n < NST_RCU_DOMAIN_NAME; n++) {
		char c = s[n];

		if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') &&
		    c != '-' && c != '_')
			return 0;
	}
	return n > 0 && n < NST_RCU_DOMAIN_NAME;
}

/* Locks: needs nst_rcu_lock. */
static struct nst_rcu_domain *free_place_locked(void)
{
	for (struct nst_rcu_domain *d = nst_rcu_domains + 1; d < nst_rcu_domains + NST_RCU_DOMAINS;
	     d++)
		if (!nst_load_relaxed(&d->used)) /* it changes with the lock */
			return d;
	return NULL;
}

/* A cookie of the domain that was here before is over. */
static void fill(struct nst_rcu_domain *d, const char *name, const struct nst_rcu_domain_ops *ops)
{
	size_t i;

	nst_store_relaxed(&d->done, nst_load_relaxed(&d->started) + 1); /* nobody has it yet */
	nst_store_relaxed(&d->started, nst_load_relaxed(&d->done));
	nst_store_relaxed(&d->wanted, 0u);
	nst_store_relaxed(&d->thread, (u32)NO_THREAD);
	d->state = NST_GP_IDLE;
	d->forked = 0;
	d->ops = *ops;
	for (i = 0; i < NST_RCU_DOMAIN_NAME; i++)
		d->name[i] = 0;
	for (i = 0; name[i]; i++)
		d->name[i] = name[i];
}

int nst_rcu_domain_create(const char *name, const struct nst_rcu_domain_ops *ops,
			  struct nst_rcu_domain **out)
{
	struct nst_rcu_domain *d;

	if (!out || !ops || !ops->synchronize || !ops->online != !ops->offline || !is_name(name))
		return -22;
	nst_lock_wait(&nst_rcu_lock);
	d = free_place_locked();
	if (d)
		nst_store_relaxed(&d->used, 2u); /* being made; with the lock */
	nst_unlock(&nst_rcu_lock);
	if (!d)
		return -28;
	fill(d, name, ops);
	if (ensure_thread(d)) {
		nst_store_relaxed(&d->used, 0u); /* nobody has it yet */
		return -11;
	}
	/* Pairs with: nst_rcu_is_domain(). */
	nst_store_release(&d->used, 1u);
	*out = d;
	return 0;
}

/* Waits: sleeps, until it has left its period. 0; -EDEADLK: it never will. */
static int stop_thread(struct nst_rcu_domain *d)
{
	if (!nst_cas_relaxed(&d->thread, (u32)HAS_THREAD, (u32)STOPPING)) {
		nst_store_relaxed(&d->thread, (u32)GONE); /* a fork child that had not made one */
		return 0;
	}
	ring(d);
	/* Pairs with: nst_store_release() in serve(). */
	while (nst_load_acquire(&d->thread) != GONE) {
		/* relaxed: at some moment */
		if (nst_load_relaxed(&d->forked) &&
		    nst_gp_age_ns(d) >= nst_option(NST_OPT_rcu_stall_ms) * MS) {
			nst_cas_relaxed(&d->thread, (u32)STOPPING, (u32)HAS_THREAD);
			return -35;
		}
		nst_sys_futex_wait(&d->thread, (u32)STOPPING, 1000);
	}
	return 0;
}

int nst_rcu_domain_destroy(struct nst_rcu_domain *d)
{
	int err;

	if (!nst_rcu_is_domain(d) || d == nst_rcu_own)
		return -22;
	if (nst_load_relaxed(&d->holders) || nst_load_relaxed(&d->waiters)) /* at some moment */
		return -16;
	err = stop_thread(d);
	if (err)
		return err;
	nst_store_relaxed(&d->used,
			  2u); /* nobody uses it any more, or it is misuse; but it may be asked */
	wait_for_askers(d);
	nst_store_relaxed(&d->used, 0u); /* as above */
	return 0;
}

/* ---- fork ---- */

static void domain_after_fork(struct nst_rcu_domain *d)
{
	d->waiters = d->askers = 0;
	d->begun_ns = 0;
	d->state = NST_GP_IDLE; /* a period under way is begun anew: nst_gp_is_wanted() */
	if (d == nst_rcu_own)
		return;
	d->thread = NEVER;
	d->forked = 1;
	if (d->used == 2)
		d->used = 0; /* its maker is lost */
}

void nst_rcu_after_fork(void)
{
	for (struct nst_rcu_domain *d = nst_rcu_domains; d < nst_rcu_domains + NST_RCU_DOMAINS; d++)
		if (d->used)
			domain_after_fork(d);
	nst_rcu_readers_after_fork();
}

void nst_rcu_after_libc_fork(void)
{
	for (struct nst_rcu_domain *d = nst_rcu_domains + 1; d < nst_rcu_domains + NST_RCU_DOMAINS;
	     d++)
		if (d->used)
			d->thread = NO_THREAD;
}
