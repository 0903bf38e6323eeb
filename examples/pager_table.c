// SPDX-License-Identifier: MIT
/*
 * pager_table.c - four levels of 512 entries: walked and filled in read sections, cleared and sealed by who changes mappings.
 *
 *	level 3 --entry--> level 2 --> level 1 --> level 0: | page | page | ... |
 *
 * An entry of levels 3 to 1 is 0, a table, or ENTRY_BUSY for the moment in which one is put there. Where there is none
 * a table is allocated first, by what a speculation may ask for; then the entry is claimed, the mapping looked at, and the
 * table published: so none appears in a range whose mapping is gone (G1). A table that is not needed goes back by
 * nst_free_rcu(): walkers may be in it, and find it sealed (G2).
 *
 * All orders are seq_cst: claim and look, against mark and look, is the pattern that needs it.
 */
#define _GNU_SOURCE
#include "pager.h"

#include <sched.h>
#include <string.h>

#define TOP 3u
#define BITS 9u
#define ENTRIES (1u << BITS)

struct table {
	uint64_t e[ENTRIES];
};
_Static_assert(sizeof(struct table) == PAGE, "a table is a page");

uint64_t tables_made, tables_retired;

static uint64_t load(const uint64_t *e)
{
	return __atomic_load_n(e, __ATOMIC_SEQ_CST);
}

static int swap(uint64_t *e, uint64_t from, uint64_t to)
{
	return __atomic_compare_exchange_n(e, &from, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* How much an entry of that level covers, as a shift. */
static unsigned int shift_of(unsigned int level)
{
	return 12 + BITS * level;
}

static uint64_t *entry_of(struct table *t, unsigned int level, uintptr_t at)
{
	return &t->e[at >> shift_of(level) & (ENTRIES - 1)];
}

static struct table *table_in(uint64_t value)
{
	return (struct table *)(uintptr_t)value;
}

/* ---- claims ---- */

enum claim entry_claim(uint64_t *e, const struct mapping *m, uint64_t *was)
{
	*was = load(e);
	if (*was & ENTRY_BUSY)
		return CLAIM_TAKEN;
	if (*was & ENTRY_SEALED || !swap(e, *was, *was | ENTRY_BUSY))
		return CLAIM_CHANGED;
#if !(defined(PAGER_BUSTED) && PAGER_BUSTED == 1) /* not looked again: stale bytes */
	if (map_is_dead(m) || pager_fails(STEP_CLAIM)) {
		entry_release(e, *was);
		return CLAIM_CHANGED;
	}
#else
	(void)m;
#endif
	return CLAIM_DONE;
}

void entry_release(uint64_t *e, uint64_t now)
{
	__atomic_store_n(e, now, __ATOMIC_SEQ_CST);
}

/* For who may wait: what was there, once nobody has it. */
static uint64_t entry_take(uint64_t *e, uint64_t now)
{
	for (;;) {
		uint64_t was = load(e);

		if (!(was & ENTRY_BUSY) && swap(e, was, now))
			return was;
		sched_yield();
	}
}

/* ---- walk ---- */

struct table *table_new(struct fault *f)
{
	struct table *t = NULL;

	if (f->s.site)
		t = nst_speculate_pages(&f->s, 0);
	if (!t && f->with_lock)
		t = nst_pages_alloc(0, PAGER_MODE);
	if (!t)
		return NULL;
	memset(t, 0, sizeof(*t));
	COUNT(tables_made);
	return t;
}

static void table_unused(struct table *t)
{
	nst_free_nolock(t), NST_BECAUSE("in a read section; nobody has seen it");
	COUNT(tables_retired);
}

/* A table below @e, where there is none. */
static unsigned int grow(struct fault *f, uint64_t *e, unsigned int level)
{
	struct table *t = pager_fails(STEP_TABLE_2 + (enum pager_step)(TOP - 1 - level))
				  ? NULL
				  : table_new(f);
	uint64_t was;

	if (!t)
		return NST_SPECULATE_NULL;
	if (load(e) == 0 && !pager_fails(STEP_LINK) && entry_claim(e, f->m, &was) == CLAIM_DONE) {
		if (was == 0) {
			entry_release(e, (uintptr_t)t);
			return NST_SPECULATE_DONE;
		}
		entry_release(e, was);
	}
	table_unused(t);
	return NST_SPECULATE_CHANGED;
}

unsigned int table_walk(struct fault *f, uint64_t **entry)
{
	struct table *t = f->sp->root;
	unsigned int level, how;

	for (level = TOP; level > 0; level--) {
		uint64_t *e = entry_of(t, level, f->at), now;

		pager_nap();
		now = load(e);
		if (now == 0) {
			how = grow(f, e, level - 1);
			if (how != NST_SPECULATE_DONE)
				return how;
			now = load(e);
		}
		if (now == 0 || now & (ENTRY_BUSY | ENTRY_SEALED))
			return NST_SPECULATE_CHANGED;
		t = table_in(now);
	}
	*entry = entry_of(t, 0, f->at);
	return NST_SPECULATE_DONE;
}

/* ---- ranges ---- */

static uintptr_t least(uintptr_t a, uintptr_t b)
{
	return a < b ? a : b;
}

static void each_in(struct table *t, unsigned int level, uintptr_t start, uintptr_t end,
		    void (*fn)(void *arg, uint64_t *e, uintptr_t at), void *arg)
{
	uintptr_t size = (uintptr_t)1 << shift_of(level), at, next;

	for (at = start; at < end; at = next) {
		uint64_t *e = entry_of(t, level, at);

		next = least(end, (at & ~(size - 1)) + size);
		if (level == 0)
			fn(arg, e, at);
		else if (load(e) & ~(uint64_t)ENTRY_BUSY)
			each_in(table_in(load(e) & ~(uint64_t)ENTRY_BUSY), level - 1, at, next, fn,
				arg);
	}
}

void table_each(struct table *root, uintptr_t start, uintptr_t end,
		void (*fn)(void *arg, uint64_t *e, uintptr_t at), void *arg)
{
	each_in(root, TOP, start, end, fn, arg);
}

static void clear_one(void *arg, uint64_t *e, uintptr_t at)
{
	uint64_t bits = *(uint64_t *)arg;

	(void)at;
	for (;;) {
		uint64_t was = load(e);

		if (!(was & ENTRY_BUSY) && swap(e, was, was & ~bits))
			return;
		sched_yield();
	}
}

void table_clear(struct table *root, uintptr_t start, uintptr_t end, uint64_t bits)
{
	table_each(root, start, end, clear_one, &bits);
}

/* ---- tables go ---- */

static void retire(struct table *t)
{
	COUNT(tables_retired);
#if defined(PAGER_BUSTED) && PAGER_BUSTED == 2 /* walkers are still in it */
	memset(t, 0xd8, sizeof(*t));
	nst_pages_free(t);
#else
	nst_free_rcu(t);
#endif
}

static void seal(struct table *t, unsigned int level)
{
	for (unsigned int i = 0; i < ENTRIES; i++) {
		uint64_t was = entry_take(&t->e[i], ENTRY_SEALED);

		if (level && was)
			seal(table_in(was), level - 1);
	}
	retire(t);
}

static void prune_in(struct table *t, unsigned int level, uintptr_t start, uintptr_t end,
		     const struct map_set *maps)
{
	uintptr_t size = (uintptr_t)1 << shift_of(level), at, next;

	for (at = start; at < end; at = next) {
		uintptr_t whole = at & ~(size - 1);
		uint64_t *e = entry_of(t, level, at), was;

		next = least(end, whole + size);
		if (map_overlaps(maps, whole, whole + size)) {
			was = load(e) & ~(uint64_t)ENTRY_BUSY;
			if (was && level > 1)
				prune_in(table_in(was), level - 1, at, next, maps);
			continue;
		}
		was = entry_take(e, 0);
		if (was)
			seal(table_in(was), level - 1);
	}
}

void table_prune(struct space *sp, uintptr_t start, uintptr_t end, const struct map_set *maps)
{
	prune_in(sp->root, TOP, start, end, maps);
}

/* ---- check ---- */

static uint64_t stale_in(const struct table *t, unsigned int level, uintptr_t base,
			 const struct map_set *maps)
{
	uintptr_t size = (uintptr_t)1 << shift_of(level);
	uint64_t stale = 0;

	for (uintptr_t i = 0; i < ENTRIES; i++) {
		uint64_t was = load(&t->e[i]) & ~(uint64_t)ENTRY_BUSY;
		uintptr_t at = base + i * size;

		if (!was)
			continue;
		if (!map_overlaps(maps, at, at + size))
			stale++;
		else if (level)
			stale += stale_in(table_in(was), level - 1, at, maps);
	}
	return stale;
}

uint64_t table_stale(const struct space *sp)
{
	return stale_in(sp->root, TOP, 0, sp->maps);
}
