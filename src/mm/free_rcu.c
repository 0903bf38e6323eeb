/* SPDX-License-Identifier: MIT */
/*
 * free_rcu.c - who retires: an object is handed over now, and freed after a grace period. <- NO-LOCK FAST PATH
 *
 *	nst_free_rcu(p)		ring of p's cache, this CPU's
 *	  the open page is full		it is sealed, the next ready page is opened
 *	  none is ready, or no ring	mixed ring, this CPU's: pages of 510 pointers to any objects
 *	  none is ready there		one more page, by FASTTRY, if the worker's lock can be had
 *	  none can be had		p's dead bit; of a run or mapping, a link in its descriptor: always
 *
 * Each place takes the pointer by one commit, after all that the caller did before (F1), and none needs
 * memory, so handing over cannot fail. Memory that is not ours has no dead bit: it rides the pages of calls,
 * and is refused when there is none, or brings a link of its own, the head.
 *
 * The stamp of a ring's page is a load of the domain's `started`, without a fence: the barrier that each
 * period begins with orders it behind the caller's unlinking (rcu/gp.c).
 *
 * Context: any, at any instruction of this library too, but for what says thread. Waits: never. Syscalls: none (a
 * report of misuse writes one line). errno: untouched.
 *
 * Sources: kvfree_rcu() (Rezki and McKenney, Linux 5.9 and later); sheaves with rcu_free (Babka, Linux 6.18).
 */
#define NST_NO_MACROS
#include "mm.h"
#include "retired.h"

#define TRIES 4u /* of pages that others fill as fast as they are opened */

struct nst_retired nst_retired = {.lock = {.lock_class = NST_LOCK_RETIRED}};

/* The worker is to look after our ring: it is missing, or out of ready pages. */
static void want(struct nst_channel *ch)
{
	nst_hint_set(&ch->want, nst_ring_here() + 1);
	nst_worker_flag();
}

static void waits(u64 bytes)
{
	nst_add_relaxed(&nst_retired.bytes, bytes); /* a count */
}

/* ---- places ---- */

/* 1: it is in a page of its cache's ring. */
static int to_cache(struct nst_cache *c, void *obj)
{
	struct nst_ring_table *t = &c->dead.rings;
	unsigned int i;

	for (i = 0; nst_channel_is_open(&c->dead) && i < TRIES; i++) {
		if (nst_ring_retire(t, nst_gp_stamp_word(), obj) == NST_PUSH_OK)
			return 1;
		switch (nst_ring_advance(t)) {
		case NST_ADVANCE_OK:
			waits((u64)c->batch * c->slot);
			nst_count(NST_COUNT_RETIRED + NST_RETIRED_SEALED, 1);
			break;
		case NST_ADVANCE_NOT_FULL:
			break;
		case NST_ADVANCE_NOTHING_READY:
			want(&c->dead);
			return 0;
		}
	}
	want(&c->dead);
	return 0;
}

/*
 * A page for this CPU's ring of @t, as the worker would bring it: for as long as it takes to store a
 * pointer we are the worker.
 */
static int bring_page(struct nst_ring_table *t)
{
	enum nst_null_reason why = NST_NULL_EMPTY;
	struct nst_sheaf *s = NULL;
	struct nst_page *p = NULL;
	struct nst_ring *r;

	if (!nst_trylock(&nst_retired.lock))
		return 0;
	r = nst_ring_number(t, nst_ring_here());
	if (r && !nst_ring_ready(r))
		p = nst_page_take_tries(0, NST_FASTTRY, &why);
	if (p)
		s = nst_retired_page(p);
	if (s && nst_ring_add_ready(r, s)) {
		nst_page_put_nolock(p);
		s = NULL;
	}
	nst_unlock(&nst_retired.lock);
	if (s)
		nst_count(NST_COUNT_RETIRED + NST_RETIRED_BROUGHT, 1);
	return s != NULL;
}

/* All @n together, or none: 1 or 0. @n divides a page's room. */
static int to_pages(struct nst_channel *ch, void *const *in, size_t n)
{
	struct nst_ring_table *t = &ch->rings;

	if (!nst_channel_is_open(ch)) { /* the first pass was not yet, or had no memory */
		want(ch);
		return 0;
	}
	if (nst_ring_pushn(t, nst_gp_stamp_word(), in, n) == n)
		return 1;
	want(ch);
	return bring_page(t) && nst_ring_pushn(t, nst_gp_stamp_word(), in, n) == n;
}

static void retire_object(struct nst_cache *c, void *obj, struct nst_site site)
{
	if (to_cache(c, obj))
		return;
	if (to_pages(&nst_retired.mixed, &obj, 1)) {
		nst_count(NST_COUNT_RETIRED + NST_RETIRED_MIXED, 1);
	} else if (nst_dead_set(obj)) {
		nst_misuse_double(obj, site);
		return;
	} else {
		nst_count(NST_COUNT_RETIRED + NST_RETIRED_DEAD, 1);
		nst_worker_flag();
	}
	waits(c->slot);
}

/* A run or mapping: its state says that it is retired, and its descriptor has the link. */
static void retire_run(struct nst_page *p, void *obj, struct nst_site site)
{
	u8 state = p->state;
	struct nst_page *head;
	u8 to = state == NST_PAGE_RUN ? NST_PAGE_RUN_RETIRED : NST_PAGE_LARGE_RETIRED;

	if (!nst_cas_relaxed(&p->state, state, to)) { /* relaxed: the state alone matters */
		nst_misuse_double(obj, site);
		return;
	}
	waits(state == NST_PAGE_RUN ? nst_run_bytes(p) : p->free[NST_PAGE_BYTES_WORD]);
	nst_count(NST_COUNT_RETIRED + NST_RETIRED_RUN, 1);
	do {
		head = nst_load_relaxed(&nst_retired.runs); /* relaxed: the swap checks it */
		p->free[NST_PAGE_LINK_WORD] = (u64)(uintptr_t)head;
		/* Pairs with: nst_exchange_acq_rel() in begin_round(). */
	} while (!nst_cas_release(&nst_retired.runs, head, p));
	nst_worker_flag();
}

/* Nothing of it can be kept from being read, so it is kept for ever. */
static void too_early(void *obj, struct nst_site site)
{
	static u32 warned;

	nst_count(NST_COUNT_RETIRED + NST_RETIRED_REFUSED, 1);
	if (!nst_exchange_relaxed(&warned, 1u)) /* once */
		nst_warn(
			"%s(%p): %s; what is retired until then is lost", site.function, obj,
			nst_hint(&nst_retired.failed)
				? "nst_rcu_use() had no memory, and is tried again"
				: "before nst_rcu_use(), which <nostall/rcu.h> calls before main()");
}

static void retire_slow(void *obj, struct nst_site site)
{
	struct nst_page *p;

	if (!obj)
		return;
	nst_fork_check();
	nst_worker_listen();
	p = nst_free_check(NULL, obj, site);
	if (!p)
		return;
	if (nst_unlikely(!nst_retired_is_ready()) && p->state == NST_PAGE_SLAB) {
		too_early(obj, site);
		return;
	}
	if (nst_mm.debug && !nst_debug_retire(obj, site))
		return;
	if (p->state == NST_PAGE_SLAB)
		retire_object(nst_cache_number(p->cache), obj, site);
	else
		retire_run(p, obj, site);
}

/* ---- the entries ---- */

void nst_free_rcu(void *ptr)
{
	struct nst_pcs **stacks = nst_fast_of_pointer(ptr);

	if (nst_unlikely(!stacks || nst_seq_retire(nst_rings_beside(stacks), nst_gp_stamp_word(),
						   ptr) != NST_PUSH_OK))
		retire_slow(ptr, NST_SITE("nst_free_rcu"));
}

/* Objects whose stacks are @stacks, as far as the open page has room; how many. */
static size_t retire_alike(struct nst_pcs **stacks, size_t nr, void **ptrs)
{
	struct nst_channel *ch;

	if (!stacks || stacks == nst_mm.no_stacks || nst_mm.instrument)
		return 0;
	ch = &nst_cache_number(nst_page_of(ptrs[0])->cache)->dead;
	if (!nst_channel_is_open(ch))
		return 0;
	return nst_ring_retiren(&ch->rings, nst_gp_stamp_word(), ptrs, nr);
}

void nst_free_rcu_bulk(size_t nr, void **ptrs)
{
	struct nst_site site = NST_SITE("nst_free_rcu_bulk");
	size_t first, end;

	for (first = 0; first < nr;) {
		struct nst_pcs **stacks = nst_fast_of_pointer(ptrs[first]);

		for (end = first + 1; end < nr && nst_fast_of_pointer(ptrs[end]) == stacks; end++)
			;
		while (first < end) {
			first += retire_alike(stacks, end - first, ptrs + first);
			/* The one that found no room makes some. */
			if (first < end)
				retire_slow(ptrs[first++], site);
		}
	}
}

static void push_head(struct nst_rcu_head *head, size_t bytes)
{
	struct nst_rcu_head *old;

	head->bytes = bytes;
	waits(bytes);
	nst_add_relaxed(&nst_retired.head_bytes, bytes); /* a count */
	do {
		old = nst_load_relaxed(&nst_retired.heads); /* relaxed: the swap checks it */
		head->next = old;
		/* Pairs with: nst_exchange_acq_rel() in begin_round(). */
	} while (!nst_cas_release(&nst_retired.heads, old, head));
	nst_worker_flag();
	nst_worker_listen();
}

static void retire_head(struct nst_rcu_head *head, void (*fn)(struct nst_rcu_head *head),
			size_t bytes, enum nst_retired_way way, struct nst_site site)
{
	if (!head || !fn) {
		nst_warn("%s(%p, %s): allowed: a head and a function", site.function, (void *)head,
			 fn ? "fn" : "NULL");
		return;
	}
	nst_fork_check();
	head->fn = fn;
	nst_count(NST_COUNT_RETIRED + way, 1);
	push_head(head, bytes);
}

void nst_free_rcu_head(struct nst_rcu_head *head, void (*fn)(struct nst_rcu_head *head),
		       size_t bytes)
{
	retire_head(head, fn, bytes, NST_RETIRED_HEAD, NST_SITE("nst_free_rcu_head"));
}

void nst_call_rcu(struct nst_rcu_head *head, void (*fn)(struct nst_rcu_head *head), size_t bytes)
{
	retire_head(head, fn, bytes, NST_RETIRED_CALL, NST_SITE("nst_call_rcu"));
}

int nst_free_rcu_foreign(void *ptr, void (*fn)(void *ptr))
{
	void *pair[2] = {NULL, ptr};

	if (!fn) {
		nst_warn("nst_free_rcu_foreign(%p, NULL): allowed: a function that frees it", ptr);
		return -22;
	}
	if (!ptr)
		return 0;
	nst_fork_check();
	nst_worker_listen();
	__builtin_memcpy(&pair[0], &fn, sizeof(fn));
	if (nst_retired_is_ready() && to_pages(&nst_retired.calls, pair, 2)) {
		nst_count(NST_COUNT_RETIRED + NST_RETIRED_FOREIGN, 1);
		return 0;
	}
	nst_count(NST_COUNT_RETIRED + NST_RETIRED_REFUSED, 1);
	return -11;
}
