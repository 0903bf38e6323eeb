/* SPDX-License-Identifier: MIT */
/*
 * api.c - arbitrary streams of operations on the API, against a model.
 *
 * A stream is bytes; each operation takes its kind, a slot and its arguments from the next ones.
 * The model knows of each slot: address, size asked for, alignment, cache, and what was written.
 * After each operation that hands out memory it demands:
 *
 *	it overlaps no other live object	it is aligned as asked, to 16 or to its cache
 *	usable size >= size			zero where NST_ZERO was asked
 * and before each that takes it back: every byte that may be used is as written. At the end nothing is
 * lost (C15).
 *
 * With libFuzzer: `make fuzz`. Without: main.c feeds it files, or random streams.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <nostall/nostall.h>
#include "common/pattern.h"
#include "fuzz.h"

#define NR_SLOTS 64u
#define NR_CACHES 4u
#define LIVE_MAX ((size_t)64 << 20)
#define FILL_MAX ((size_t)32 << 10) /* bytes of a large object that are written and checked */

struct slot {
	int by_size;
	unsigned char *ptr;
	size_t size, usable;
	int cache; /* -1: none */
};

struct stream {
	const uint8_t *at, *end;
};

static struct {
	struct slot slot[NR_SLOTS];
	struct nst_cache *cache[NR_CACHES];
	size_t live;
	uint64_t operations;
} m;

static const size_t cache_size[NR_CACHES] = {8, 56, 200, 3000};
static const size_t cache_align[NR_CACHES] = {0, 8, 64, 1024};

#define CTOR_CACHE 1
#define CTOR_WORD 0x6675656c6c757300u

static void construct(void *object)
{
	uint64_t word = CTOR_WORD;

	memcpy(object, &word, sizeof(word));
}

static void demand_at(int holds, const char *what, int line)
{
	if (holds)
		return;
	fprintf(stderr, "api.c:%d: operation %llu: not so: %s\n", line,
		(unsigned long long)m.operations, what);
	abort();
}
#define demand(condition) demand_at(!!(condition), #condition, __LINE__)

static uint32_t next(struct stream *s, unsigned int bytes)
{
	uint32_t v = 0;

	while (bytes-- && s->at < s->end)
		v = v << 8 | *s->at++;
	return v;
}

/* ---- the model ---- */

static size_t filled(const struct slot *slot)
{
	return slot->usable < FILL_MAX ? slot->usable : FILL_MAX;
}

static size_t fill_from(const struct slot *slot)
{
	return slot->cache == CTOR_CACHE ? 8 : 0;
}

static void write_slot(struct slot *slot)
{
	size_t from = fill_from(slot);

	if (filled(slot) > from)
		pattern_fill(slot->ptr + from, filled(slot) - from, 1);
	slot->ptr[slot->usable - 1] = 0x5a;
}

static void check_slot(const struct slot *slot)
{
	size_t from = fill_from(slot), bytes = filled(slot) - from;
	unsigned char last = slot->ptr[slot->usable - 1];

	demand(last == 0x5a);
	/* The last byte was written after the pattern. */
	if (filled(slot) == slot->usable)
		bytes = bytes ? (bytes - 1) & ~(size_t)7 : 0;
	demand(pattern_check(slot->ptr + from, bytes, 1) == bytes);
}

static void check_apart(const struct slot *one)
{
	for (unsigned int i = 0; i < NR_SLOTS; i++) {
		const struct slot *other = &m.slot[i];

		if (other == one || !other->ptr)
			continue;
		demand(one->ptr + one->usable <= other->ptr ||
		       other->ptr + other->usable <= one->ptr);
	}
}

static void enter_slot(struct slot *slot, void *ptr, size_t size, size_t align, int cache)
{
	slot->ptr = ptr;
	slot->size = size;
	slot->cache = cache;
	slot->by_size = align <= 16; /* aligned ones are not nst_free_sized()'s */
	slot->usable = nst_usable_size(ptr);
	demand(slot->usable >= size);
	demand(((uintptr_t)ptr & (align - 1)) == 0);
	check_apart(slot);
	if (cache == CTOR_CACHE) {
		uint64_t word;
		memcpy(&word, ptr, sizeof(word));
		demand(word == CTOR_WORD);
	}
	write_slot(slot);
	m.live += slot->usable;
}

static void leave_slot(struct slot *slot)
{
	check_slot(slot);
	m.live -= slot->usable;
	slot->ptr = NULL;
}

/* ---- arguments ---- */

static nst_mode_t mode_of(uint32_t byte)
{
	static const nst_mode_t modes[] = {NST_NORMAL, NST_NORETRY, NST_NOWAIT,	 NST_ATOMIC,
					   NST_NOLOCK, NST_NOLOCK,  NST_FASTTRY, NST_NORMAL};
	nst_mode_t mode = modes[byte & 7];

	if (byte & 8)
		mode |= NST_ZERO;
	mode |= byte & 16 ? NST_MOVABLE : byte & 32 ? NST_RECLAIMABLE : 0;
	mode |= byte & 64 ? NST_THISNODE : 0;
	return mode | (byte & 128 ? NST_NOMEMALLOC : 0);
}

static int no_lock(nst_mode_t mode)
{
	return !nst_mode_may_wait(mode);
}

/* Any size: small ones mostly, the limits and their neighbours often, impossible ones sometimes. */
static size_t size_of(struct stream *s)
{
	uint32_t kind = next(s, 1), v = next(s, 2);

	if (kind < 160)
		return v % 600;
	if (kind < 200)
		return v;
	if (kind < 230)
		return ((size_t)1 << (kind % 23)) + (size_t)(int8_t)v;
	if (kind < 250)
		return (size_t)v << 6;
	return SIZE_MAX - v;
}

/* What must succeed does: small, in a mode that may wait for everything. */
static void check_null(size_t size, nst_mode_t mode, const void *ptr)
{
	if (size == 0 || size > SIZE_MAX / 2 || (no_lock(mode) && size > NST_NOLOCK_MAX))
		demand(!ptr);
	else if (nst_mode_effective(mode) & NST_NORMAL && m.live < LIVE_MAX / 2)
		demand(ptr);
}

static int within_limit(size_t size)
{
	return size > SIZE_MAX / 2 || (size < LIVE_MAX && m.live + size < LIVE_MAX);
}

/* ---- operations ---- */

static void free_by(struct slot *slot, uint32_t how)
{
	void *ptr = slot->ptr;
	int cache = slot->cache;
	size_t size = slot->size;

	if (!ptr)
		return;
	leave_slot(slot);
	switch (how % 8) {
	case 0:
		nst_free_nolock(ptr);
		return;
	case 1:
		nst_pages_free(ptr);
		return;
	case 2:
		nst_pages_free_nolock(ptr);
		return;
	case 3:
		nst_free_bulk(1, &ptr);
		return;
	case 4:
		if (cache >= 0)
			nst_cache_free(m.cache[cache], ptr);
		else if (slot->by_size)
			nst_free_sized(ptr, size);
		else
			nst_free(ptr);
		return;
	case 5:
		if (cache >= 0)
			nst_cache_free_nolock(m.cache[cache], ptr);
		else
			nst_free_nolock(ptr);
		return;
	default:
		nst_free(ptr);
	}
}

static void op_alloc(struct stream *s, struct slot *slot)
{
	uint32_t how = next(s, 1), bits = next(s, 1);
	nst_mode_t mode = mode_of(bits);
	size_t size = size_of(s), align = 16;
	unsigned char *ptr;

	free_by(slot, bits);
	if (!within_limit(size))
		return;
	if (how % 4 == 0) {
		mode = NST_NOLOCK;
		ptr = nst_alloc_nolock(size);
	} else if (how % 4 == 1) {
		mode = NST_FASTTRY;
		ptr = nst_alloc_fasttry(size);
	} else if (how % 4 == 2) {
		align = (size_t)1 << (how >> 3) % 22;
		if (size < SIZE_MAX / 2 && size + align > LIVE_MAX / 4)
			return;
		ptr = nst_alloc_aligned(size, align, mode);
		/* No-lock requests have narrower limits on alignment than on size. */
		if (!no_lock(mode) || !ptr)
			check_null(no_lock(mode) ? 0 : size, mode, ptr);
	} else {
		ptr = nst_alloc(size, mode);
	}
	if (how % 4 != 2)
		check_null(size, mode, ptr);
	if (!ptr)
		return;
	if (mode & NST_ZERO && how % 4 >= 2)
		demand(pattern_zero(ptr, size < FILL_MAX ? size : FILL_MAX) >=
		       (size < FILL_MAX ? size : FILL_MAX));
	enter_slot(slot, ptr, size, align, -1);
}

static void op_cache(struct stream *s, struct slot *slot)
{
	uint32_t how = next(s, 1), bits = next(s, 1);
	int cache = (int)(how % NR_CACHES);
	nst_mode_t mode = mode_of(bits) & ~(cache == CTOR_CACHE ? (nst_mode_t)NST_ZERO : 0);
	void *ptr;

	free_by(slot, bits);
	if (how & 64) {
		mode = NST_NOLOCK;
		ptr = nst_cache_alloc_nolock(m.cache[cache]);
	} else {
		ptr = nst_cache_alloc(m.cache[cache], mode);
	}
	check_null(cache_size[cache], mode, ptr);
	if (!ptr)
		return;
	if (mode & NST_ZERO)
		demand(pattern_zero(ptr, cache_size[cache]) == cache_size[cache]);
	enter_slot(slot, ptr, cache_size[cache], cache_align[cache] ? cache_align[cache] : 8,
		   cache);
}

static void op_pages(struct stream *s, struct slot *slot)
{
	uint32_t how = next(s, 1);
	nst_mode_t mode = mode_of(next(s, 1));
	unsigned int order = how % 12;
	size_t size = NST_PAGE_SIZE << order;
	void *ptr;

	free_by(slot, how);
	/* Too large an order is a misuse that prints: no-lock modes only, where it is NULL. */
	if (order > NST_ORDER_MAX)
		mode = NST_NOLOCK;
	if (!within_limit(size))
		return;
	ptr = how & 64 ? nst_pages_alloc_nolock(order) : nst_pages_alloc(order, mode);
	if (how & 64)
		mode = NST_NOLOCK;
	if (order > NST_ORDER_MAX)
		demand(!ptr);
	else
		check_null(size, mode, ptr);
	if (ptr)
		enter_slot(slot, ptr, size, size, -1);
}

static void op_realloc(struct stream *s, struct slot *slot)
{
	nst_mode_t mode = mode_of(next(s, 1));
	size_t size = size_of(s), kept;
	unsigned char first[64];
	unsigned char *ptr;

	if (!within_limit(size) || slot->cache >= 0)
		return;
	if (!slot->ptr) {
		ptr = nst_realloc(NULL, size, mode);
		check_null(size, mode, ptr);
		if (ptr)
			enter_slot(slot, ptr, size, 16, -1);
		return;
	}
	check_slot(slot);
	kept = slot->size < size ? slot->size : size;
	kept = kept < sizeof(first) ? kept : sizeof(first);
	memcpy(first, slot->ptr, kept);
	ptr = nst_realloc(slot->ptr, size, mode);
	if (!ptr) {
		check_slot(slot);
		return;
	}
	demand(size != 0 && memcmp(ptr, first, kept) == 0);
	m.live -= slot->usable;
	slot->ptr = NULL;
	enter_slot(slot, ptr, size, 16, -1);
}

static void op_bulk(struct stream *s, struct slot *slot)
{
	uint32_t nr = next(s, 1) % 40, bits = next(s, 1);
	nst_mode_t mode = mode_of(bits);
	size_t size = next(s, 2) % 3000, got;
	void *out[40];

	free_by(slot, bits);
	if (!within_limit(size * 40))
		return;
	got = nst_alloc_bulk(size, mode, nr, out);
	demand(got <= nr && (size || !got));
	/* One after the other in the same slot, so that each is checked against all. */
	for (size_t i = 0; i < got; i++) {
		for (size_t j = 0; j < i; j++)
			demand(out[i] != out[j]);
		enter_slot(slot, out[i], size, 16, -1);
		leave_slot(slot);
	}
	if (bits & 1)
		nst_free_bulk(got, out);
	else
		while (got)
			nst_free_nolock(out[--got]);
}

static void op_other(struct stream *s, struct slot *slot)
{
	uint32_t how = next(s, 1);
	nst_scope_t scope;

	switch (how % 8) {
	case 0:
		nst_maintain();
		return;
	case 1:
		demand(nst_stock(m.cache[how / 8 % NR_CACHES], how, NST_CPU_THIS) <= 0);
		return;
	case 2:
		scope = nst_scope_enter(how / 8 % 16);
		op_alloc(s, slot);
		op_cache(s, slot);
		free_by(slot, how / 16);
		nst_scope_exit(scope);
		return;
	default:
		if (slot->ptr)
			check_slot(slot);
	}
}

static void step(struct stream *s)
{
	uint32_t kind = next(s, 1);
	struct slot *slot = &m.slot[next(s, 1) % NR_SLOTS];

	m.operations++;
	if (kind < 90)
		op_alloc(s, slot);
	else if (kind < 140)
		op_cache(s, slot);
	else if (kind < 165)
		op_pages(s, slot);
	else if (kind < 185)
		op_realloc(s, slot);
	else if (kind < 200)
		op_bulk(s, slot);
	else if (kind < 240)
		free_by(slot, kind);
	else
		op_other(s, slot);
}

uint64_t fuzz_operations(void)
{
	return m.operations;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stream s = {data, data + size};

	for (unsigned int i = 0; i < NR_CACHES; i++) {
		m.cache[i] = nst_cache_create("fuzz", cache_size[i], cache_align[i],
					      i % 2 ? NST_CACHE_NOLOCK : 0,
					      i == CTOR_CACHE ? construct : NULL);
		demand(m.cache[i] != NULL);
	}
	while (s.at < s.end)
		step(&s);
	for (unsigned int i = 0; i < NR_SLOTS; i++)
		free_by(&m.slot[i], i);
	for (unsigned int i = 0; i < NR_CACHES; i++)
		demand(nst_cache_destroy(m.cache[i]) == 0);
	demand(m.live == 0);
	return 0;
}
