/* SPDX-License-Identifier: MIT */
/*
 * notify.c - who is told of changes of a mapping: those that it concerns, before and after, and nobody half.
 *
 * A notifier is a slot of a table, whose word says what it is, and how many of its functions run:
 *
 *	FREE -> MAKING -> LIVE + pins -> LEAVING + pins -> MAKING -> FREE
 *
 * BEGIN(r)				END(r)
 *   r.number = ++changes		  for n of r.told:
 *   for n that overlaps r:		    PIN(n), n.since < r.number: n.end(r)
 *     PIN(n), n.since < r.number,	    UNPIN(n)
 *     still overlaps:
 *       n.begin(r) refuses:		PIN(n): n.word: LIVE + p -> LIVE + p + 1
 *	   UNPIN(n), END(r), not now	UNPIN(n): n.word - 1, the last access
 *	 r.told += n
 *     UNPIN(n)				UNREGISTER(n): LIVE + p -> LEAVING + p; until p is 0
 *
 * N1. end is called for those whose begin was, and that are registered still, once; also if one of them refuses.
 *     since is drawn from the same count as number, so who has a slot of r.told by now that another had
 *     then is known by a later since.
 * N2. Slots never go: a look at the range of one that is not pinned is a hint, which is true of whoever was registered
 *     before the change began, and is looked at again once it is pinned.
 * N3. When unregister returns none of its functions runs.
 *
 * No lock, no memory, no read section: what is told may sleep, and may be told in a handler. Progress: a pin is lost only to
 * another that went through.
 *
 * Context: any, but for register and unregister. Fork: pins of threads that are lost are gone in the child; a change under
 * way may be ended there. Exit: nothing to do.
 *
 * Source: Linux, mm/mmu_notifier.c; the range that says whether it may block (Hocko, 2018), the unwinding of those that have
 * begun (Gunthorpe, 2020).
 */
#define NST_NO_MACROS
#include <errno.h>
#include "reclaim.h"

#define NAP_US 200u
#define BEGUN 0x6e6f7466u

enum state { FREE, MAKING, LIVE, LEAVING, NR_STATES };
#define PIN ((u32)NR_STATES)

struct nst_notifier {
	u32 word, flags;
	const void *space; /* written while MAKING, as all that follows */
	uintptr_t start, last;
	const struct nst_notifier_ops *ops;
	void *arg;
	u64 since;
	uintptr_t by; /* who makes it, or unregisters it */
} NST_LINE_ALIGNED;

/* A function of a notifier that runs on this thread. */
struct nst_notify_frame {
	const struct nst_notifier *n;
	const struct nst_notify_frame *outer;
	nst_scope_t scope;
	int saved_errno;
};

static struct {
	struct nst_notifier n[NST_NR_NOTIFIERS];
	u32 used;    /* slots from here on have never been */
	u64 changes; /* that began, and registrations */
} all;

#define ALL_FLAGS ((u32)(NST_NOTIFIER_IO | NST_NOTIFIER_CLIENT | NST_NOTIFIER_BLOCKS))

/* ---- pins ---- */

static int pin(struct nst_notifier *n)
{
	u32 word;

	do {
		word = nst_hint(&n->word);
		if (word % NR_STATES != LIVE)
			return 0;
		/* Pairs with: nst_store_release() in nst_notifier_register(). */
	} while (!nst_cas_acquire(&n->word, word, word + PIN));
	return 1;
}

static void unpin(struct nst_notifier *n)
{
	/* Pairs with: nst_cas_acquire() in nst_notifier_unregister(). */
	nst_sub_release(&n->word, PIN);
}

static void enter(struct nst_notify_frame *f, const struct nst_notifier *n, u32 scope)
{
	f->n = n;
	f->saved_errno = errno;
	f->scope = nst_scope_enter(scope);
	f->outer = nst_thread.notifying;
	nst_thread.notifying = f;
}

static void leave(const struct nst_notify_frame *f)
{
	nst_thread.notifying = f->outer;
	nst_scope_exit(f->scope);
	errno = f->saved_errno;
}

static int runs_here(const struct nst_notifier *n)
{
	const struct nst_notify_frame *f;

	for (f = nst_thread.notifying; f; f = f->outer)
		if (f->n == n)
			return 1;
	return 0;
}

/* ---- registration ---- */

static const char *what_is_wrong(size_t length, uintptr_t start, const struct nst_notifier_ops *ops,
				 u32 flags)
{
	if (!ops || (!ops->begin && !ops->invalidate) || !ops->begin != !ops->end)
		return "a function is missing";
	if (!length || start + (length - 1) < start)
		return "an empty range, or one beyond the end";
	return flags & ~ALL_FLAGS ? "unknown flags" : NULL;
}

static struct nst_notifier *take_slot(void)
{
	u32 i;

	for (i = 0; i < NST_NR_NOTIFIERS; i++) {
		/* Pairs with: nst_store_release() in nst_notifier_unregister(). */
		if (!nst_cas_acquire(&all.n[i].word, (u32)FREE, (u32)MAKING))
			continue;
		nst_hint_set(&all.n[i].by,
			     nst_thread_pointer()); /* for this thread, after a fork */
		while (nst_hint(&all.used) <= i)
			nst_cas_relaxed(&all.used, nst_hint(&all.used), i + 1); /* it only grows */
		return &all.n[i];
	}
	return NULL;
}

struct nst_notifier *nst_notifier_register(const void *space, uintptr_t start, size_t length,
					   const struct nst_notifier_ops *ops, uint32_t flags,
					   void *arg)
{
	const char *wrong = what_is_wrong(length, start, ops, flags);
	struct nst_notifier *n;

	if (wrong) {
		nst_warn(
			"nst_notifier_register(): %s; allowed: begin and end, or invalidate, or all; "
			"1 byte and up; flags of 0x%x",
			wrong, ALL_FLAGS);
		return NULL;
	}
	if (nst_start())
		return NULL;
	nst_fork_check();
	n = take_slot();
	if (!n)
		return NULL;
	n->flags = flags;
	nst_hint_set(&n->space, space); /* others may look, see N2 */
	nst_hint_set(&n->start, start);
	nst_hint_set(&n->last, start + (length - 1));
	n->ops = ops;
	n->arg = arg;
	n->since = nst_add_relaxed(&all.changes, (u64)1) + 1; /* a later draw is larger */
	/* Pairs with: nst_cas_acquire() in pin(). */
	nst_store_release(&n->word, (u32)LIVE);
	return n;
}

static int is_one(const struct nst_notifier *n)
{
	size_t at = (size_t)((uintptr_t)n - (uintptr_t)all.n);

	return at < sizeof(all.n) && at % sizeof(*n) == 0;
}

int nst_notifier_unregister(struct nst_notifier *n)
{
	u32 word;

	if (!is_one(n))
		return -22;
	nst_fork_check();
	if (runs_here(n))
		return -35;
	do {
		word = nst_hint(&n->word);
		if (word % NR_STATES != LIVE)
			return -22;
	} while (
		!nst_cas_relaxed(&n->word, word, word - LIVE + LEAVING)); /* the next swap orders */
	nst_hint_set(&n->by, nst_thread_pointer()); /* for this thread, after a fork */
	/* Pairs with: nst_sub_release() in unpin(). */
	while (!nst_cas_acquire(&n->word, (u32)LEAVING, (u32)MAKING)) {
		u32 never = 0;

		nst_sys_futex_wait(&never, 0, NAP_US);
	}
	/* Pairs with: nst_cas_acquire() in take_slot(). */
	nst_store_release(&n->word, (u32)FREE);
	return 0;
}

/* ---- a change ---- */

static int overlaps(const struct nst_notifier *n, const struct nst_notify_range *r)
{
	return nst_hint(&n->space) == r->space && nst_hint(&n->last) >= r->start &&
	       nst_hint(&n->start) <= r->start + (r->length - 1);
}

/* 1: it is to be told of @r, and stays until unpin(). */
static int find(struct nst_notifier *n, const struct nst_notify_range *r)
{
	if (nst_likely(!overlaps(n, r)) || !pin(n))
		return 0;
	if (n->since < r->number && overlaps(n, r))
		return 1;
	unpin(n);
	return 0;
}

static u32 scope_of(const struct nst_notify_range *r)
{
	return r->flags & NST_NOTIFY_BLOCKABLE ? NST_SCOPE_NORECLAIM : NST_SCOPE_NOLOCK;
}

static int is_excluded(const struct nst_notifier *n, const struct nst_notify_range *r)
{
	nst_mode_t mode = nst_mode_in_scope(NST_NORMAL);

	return (n->flags & NST_NOTIFIER_BLOCKS && !(r->flags & NST_NOTIFY_BLOCKABLE)) ||
	       (n->flags & NST_NOTIFIER_IO && mode & NST_NOIO) ||
	       (n->flags & NST_NOTIFIER_CLIENT && mode & NST_NOCLIENT);
}

/* 0, or it refuses. */
static int tell_begin(struct nst_notifier *n, const struct nst_notify_range *r)
{
	struct nst_notify_frame f;
	int err;

	if (is_excluded(n, r))
		return -EAGAIN;
	nst_count(NST_COUNT_NOTIFY_BEGIN, 1);
	enter(&f, n, scope_of(r));
	err = n->ops->begin(n->arg, r);
	leave(&f);
	if (nst_unlikely(err && (err != -EAGAIN || r->flags & NST_NOTIFY_BLOCKABLE)))
		nst_warn("nst_notify_begin(): a notifier said %d to a change that %s; allowed: 0%s",
			 err, r->flags & NST_NOTIFY_BLOCKABLE ? "may block" : "may not block",
			 r->flags & NST_NOTIFY_BLOCKABLE ? "" : " and -EAGAIN");
	return r->flags & NST_NOTIFY_BLOCKABLE ? 0 : err ? -EAGAIN : 0;
}

static void tell_end(struct nst_notifier *n, const struct nst_notify_range *r)
{
	struct nst_notify_frame f;

	if (!find(n, r))
		return;
	enter(&f, n, scope_of(r));
	n->ops->end(n->arg, r);
	leave(&f);
	unpin(n);
}

static void tell_ends(const struct nst_notify_range *r)
{
	u32 i;
	u64 left;

	for (i = 0; i < NST_NR_NOTIFIERS / 64; i++)
		for (left = r->told[i]; left; left &= left - 1)
			tell_end(&all.n[i * 64 + nst_lowest_bit(left)], r);
}

static int refuse(struct nst_notify_range *r)
{
#if !(defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 32) /* half done */
	tell_ends(r);
#endif
	r->state = 0;
	nst_count(NST_COUNT_NOTIFY_REFUSED, 1);
	return -EAGAIN;
}

static int is_range(uintptr_t start, size_t length)
{
	return length && start + (length - 1) >= start;
}

int nst_notify_begin(struct nst_notify_range *r, const void *space, uintptr_t start, size_t length,
		     uint32_t flags)
{
	u32 i;

	*r = (struct nst_notify_range){
		.space = space, .start = start, .length = length, .flags = flags};
	if (!is_range(start, length) || flags & ~(u32)NST_NOTIFY_BLOCKABLE) {
		nst_warn(
			"nst_notify_begin(): %s; allowed: 1 byte and up, NST_NOTIFY_BLOCKABLE or 0",
			is_range(start, length) ? "unknown flags"
						: "an empty range, or one beyond the end");
		return -22;
	}
	if (!nst_mode_may_wait(NST_NORMAL))
		r->flags &= ~(u32)NST_NOTIFY_BLOCKABLE;
	r->number = nst_add_relaxed(&all.changes, (u64)1) + 1; /* a later draw is larger */
	for (i = 0; i < nst_hint(&all.used); i++) {
		struct nst_notifier *n = &all.n[i];
		int err;

		if (!find(n, r))
			continue;
		err = n->ops->begin ? tell_begin(n, r) : 0;
		if (n->ops->begin && !err)
			r->told[i / 64] |= 1ull << i % 64;
		unpin(n);
		if (err)
			return refuse(r);
	}
	r->state = BEGUN;
	return 0;
}

void nst_notify_end(struct nst_notify_range *r)
{
	if (nst_unlikely(r->state != BEGUN)) {
		nst_warn("nst_notify_end(): a change that has not begun; allowed: once, after "
			 "nst_notify_begin() returned 0");
		return;
	}
	r->state = 0;
	tell_ends(r);
}

void nst_notify_invalidate(const void *space, uintptr_t start, size_t length)
{
	struct nst_notify_range r = {.space = space, .start = start, .length = length};
	struct nst_notify_frame f;
	u32 i;

	if (!is_range(start, length))
		return;
	r.number = nst_add_relaxed(&all.changes, (u64)1) + 1; /* a later draw is larger */
	for (i = 0; i < nst_hint(&all.used); i++) {
		struct nst_notifier *n = &all.n[i];

		if (!find(n, &r))
			continue;
		if (n->ops->invalidate) {
			nst_count(NST_COUNT_NOTIFY_INVALIDATE, 1);
			enter(&f, n, NST_SCOPE_NOLOCK);
			n->ops->invalidate(n->arg, &r);
			leave(&f);
		}
		unpin(n);
	}
}

/* What a lost thread was making is free; what it was unregistering is, too. Of pins, those of this thread are left. */
void nst_notify_after_fork(void)
{
	const struct nst_notify_frame *f;
	struct nst_notifier *n;

	for (n = all.n; n < all.n + NST_NR_NOTIFIERS; n++) {
		n->word %= NR_STATES;
		if ((n->word == MAKING || n->word == LEAVING) && n->by != nst_thread_pointer())
			n->word = FREE;
	}
	for (f = nst_thread.notifying; f; f = f->outer)
		((struct nst_notifier *)(uintptr_t)f->n)->word += PIN;
}
