/* SPDX-License-Identifier: MIT */
/*
 * thread.c - a block for each thread that takes locks: found again when a thread has gone, made if there is none.
 *
 * Fork: blocks of threads that the child does not have stay taken. Signal: legal. Exit: what is held is reported.
 */
#include "engine.h"

#define BLOCK_BYTES                                                                                \
	(((sizeof(struct nst_ld_thread) + NST_PAGE_BYTES - 1) / NST_PAGE_BYTES) * NST_PAGE_BYTES)

/* ---- blocks of threads ---- */

static void thread_ends(void *arg)
{
	struct nst_ld_thread *t = arg;
	u32 i;

	for (i = 0; t->generation == nst_ld.generation && i < nst_ld_nr(t); i++)
		if (nst_ld_is_held(&t->held[i]) && !(t->held[i].how & NST_LD_CONTEXT))
			nst_ld_report_place(t, NST_NL_EXIT, NST_LD_ERROR, t->held[i].class,
					    t->held[i].lock, nst_ld_place_of(&t->held[i]),
					    "it was taken at");
	nst_ld_wait_ends(t);
	nst_lockdep_self = &nst_ld_nothing;
	nst_thread.lockdep = NULL;
	nst_store_relaxed(&t->generation, 0u); /* the watcher looks, at threads that wait */
	/* Pairs with: nst_cas_acquire() in claim(). */
	nst_store_release(&t->taken, 0u);
}

static struct nst_ld_thread *make_block(void)
{
	static const char line[] =
		"nostall: no memory for what a thread holds: it is not checked until there is\n";
	static u32 said;
	struct nst_ld_thread *t = nst_sys_reserve(BLOCK_BYTES, NST_PAGE_BYTES);

	if (t && nst_sys_commit(t, BLOCK_BYTES)) {
		nst_sys_release(t, BLOCK_BYTES);
		t = NULL;
	}
	if (!t && !nst_exchange_relaxed(&said, 1u)) /* once */
		nst_sys_write_all(2, line, sizeof(line) - 1);
	return t;
}

/* Signals are blocked. NULL: no memory, or too many threads. */
static struct nst_ld_thread *claim(void)
{
	u32 i, nr = nst_load_relaxed(&nst_ld.nr_threads); /* more may come: they are taken */
	struct nst_ld_thread *t;

	for (i = 0; i < nr; i++) {
		/* Pairs with: nst_store_release() in claim(); the swap with that in thread_ends(). */
		t = nst_load_acquire(&nst_ld.tables->thread[i]);
		/* Pairs with: nst_store_release() in thread_ends(). */
		if (t && !nst_load_relaxed(&t->taken) && nst_cas_acquire(&t->taken, 0u, 1u))
			return t;
	}
	if (nr == NST_LD_THREADS) {
		nst_ld_full(NST_LD_FULL_THREADS);
		return NULL;
	}
	/* Before it has a place: where there is no memory none is lost. */
	t = make_block();
	if (!t)
		return NULL;
	do {
		i = nst_load_relaxed(&nst_ld.nr_threads); /* relaxed: the swap checks it */
		if (i == NST_LD_THREADS) {
			nst_sys_release(t, BLOCK_BYTES);
			return claim();
		}
	} while (!nst_cas_relaxed(&nst_ld.nr_threads, i,
				  i + 1)); /* relaxed: what is there is published below */
	t->taken = 1;
	nst_ld_set_nr(t, 0);
	/* It is taken before it is seen. Pairs with: nst_load_acquire() in claim() and collect(). */
	nst_store_release(&nst_ld.tables->thread[i], t);
	return t;
}

struct nst_ld_thread *nst_ld_thread_slow(void)
{
	struct nst_ld_thread *t = nst_thread.lockdep;
	u64 signals = nst_sys_signals_block();
	u32 i;

	if (!t) {
		t = nst_thread.lockdep ? nst_thread.lockdep : claim();
		if (t) {
			t->tag = nst_add_relaxed(&nst_ld.nr_tags, 1) + 1;
			t->wait.named = 0;
			nst_sys_thread_on_exit(thread_ends, t);
		}
	}
	if (t) {
		nst_ld_wait_ends(t);
		t->fast = t->pinned = t->remembering = 0;
		for (i = 0; i < nst_ld_nr(t); i++)
			nst_store_relaxed(&t->held[i].lock, NULL); /* as above */
		nst_ld_set_nr(t, 0);
		t->popping = t->level = t->handlers = 0;
		t->blocked = signals;
		for (i = 0; i < NST_NR_SECTIONS; i++)
			t->depth[i] = 0;
		nst_store_relaxed(
			&t->generation,
			nst_load_relaxed(&nst_ld.generation)); /* off and on again is no hurry */
		nst_thread.lockdep = t;
		nst_lockdep_self = (struct nst_lockdep_self *)t; /* as it begins */
		nst_ld_thread_begins(t);
	}
	nst_sys_signals_restore(signals);
	return t;
}
