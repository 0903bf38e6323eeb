/* SPDX-License-Identifier: MIT */
/*
 * calls.c - users' functions, called for what is ripe: on a thread of their own, in no order.
 *
 *	pass of the worker -> pages of (function, pointer), heads -> this thread -> fn(pointer), fn(head)
 *
 * A function may take its time: it stalls other functions, and neither the worker nor a grace period. The thread
 * starts with the first call; where it cannot be had (worker:off, no memory, a child of _Fork()) they are made by
 * nst_maintain() and nst_rcu_barrier().
 *
 * Context: thread, no lock held: a function may call anything of this library; nst_rcu_barrier() is refused.
 */
#define NST_NO_MACROS
#include "../mm.h"
#include "retired.h"
#include "turn.h"

#define NAP_US 1000000u
#define MOST_NAPS_US 200u

static struct {
	struct nst_sheaf *pages;		     /* CAS push and take */
	struct nst_rcu_head *heads;		     /* the same */
	u64 batches;				     /* that have been called */
	u32 bell;				     /* the futex the thread sleeps on */
	u32 making;				     /* somebody calls what was taken, */
	uintptr_t maker;			     /* this thread: */
	struct nst_sheaf *page;			     /* of it, what is not called yet */
	struct nst_rcu_head *head;		     /* the same */
	u32 running;				     /* 1: it has its thread */
	struct nst_rcu_head *handing, *handing_last; /* F5: on their way here; who has the pass */
} calls;

/* For what is ripe while there is no memory for a page: one, which comes back. */
static union {
	struct nst_sheaf page;
	void *room[2 + NST_PAGE_POINTERS];
} kept;
static u32 kept_out;

static void ring(void)
{
	nst_add_relaxed(&calls.bell, 1); /* the wake-up orders it */
	nst_sys_futex_wake(&calls.bell);
}

struct nst_sheaf *nst_calls_kept_page(void)
{
	/* Pairs with: nst_store_release() in nst_calls_put_page(). */
	return nst_cas_acquire(&kept_out, 0u, 1u) ? &kept.page : NULL;
}

void nst_calls_put_page(struct nst_sheaf *s)
{
	nst_sub_relaxed(&nst_retired.call_pages, (u64)1); /* a count */
	if (s != &kept.page)
		nst_page_put_waits(nst_page_of(s));
	else /* Pairs with: nst_cas_acquire() in nst_calls_kept_page(). */
		nst_store_release(&kept_out, 0u);
}

static void call_pages(void)
{
	struct nst_sheaf *s;
	void (*fn)(void *ptr);

	while ((s = calls.page) != NULL) {
		while (s->count) {
			s->count -= 2;
			nst_barrier(); /* a fork child calls it not, or has it to call */
			__builtin_memcpy(&fn, &s->obj[s->count], sizeof(fn));
			fn(s->obj[s->count + 1]);
		}
		calls.page = s->next;
		nst_barrier(); /* as above */
		nst_calls_put_page(s);
	}
}

static void call_heads(void)
{
	struct nst_rcu_head *head;

	while ((head = calls.head) != NULL) {
		/* What it says is read before the function, which may free it. */
		calls.head = head->next;
		nst_barrier(); /* as above */
		nst_sub_relaxed(&nst_retired.bytes, head->bytes);
		nst_sub_relaxed(&nst_retired.head_bytes, head->bytes);
		head->fn(head);
	}
}

static void take_pages(void)
{
	struct nst_sheaf *s;

	do {
		s = nst_chain_note(&calls.pages, &calls.page);
		nst_test_delay_here(NST_SEQ_HAND, 3);
		/* Pairs with: nst_cas_release() in nst_calls_add_page(), nst_load_acquire() in are_none(). */
	} while (s && !nst_cas_acq_rel(&calls.pages, s, (struct nst_sheaf *)NULL));
}

static void take_heads(void)
{
	struct nst_rcu_head *head;
	u32 word = 0;

	do {
		head = nst_chain_note(&calls.heads, &calls.head);
		nst_test_delay_here(NST_SEQ_HAND, 4);
		/* Pairs with: nst_cas_release() in nst_calls_add_heads(), nst_load_acquire() in are_none(). */
	} while (head && !nst_cas_acq_rel(&calls.heads, head, (struct nst_rcu_head *)NULL));
	/* Pairs with: nst_store_release() in nst_calls_add_heads(). */
	while (head && nst_load_acquire(&calls.handing))
		nst_sys_futex_wait(&word, 0, MOST_NAPS_US);
}

static int are_none(void)
{
	/* Pairs with: nst_cas_acq_rel() in take_pages() and take_heads(): who sees them gone sees that somebody is making. */
	return !nst_load_acquire(&calls.pages) && !nst_load_acquire(&calls.heads);
}

/* What there is, one batch at a time; 0: nothing, or somebody is at it. */
static int make(void)
{
	/* Pairs with: nst_store_release() in make(). */
	if (are_none() || !nst_cas_acquire(&calls.making, 0u, 1u))
		return 0;
	/* relaxed: whoever compares it is this thread, or is not */
	nst_store_relaxed(&calls.maker, nst_thread_pointer());
	take_pages();
	call_pages();
	take_heads();
	call_heads();
	/* Pairs with: nst_load_acquire() in nst_calls_settle(). */
	nst_add_release(&calls.batches, 1);
	nst_store_relaxed(&calls.maker, (uintptr_t)0); /* as above */
	/* Pairs with: nst_cas_acquire() above, nst_load_acquire() in nst_calls_settle(). */
	nst_store_release(&calls.making, 0u);
	if (!are_none()) /* the thread may have looked meanwhile, and not got in */
		ring();
	return 1;
}

static void *run(void *nothing)
{
	(void)nothing;
	for (;;) {
		u32 bell =
			nst_load_relaxed(&calls.bell); /* before the look: a later ring differs */

		if (!make())
			nst_sys_futex_wait(&calls.bell, bell, NAP_US);
	}
	return NULL;
}

static void wake(void)
{
	if (nst_worker_may_start() && nst_cas_relaxed(&calls.running, 0u, 1u) &&
	    nst_sys_thread_start(run, NULL))
		nst_store_relaxed(&calls.running, 0u); /* a state; the next call tries again */
	ring();
}

void nst_calls_add_page(struct nst_sheaf *s)
{
	do {
		s->next = nst_load_relaxed(&calls.pages); /* relaxed: the swap checks it */
		/* Pairs with: nst_cas_acq_rel() in take_pages(). */
	} while (!nst_cas_release(&calls.pages, s->next, s));
	wake();
}

void nst_calls_add_heads(struct nst_rcu_head **list)
{
	struct nst_rcu_head *head = *list, *last = head, *old;

	if (!head)
		return;
	while (last->next)
		last = last->next;
	calls.handing_last = last;
	nst_barrier();				 /* F5 */
	nst_store_relaxed(&calls.handing, head); /* the swap below orders it for who takes them */
	nst_test_delay_here(NST_SEQ_HAND, 5);
	*list = NULL;
	nst_barrier(); /* F5 */
	do {
		old = nst_load_relaxed(&calls.heads); /* relaxed: the swap checks it */
		last->next = old;
		nst_test_delay_here(NST_SEQ_HAND, 6);
		/* Pairs with: nst_cas_acq_rel() in take_heads(). */
	} while (!nst_cas_release(&calls.heads, old, head));
	nst_test_delay_here(NST_SEQ_HAND, 7);
	/* Pairs with: nst_load_acquire() in take_heads(). */
	nst_store_release(&calls.handing, (struct nst_rcu_head *)NULL);
	wake();
}

void nst_calls_help(void)
{
	if (nst_load_relaxed(&calls.running) != 1) /* a state */
		make();
}

int nst_calls_are_mine(void)
{
	return nst_load_relaxed(&calls.maker) == nst_thread_pointer(); /* it alone writes that */
}

/*
 * Of the batches that end from now on the second began from now on, so it had what was there. To count functions would
 * not do: a batch has pages of one moment and heads of a later one, and may be done with those that came after ours.
 */
void nst_calls_settle(void)
{
	/* Pairs with: nst_add_release() in make(). */
	u64 before = nst_load_acquire(&calls.batches);
	u32 word = 0;

	/* Pairs with: nst_add_release() in make(). */
	while (nst_load_acquire(&calls.batches) < before + 2) {
		/* Pairs with: nst_store_release() in make(). */
		if (are_none() && !nst_load_acquire(&calls.making))
			return;
		nst_calls_help();
		nst_sys_futex_wait(&word, 0, MOST_NAPS_US);
	}
}

u64 nst_calls_pages_from(const struct nst_sheaf *s)
{
	u64 n = 0;

	for (; s; s = s->next)
		n++;
	return n;
}

u64 nst_calls_pages(void)
{
	return nst_calls_pages_from(calls.page) + nst_calls_pages_from(calls.pages);
}

static u32 has_kept(const struct nst_sheaf *s)
{
	while (s && s != &kept.page)
		s = s->next;
	return s != NULL;
}

/* F5, in the child. */
static void end_takes(void)
{
	const struct nst_sheaf *s;

	for (s = calls.pages; s && s != calls.page; s = s->next)
		;
	if (s)
		calls.page = NULL;
	if (nst_heads_have(calls.heads, calls.head))
		calls.head = NULL;
}

static void end_handing(int lost)
{
	struct nst_rcu_head *head = calls.handing;

	if (!head || !lost)
		return;
	nst_turn_own->heads = NULL;
	if (!nst_heads_have(calls.head, head) && !nst_heads_have(calls.heads, head)) {
		calls.handing_last->next = calls.heads;
		calls.heads = head;
	}
	calls.handing = NULL;
}

/*
 * The function that another thread was in the midst of is called there, and ended nowhere here; what was behind it is
 * queued again. A function that forks goes on in the child.
 */
void nst_calls_after_fork(int lost)
{
	struct nst_sheaf **page = &calls.page;
	struct nst_rcu_head **head = &calls.head;

	calls.running = 0;
	end_takes();
	end_handing(lost);
	/* A pass that is lost may have had it in its hands. */
	kept_out = has_kept(calls.page) || has_kept(calls.pages);
	if (nst_calls_are_mine())
		return;
	while (*page)
		page = &(*page)->next;
	*page = calls.pages;
	calls.pages = calls.page;
	while (*head)
		head = &(*head)->next;
	*head = calls.heads;
	calls.heads = calls.head;
	calls.page = NULL;
	calls.head = NULL;
	calls.making = 0;
	calls.maker = 0;
}

void nst_free_rcu_mightsleep(void *ptr, void (*fn)(void *ptr))
{
	if (!fn) {
		nst_free_rcu(ptr);
		return;
	}
	if (nst_free_rcu_foreign(ptr, fn) == 0)
		return;
	nst_synchronize_rcu();
	fn(ptr);
}
