/* SPDX-License-Identifier: MIT */
/*
 * mm_zone.c - watermarks, and memory that is made ready and given back: exactly as much as is said.
 *
 * Once more with max:7M, where the limit is. The worker is off: nobody else grows or shrinks.
 */
#define _GNU_SOURCE
#include <string.h>
#include "mm/mm.h"
#include "common/check.h"
#include "common/pattern.h"
#include "common/trap.h"

#define STEP_ORDER 5u /* as zone.c has it */
#define STEP_PAGES (1u << STEP_ORDER)

static struct nst_zone *const zone = &nst_zones[0];

/* What must agree: ready pages of the zone, resident ones of all, free ones (when all come or go free). */
struct counts {
	u64 ready, resident, free;
};

static struct counts now(void)
{
	return (struct counts){zone->ready_pages, nst_resident_pages, zone->free_pages};
}

static int rose_by(struct counts before, u64 pages)
{
	struct counts c = now();

	return c.ready == before.ready + pages && c.resident == before.resident + pages &&
	       c.free == before.free + pages;
}

static int fell_by(struct counts before, u64 pages)
{
	return rose_by(before, 0 - pages);
}

static void audit(void)
{
	u64 pages = 0;

	nst_lock_wait(&zone->lock);
	nst_buddy_check(zone);
	nst_unlock(&zone->lock);
	for (u32 i = 0; i < nst_mm.nr_arenas; i++) {
		struct nst_arena *a = &nst_arenas[i];

		for (size_t b = 0; b < a->nr_blocks; b++)
			pages += a->block[b] == NST_BLOCK_READY ? NST_BLOCK_PAGES
				 : a->block[b] == NST_BLOCK_OPEN
					 ? nst_zone_open_bytes(a, b) >> NST_PAGE_SHIFT
					 : 0;
	}
	check_quiet(pages == zone->ready_pages, "ready pages are those of ready blocks",
		    "%llu, counted %llu", (unsigned long long)pages,
		    (unsigned long long)zone->ready_pages);
}

static struct nst_page *take(unsigned int order)
{
	struct nst_page *p;

	nst_lock_wait(&zone->lock);
	p = nst_buddy_take_locked(zone, order, NST_MOB_UNMOVABLE);
	nst_unlock(&zone->lock);
	if (!p)
		check_broken("a run");
	return p;
}

static void put(struct nst_page *p)
{
	nst_lock_wait(&zone->lock);
	nst_buddy_put_locked(zone, p, p->order);
	nst_unlock(&zone->lock);
}

static void watermarks(void)
{
	static const u64 floors[NST_NR_MODES] = {
		[NST_MODE_INDEX_NORMAL] = 100, [NST_MODE_INDEX_NORETRY] = 100,
		[NST_MODE_INDEX_NOFAIL] = 0,   [NST_MODE_INDEX_NOWAIT] = 100,
		[NST_MODE_INDEX_ATOMIC] = 50,  [NST_MODE_INDEX_NOLOCK] = 100,
		[NST_MODE_INDEX_FASTTRY] = 100};
	struct nst_zone z = {.min = 100};
	unsigned int i;

	check(zone->high == nst_option(NST_OPT_high) >> NST_PAGE_SHIFT && zone->low > 0 &&
		      zone->low == zone->high / 2 && zone->min == zone->high / 4,
	      "high is the option, low its half, min its quarter", "%llu %llu %llu",
	      (unsigned long long)zone->high, (unsigned long long)zone->low,
	      (unsigned long long)zone->min);
	check(zone->free_pages >= zone->high, "the library starts with memory up to high",
	      "%llu of %llu pages", (unsigned long long)zone->free_pages,
	      (unsigned long long)zone->high);
	for (i = 0; i < NST_NR_MODES; i++) {
		check_quiet(nst_zone_floor(&z, 1u << i) == floors[i],
			    "half of the reserve is ATOMIC's, all of it NOFAIL's",
			    "%s leaves %llu of 100", nst_mode_rows[i].name,
			    (unsigned long long)nst_zone_floor(&z, 1u << i));
		check_quiet(nst_zone_floor(&z, 1u << i | NST_NOMEMALLOC) == 100,
			    "NOMEMALLOC leaves all of it", "%s leaves %llu of 100",
			    nst_mode_rows[i].name,
			    (unsigned long long)nst_zone_floor(&z, 1u << i | NST_NOMEMALLOC));
	}
	check(1, "each mode leaves its part of the reserve", "-");
}

static void parts(void)
{
	struct nst_arena a = {.first_node = 2, .blocks_per_node = 20, .nr_blocks = 41};
	size_t first = 99, end = 99;

	for (u8 node = 0; node < NST_NR_NODES; node++) {
		struct nst_zone z = {.node = node};
		int has = nst_zone_part(&z, &a, &first, &end);

		check_quiet(has == (node == 2 || node == 3),
			    "an arena has parts for its nodes only", "node %u: %d", node, has);
		check_quiet(!has || (first == (node - 2u) * 20 && end == first + 20),
			    "parts lie side by side", "node %u: %zu to %zu", node, first, end);
	}
	check(nst_zone_part(zone, &nst_arenas[0], &first, &end) && first == 0 &&
		      end == nst_arenas[0].nr_blocks - 1,
	      "one node has all but the guard at the end", "%zu to %zu", first, end);
	check(nst_arenas[0].block[first] == NST_BLOCK_GUARD &&
		      nst_arenas[0].block[end] == NST_BLOCK_GUARD,
	      "a guard is on either side", "%u, %u", nst_arenas[0].block[first],
	      nst_arenas[0].block[end]);
}

static void grow(void)
{
	unsigned int order;

	check(nst_zone_may_add(1ull << 40), "without the option max there is no limit",
	      "there is one");
	for (order = 0; order < NST_NR_ORDERS; order++) {
		struct counts before = now();
		u64 pages = order > STEP_ORDER ? NST_BLOCK_PAGES : STEP_PAGES;
		int rc;

		if (order > STEP_ORDER && zone->open_arena)
			pages += NST_BLOCK_PAGES - zone->open_next;
		rc = nst_zone_grow(zone, order);
		check_quiet(rc == 0 && rose_by(before, pages),
			    "a step, or a block and the rest of the open one",
			    "order %u: %d, %llu pages, not %llu", order, rc,
			    (unsigned long long)(zone->ready_pages - before.ready),
			    (unsigned long long)pages);
		put(take(order)); /* a run of that order is there */
		audit();
	}
	check(nst_resident_peak >= nst_resident_pages, "the peak is no less than what is resident",
	      "%llu of %llu", (unsigned long long)nst_resident_peak,
	      (unsigned long long)nst_resident_pages);
	check(1, "as much becomes ready as is asked for, and is counted", "-");
}

static void open_block(void)
{
	struct nst_arena *a;
	size_t block;

	nst_zone_grow(zone, NST_BLOCK_ORDER);
	check(!zone->open_arena, "who wants a block leaves none half open", "one is");
	nst_zone_grow(zone, 0);
	a = zone->open_arena;
	block = zone->open_block;
	check(a && a->block_mob[block] == NST_MOB_MOVABLE,
	      "a new block is movable: nobody has it yet", "mobility %u",
	      a ? a->block_mob[block] : 0);
	check(a && a->block[block] == NST_BLOCK_OPEN &&
		      nst_zone_open_bytes(a, block) == STEP_PAGES * NST_PAGE_BYTES,
	      "a block is opened by its first step", "%zu bytes",
	      a ? nst_zone_open_bytes(a, block) : 0);
	for (int i = 0; i < 7; i++)
		nst_zone_grow(zone, i);
	check(a && a->block[block] == NST_BLOCK_READY && !zone->open_arena &&
		      nst_zone_open_bytes(a, block) == NST_BLOCK_BYTES,
	      "and is ready after its eighth", "state %u", a ? a->block[block] : 0);
	audit();
}

/* The lowest block that is not in use. */
static size_t lowest_cold(const struct nst_arena *a)
{
	size_t b = 0;

	while (a->block[b] > NST_BLOCK_COLD)
		b++;
	return b;
}

/* Every call of one kind that a growth by a block makes fails, one after the other. */
static void refused(enum nst_fail what, const char *name)
{
	struct counts before;
	unsigned int nr = 0;
	size_t lowest;
	int rc;

	nst_zone_grow(zone, NST_BLOCK_ORDER); /* none is half open */
	before = now();
	lowest = lowest_cold(&nst_arenas[0]);
	for (long n = 1; n < 20; n++) {
		nst_test_fail[what] = n;
		rc = nst_zone_grow(zone, NST_BLOCK_ORDER);
		if (rc == 0)
			break;
		nr++;
		check_quiet(rc == -12 && rose_by(before, 0), "a refusal makes nothing ready",
			    "%s number %ld: %d", name, n, rc);
	}
	nst_test_fail[what] = 0;
	check(nr > 0 && rc == 0 && rose_by(before, NST_BLOCK_PAGES), name,
	      "after %u refusals %d, %llu pages", nr, rc,
	      (unsigned long long)(zone->ready_pages - before.ready));
	check(nst_arenas[0].block[lowest] == NST_BLOCK_READY,
	      "the block that was refused is not lost", "block %zu is in state %u", lowest,
	      nst_arenas[0].block[lowest]);
	audit();
}

/* When a part is used up, which its hint says, an arena is added. */
static void another_arena(void)
{
	struct counts before = now();
	size_t hint = zone->hint[0];
	struct nst_page *p;

	zone->hint[0] = nst_arenas[0].nr_blocks;
	nst_test_fail[NST_FAIL_RESERVE] = -1;
	check(nst_zone_grow(zone, NST_BLOCK_ORDER) == -12 && rose_by(before, 0),
	      "without address space it is refused", "it is not");
	nst_test_fail[NST_FAIL_RESERVE] = 0;
	check(nst_zone_grow(zone, NST_BLOCK_ORDER) == 0 && nst_mm.nr_arenas == 2 &&
		      rose_by(before, NST_BLOCK_PAGES),
	      "a used up arena gets a second beside it", "%u arenas", nst_mm.nr_arenas);
	do { /* free blocks of the first come before it */
		p = take(NST_BLOCK_ORDER);
	} while (nst_arena_of_page(p) != &nst_arenas[1]);
	check(nst_arena_of_page(p) == &nst_arenas[1] && nst_page_node(p) == 0 &&
		      nst_page_of(nst_page_address(p)) == p,
	      "whose pages are found from their addresses", "%p", nst_page_address(p));
	put(p);
	zone->hint[0] = hint;
	audit();
}

static void more_blocks(unsigned int n)
{
	while (n--)
		if (nst_zone_grow(zone, NST_BLOCK_ORDER))
			check_broken("a block");
}

/* How many blocks may go: whole ones, while a block and the high mark stay. */
static unsigned int idle(void)
{
	u64 free = zone->free_pages, whole = 0;
	unsigned int n = 0;

	for (unsigned int m = 0; m < NST_NR_MOBILITIES; m++)
		whole += zone->nr_free[m][NST_BLOCK_ORDER];
	for (; n < whole && free > zone->high + NST_BLOCK_PAGES; n++)
		free -= NST_BLOCK_PAGES;
	return n;
}

static u64 taken(void)
{
	return zone->taken[0] + zone->taken[1] + zone->taken[2];
}

static void shrink(void)
{
	struct counts before;
	unsigned int n, wanted;
	u64 requests;

	more_blocks(4);
	take(0); /* for good: a part of some block */
	nst_zone_shrink(zone, 0, 0);
	before = now();
	requests = taken();
	n = nst_zone_shrink(zone, 2, 0);
	check(n == 2 && fell_by(before, 2 * NST_BLOCK_PAGES), "no more blocks go than it may give",
	      "%u, %llu pages", n, (unsigned long long)(before.ready - zone->ready_pages));
	audit();
	before = now();
	wanted = idle();
	n = nst_zone_shrink(zone, 1000, 0);
	check(n == wanted && wanted > 0 && fell_by(before, n * NST_BLOCK_PAGES),
	      "all whole blocks go, while a block above the high mark stays",
	      "%u of %u, %llu pages", n, wanted,
	      (unsigned long long)(before.ready - zone->ready_pages));
	check(nst_zone_shrink(zone, 1000, 0) == 0, "and then no more", "more did");
	check(taken() == requests, "what is given back is nobody's request", "%llu pages more",
	      (unsigned long long)(taken() - requests));
	audit();
}

static void in_use_since(void)
{
	struct nst_page *p[5];
	struct counts before;
	unsigned int n;

	nst_zone_shrink(zone, 0, 0);
	before = now();
	more_blocks(6);
	check(nst_zone_shrink(zone, 1000, 0) == 0 && rose_by(before, 6 * NST_BLOCK_PAGES),
	      "what became ready since the last pass stays", "it went");
	for (n = 0; n < 64 && zone->free_pages > zone->high + 6 * NST_BLOCK_PAGES; n++)
		nst_zone_shrink(zone, 1, 0);
	for (n = 0; n < 5; n++)
		p[n] = take(NST_BLOCK_ORDER);
	for (n = 0; n < 5; n++)
		put(p[n]);
	before = now();
	check(nst_zone_shrink(zone, 1000, 0) == 0 && rose_by(before, 0),
	      "what was in use since the last pass stays", "it went");
	n = idle();
	check(n > 0 && nst_zone_shrink(zone, 1000, 0) == n,
	      "until it was idle from one to the next", "not %u blocks went", n);
	audit();
}

static void only_idle(void)
{
	struct nst_page *p[4];
	u8 *written[4];
	unsigned int i;

	more_blocks(8);
	for (i = 0; i < 4; i++) {
		p[i] = take(NST_BLOCK_ORDER - 1);
		written[i] = nst_page_address(p[i]);
		pattern_fill(written[i], NST_PAGE_BYTES, i + 1);
	}
	nst_zone_shrink(zone, 0, 0);
	check(nst_zone_shrink(zone, 1000, 0) > 0, "idle blocks go", "none went");
	for (i = 0; i < 4; i++) {
		check_quiet(nst_page_of(written[i]) == p[i], "a page in use stays where it is",
			    "number %u", i);
		check_quiet(pattern_check(written[i], NST_PAGE_BYTES, i + 1) == NST_PAGE_BYTES,
			    "and as it was", "number %u", i);
		put(p[i]);
	}
	audit();
	check(1, "blocks in use keep their pages", "-");
}

static void back_and_again(void)
{
	struct counts before;
	u64 failed = zone->purge_failed;
	unsigned int n;
	size_t lowest;

	more_blocks(4);
	nst_zone_shrink(zone, 0, 0);
	before = now();
	nst_test_fail[NST_FAIL_PURGE] = 1;
	n = nst_zone_shrink(zone, 1000, 0);
	check(n == 0 && rose_by(before, 0) && zone->purge_failed == failed + 1,
	      "a block that the kernel refuses is kept, counted, and ends the pass", "%llu counted",
	      (unsigned long long)(zone->purge_failed - failed));
	nst_test_fail[NST_FAIL_PURGE] = 0;
	audit();
	check(nst_zone_shrink(zone, 1000, 0) > 0, "the next pass tries again", "it does not");
	lowest = lowest_cold(&nst_arenas[0]);
	if (zone->open_arena)
		check_broken("no block is open");
	nst_zone_grow(zone, 0);
	check(zone->open_arena == &nst_arenas[0] && zone->open_block == lowest,
	      "the lowest block that is free is opened next", "%zu, not %zu", zone->open_block,
	      lowest);
	audit();
}

/* Steps until none is granted any more. */
static void to_the_limit(u64 max)
{
	while (nst_zone_grow(zone, 0) == 0)
		check_quiet(nst_resident_pages <= max, "the limit holds", "%llu of %llu pages",
			    (unsigned long long)nst_resident_pages, (unsigned long long)max);
	check(nst_resident_pages == max, "single steps reach the limit to the page",
	      "%llu of %llu pages", (unsigned long long)nst_resident_pages,
	      (unsigned long long)max);
	audit();
}

/* With max:7M, three blocks and a half. */
static void limit(void)
{
	u64 max = nst_option(NST_OPT_max) >> NST_PAGE_SHIFT, left = max - nst_resident_pages;
	int rc;

	check(nst_zone_may_add(left) && !nst_zone_may_add(left + 1), "the limit is exact",
	      "%llu of %llu pages are left", (unsigned long long)left, (unsigned long long)max);
	to_the_limit(max);
	rc = nst_zone_grow(zone, NST_BLOCK_ORDER);
	check(rc == -12 && nst_resident_pages == max, "a half open block is not finished beyond it",
	      "%d, %llu pages", rc, (unsigned long long)nst_resident_pages);
	nst_zone_shrink(zone, 0, 0);
	check(nst_zone_shrink(zone, 1, 0) == 1 && nst_zone_may_add(NST_BLOCK_PAGES) &&
		      !nst_zone_may_add(NST_BLOCK_PAGES + 1),
	      "what is given back may be added again", "not exactly");
	rc = nst_zone_grow(zone, NST_BLOCK_ORDER);
	check(rc == -12 && nst_resident_pages <= max,
	      "where a block would fit, but not beside the half open one, there is none",
	      "%d, %llu pages", rc, (unsigned long long)nst_resident_pages);
	to_the_limit(max);
}

/* One node, whatever the machine has; a small reserve, so that a second arena is small. */
const char *test_conf(int argc, char **argv)
{
	(void)argv;
	return argc > 1 ? "worker:off,nodes:1,reserve:64M,max:7M"
			: "worker:off,nodes:1,reserve:64M";
}

static unsigned int astray;

/* Whoever has the zone's lock may join what says that it is cold: it is on the list. */
static void cold_is_listed(int lock_class)
{
	struct nst_arena *a = &nst_arenas[0];
	struct nst_list *l, *tmp;
	size_t n = 0;

	if (lock_class != NST_LOCK_ZONE)
		return;
	for (size_t b = 0; b < zone->top[0]; b++)
		for (size_t i = 0; a->block[b] == NST_BLOCK_READY && i < NST_BLOCK_PAGES; i++)
			n += a->pages[b * NST_BLOCK_PAGES + i].state == NST_PAGE_COLD;
	nst_list_for_each (l, tmp, &zone->cold)
		n--;
	astray += n != 0;
}

/* Runs between what is in use: given back alone, made ready again before any block is opened. */
static void cold_runs(void)
{
	struct counts before, after;
	struct nst_page *between;
	unsigned int n;
	u64 cold;

	nst_zone_shrink(zone, 0, 0);
	nst_zone_shrink(zone, 1000, 0);
	more_blocks(1);
	between = take(0);
	nst_zone_shrink(zone, 0, 0);
	before = now();
	n = nst_zone_shrink(zone, 0, 1);
	after = now();
	check(n == 1 && fell_by(before, before.free - after.free), "one run may go: one goes",
	      "%u runs, %llu pages", n, (unsigned long long)(before.free - after.free));
	n += nst_zone_shrink(zone, 0, 1000);
	after = now();
	cold = before.free - after.free;
	check(n > 1 && fell_by(before, cold) && after.free >= zone->high &&
		      after.free < zone->high + NST_BLOCK_PAGES,
	      "runs go while more than high is idle", "%u runs, %llu pages, %llu stay", n,
	      (unsigned long long)cold, (unsigned long long)after.free);
	check(nst_page_of((char *)nst_page_address(between)) == between,
	      "what lies between them is found as before", "it is not");
	nst_lock_wait(&zone->lock);
	nst_buddy_check(zone);
	nst_unlock(&zone->lock);
	size_t lowest = lowest_cold(&nst_arenas[0]);
	nst_test_held = cold_is_listed;
	nst_test_fail[NST_FAIL_POPULATE] = -1;
	check(nst_zone_grow(zone, 0) == -12, "one that the kernel refuses stays cold",
	      "it does not");
	nst_test_fail[NST_FAIL_POPULATE] = 0;
	for (n = 0; zone->free_pages < before.free && n < 64; n++)
		if (nst_zone_grow(zone, 0))
			check_broken("a run made ready again");
	nst_test_held = NULL;
	check(astray == 0, "on its way a run is nobody's buddy", "%u times one was", astray);
	check(rose_by(before, 0) && lowest_cold(&nst_arenas[0]) == lowest,
	      "they are ready again before a block is opened", "%llu of %llu pages free",
	      (unsigned long long)zone->free_pages, (unsigned long long)before.free);
	put(between);
	audit();
	nst_test_fail[NST_FAIL_PURGE] = -1;
	nst_zone_shrink(zone, 0, 0);
	before = now();
	n = nst_zone_shrink(zone, 0, 1000);
	check(n == 0 && rose_by(before, 0), "a run that the kernel refuses is kept", "%u went", n);
	nst_test_fail[NST_FAIL_PURGE] = 0;
	audit();
}

/* Halves of a block that nobody else has; 256 pages more are idle. An open block, and nothing cold, is beside it. */
static struct nst_page *halves(void)
{
	struct nst_page *p;

	do {
		more_blocks(1);
		p = take(NST_BLOCK_ORDER);
	} while (zone->free_pages < zone->high + NST_BLOCK_PAGES / 2);
	while (!nst_list_empty(&zone->cold) || !zone->open_arena)
		if (nst_zone_grow(zone, 0))
			check_broken("an open block");
	p[NST_BLOCK_PAGES / 2].order = p->order = NST_BLOCK_ORDER - 1;
	nst_page_set_state(&p[NST_BLOCK_PAGES / 2], NST_PAGE_PCP);
	return p;
}

static u8 state_of(const struct nst_page *p)
{
	struct nst_arena *a = nst_arena_of_page(p);

	return a->block[(size_t)(p - a->pages) / NST_BLOCK_PAGES];
}

static void give_back_run(struct nst_page *p)
{
	put(p);
	nst_zone_shrink(zone, 0, 0);
	while (nst_page_state(p) != NST_PAGE_COLD)
		if (!nst_zone_shrink(zone, 0, 1))
			check_broken("a run given back");
}

/* A block that went in pieces is a whole one again. */
static void pieces(void)
{
	struct nst_page *p = halves();
	u64 high;

	give_back_run(p);
	check(state_of(p) == NST_BLOCK_READY, "of a block in use, a part is given back", "all is");
	put(p + NST_BLOCK_PAGES / 2);
	nst_zone_shrink(zone, 0, 0);
	while (state_of(p) != NST_BLOCK_COLD && nst_zone_shrink(zone, 0, 1))
		;
	check(state_of(p) == NST_BLOCK_COLD, "with its last part it is closed", "it is in state %u",
	      state_of(p));
	p = halves();
	give_back_run(p);
	nst_test_fail[NST_FAIL_POPULATE] = -1;
	put(p + NST_BLOCK_PAGES / 2);
	high = zone->high;
	zone->high = zone->free_pages;
	check(nst_zone_compact(zone, 8) == 0 && state_of(p) == NST_BLOCK_READY &&
		      zone->free_pages == zone->high,
	      "a block whose rest is needed stays, if no other memory can be had", "%llu pages",
	      (unsigned long long)zone->free_pages);
	nst_test_fail[NST_FAIL_POPULATE] = 0;
	check(nst_zone_compact(zone, 8) == 1 && state_of(p) == NST_BLOCK_COLD &&
		      zone->free_pages >= zone->high,
	      "it is closed once another block has as much", "state %u, %llu pages", state_of(p),
	      (unsigned long long)zone->free_pages);
	zone->high = high;
	check(nst_zone_compact(zone, 8) == 0, "and then there is none", "there is");
	while (!nst_list_empty(&zone->cold))
		nst_zone_grow(zone, 0);
	more_blocks(1);
	audit();
}

int main(int argc, char **argv)
{
	conf_apply(argv);
	run_on_cpu(0, cpu_nth(0));
	watermarks();
	parts();
	if (argc > 1) {
		limit();
		return check_status();
	}
	grow();
	open_block();
	shrink();
	in_use_since();
	only_idle();
	back_and_again();
	refused(NST_FAIL_COMMIT, "memory that cannot be made writable is refused, then there");
	refused(NST_FAIL_POPULATE, "memory that cannot be made resident is refused, then there");
	cold_runs();
	pieces();
	another_arena();
	return check_status();
}
