/* SPDX-License-Identifier: MIT */
/*
 * gone.c - locks whose memory goes while they are held, and whose holders a fork leaves behind.
 *
 *	an object is freed          -> what this thread holds within it is reported
 *	a child of fork() begins    -> flags of the maps that vanished threads hold
 *	such a lock is waited for   -> reported before the wait, which would never end; once
 *
 * Maps lie in the program's memory, which the child has as it was. What a thread held across its own fork() it holds
 * in the child, too, and may let go. A lock made anew there is one like any other (nst_lockdep_map_init()).
 */
#include "held.h"

/* Broken variants that the tests must catch. */
#if defined(NST_TEST) && defined(NST_BUSTED) &&                                                    \
	NST_BUSTED == 70 /* what is freed is not looked at */
#define LOOKS_AT_FREES 0
#else
#define LOOKS_AT_FREES 1
#endif
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 71 /* nor who is left behind */
#define LOOKS_AT_FORKS 0
#else
#define LOOKS_AT_FORKS 1
#endif

static int is_user_lock(const struct nst_ld_held *e)
{
	return nst_ld_is_held(e) && !(e->how & (NST_LD_OWN | NST_LD_CONTEXT));
}

void nst_ld_own_freed(const void *from, size_t bytes, const void *ip)
{
	struct nst_ld_thread *t = nst_thread.lockdep;
	u32 i;

	if (!t || t->busy || t->generation != nst_load_relaxed(&nst_ld.generation)) /* a hint */
		return;
	for (i = 0; i < nst_ld_nr(t) && LOOKS_AT_FREES; i++)
		if (is_user_lock(&t->held[i]) &&
		    (uintptr_t)t->held[i].lock - (uintptr_t)from < bytes)
			nst_ld_report(t, NST_NL_INIT, NST_LD_ERROR, t->held[i].class,
				      t->held[i].lock, ip, "freed, with what it lies in, at");
}

void nst_ld_own_twice(const void *obj, const void *first, const void *ip)
{
	struct nst_ld_thread *t = this_thread();
	char where[160];
	struct nst_ld_entered in;

	if (!t)
		return;
	in = nst_ld_enter(t);
	if (nst_ld_report_begin(NST_NL_TWICE, NST_LD_ERROR, (u64)(uintptr_t)ip)) {
		nst_ld_report_line("  %p: again at %s", obj,
				   nst_ld_where(ip, where, sizeof(where)));
		if (first)
			nst_ld_report_line("  for the first time at %s",
					   nst_ld_where(first, where, sizeof(where)));
		nst_ld_report_end(t);
	}
	nst_ld_leave(in);
}

static void leave(const struct nst_ld_thread *t)
{
	u32 i;

	for (i = 0; i < nst_ld_nr(t); i++) {
		struct nst_lockdep_map *map;

		if (!is_user_lock(&t->held[i]))
			continue;
		map = (struct nst_lockdep_map *)(uintptr_t)t->held[i].lock;
		map->flags |=
			t->held[i].how & NST_LD_READ ? NST_LD_READ_BY_GONE : NST_LD_HELD_BY_GONE;
		map->word = 0;
	}
}

/* One thread is left, which has not yet run: blocks of others are as they were. */
void nst_ld_own_forked(void)
{
	u32 i, nr = nst_load_relaxed(&nst_ld.nr_threads);

	nst_ld_nobody_waits();
	for (i = 0; i < nr && LOOKS_AT_FORKS; i++) {
		const struct nst_ld_thread *t = nst_load_relaxed(&nst_ld.tables->thread[i]);

		if (t && t != nst_thread.lockdep && nst_load_relaxed(&t->taken) &&
		    t->generation == nst_load_relaxed(&nst_ld.generation)) /* all as above */
			leave(t);
	}
}

void nst_ld_judge_gone(struct nst_ld_thread *t, struct nst_lockdep_map *map, u32 class, u32 how,
		       const void *ip)
{
	const u8 holds_up = how & NST_LD_READ ? NST_LD_HELD_BY_GONE : NST_LD_GONE;

	if (how & (NST_LD_TRY | NST_LD_TIMED) || !(map->flags & holds_up))
		return;
	map->flags &= (u8)~NST_LD_GONE;
	nst_ld_report(t, NST_NL_FORK, NST_LD_ERROR, class, map, ip, "waits at");
}
