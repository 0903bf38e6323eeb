/* SPDX-License-Identifier: MIT */
/*
 * watch.c - threads that really wait for each other, seen while they do.
 *
 *	nst_lockdep_contended()  -- number becomes odd -->  it waits for held[entry], and has all before  -- even -->  ...
 *
 * Who waits says so in a block of its own and does no more; who looks is the worker in its pass, nst_maintain(), or the
 * program. A look goes through all threads that wait, remembers since when each has for the watcher, and follows those
 * that have for too long from lock to holder, depth first.
 *
 *	waits as	for who, waiting itself,
 *	writer		holds it
 *	reader		holds it as a writer
 *	reader, not recursive	waits for it as a writer
 *
 * W1. A circle is one of waits that all go on at one moment. Each number is read before anything else of its thread
 *     (all are odd), and read again when the circle is known: if none has changed, all of them waited in between, and what
 *     a thread that waits holds it keeps, since only what it waits for could make it go on.
 * W2. What is held is what lies before held[entry], less what a handler interrupted amid taking: the entry under a handler.
 *
 * Who waits with a try or for a time is not here, nor who waits for a condition: they go on by themselves, or by others.
 *
 * Fork: in the child nobody waits (nst_ld_nobody_waits()). Signal: a handler that waits while its thread does is not seen.
 * Exit: the wait of a thread that is cancelled ends with it.
 */
#include "held.h"

#define NS_IN_MS 1000000u
#define TOLD 4u
#define TOLD_HELD 2u

/* Broken variants that the tests must catch. */
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 52 /* who looks sees nobody */
#define NOBODY_WAITS 1
#else
#define NOBODY_WAITS 0
#endif
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 53 /* what is waited for is held */
#define WANTED_IS_HELD 1u
#else
#define WANTED_IS_HELD 0u
#endif
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 54 /* readers wait for readers */
#define READERS_EXCLUDE 1
#else
#define READERS_EXCLUDE 0
#endif

enum colour { UNSEEN, ON_THE_WAY, DONE };

/* ---- who waits ---- */

void nst_ld_wait_ends(struct nst_ld_thread *t)
{
	if (!(t->wait.number & 1))
		return;
	nst_add_relaxed(&t->wait.number, 1); /* before what follows, by the fence */
	/*
	 * What it lets go of from here on is seen by nobody who takes it for waiting.
	 * Pairs with: nst_fence_full() in still_wait().
	 */
	nst_fence_full();
	nst_sub_relaxed(&nst_ld.waiting, 1);
}

static void name_once(struct nst_ld_thread *t)
{
	struct nst_ld_entered in;

	if (nst_likely(t->wait.named))
		return;
	in = nst_ld_enter(t);
	nst_ld_name_thread(t);
	t->wait.named = 1;
	nst_ld_leave(in);
}

/* A wait that it never ended, or one that a handler interrupted and that goes on behind it? */
static int is_interrupted(const struct nst_ld_thread *t, const struct nst_ld_held *e)
{
	const u32 before = t->wait.entry;

	return (t->wait.number & 1) && &t->held[before] < e && nst_ld_is_held(&t->held[before]);
}

void nst_lockdep_contended_on(const struct nst_lockdep_map *map)
{
	struct nst_ld_thread *t = this_thread();
	struct nst_ld_held *e = t ? find(t, map) : NULL;

	if (!e || e->how & (NST_LD_TRY | NST_LD_TIMED) || is_interrupted(t, e))
		return;
	nst_ld_wait_ends(t);
	name_once(t);
	nst_store_relaxed(&t->wait.entry, (u32)(e - t->held)); /* seen by number */
	/* What it holds, and what it waits for. Pairs with: nst_load_acquire() in waiter_of(). */
	nst_add_release(&t->wait.number, 1);
	nst_add_relaxed(&nst_ld.waiting, 1); /* a hint */
}

void nst_lockdep_acquired_on(const struct nst_lockdep_map *map)
{
	struct nst_ld_thread *t = this_thread();

	if (t && (t->wait.number & 1) && t->held[t->wait.entry].lock == map)
		nst_ld_wait_ends(t);
}

void nst_ld_nobody_waits(void)
{
	u32 i, nr = nst_ld.tables ? nst_ld.nr_threads : 0;

	for (i = 0; i < nr; i++) {
		struct nst_ld_thread *t = nst_ld.tables->thread[i];

		if (t && t != nst_thread.lockdep)
			nst_ld_wait_ends(t);
	}
	nst_ld.watched = 0; /* by nobody who is here */
}

/* ---- who is waited for ---- */

/* 1: @t waits, and has for long; as it does is in @w. All of it holds if it still does when that is asked again. */
static int waiter_of(struct nst_ld_thread *t, u64 now_ns, struct nst_ld_waiter *w)
{
	struct nst_ld_held *e;

	/* Pairs with: nst_add_release() in nst_lockdep_contended_on(). */
	w->number = nst_load_acquire(&t->wait.number);
	if (!(w->number & 1) || NOBODY_WAITS)
		return 0;
	if (t->wait.seen != w->number) {
		t->wait.seen = w->number;
		t->wait.since_ns = now_ns;
	}
	if (now_ns - t->wait.since_ns < nst_load_relaxed(&nst_ld.watch_ns)) /* a limit, seen soon */
		return 0;
	w->t = t;
	w->entry = nst_load_relaxed(
		&t->wait.entry); /* relaxed, all of them: the number is read again */
	e = &t->held[w->entry % NST_LD_HELD_MAX];
	w->lock = nst_load_relaxed(&e->lock);
	w->how = nst_load_relaxed(&e->how);
	w->colour = UNSEEN;
	w->next = 0;
	return (uintptr_t)w->lock > 1;
}

/* A handler came as it was taken, or after that: who knows. */
static int is_unsure(const struct nst_ld_thread *t, u32 i)
{
	const void *lock = NST_LD_HOLE;

	while (lock == NST_LD_HOLE && ++i < NST_LD_HELD_MAX)
		lock = nst_load_relaxed(&t->held[i].lock); /* relaxed: as in waiter_of() */
	return i < NST_LD_HELD_MAX && lock &&
	       nst_ld_is_signal(nst_load_relaxed(&t->held[i].class)); /* as above */
}

/* The entry by which @w waits for @by; its own: @by waits for it as a writer. NULL: it does not. */
static const struct nst_ld_held *waits_for(const struct nst_ld_waiter *w,
					   const struct nst_ld_waiter *by)
{
	const int reads = (w->how & NST_LD_READ) && !READERS_EXCLUDE;
	u32 i;

	if (w != by && w->lock == by->lock && !(by->how & NST_LD_READ) && w->how & NST_LD_READ &&
	    !(w->how & NST_LD_RECURSIVE))
		return &by->t->held[by->entry];
	for (i = 0; i < by->entry + (w == by ? 0 : WANTED_IS_HELD); i++) {
		const struct nst_ld_held *e = &by->t->held[i];

		if (nst_load_relaxed(&e->lock) != w->lock) /* relaxed: as in waiter_of() */
			continue;
		if (!(reads && nst_load_relaxed(&e->how) & NST_LD_READ) && !is_unsure(by->t, i))
			return e;
	}
	return NULL;
}

/* ---- a circle is told ---- */

static struct nst_ld_waiter *waiter(u32 i)
{
	return &nst_ld.tables->waiter[i];
}

/* It was read before whatever led here, and is read again: rule W1. */
static int still_wait(const u16 *way, u32 len)
{
	u32 i;

	/* Pairs with: nst_fence_full() in nst_ld_wait_ends(). */
	nst_fence_full();
	for (i = 0; i < len; i++)
		if (nst_load_relaxed(&waiter(way[i])->t->wait.number) != waiter(way[i])->number)
			return 0;
	return 1;
}

static const char *class_name(const struct nst_ld_held *e)
{
	return nst_ld.tables->class[e->class].name;
}

static int is_told(const struct nst_ld_held *e)
{
	return nst_ld_is_held(e) && !(e->how & NST_LD_CONTEXT);
}

static u32 wanted_class(u32 i)
{
	return waiter(i)->t->held[waiter(i)->entry].class;
}

/* Where a circle is begun to be told, wherever it was entered: at the lock that was known first. */
static u32 first_of(const u16 *way, u32 len)
{
	u32 i, first = 0;

	for (i = 1; i < len; i++)
		if (wanted_class(way[i]) < wanted_class(way[first]))
			first = i;
	return first;
}

/* @i of @len, told as the @nth: what it waits for, what the one before waits for, and what else it holds. */
static void tell_one(const u16 *way, u32 len, u32 i, u32 nth, u64 now_ns)
{
	const struct nst_ld_waiter *w = waiter(way[i]);
	const struct nst_ld_held *wanted = &w->t->held[w->entry], *has;
	char where[160];
	u32 k, others = 0;

	has = waits_for(waiter(way[(i + len - 1) % len]), w);
	nst_ld_report_line("  %u. thread %s (%u): waits for %s (%p)%s at %s (for %llu ms)", nth,
			   nst_ld_thread_name(w->t->tag), w->t->tag, class_name(wanted), w->lock,
			   w->how & NST_LD_READ ? " as a reader" : "",
			   nst_ld_where(wanted->ip, where, sizeof(where)),
			   (unsigned long long)((now_ns - w->t->wait.since_ns) / NS_IN_MS));
	if (has && has != wanted)
		nst_ld_report_line("     holds %s (%p)%s since %s", class_name(has), has->lock,
				   has->how & NST_LD_READ ? " as a reader" : "",
				   nst_ld_where(has->ip, where, sizeof(where)));
	for (k = w->entry; k-- > 0 && others < TOLD_HELD;) {
		const struct nst_ld_held *e = &w->t->held[k];

		if (e == has || !is_told(e))
			continue;
		others++;
		nst_ld_report_line("     and %s (%p)%s since %s", class_name(e), e->lock,
				   e->how & NST_LD_READ ? " as a reader" : "",
				   nst_ld_where(e->ip, where, sizeof(where)));
	}
}

static void tell(const u16 *way, u32 len, u64 now_ns)
{
	struct nst_ld_entered in = nst_ld_enter(nst_thread.lockdep);
	const u32 first = first_of(way, len);
	u64 cause = len;
	u32 i;

	for (i = 0; i < len; i++)
		cause += nst_mix64((u64)wanted_class(way[i]) << 32 |
				   wanted_class(way[(i + 1) % len]));
	if (nst_ld_report_begin(NST_NL_DEADLOCK, NST_LD_ERROR, cause)) {
		for (i = 0; i < len && i < TOLD; i++)
			tell_one(way, len, (first + i) % len, i + 1, now_ns);
		if (len > TOLD)
			nst_ld_report_line("  and %u more", len - TOLD);
		nst_ld_report_end(NULL);
	}
	nst_ld_leave(in);
}

/* ---- a look ---- */

/* Those that wait and have for long, into the tables; how many. */
static u32 collect(u64 now_ns)
{
	struct nst_ld_tables *tb = nst_ld.tables;
	u32 i, n = 0, nr = nst_load_relaxed(&nst_ld.nr_threads); /* more may come */

	for (i = 0; i < nr; i++) {
		/* Pairs with: nst_store_release() in claim(). */
		struct nst_ld_thread *t = nst_load_acquire(&tb->thread[i]);

		/* relaxed: of another start it is not used any more */
		if (t && nst_load_relaxed(&t->generation) == nst_load_relaxed(&nst_ld.generation))
			n += (u32)waiter_of(t, now_ns, &tb->waiter[n]);
	}
	return n;
}

/* Whom the last of @len waits for and who was not DONE; @nr: there is nobody. */
static u32 step(u32 of, u32 nr)
{
	struct nst_ld_waiter *w = waiter(of);

	for (; w->next < nr; w->next++)
		if (waiter(w->next)->colour != DONE && waits_for(w, waiter(w->next)))
			return w->next++;
	return nr;
}

/* Where @to lies on the way. */
static u32 place(const u16 *way, u32 to)
{
	u32 i = 0;

	while (way[i] != to)
		i++;
	return i;
}

/* All that @first leads to. 1: a circle was found, and told unless it was none by the time. */
static unsigned int follow(u32 first, u32 nr, u64 now_ns)
{
	u16 *way = nst_ld.tables->way;
	u32 len = 1, to, found = 0;

	way[0] = (u16)first;
	waiter(first)->colour = ON_THE_WAY;
	while (len) {
		to = step(way[len - 1], nr);
		if (to == nr) {
			waiter(way[--len])->colour = DONE;
		} else if (waiter(to)->colour == UNSEEN) {
			waiter(to)->colour = ON_THE_WAY;
			way[len++] = (u16)to;
		} else if (
			!found) { /* one that is on the way: one circle for each beginning will do */
			u32 i = place(way, to);

			found = (u32)still_wait(way + i, len - i);
			if (found)
				tell(way + i, len - i, now_ns);
		}
	}
	return found;
}

/* One at a time; it sees what the last one noted. */
static int begin_look(void)
{
	/* Pairs with: nst_store_release() in end_look(). */
	return nst_cas_acquire(&nst_ld.watched, 0u, 1u);
}

static void end_look(void)
{
	/* Pairs with: nst_cas_acquire() in begin_look(). */
	nst_store_release(&nst_ld.watched, 0u);
}

unsigned int nst_ld_watch(u64 now_ns)
{
	u32 i, nr;
	unsigned int found = 0;

	if (!nst_load_relaxed(&nst_ld.waiting) || !nst_load_relaxed(&nst_ld.watch_ns)) /* hints */
		return 0;
	if (!begin_look())
		return 0;
	nr = collect(now_ns);
	for (i = 0; i < nr; i++)
		if (waiter(i)->colour == UNSEEN)
			found += follow(i, nr, now_ns);
	end_look();
	return found;
}

void nst_lockdep_watchdog(uint64_t ms)
{
	/* relaxed: a limit, seen soon */
	nst_store_relaxed(&nst_ld.watch_ns,
			  ms < UINT64_MAX / NS_IN_MS ? ms * NS_IN_MS : UINT64_MAX);
}

unsigned int nst_lockdep_watch(void)
{
	/* Pairs with: nst_store_release() in nst_lockdep_start(): there are tables. */
	const struct nst_lockdep_ops *ops = nst_load_acquire(&nst_lockdep_ops);

	if (!ops || !nst_load_relaxed(&nst_ld.waiting)) /* a hint */
		return 0;
	return ops->watch(nst_sys_now_ns());
}
