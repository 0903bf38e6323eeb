// SPDX-License-Identifier: MIT
/*
 * torture_rcu_write.c - updaters: new things take the place of old ones, which are retired in every form.
 *
 * Memory that is handed out while somebody holds it shows by the holder's hash that lies in it: it is
 * cleared as a thing is retired, so that a thing freed twice is found as it is made twice.
 */
#define _GNU_SOURCE
#include "torture_rcu.h"

#include <errno.h>

#define POISON UINT64_C(0x6465616464656164)
#define LIFE_BYTES 136	/* every other one is at no multiple of 16 */
#define ERRNO_MARK 7654 /* no call of ours returns it */

enum form {
	FORM_BARE,
	FORM_BULK,
	FORM_HEAD,
	FORM_CALL,
	FORM_FOREIGN,
	FORM_IN, /* what a handler may do ends here */
	FORM_SLEEP,
	FORM_SLEEP_FUNCTION,
	FORM_WAIT,
};

static uint64_t hash_of(const struct thing *p)
{
	return (uint64_t)(uintptr_t)p * 0x9e3779b97f4a7c15u ^ 0x68656c6400000000u;
}

static uint64_t *tail_of(struct thing *p)
{
	return (uint64_t *)(void *)((char *)p + p->bytes - 8);
}

/* ---- making ---- */

static size_t draw_bytes(uint64_t *seed, int handler)
{
	uint32_t r = rcu_draw(seed) % 1024;

	if (!handler && r == 0)
		return (size_t)3 << 20; /* a mapping */
	if (r < 16)
		return NST_PAGE_SIZE * 3; /* a run */
	return THING_LEAST + (rcu_draw(seed) % (r < 100 ? 2000 : 128) & ~7u);
}

static struct thing *take(size_t *bytes, uint64_t *seed, int handler)
{
	if (rcu_draw(seed) % 2) {
		*bytes = 96;
		if (!handler)
			return nst_cache_alloc(rcu_torture.cache, NST_NORMAL | NST_NOWARN);
		return nst_cache_alloc_nolock(rcu_torture.cache);
		NST_BECAUSE("signal handler");
	}
	*bytes = draw_bytes(seed, handler);
	if (!handler)
		return nst_alloc(*bytes, NST_NORMAL | NST_NOWARN);
	if (*bytes > 8192)
		*bytes = NST_PAGE_SIZE;
	return nst_alloc_nolock(*bytes);
	NST_BECAUSE("signal handler");
}

static struct thing *make_of(struct thing *p, size_t bytes, uint64_t *seed,
			     struct rcu_torture_counts *n)
{
	uint64_t word = ((uint64_t)rcu_draw(seed) << 32) ^ rcu_draw(seed) ^ (uintptr_t)p << 20;

	if (!p) {
		n->nulls++;
		return NULL;
	}
	rcu_found(&n->handed_out_twice,
		  atomic_exchange_explicit(&p->holder, hash_of(p), memory_order_relaxed) ==
			  hash_of(p));
	p->bytes = (uint32_t)bytes;
	atomic_store_explicit(&p->age, 0, memory_order_relaxed);
	atomic_store_explicit(&p->word, word, memory_order_relaxed);
	__atomic_store_n(tail_of(p), ~word, __ATOMIC_RELAXED);
	return p;
}

static struct thing *make(uint64_t *seed, struct rcu_torture_counts *n, int handler)
{
	size_t bytes;
	struct thing *p = take(&bytes, seed, handler);

	return make_of(p, bytes, seed, n);
}

/* ---- retiring ---- */

static void call(struct thing *p)
{
	uint64_t word = atomic_exchange_explicit(&p->word, POISON, memory_order_relaxed);

	atomic_fetch_add(&rcu_torture.freed_twice, word == POISON);
	atomic_fetch_add(&rcu_torture.called, 1);
	nst_free(p);
}

static void call_head(struct nst_rcu_head *head)
{
	call((struct thing *)(void *)((char *)head - offsetof(struct thing, head)));
}

static void call_pointer(void *p)
{
	call(p);
}

static void retire_bulk(void **bulk, unsigned int *nr, unsigned int most, struct thing *p)
{
	bulk[(*nr)++] = p;
	if (*nr < most)
		return;
	*nr = 0; /* before: a handler has a bulk of its own, but the call may be long */
	nst_free_rcu_bulk(most, bulk);
}

static void retire_in(struct rcu_thread *t, enum form form, struct thing *p, int handler)
{
	struct rcu_torture_counts *n = handler ? &t->h : &t->n;

	atomic_store_explicit(&p->holder, 0, memory_order_relaxed);
	switch (form) {
	case FORM_BULK:
		if (handler)
			retire_bulk(t->handler_bulk, &t->nr_handler_bulk, HANDLER_BULK, p);
		else
			retire_bulk(t->bulk, &t->nr_bulk, BULK, p);
		return;
	case FORM_HEAD:
		n->functions++;
		nst_free_rcu_head(&p->head, call_head, p->bytes);
		return;
	case FORM_CALL:
		n->functions++;
		nst_call_rcu(&p->head, call_head, 0);
		return;
	case FORM_FOREIGN:
		if (!nst_free_rcu_foreign(p, call_pointer)) {
			n->functions++;
			return;
		}
		n->refused++;
		break;
	case FORM_SLEEP_FUNCTION:
		n->functions++;
		nst_free_rcu_mightsleep(p, call_pointer);
		return;
	case FORM_SLEEP:
		nst_free_rcu_mightsleep(p, NULL);
		return;
	case FORM_WAIT:
		n->waited++;
		nst_gp_wait(nst_gp_start());
		nst_free(p);
		return;
	case FORM_IN:
		nst_free_rcu_in(rcu_torture.domain, p);
		return;
	case FORM_BARE:
		break;
	}
	nst_free_rcu(p);
}

static enum form draw_form(uint64_t *seed, int handler)
{
	static const unsigned char forms[] = {
		FORM_BARE, FORM_BARE, FORM_BARE,  FORM_BARE,	      FORM_BULK,
		FORM_BULK, FORM_HEAD, FORM_CALL,  FORM_FOREIGN,	      FORM_FOREIGN,
		FORM_IN,   FORM_IN,   FORM_SLEEP, FORM_SLEEP_FUNCTION};

	if (!handler && rcu_draw(seed) % 512 == 0)
		return FORM_WAIT;
	return forms[rcu_draw(seed) % (handler ? 12 : sizeof(forms))];
}

static struct thing *exchange(struct thing *p, uint64_t *seed)
{
	return __atomic_exchange_n(&rcu_torture.slot[rcu_draw(seed) % THING_SLOTS], p,
				   __ATOMIC_ACQ_REL);
}

/* ---- what ages: unlinked, and retired only after ten periods ---- */

static void age_one(struct rcu_thread *t, unsigned int i)
{
	struct thing *p = t->aging[i].thing;

	if (!p || !nst_gp_done(t->aging[i].cookie))
		return;
	if (atomic_fetch_add_explicit(&p->age, 1, memory_order_relaxed) + 1 < OLDEST) {
		t->aging[i].cookie = nst_gp_start();
		return;
	}
	t->aging[i].thing = NULL;
	t->n.aged++;
	retire_in(t, FORM_BARE, p, 0);
}

void rcu_age(struct rcu_thread *t, int all)
{
	for (unsigned int i = 0; i < AGES; i++) {
		struct thing *p = t->aging[i].thing;

		if (!all) {
			age_one(t, i);
		} else if (p) {
			t->aging[i].thing = NULL;
			retire_in(t, FORM_BARE, p, 0);
		}
	}
}

/* 1 if it ages from now on. */
static int begin_to_age(struct rcu_thread *t, struct thing *p)
{
	unsigned int i = rcu_draw(&t->seed) % AGES;

	if (t->aging[i].thing)
		return 0;
	t->aging[i].cookie = nst_gp_start();
	t->aging[i].thing = p;
	return 1;
}

/* ---- updates ---- */

void rcu_update(struct rcu_thread *t)
{
	struct thing *p, *old;

	errno = ERRNO_MARK;
	p = make(&t->seed, &t->n, 0);
	old = exchange(p, &t->seed);
	t->n.updates++;
	if (old && (rcu_draw(&t->seed) % 16 || !begin_to_age(t, old)))
		retire_in(t, draw_form(&t->seed, 0), old, 0);
	t->n.wrong_errno += errno != ERRNO_MARK;
}

void rcu_update_in_handler(struct rcu_thread *t)
{
	struct thing *p = make(&t->handler_seed, &t->h, 1), *old;

	if (!p)
		return;
	old = exchange(p, &t->handler_seed);
	t->h.handler_updates++;
	if (old)
		retire_in(t, draw_form(&t->handler_seed, 1), old, 1);
}

void rcu_retire_own(struct rcu_thread *t, unsigned int form, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		struct thing *p = make(&t->seed, &t->n, 0);

		if (p)
			retire_in(t, (enum form)form, p, 0);
	}
}

void rcu_bulk_end(struct rcu_thread *t)
{
	nst_free_rcu_bulk(t->nr_bulk, t->bulk);
	nst_free_rcu_bulk(t->nr_handler_bulk, t->handler_bulk);
	t->nr_bulk = t->nr_handler_bulk = 0;
}

void rcu_cache_life(struct rcu_thread *t)
{
	struct nst_cache *cache = nst_cache_create("torture life", LIFE_BYTES, 8, 0, NULL);
	size_t alive;

	for (unsigned int i = 0, nr = 1 + rcu_draw(&t->seed) % 300; cache && i < nr; i++) {
		struct thing *p = make_of(nst_cache_alloc(cache, NST_NORMAL | NST_NOWARN),
					  LIFE_BYTES, &t->seed, &t->n);

		if (p)
			retire_in(t,
				  i % 8 == 0   ? FORM_HEAD
				  : i % 8 == 1 ? FORM_IN
					       : FORM_BARE,
				  p, 0);
	}
	alive = nst_cache_destroy(cache);
	t->n.lost += alive;
	t->n.caches++;
}

void rcu_table_empty(struct rcu_thread *t)
{
	for (unsigned int i = 0; i < THING_SLOTS; i++) {
		struct thing *p = __atomic_exchange_n(&rcu_torture.slot[i], NULL, __ATOMIC_ACQ_REL);

		if (p)
			retire_in(t, i % 2 ? FORM_BARE : FORM_FOREIGN, p, 0);
	}
}
