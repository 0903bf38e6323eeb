/* SPDX-License-Identifier: MIT */
/*
 * free_rcu.c - who retires: an object is handed over now, and freed after a grace period. <- NO-LOCK FAST PATH
 *
 *	nst_free_rcu(p)		ring of p's cache, this CPU's
 *	  the open page is full		it is sealed, the next ready page is opened
 *	  none is ready, or no ring	mixed ring, this CPU's: pages of 510 pointers to any objects
 *	  none is ready there		one more page, by FASTTRY, if the worker's lock can be had
 *	  none can be had		p's dead bit; of a run or mapping, a link in its descriptor: always
 *	nst_free_rcu_in(d, p)		the same from the mixed ring on: d's ring, d's chain of runs
 *
 * Each place takes the pointer by one commit, after all that the caller did before (F1), and none needs
 * memory, so handing over cannot fail. Memory that is not ours has no dead bit: it rides the pages of calls,
 * and is refused when there is none or as many wait as may, or brings a link of its own, the head.
 *
 * What is retired to a domain that is not ours holds it, from before it is handed over until it is freed.
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
#include "../mm.h"
#include "../claim/account.h"
#include "retired.h"

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
	u32 sealed = 0;
	int placed =
		nst_channel_is_open(&c->dead) &&
		nst_ring_push(&c->dead.rings, nst_gp_stamp_word(), obj, &sealed) == NST_PUSH_OK;

	if (sealed) {
		waits((u64)sealed * c->batch * c->slot);
		nst_count(NST_COUNT_RETIRED + NST_RETIRED_SEALED, sealed);
	}
	if (!placed)
		want(&c->dead);
	return placed;
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
static int to_pages(struct nst_channel *ch, const struct nst_rcu_domain *d, void *const *in,
		    size_t n)
{
	struct nst_ring_table *t = &ch->rings;

	if (!nst_channel_is_open(ch)) { /* the first pass was not yet, or had no memory */
		want(ch);
		return 0;
	}
	if (nst_ring_pushn(t, nst_gp_stamp_word_of(d), in, n) == n)
		return 1;
	want(ch);
	return !nst_calls_are_full(ch) && bring_page(t) &&
	       nst_ring_pushn(t, nst_gp_stamp_word_of(d), in, n) == n;
}

/* 1, and its counts hold a domain that is not ours once; or 0: it was set. */
static int to_dead_bit(struct nst_rcu_domain *d, void *obj)
{
	u32 i = (u32)(d - nst_rcu_domains);
	int was;

	if (d == nst_rcu_own)
		return !nst_dead_set(obj);
	nst_add_relaxed(&nst_retired.dead[i].going, 1u); /* the bit orders it */
	was = nst_dead_set(obj);
	/* Pairs with: nst_load_acquire() in nst_take_dead(). */
	nst_add_release(&nst_retired.dead[i].set, 1u);
	return !was;
}

/* @d: ours, or held: by what is retired, or by what was counted. */
static void retire_object(struct nst_rcu_domain *d, struct nst_cache *c, void *obj,
			  struct nst_site site)
{
	int own = d == nst_rcu_own;
	struct nst_channel *ch =
		own ? &nst_retired.mixed : &nst_retired.others[d - nst_rcu_domains];

	if (own && to_cache(c, obj))
		return;
	if (to_pages(ch, d, &obj, 1)) {
		nst_count(NST_COUNT_RETIRED + (own ? NST_RETIRED_MIXED : NST_RETIRED_OTHERS), 1);
	} else if (!to_dead_bit(d, obj)) {
		nst_misuse_double(obj, site);
		return;
	} else {
		nst_count(NST_COUNT_RETIRED + NST_RETIRED_DEAD, 1);
		nst_worker_flag();
	}
	waits(c->slot);
}

static void chain_run(struct nst_page **runs, struct nst_page *p)
{
	struct nst_page *head;

	do {
		head = nst_load_relaxed(runs); /* relaxed: the swap checks it */
		p->free[NST_PAGE_LINK_WORD] = (u64)(uintptr_t)head;
		/* Pairs with: nst_cas_acq_rel() in take_chains(). */
	} while (!nst_cas_release(runs, head, p));
	nst_worker_flag();
}

void nst_retired_moved(struct nst_page *p, u32 domain)
{
	nst_page_set_state(p, NST_PAGE_RUN_RETIRED);
	chain_run(&nst_retired.runs[domain], p);
}

/* 1: to be chained; 0: it is being moved, and is chained then; -1: it was retired before. */
static int end_run(struct nst_page *p, u32 domain)
{
	enum nst_movable_end end = NST_MOVABLE_YOURS;
	u8 state;

	if (nst_unlikely(nst_page_is_movable(p)))
		end = nst_movable_retired(p, domain);
	if (end != NST_MOVABLE_YOURS)
		return end == NST_MOVABLE_MOVING ? 0 : -1;
	state = (u8)nst_page_state(p);
	/* relaxed: the state alone matters */
	return nst_cas_relaxed(
		       &p->state, state,
		       (u8)(state == NST_PAGE_RUN ? NST_PAGE_RUN_RETIRED : NST_PAGE_LARGE_RETIRED))
		       ? 1
		       : -1;
}

/* A run or mapping: its state says that it is retired, and its descriptor has the link. 0: it was before. */
static int retire_run(struct nst_rcu_domain *d, struct nst_page *p, void *obj, struct nst_site site)
{
	u32 domain = (u32)(d - nst_rcu_domains);
	u64 bytes = nst_page_state(p) == NST_PAGE_LARGE ? p->free[NST_PAGE_BYTES_WORD]
							: nst_run_bytes(p);
	int end;

	waits(bytes); /* once it is retired it may be freed, and counted so, at any time */
	end = end_run(p, domain);
	if (end < 0) {
		nst_retired_freed(bytes);
		nst_misuse_double(obj, site);
		return 0;
	}
	nst_count(NST_COUNT_RETIRED + NST_RETIRED_RUN, 1);
	if (end)
		chain_run(&nst_retired.runs[domain], p);
	return 1;
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

/* Its page if it can be retired, or NULL: that was reported. */
static struct nst_page *check(void *obj, struct nst_site site)
{
	struct nst_page *p;

	nst_fork_check();
	nst_worker_listen();
	p = nst_free_check(NULL, obj, site);
	if (!p)
		return NULL;
	if (nst_unlikely(!nst_retired_is_ready()) && nst_page_state(p) == NST_PAGE_SLAB) {
		too_early(obj, site);
		return NULL;
	}
	nst_owner_retired(p, obj);
	return nst_mm.debug && !nst_debug_retire(obj, site) ? NULL : p;
}

static void retire_slow(void *obj, struct nst_site site)
{
	struct nst_page *p = obj ? check(obj, site) : NULL;

	if (!p)
		return;
	if (nst_page_state(p) == NST_PAGE_SLAB)
		retire_object(nst_rcu_own, nst_cache_number(p->cache), obj, site);
	else
		retire_run(nst_rcu_own, p, obj, site);
}

/* ---- the entries ---- */

/* Where retirers must fence before the stamp, nothing is retired here: nst_retired.units is 0. */
void nst_free_rcu(void *ptr)
{
	/* Pairs with: nst_store_release() in open_fast_path(). No fence is needed before the stamp then. */
	struct nst_pcs **stacks = nst_fast_within(ptr, nst_load_acquire(&nst_retired.units));

	if (nst_unlikely(!stacks || nst_seq_retire(nst_rings_beside(stacks), &nst_rcu_own->started,
						   ptr) != NST_PUSH_OK))
		retire_slow(ptr, NST_SITE("nst_free_rcu"));
}

static void no_domain(const void *domain, void *ptr)
{
	static u32 warned;

	nst_count(NST_COUNT_RETIRED + NST_RETIRED_REFUSED, 1);
	if (!nst_exchange_relaxed(&warned, 1u)) /* once */
		nst_warn("nst_free_rcu_in(%p, %p): no such domain; what is retired to it is lost",
			 domain, ptr);
}

void nst_free_rcu_in(struct nst_rcu_domain *domain, void *ptr)
{
	struct nst_site site = NST_SITE("nst_free_rcu_in");
	struct nst_page *p;

	if (!domain || domain == nst_rcu_own) {
		nst_free_rcu(ptr);
		return;
	}
	p = ptr ? check(ptr, site) : NULL;
	if (!p)
		return;
	if (!nst_rcu_domain_hold(domain))
		no_domain(domain, ptr);
	else if (nst_page_state(p) == NST_PAGE_SLAB)
		retire_object(domain, nst_cache_number(p->cache), ptr, site);
	else if (!retire_run(domain, p, ptr, site))
		nst_rcu_domain_let_go(domain, 1);
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
		/* Pairs with: nst_cas_acq_rel() in take_chains(). */
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
	if (nst_retired_is_ready() && to_pages(&nst_retired.calls, nst_rcu_own, pair, 2)) {
		nst_count(NST_COUNT_RETIRED + NST_RETIRED_FOREIGN, 1);
		return 0;
	}
	nst_count(NST_COUNT_RETIRED + NST_RETIRED_REFUSED, 1);
	return -11;
}
