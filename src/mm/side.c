/* SPDX-License-Identifier: MIT */
/*
 * side.c - what a no-lock free could place nowhere waits here for somebody who may wait.
 *
 *	head -> object -> object -> run -> object ...
 *
 * Push is a compare-and-swap; drain takes the whole list by one exchange, so no element is ever popped
 * alone and there is no ABA. Links of slab objects lie in the object (behind it where a constructor's
 * work must survive), those of runs in their descriptor. A link in user-writable memory is hidden by a
 * secret and checked, so that a write after free is reported and leaked, not followed.
 *
 * Progress: a push retries only when another push or drain went through.
 * Fork: the list is whole in the child; what a lost thread was draining is leaked. Signal: push is legal in a handler.
 */
#include "mm.h"

#define SETTLE_NAPS 1000u /* of 100 us */

static struct {
	void *head;
	u64 secret;   /* constant after start */
	u32 drainers; /* threads that have objects of the list in their hands */
} side NST_LINE_ALIGNED;

/* Where an element keeps its two words. */
static u64 *words_of(void *obj, struct nst_page *p)
{
	struct nst_cache *c;

	if (nst_page_state(p) != NST_PAGE_SLAB)
		return &p->free[NST_PAGE_LINK_WORD];
	c = nst_cache_number(p->cache);
	if (!c->ctor)
		return obj;
	return (u64 *)(void *)((char *)obj + c->slot - nst_debug_slot_extra() - 16);
}

static u64 secret(void)
{
	if (nst_unlikely(!side.secret)) /* start set it; a push before start has no objects */
		side.secret = nst_mix64(nst_ticks()) | 1;
	return side.secret;
}

static u64 check_of(const void *obj, u64 link)
{
	return nst_mix64(link ^ secret() ^ (u64)(uintptr_t)obj);
}

int nst_side_pending(void)
{
	return nst_load_relaxed(&side.head) != NULL; /* relaxed: a later look sees it */
}

void nst_side_push(void *obj, struct nst_page *head)
{
	u64 *w = words_of(obj, head);
	void *old;

	nst_count(NST_COUNT_SIDE_PUSHED, 1);
	nst_debug_expose(w);
	do {
		old = nst_load_relaxed(&side.head); /* relaxed: the swap checks it */
		w[0] = (u64)(uintptr_t)old ^ nst_mix64(secret() ^ (u64)(uintptr_t)obj);
		w[1] = check_of(obj, (u64)(uintptr_t)old);
		/* Pairs with: nst_exchange_acq_rel() in nst_side_drain(). */
	} while (!nst_cas_release(&side.head, old, obj));
	nst_worker_flag();
}

/*
 * The next element; 0 when the link fails its check: then the rest is lost, and said so. The link is void
 * from then on, so that an object that was freed twice, and is on the list twice, ends the list when it
 * comes again and does not close a circle.
 */
static int follow(void *obj, struct nst_page *p, void **next)
{
	u64 *w = words_of(obj, p);
	u64 link;

	nst_debug_expose(w);
	link = w[0] ^ nst_mix64(secret() ^ (u64)(uintptr_t)obj);

	*next = (void *)(uintptr_t)link;
	if (w[1] == check_of(obj, link)) {
		w[1] = ~w[1];
		return 1;
	}
	nst_count(NST_COUNT_SIDE_CORRUPT, 1);
	nst_warn(
		"side list: the link in the free object %p was overwritten (written after free, or freed "
		"twice); what waited behind it is lost",
		obj);
	*next = NULL;
	return 0;
}

static void place(void *obj, struct nst_page *p)
{
	struct nst_site site = {"side list", NULL};

	if (nst_page_state(p) == NST_PAGE_SLAB && !nst_cache_number(p->cache)->ctor)
		nst_debug_refill(nst_cache_number(p->cache), obj, 16);
	if (nst_page_state(p) == NST_PAGE_SLAB)
		nst_cache_put_waits(nst_cache_number(p->cache), obj, site);
	else
		nst_page_put_waits(p);
}

unsigned int nst_side_drain(void)
{
	unsigned int n = 0;
	void *obj, *next;

	if (!nst_side_pending())
		return 0;
	nst_add_relaxed(&side.drainers, 1);
	/* Pairs with: nst_cas_release() in nst_side_push(), nst_load_acquire() in nst_side_settle(). */
	for (obj = nst_exchange_acq_rel(&side.head, NULL); obj; obj = next) {
		struct nst_page *p = nst_page_of(obj);

		if (!follow(obj, p, &next))
			continue;
		place(obj, p);
		n++;
	}
	if (n)
		nst_count(NST_COUNT_SIDE_DRAINED, n);
	/* Pairs with: nst_load_acquire() in nst_side_settle(). */
	nst_sub_release(&side.drainers, 1);
	return n;
}

/* Who took the list before we found it empty has counted itself before that. */
void nst_side_settle(void)
{
	u32 naps, n;

	nst_side_drain();
	/* Pairs with: nst_exchange_acq_rel() in nst_side_drain(). */
	(void)nst_load_acquire(&side.head);
	for (naps = 0; naps < SETTLE_NAPS; naps++) {
		/* Pairs with: nst_sub_release() in nst_side_drain(). */
		n = nst_load_acquire(&side.drainers);
		if (!n)
			return;
		nst_sys_futex_wait(&side.drainers, n, 100);
	}
}

void nst_side_after_fork(void)
{
	nst_store_relaxed(&side.drainers, 0u); /* relaxed: one thread runs in the child */
}

void nst_side_init(void)
{
	side.secret = nst_sys_random() | 1;
}
