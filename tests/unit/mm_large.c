/* SPDX-License-Identifier: MIT */
/*
 * mm_large.c - mappings: from the top down, whole blocks, counted to the page, and given back when drained.
 *
 * The reserve is 64 MiB, so that all of it can be used up. Once more with max:48M, where the limit is.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include "mm/mm.h"
#include "common/check.h"
#include "common/pattern.h"
#include "common/trap.h"

#define MIB ((size_t)1 << 20)
#define NR_HELD 12u

static struct nst_zone *const zone = &nst_zones[0];
static struct nst_arena *const arena = &nst_arenas[0];

struct counts {
	u64 mappings, pages, resident;
};

static struct counts now(void)
{
	return (struct counts){nst_large_count, nst_large_pages, nst_resident_pages};
}

/* Since @before so many mappings with so many pages are there. */
static int rose_by(struct counts before, u64 mappings, u64 pages)
{
	struct counts c = now();

	return c.mappings == before.mappings + mappings && c.pages == before.pages + pages &&
	       c.resident == before.resident + pages;
}

static u64 pages_of(size_t bytes)
{
	return (bytes + NST_PAGE_BYTES - 1) / NST_PAGE_BYTES;
}

static size_t blocks_of(size_t bytes)
{
	return (bytes + NST_BLOCK_BYTES - 1) / NST_BLOCK_BYTES;
}

static size_t block_of(const void *p)
{
	return ((uintptr_t)p - arena->base) / NST_BLOCK_BYTES;
}

static void *get(size_t bytes, size_t align)
{
	enum nst_null_reason why;
	void *p = nst_large_alloc(bytes, align, NST_NORMAL, &why);

	if (!p)
		check_broken("a mapping");
	return p;
}

/* Freed and drained. */
static void give(void *p)
{
	nst_large_free(nst_page_of(p));
	check_quiet(nst_large_drain() == 1, "what is freed is laid by by a drain", "%p", p);
}

/* Every block of a mapping says so, and every address in it leads to its one descriptor. */
static void check_blocks(const char *p, size_t bytes)
{
	size_t first = block_of(p), nr = blocks_of(bytes);
	const struct nst_page *head = &arena->pages[first * NST_BLOCK_PAGES];

	for (size_t i = 0; i < nr; i++)
		check_quiet(arena->block[first + i] == (i ? NST_BLOCK_LARGE_TAIL : NST_BLOCK_LARGE),
			    "the first block is the mapping's head, the others are its tail",
			    "block %zu of %zu: %u", i, nr, arena->block[first + i]);
	check_quiet(nst_page_of(p) == head && nst_page_of(p + bytes / 2) == head &&
			    nst_page_of(p + bytes - 1) == head,
		    "every byte of it leads to its descriptor", "%zu bytes", bytes);
	check_quiet(nst_page_state(head) == NST_PAGE_LARGE, "which is that of a mapping",
		    "state %u", head->state);
}

static void sizes(void)
{
	static const size_t size[] = {2 * MIB + 1, 2 * MIB + 4096, 2 * MIB + 4097, 4 * MIB - 1,
				      4 * MIB,	   4 * MIB + 1,	   5 * MIB + 123,  20 * MIB};
	struct counts start = now();

	for (size_t i = 0; i < NST_ARRAY_SIZE(size); i++) {
		struct counts before = now();
		char *p = get(size[i], 1), *last = p + (size[i] - 1) / 4096 * 4096;
		u64 pages = pages_of(size[i]);

		check_quiet(((uintptr_t)p & (NST_BLOCK_BYTES - 1)) == 0,
			    "a mapping starts with a block", "%p", (void *)p);
		check_quiet(nst_usable_size(p) == pages * 4096,
			    "its owner may use whole pages of it", "%zu bytes: %zu", size[i],
			    nst_usable_size(p));
		check_quiet(rose_by(before, 1, pages), "its pages are counted, and no more",
			    "%zu bytes: %llu pages", size[i],
			    (unsigned long long)(nst_large_pages - before.pages));
		check_blocks(p, size[i]);
		pattern_fill(p, 4096, 1);
		pattern_fill(last, 4096, 2);
		check_quiet(pattern_check(p, 4096, 1) == 4096 &&
				    pattern_check(last, 4096, 2) == 4096,
			    "it can be written to its end", "%zu bytes", size[i]);
		give(p);
		check_quiet(rose_by(before, 0, 0), "given back, nothing is counted",
			    "%zu bytes: %llu pages", size[i],
			    (unsigned long long)(nst_large_pages - before.pages));
		check_quiet(!nst_page_of(p) && arena->block[block_of(last)] == NST_BLOCK_KEPT,
			    "and its addresses are nobody's", "%zu bytes", size[i]);
		check_quiet(arena->pages[block_of(p) * NST_BLOCK_PAGES].state == NST_PAGE_TAIL,
			    "nor is its descriptor", "%zu bytes", size[i]);
	}
	check(rose_by(start, 0, 0), "mappings of 8 sizes are counted to the page", "%llu pages",
	      (unsigned long long)nst_large_pages);
}

static void alignments(void)
{
	unsigned int wrong = 0;

	for (size_t align = 1; align <= 32 * MIB; align *= 2) {
		char *p = get(3 * MIB, align);

		wrong += ((uintptr_t)p & (align - 1)) != 0;
		check_blocks(p, 3 * MIB);
		give(p);
	}
	check(wrong == 0, "a mapping is aligned as asked, up to 32 MiB", "%u are not", wrong);
}

/* Blocks of a mapping, counted from the first that is not a node's any more. */
static size_t below_end(const void *p)
{
	size_t first, end;

	nst_zone_part(zone, arena, &first, &end);
	return end - block_of(p);
}

static void placement(void)
{
	char *a = get(4 * MIB, 1), *b = get(6 * MIB, 1), *c = get(4 * MIB, 1), *d, *e;
	struct nst_page *run;
	size_t lowest;

	check(below_end(a) == 2 && below_end(b) == 5 && below_end(c) == 7,
	      "the highest place is first, the next right below", "%zu %zu %zu", below_end(a),
	      below_end(b), below_end(c));
	give(b);
	d = get(4 * MIB, 1);
	e = get(4 * MIB, 1);
	check(below_end(d) == 4, "the highest gap that is large enough serves", "%zu",
	      below_end(d));
	check(below_end(e) == 9, "one that is too small does not", "%zu", below_end(e));
	for (lowest = 1; arena->block[lowest] > NST_BLOCK_COLD;)
		lowest++;
	if (nst_zone_grow(zone, NST_BLOCK_ORDER))
		check_broken("a block");
	check(arena->block[lowest] == NST_BLOCK_READY, "single blocks are opened from the bottom",
	      "block %zu is in state %u", lowest, arena->block[lowest]);
	nst_lock_wait(&zone->lock);
	run = nst_buddy_take_locked(zone, NST_BLOCK_ORDER, NST_MOB_MOVABLE);
	nst_buddy_put_locked(zone, run, NST_BLOCK_ORDER);
	nst_unlock(&zone->lock);
	check(block_of(nst_page_address(run)) < block_of(e), "out of the mappings' way", "%zu",
	      block_of(nst_page_address(run)));
	give(a);
	give(c);
	give(d);
	give(e);
}

static void queue(void)
{
	struct counts start = now(), before;
	char *a = get(34 * MIB, 1), *b = get(2 * MIB + 1, 1), *again;
	u64 failed = zone->purge_failed;
	unsigned int n;

	before = now();
	memset(a, 1, 8192);
	nst_large_free(nst_page_of(a));
	nst_large_free(nst_page_of(b)); /* of which the drain lays this one by */
	check(rose_by(before, 0, 0) && nst_page_state(nst_page_of(a)) == NST_PAGE_LARGE_FREED,
	      "what is freed waits, and is known to be freed", "state %u", nst_page_of(a)->state);
	nst_test_fail[NST_FAIL_PURGE] = 1;
	n = nst_large_drain();
	check(n == 1 && nst_large_count == start.mappings + 1 && zone->purge_failed == failed + 1,
	      "what the kernel refuses waits on, counted", "%llu, %llu refused",
	      (unsigned long long)nst_large_count,
	      (unsigned long long)(zone->purge_failed - failed));
	n = nst_large_drain();
	check(n == 1 && rose_by(start, 0, 0), "and goes with the next drain", "%llu mappings",
	      (unsigned long long)nst_large_count);
	check(nst_large_drain() == 0, "and then none is left", "one is");
	again = get(34 * MIB, 1);
	check(again == a && !again[0] && !again[4096] && !again[8191],
	      "blocks given back serve again, and read 0", "%p, not %p: %d", (void *)again,
	      (void *)a, again[0]);
	nst_large_free(nst_page_of(again));
	b = get(34 * MIB, 1);
	check(b == a && rose_by(start, 1, 34 * 256), "an allocation drains what waits first",
	      "%p, not %p", (void *)b, (void *)a);
	give(b);
}

/* What the kernel has of @bytes at @p: pages that are not resident. */
static size_t absent(void *p, size_t bytes)
{
	unsigned char in[1024];
	size_t n = 0;

	if (bytes / 4096 > sizeof(in) || mincore(p, bytes, in))
		check_broken("mincore");
	for (size_t i = 0; i < bytes / 4096; i++)
		n += !(in[i] & 1);
	return n;
}

static void age_all(void)
{
	while (zone->kept)
		nst_large_age(zone, 1);
}

static void kept(void)
{
	struct counts start = now();
	enum nst_null_reason why;
	char *a, *b;
	u64 failed;

	age_all();
	a = get(4 * MIB, 1);
	memset(a, 7, 4 * MIB);
	give(a);
	check(zone->kept == 2 && !absent(a, 4 * MIB) && rose_by(start, 0, 0),
	      "a mapping that is freed is laid by as it is", "%zu blocks, %zu pages gone",
	      zone->kept, absent(a, 4 * MIB));
	b = get(3 * MIB, 1);
	check(b == a && b[0] == 7 && !zone->kept, "and serves the next", "%p, then %p, holds %d",
	      (void *)a, (void *)b, b[0]);
	give(b);
	b = nst_large_alloc(4 * MIB, 1, NST_NORMAL | NST_ZERO, &why);
	check(b == a && !b[0] && !b[4 * MIB - 1], "zeroed where that was asked", "%d", b[0]);
	memset(b, 7, 4 * MIB);
	give(b);
	nst_test_fail[NST_FAIL_PURGE] = 1;
	b = nst_large_alloc(4 * MIB, 1, NST_NORMAL | NST_ZERO, &why);
	check(b == a && !b[0] && !b[4 * MIB - 1], "by hand if the kernel refuses", "%d", b[0]);
	give(b);

	check(nst_large_age(zone, 0) == 0 && zone->kept == 2 && !absent(a, 4 * MIB),
	      "one look later it is there", "%zu", zone->kept);
	failed = zone->purge_failed;
	nst_test_fail[NST_FAIL_PURGE] = 1;
	check(nst_large_age(zone, 0) == 0 && zone->kept == 2 && zone->purge_failed == failed + 1,
	      "what the kernel refuses stays, counted", "%zu, %llu", zone->kept,
	      (unsigned long long)(zone->purge_failed - failed));
	check(nst_large_age(zone, 0) == 2 && !zone->kept && absent(a, 4 * MIB) == 1024 &&
		      arena->block[block_of(a)] == NST_BLOCK_COLD,
	      "two looks later the kernel has it", "%zu kept, %zu pages gone", zone->kept,
	      absent(a, 4 * MIB));

	a = get(32 * MIB + 1, 1);
	give(a);
	check(!zone->kept, "more than 32 MiB is given back at once", "%zu blocks", zone->kept);
}

static void refused(enum nst_fail what, const char *name)
{
	struct counts before = now();
	enum nst_null_reason why = NST_NULL_SIZE;
	void *p;

	nst_test_fail[what] = 1;
	p = nst_large_alloc(3 * MIB, 1, NST_NORMAL, &why);
	nst_test_fail[what] = 0;
	check(!p && why == NST_NULL_NOMEM && rose_by(before, 0, 0), name, "%p, reason %u", p,
	      (unsigned int)why);
	p = get(3 * MIB, 1);
	check_quiet(below_end(p) == 2, "and the blocks are still there", "%zu", below_end(p));
	give(p);
}

static void too_large(void)
{
	struct counts before = now();
	enum nst_null_reason why = NST_NULL_NOMEM;
	size_t room = (arena->blocks_per_node - 1) * NST_BLOCK_BYTES, n = 0;
	void *p[40];

	check(!nst_large_alloc(room + 1, 1, NST_NORMAL, &why) && why == NST_NULL_SIZE,
	      "what no arena could hold is too large", "reason %u", (unsigned int)why);
	check(!nst_large_alloc(room, 1, NST_NORMAL, &why) && why == NST_NULL_NOMEM,
	      "what it could, if it were empty, is not to be had now", "reason %u",
	      (unsigned int)why);
	check(!nst_alloc(3 * MIB, NST_NOWAIT) && !nst_alloc(3 * MIB, NST_ATOMIC) &&
		      !nst_alloc(3 * MIB, NST_NOLOCK),
	      "modes that do not sleep get none", "one did");
	while (n < 40 && (p[n] = nst_large_alloc(2 * MIB + 1, 1, NST_NORMAL, &why)) != NULL)
		n++;
	check(n >= 12 && n < 16 && why == NST_NULL_NOMEM && rose_by(before, n, n * 513),
	      "two blocks each until none is left", "%zu mappings, reason %u", n,
	      (unsigned int)why);
	while (n)
		nst_large_free(nst_page_of(p[--n]));
	nst_large_drain();
	check(rose_by(before, 0, 0), "all of it comes back", "%llu mappings",
	      (unsigned long long)nst_large_count);
}

/* Between blocks and mappings all is used up; what mappings had may then be single blocks. */
static void then_blocks(void)
{
	enum nst_null_reason why;
	size_t n = 0, block;
	void *p[40];

	while (n < 40 && (p[n] = nst_large_alloc(2 * MIB + 1, 1, NST_NORMAL, &why)) != NULL)
		n++;
	nst_test_fail[NST_FAIL_RESERVE] = -1;
	while (nst_zone_grow(zone, NST_BLOCK_ORDER) == 0)
		;
	block = block_of(p[n / 2]);
	give(p[n / 2]);
	check(nst_zone_grow(zone, NST_BLOCK_ORDER) == 0 && arena->block[block] == NST_BLOCK_READY,
	      "a mapping's blocks may be single ones after", "block %zu is in state %u", block,
	      arena->block[block]);
	nst_test_fail[NST_FAIL_RESERVE] = 0;
	for (size_t i = 0; i < n; i++)
		if (i != n / 2)
			give(p[i]);
}

/* With max:48M. */
static void limit(void)
{
	u64 max = nst_option(NST_OPT_max) >> NST_PAGE_SHIFT, left = max - nst_resident_pages;
	enum nst_null_reason why = NST_NULL_SIZE;
	struct counts before = now();
	void *p;

	p = nst_large_alloc((left + 1) * 4096, 1, NST_NORMAL, &why);
	check(!p && why == NST_NULL_NOMEM && rose_by(before, 0, 0),
	      "a page above the limit is NULL", "%p, reason %u", p, (unsigned int)why);
	p = get(left * 4096, 1);
	check(nst_resident_pages == max, "the limit itself is not", "%llu of %llu pages",
	      (unsigned long long)nst_resident_pages, (unsigned long long)max);
	check(!nst_large_alloc(2 * MIB + 1, 1, NST_NORMAL, &why) && why == NST_NULL_NOMEM,
	      "then none is left", "reason %u", (unsigned int)why);
	nst_large_free(nst_page_of(p));
	p = get(left * 4096, 1);
	check(nst_resident_pages == max, "until some is freed, which need not be drained first",
	      "%llu pages", (unsigned long long)nst_resident_pages);
	give(p);
}

/* @from bytes become @to: in place if the blocks hold them, else moved; with the contents and counted. */
static void resized(size_t from, size_t to, int in_place, const char *name)
{
	struct counts before = now();
	unsigned char *p = nst_alloc(from, NST_NORMAL), *q;
	size_t same = 0;

	for (size_t i = 0; i < from; i++)
		p[i] = (unsigned char)(i * 31 >> 4);
	q = nst_realloc(p, to, NST_NORMAL);
	check(q && (p == q) == in_place, name, "%p, then %p", (void *)p, (void *)q);
	while (same < nst_min(from, to) && q[same] == (unsigned char)(same * 31 >> 4))
		same++;
	check(same == nst_min(from, to), "what it held is there", "to byte %zu", same);
	nst_large_drain();
	check(rose_by(before, to > 2 * MIB, to > 2 * MIB ? pages_of(to) : 0) &&
		      nst_usable_size(q) >= to,
	      "it counts as what it is now", "from %zu to %zu bytes", from, to);
	nst_free(q);
	nst_large_drain();
}

static void resize(void)
{
	resized(3 * MIB, 4 * MIB, 1, "a mapping grows in place to the end of its blocks");
	resized(3 * MIB, 4 * MIB + 1, 0, "and moves beyond it");
	resized(5 * MIB + 4097, 11 * MIB, 0, "a large one moves");
	resized(11 * MIB, 3 * MIB, 0, "and moves when most of it is given up");
	nst_test_fail[NST_FAIL_MOVE] = -1;
	resized(5 * MIB + 4097, 11 * MIB, 0, "where the kernel moves no pages they are copied");
	nst_test_fail[NST_FAIL_MOVE] = 0;
}

static void storm(struct rng *rng)
{
	static struct {
		char *p;
		size_t bytes;
	} held[NR_HELD];
	struct counts before = now();
	u64 pages = 0, mappings = 0;
	enum nst_null_reason why;

	for (unsigned int step = 0; step < 300 + NR_HELD; step++) {
		unsigned int i = step < 300 ? rng_below(rng, NR_HELD) : step - 300;
		size_t bytes = held[i].bytes;

		if (held[i].p) {
			check_quiet(pattern_check(held[i].p, 64, i) == 64 &&
					    pattern_check(held[i].p + bytes - 64, 64, i) == 64,
				    "a mapping is its owner's alone", "step %u", step);
			check_blocks(held[i].p, bytes);
			nst_large_free(nst_page_of(held[i].p));
			held[i].p = NULL;
			pages -= pages_of(bytes);
			mappings--;
		} else if (step < 300) {
			bytes = held[i].bytes = 2 * MIB + 1 + rng_below(rng, 6 * MIB);
			held[i].p = nst_large_alloc(bytes, 1, NST_NORMAL, &why);
			if (!held[i].p)
				continue;
			pattern_fill(held[i].p, 64, i);
			pattern_fill(held[i].p + bytes - 64, 64, i);
			pages += pages_of(bytes);
			mappings++;
		}
		nst_large_drain();
		check_quiet(rose_by(before, mappings, pages), "what is there is counted", "step %u",
			    step);
	}
	check(rose_by(before, 0, 0), "300 steps later everything is given back", "%llu mappings",
	      (unsigned long long)nst_large_count);
}

/* One node, whatever the machine has: a mapping is where its part of the reserve is. */
const char *test_conf(int argc, char **argv)
{
	(void)argv;
	return argc > 1 ? "worker:off,nodes:1,reserve:64M,max:48M"
			: "worker:off,nodes:1,reserve:64M";
}

int main(int argc, char **argv)
{
	struct rng rng = {seed_of(1, argv)};

	conf_apply(argv);
	run_on_cpu(0, cpu_nth(0));
	if (argc > 1) {
		limit();
		return check_status();
	}
	sizes();
	alignments();
	placement();
	queue();
	kept();
	refused(NST_FAIL_COMMIT, "memory that cannot be made writable is no mapping");
	refused(NST_FAIL_POPULATE, "nor is one that gets no descriptor");
	too_large();
	then_blocks();
	resize();
	storm(&rng);
	return check_status();
}
