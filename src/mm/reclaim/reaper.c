/* SPDX-License-Identifier: MIT */
/*
 * reaper.c - out-of-memory notifiers: called last, and none of them keeps the others from being called.
 *
 *	request, nothing left -> those that never wait, on its own thread
 *			      -> the reaper, a thread: those that may block; the request waits a moment
 *
 *	FREE -> MAKING -> READY <-> BUSY, as of shrinkers (shrink.c): never called twice at a time
 *
 * P1. Who says "not now" is due again after an interval, the others meanwhile. After so many attempts it is passed over:
 *     due in ten intervals, and nobody waits for it, until it says something else.
 * P2. Who is BUSY for longer than an interval has its thread to itself: the next request starts another reaper for the rest.
 *     After so many intervals nobody waits for it.
 * P3. So a request waits at most attempts x interval longer than what it waits for takes, whoever refuses or never
 *     returns; and what any other notifier could free, it has an interval for each that never returns later.
 *
 * The reaper is started when the first notifier that may block is registered: once memory is short it may be too late.
 *
 * Attempts and times are those of Linux's oom_reaper (MAX_OOM_REAP_RETRIES, 10 x 100 ms); there one that is stuck holds up all.
 *
 * Fork: one that a lost thread was in is ready in the child; it has no reaper. Exit: nothing to do. Locks: none.
 */
#define NST_NO_MACROS
#include "reclaim.h"

#define MOST_REAPERS 9u /* eight may be lost */
#define MOST_ROUNDS 32u /* (tune) of a request */
#define NAP_US 200u
#define IDLE_US 60000000u

u32 nst_oom_interval_us = NST_OOM_INTERVAL_MS * 1000;
#define INTERVAL_US ((u64)nst_load_relaxed(&nst_oom_interval_us)) /* a test sets it */
#define INTERVAL_NS (INTERVAL_US * 1000)

enum state { FREE, MAKING, READY, BUSY };

struct nst_oom_notifier {
	u32 state, flags;
	u32 left;   /* attempts; by who has it BUSY, as what follows; others take a hint */
	u32 passed; /* 1: of this call it has been counted */
	u64 since;  /* ns, when it was called */
	u64 due;    /* ns, when it is to be asked again */
	size_t (*fn)(void *arg, const struct nst_oom *oom);
	void *arg;
	uintptr_t runner;
};
static struct nst_oom_notifier notifiers[NST_NR_OOM_NOTIFIERS];
static u32 nr_notifiers; /* a hint */

static struct {
	u32 bell; /* the futex they sleep on */
	u32 wanted;
	u32 running; /* how many there are */
	u32 freed;   /* the futex of who waits for them: moves when something was freed */
} reaper;

#define ALL_FLAGS ((u32)(NST_NOTIFIER_IO | NST_NOTIFIER_CLIENT | NST_NOTIFIER_BLOCKS))

/* What came of it. */
struct outcome {
	u64 freed;
	int wait; /* somebody will be asked again soon, or is at it */
};

/* ---- calls ---- */

static void passed_over(struct nst_oom_notifier *n)
{
	if (!nst_exchange_relaxed(&n->passed, 1u)) /* counted once */
		nst_count(NST_COUNT_OOM_PASSED, 1);
}

/* It said "not now". */
static void put_off(struct nst_oom_notifier *n)
{
	u32 left = nst_hint(&n->left);

	nst_count(NST_COUNT_OOM_AGAIN, 1);
	if (left == 1)
		passed_over(n);
	left -= left != 0;
	nst_hint_set(&n->left, left);
	nst_hint_set(&n->due, nst_sys_now_ns() + INTERVAL_NS * (left ? 1 : NST_OOM_ATTEMPTS));
}

static void freed(u64 bytes)
{
	nst_count(NST_COUNT_OOM_BYTES, bytes);
	nst_add_relaxed(&reaper.freed, 1u); /* the wake-up orders it */
	nst_sys_futex_wake_all(&reaper.freed);
}

/* It is BUSY, and this thread's. */
static u64 run(struct nst_oom_notifier *n, u32 how)
{
	u32 left = nst_hint(&n->left);
	struct nst_oom oom = {.flags = how, .attempts_left = left - (left != 0)};
	/* For one that blocks a request waits for a while only. */
	const int waited_for = !(nst_hint(&n->flags) & NST_NOTIFIER_BLOCKS);
	u64 bytes;

	nst_count(NST_COUNT_OOM_CALL, 1);
	if (waited_for)
		nst_lockdep_reclaim_begin(nst_hint(&n->flags));
	bytes = n->fn(n->arg, &oom);
	if (waited_for)
		nst_lockdep_reclaim_end();
	if (bytes == NST_OOM_AGAIN) {
		put_off(n);
		return 0;
	}
	nst_hint_set(&n->left, NST_OOM_ATTEMPTS);
	nst_hint_set(&n->due, (u64)0);
	if (bytes)
		freed(bytes);
	return bytes;
}

static int is_excluded(const struct nst_oom_notifier *n, nst_mode_t mode)
{
	u32 flags = nst_hint(&n->flags);

	return (flags & NST_NOTIFIER_IO && mode & NST_NOIO) ||
	       (flags & NST_NOTIFIER_CLIENT && mode & NST_NOCLIENT);
}

/* It is there, of those that block or of the others, and not excluded. */
static int is_of(const struct nst_oom_notifier *n, u32 blocks, nst_mode_t mode)
{
	/* Pairs with: nst_store_release() in nst_oom_register(), of its flags. */
	return nst_load_acquire(&n->state) >= READY &&
	       (nst_hint(&n->flags) & NST_NOTIFIER_BLOCKS) == blocks && !is_excluded(n, mode);
}

static u64 run_for_all(struct nst_oom_notifier *n, u32 how, nst_mode_t mode)
{
	struct nst_errand e = nst_errand_begin(mode);
	u64 bytes = run(n, how);

	nst_errand_end(e);
	return bytes;
}

/* Called, if nobody is at it, and it is still what it was: another may have its place. */
static u64 call(struct nst_oom_notifier *n, u32 blocks, nst_mode_t mode)
{
	u64 bytes = 0;

	/* Pairs with: nst_store_release() in nst_oom_register() and below. */
	if (!nst_cas_acquire(&n->state, (u32)READY, (u32)BUSY))
		return 0;
	nst_hint_set(&n->runner,
		     nst_thread_pointer()); /* who compares it is this thread, or is not */
	nst_hint_set(&n->since, nst_sys_now_ns());
	nst_hint_set(&n->passed, 0u);
	if (is_of(n, blocks, mode))
		bytes = run_for_all(n, blocks ? NST_NOTIFY_BLOCKABLE : 0, mode);
	nst_hint_set(&n->since, (u64)0);
	nst_hint_set(&n->runner, (uintptr_t)0);
	/* Pairs with: nst_cas_acquire() above, in nst_oom_register() and nst_oom_unregister(), and busy_ns(). */
	nst_store_release(&n->state, (u32)READY);
	return bytes;
}

static u64 busy_ns(const struct nst_oom_notifier *n)
{
	u64 now, since;

	/* Pairs with: nst_store_release() in call(): since is not of an earlier call. */
	if (nst_load_acquire(&n->state) != BUSY)
		return 0;
	since = nst_hint(&n->since);
	now = nst_sys_now_ns();
	return since && since < now ? now - since : 0;
}

/* Is it worth a wait? @from: what became due since is not passed over by who had no CPU meanwhile. */
static int may_come(struct nst_oom_notifier *n, u64 from)
{
	if (nst_hint(&n->state) != BUSY)
		return nst_hint(&n->left) && nst_hint(&n->due) > from;
	if (busy_ns(n) < INTERVAL_NS * NST_OOM_ATTEMPTS)
		return 1;
	passed_over(n);
	return 0;
}

static int is_due(const struct nst_oom_notifier *n)
{
	return nst_hint(&n->state) == READY && nst_hint(&n->due) <= nst_sys_now_ns();
}

static void call_all(u32 blocks, nst_mode_t mode, struct outcome *o)
{
	u64 from = nst_sys_now_ns();
	struct nst_oom_notifier *n;

	for (n = notifiers; n < notifiers + NST_NR_OOM_NOTIFIERS; n++) {
		if (!is_of(n, blocks, mode))
			continue;
		if (is_due(n))
			o->freed += call(n, blocks, mode);
		o->wait |= may_come(n, from);
	}
}

/* ---- the reaper ---- */

/* Those whose thread has been in one notifier for longer than an interval. */
static u32 nr_stuck(void)
{
	struct nst_oom_notifier *n;
	u32 stuck = 0;

#if !(defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 33) /* one reaper, and it waits */
	for (n = notifiers; n < notifiers + NST_NR_OOM_NOTIFIERS; n++)
		stuck += is_of(n, NST_NOTIFIER_BLOCKS, NST_NORMAL) && busy_ns(n) > INTERVAL_NS;
#else
	(void)n;
#endif
	return stuck;
}

/* 1: this one is too many, now that another has come back, and it is taken off. */
static int is_one_too_many(void)
{
	u32 running;

	do {
		running = nst_hint(&reaper.running);
		if (running <= nr_stuck() + 1)
			return 0;
	} while (!nst_cas_relaxed(&reaper.running, running,
				  running - 1)); /* a count: others leave, too */
	return 1;
}

static void *reap(void *nothing)
{
	(void)nothing;
	do {
		u32 bell = nst_hint(&reaper.bell); /* before the look: a later ring differs */
		struct outcome o = {0, 0};

		if (nst_exchange_relaxed(&reaper.wanted, 0u)) /* a hint */
			call_all(NST_NOTIFIER_BLOCKS, NST_NORMAL, &o);
		else
			nst_sys_futex_wait(&reaper.bell, bell, IDLE_US);
	} while (!is_one_too_many());
	return NULL;
}

/* What libc allocates for a thread does not come here again. */
static int start_reaper(void)
{
	nst_scope_t scope = nst_scope_enter(NST_SCOPE_NORECLAIM);
	int err = nst_sys_thread_start(reap, NULL);

	nst_scope_exit(scope);
	return err;
}

/* 1: there is one that is not stuck. */
static int have_reaper(void)
{
	u32 running = nst_hint(&reaper.running);

	if (running > nr_stuck())
		return 1;
	if (!nst_worker_may_start() || running >= MOST_REAPERS)
		return 0;
	if (!nst_cas_relaxed(&reaper.running, running, running + 1)) /* a state */
		return 1;
	if (!start_reaper())
		return 1;
	nst_sub_relaxed(&reaper.running, 1u);
	return 0;
}

/* 1: of those that may block one is being called, or will have been soon. */
static int ask_reaper(nst_mode_t mode)
{
	struct nst_oom_notifier *n;
	int due = 0, attempts = 0, wait = 0;

	for (n = notifiers; n < notifiers + NST_NR_OOM_NOTIFIERS; n++) {
		if (!is_of(n, NST_NOTIFIER_BLOCKS, mode))
			continue;
		wait |= may_come(n, nst_sys_now_ns());
		if (is_due(n)) {
			due = 1;
			attempts |= nst_hint(&n->left) != 0;
		}
	}
	if (!due)
		return wait;
	nst_hint_set(&reaper.wanted, 1u);
	if (!have_reaper())
		return wait;
	nst_add_relaxed(&reaper.bell, 1u); /* the wake-up orders it */
	nst_sys_futex_wake_all(&reaper.bell);
	return wait | attempts;
}

/* ---- registration ---- */

struct nst_oom_notifier *nst_oom_register(size_t (*fn)(void *arg, const struct nst_oom *oom),
					  uint32_t flags, void *arg)
{
	struct nst_oom_notifier *n = notifiers;

	if (!fn || flags & ~ALL_FLAGS) {
		nst_warn("nst_oom_register(): %s; allowed: a function, and flags of 0x%x",
			 fn ? "unknown flags" : "no function", ALL_FLAGS);
		return NULL;
	}
	if (nst_start())
		return NULL;
	nst_fork_check();
	/* Pairs with: nst_store_release() in call(), of who was here before. */
	while (!nst_cas_acquire(&n->state, (u32)FREE, (u32)MAKING))
		if (++n == notifiers + NST_NR_OOM_NOTIFIERS)
			return NULL;
	nst_hint_set(&n->flags, flags); /* whoever is about to call looks again when it has it */
	n->fn = fn;
	n->arg = arg;
	nst_hint_set(&n->left, NST_OOM_ATTEMPTS); /* a hint to others, as what follows */
	nst_hint_set(&n->due, (u64)0);
	nst_add_relaxed(&nr_notifiers, 1u);
	/* Pairs with: nst_cas_acquire() in call(), nst_load_acquire() in is_of(). */
	nst_store_release(&n->state, (u32)READY);
	if (flags & NST_NOTIFIER_BLOCKS)
		have_reaper(); /* benign: it is tried again */
	return n;
}

static int is_one(const struct nst_oom_notifier *n)
{
	size_t at = (size_t)((uintptr_t)n - (uintptr_t)notifiers);

	return at < sizeof(notifiers) && at % sizeof(*n) == 0 && nst_hint(&n->state) >= READY;
}

int nst_oom_unregister(struct nst_oom_notifier *n)
{
	if (!is_one(n))
		return -22;
	nst_fork_check();
	/* Pairs with: nst_store_release() in call(). As a swap it hands that on to who registers next. */
	while (!nst_cas_acquire(&n->state, (u32)READY, (u32)FREE)) {
		/* relaxed: it is this thread, or it is not */
		if (nst_load_relaxed(&n->runner) == nst_thread_pointer())
			return -35;
		nst_sys_futex_wait(&n->state, BUSY, NAP_US);
	}
	nst_sub_relaxed(&nr_notifiers, 1u);
	return 0;
}

/* ---- of a request ---- */

int nst_oom_relieve(nst_mode_t mode, u32 *rounds)
{
	u32 before = nst_hint(&reaper.freed); /* a later one differs */
	struct outcome o = {0, 0};

	if (!nst_hint(&nr_notifiers) || ++*rounds > MOST_ROUNDS)
		return 0;
	call_all(0, mode, &o);
	if (o.freed)
		return 1;
	o.wait |= ask_reaper(mode);
	if (o.wait)
		nst_sys_futex_wait(&reaper.freed, before, INTERVAL_US);
	return o.wait || nst_hint(&reaper.freed) != before;
}

void nst_oom_help(void)
{
	struct outcome o = {0, 0};

	if (!nst_hint(&reaper.running) && nst_exchange_relaxed(&reaper.wanted, 0u)) /* a hint */
		call_all(NST_NOTIFIER_BLOCKS, NST_NORMAL, &o);
}

void nst_oom_after_fork(void)
{
	struct nst_oom_notifier *n;

	reaper.running = reaper.wanted = 0;
	for (n = notifiers; n < notifiers + NST_NR_OOM_NOTIFIERS; n++) {
		if (n->state == MAKING)
			n->state = FREE;
		if (n->state == BUSY && n->runner != nst_thread_pointer())
			n->state = READY;
	}
}
