/* SPDX-License-Identifier: MIT */
/*
 * mm_cold.c - runs over what is free or cold: as much becomes ready as they have, to the page.
 *
 * One CPU, no worker: nobody else grows or shrinks. Runs are freed to the buddy lists, past this CPU's.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "mm/mm.h"
#include "common/check.h"
#include "common/trap.h"

static struct nst_zone *const zone = &nst_zones[0];

#define STEP_ORDER 5u /* as zone.c has it */
#define STEP ((long)1 << STEP_ORDER)

struct counts {
	u64 ready, resident, free;
};

static struct counts now(void)
{
	return (struct counts){zone->ready_pages, nst_resident_pages, zone->free_pages};
}

static int changed_by(struct counts before, long ready, long free)
{
	struct counts c = now();

	return c.ready == before.ready + (u64)ready && c.resident == before.resident + (u64)ready &&
	       c.free == before.free + (u64)free;
}

static const char *change(struct counts before)
{
	static char text[80];
	struct counts c = now();

	nst_format(text, sizeof(text), "ready %lld, resident %lld, free %lld",
		   (long long)(c.ready - before.ready), (long long)(c.resident - before.resident),
		   (long long)(c.free - before.free));
	return text;
}

static void audit(void)
{
	nst_lock_wait(&zone->lock);
	nst_buddy_check(zone);
	nst_unlock(&zone->lock);
}

static u64 cold_pages(void)
{
	struct nst_list *l, *tmp;
	u64 pages = 0;

	nst_list_for_each (l, tmp, &zone->cold)
		pages += 1ull << nst_container_of(l, struct nst_page, list)->order;
	return pages;
}

/* Pages of @p's that are resident, of @nr. */
static size_t resident(const struct nst_page *p, size_t nr)
{
	unsigned char in[NST_BLOCK_PAGES];
	size_t i, n = 0;

	if (mincore(nst_page_address(p), nr << NST_PAGE_SHIFT, in))
		check_broken("mincore");
	for (i = 0; i < nr; i++)
		n += in[i] & 1;
	return n;
}

static struct nst_page *run(size_t pages)
{
	struct nst_page *p = nst_cold_run(zone, pages);

	if (!p)
		check_broken("a run");
	return p;
}

/* Whole to the buddy lists, as a run that was cut goes. */
static void put(struct nst_page *p)
{
	size_t pages = p->pages;

	if (!pages)
		check_broken("a run that was cut");
	nst_page_put_waits(p);
}

static u8 state_of(const struct nst_page *p)
{
	struct nst_arena *a = nst_arena_of_page(p);

	return a->block[(size_t)(p - a->pages) / NST_BLOCK_PAGES];
}

static u16 idle_of(const struct nst_page *p)
{
	struct nst_arena *a = nst_arena_of_page(p);

	return a->block_idle[(size_t)(p - a->pages) / NST_BLOCK_PAGES];
}

/* Nothing is free or cold but what a test makes so. */
static void use_up(void)
{
	unsigned int order;

	while (!nst_list_empty(&zone->cold))
		nst_zone_grow(zone, 0);
	nst_lock_wait(&zone->lock);
	for (order = NST_NR_ORDERS; order--;)
		while (nst_buddy_take_locked(zone, order, NST_MOB_UNMOVABLE))
			;
	nst_unlock(&zone->lock);
	audit();
}

/* The run of a fresh block, which each of these begins with. */
static struct nst_page *fresh(void)
{
	struct counts before;
	struct nst_page *p;
	u64 cold;

	use_up();
	cold = zone->open_arena ? NST_BLOCK_PAGES - zone->open_next : 0;
	before = now();
	p = run(300);
	check(changed_by(before, 304, 0) && p->pages == 304 && p->order == 9,
	      "a run has its pages, up to the next 8, and no more become ready", "%s",
	      change(before));
	check(((uintptr_t)nst_page_address(p) & (NST_BLOCK_BYTES - 1)) == 0 &&
		      nst_page_state(p) == NST_PAGE_PCP && state_of(p) == NST_BLOCK_READY,
	      "it begins where its order is aligned", "%p", nst_page_address(p));
	check(idle_of(p) == 208 && cold_pages() == cold + 208 && !zone->open_arena &&
		      resident(p, 304) == 304 && resident(p + 304, 208) == 0,
	      "the rest of its block is cold, and that of the block that was open", "%u, %llu",
	      idle_of(p), (unsigned long long)cold_pages());
	audit();
	return p;
}

static void free_and_cold(void)
{
	struct nst_page *p = fresh(), *q;
	struct counts before = now();

	put(p);
	check(changed_by(before, 0, 304) && idle_of(p) == NST_BLOCK_PAGES, "it is freed",
	      "%s, %u idle", change(before), idle_of(p));
	before = now();
	q = run(297);
	check(q == p && changed_by(before, 0, -304), "what is free comes before what is cold",
	      "%p, %s", nst_page_address(q), change(before));
	put(q);
	before = now();
	q = run(400);
	check(q == p && changed_by(before, 96, -304) && resident(p, 400) == 400,
	      "of a run over both what is cold becomes ready", "%s", change(before));
	nst_run_cut(q, 397);
	check(changed_by(before, 96, -301) && q->pages == 397,
	      "pages beyond what was asked for are free", "%s", change(before));
	audit();
	put(q);
	audit();
}

/* The place that has most of it ready, not the first. */
static void best_place(void)
{
	struct nst_page *p = fresh(), *other = run(260), *q;
	struct counts before;

	nst_run_extend(other, 500);
	put(other);
	put(p);
	before = now();
	q = run(480);
	check(q == other && changed_by(before, 0, -480),
	      "of two places that have room it takes the one with more that is ready", "%s",
	      change(before));
	put(q);
	audit();
}

static void reserve(void)
{
	struct nst_page *p = fresh(), *q;
	struct counts before;

	put(p);
	zone->min = zone->free_pages - 303;
	before = now();
	q = run(304);
	check(q != p && changed_by(before, 304, 0), "free pages below min are left", "%s",
	      change(before));
	zone->min = 0;
	put(q);
}

static void extend(void)
{
	struct nst_page *p = fresh(), *q;
	struct counts before = now();

	check(nst_run_extend(p, 350) && changed_by(before, 46, 0) && p->pages == 350 &&
		      p->order == 9 && resident(p, 350) == 350,
	      "a run grows where it is, over what is cold, by as much", "%s", change(before));
	check(!nst_run_extend(p, NST_BLOCK_PAGES + 1), "not beyond its block", "it does");
	nst_run_cut(p, 100);
	before = now();
	check(nst_run_extend(p, 200) && changed_by(before, 0, -100) && p->pages == 200 &&
		      p->order == 8,
	      "and over what is free", "%s, order %u", change(before), p->order);
	check(nst_run_extend(p, 256) && p->pages == 0 && p->order == 8,
	      "to all of its order, as a run that was never cut", "%u pages", p->pages);
	q = run(240);
	check(q == p + 256, "the half beside it", "%p", nst_page_address(q));
	before = now();
	check(!nst_run_extend(p, 257) && changed_by(before, 0, 0) && p->order == 8,
	      "not over what is in use", "%s", change(before));
	check(!nst_run_extend(q, 257) && changed_by(before, 0, 0),
	      "nor where it would begin at no aligned page", "%s", change(before));
	nst_run_cut(p, 255);
	put(p);
	put(q);
	audit();
}

/* A whole free run elsewhere is better than more memory. */
static void instead(void)
{
	struct nst_page *p = fresh();
	struct counts before;

	if (nst_zone_grow(zone, NST_BLOCK_ORDER))
		check_broken("a block");
	before = now();
	check(!nst_run_extend(p, 400) && changed_by(before, 0, 0),
	      "where another run would do, none grows over what is cold", "%s", change(before));
	nst_run_cut(p, 200);
	check(nst_run_extend(p, 304) && changed_by(before, 0, 0), "but over what is free", "%s",
	      change(before));
	put(p);
	audit();
}

static void warm(void)
{
	struct nst_page *p = fresh();
	struct counts before = now();

	check(nst_zone_grow(zone, 0) == 0 && changed_by(before, STEP, STEP),
	      "the zone grows by a step of what is cold", "%s", change(before));
	put(p);
	audit();
}

/* Under a limit (the option max) memory for a mapping is short: no look of the worker is waited for. */
static void reclaimed(void)
{
	struct nst_page *p = fresh(), *q = run(200);
	struct counts before;

	put(p);
	put(q);
	before = now();
	zone->high = zone->free_pages - 304;
	nst_span_reclaim();
	check(changed_by(before, -304, -304) && state_of(p) == NST_BLOCK_COLD,
	      "a block that is free in part, and cold in part, goes as one that is free",
	      "%s, state %u", change(before), state_of(p));
	zone->high = 0;
	audit();
}

/* ---- meanwhile ---- */

static void (*meanwhile)(void);
static enum nst_fail when;
static int left;

static void before(enum nst_fail what)
{
	if (what != when || --left)
		return;
	nst_test_before = NULL;
	meanwhile();
}

/* Before the @nth time that @what is done from now on @fn is, as by another thread. */
static void arm(enum nst_fail what, int nth, void (*fn)(void))
{
	meanwhile = fn;
	when = what;
	left = nth;
	nst_test_before = before;
}

static struct nst_page *subject;
static int got;

static void extend_to_all(void)
{
	got = nst_run_extend(subject, NST_BLOCK_PAGES);
}

/* The kernel is at work on what the zone grows by. */
static void none_grows_over_what_gets_warm(void)
{
	struct counts before;

	fresh(); /* leaves no open block: the next one's is all that is cold */
	subject = fresh();
	before = now();
	arm(NST_FAIL_POPULATE, 1, extend_to_all);
	check(nst_zone_grow(zone, 0) == 0 && !nst_test_before && !got &&
		      changed_by(before, STEP, STEP) && cold_pages() == 208 - STEP,
	      "no run grows over what the zone is being grown by", "%d, %s, %llu cold", got,
	      change(before), (unsigned long long)cold_pages());
	audit();
	put(subject);
	audit();
}

static void lay_64(void)
{
	got = nst_cold_lay(zone, subject, 6) == NULL;
}

static void none_joins_what_gets_warm(void)
{
	struct nst_page *p;
	struct counts before;

	fresh();
	p = fresh();
	if (!nst_run_extend(p, 448))
		check_broken("a run that grows");
	nst_run_cut(p, 384);
	nst_lock_wait(&zone->lock);
	subject = nst_buddy_take_locked(zone, 6, NST_MOB_UNMOVABLE);
	nst_unlock(&zone->lock);
	before = now();
	arm(NST_FAIL_POPULATE, 1, lay_64);
	check(subject == p + 384 && nst_zone_grow(zone, 0) == 0 && !nst_test_before && got &&
		      changed_by(before, STEP, STEP),
	      "a run is given back meanwhile", "%d, %s", got, change(before));
	check(nst_page_state(p + 384) == NST_PAGE_COLD && (p + 384)->order == 6 &&
		      nst_page_state(p + 448) == NST_PAGE_FREE && (p + 448)->order == STEP_ORDER &&
		      cold_pages() == 64 + 64 - STEP,
	      "and does not join what is beside it", "states %u and %u, orders %u and %u",
	      p[384].state, p[448].state, p[384].order, p[448].order);
	audit();
	put(p);
	audit();
}

/* All of a block has gone; who gave the last of it back is about to close it. */
static void none_begins_in_a_block_that_goes(void)
{
	struct nst_page *p, *last;

	fresh();
	p = fresh();
	if (!nst_run_extend(p, NST_BLOCK_PAGES))
		check_broken("a run that grows");
	last = p + 256;
	check(!nst_cold_lay(zone, p, 8) && nst_cold_lay(zone, last, 8) == p,
	      "a block is cold when its last run is", "it is not");
	check(nst_cold_take(zone, p, 256, NST_NR_ORDERS) && idle_of(p) == 0,
	      "and nobody takes of it then", "%u idle", idle_of(p));
}

static void take_one(void)
{
	nst_lock_wait(&zone->lock);
	subject = nst_buddy_take_locked(zone, 0, NST_MOB_UNMOVABLE);
	nst_unlock(&zone->lock);
}

/* Its place was found; then the zone's lock is tried for the second time, after that for growing. */
static void another_place(void)
{
	struct nst_page *p = fresh(), *q;

	put(p);
	arm(NST_FAIL_TRYLOCK, 3, take_one);
	q = nst_cold_run(zone, 300);
	check(subject == p + 288 && !nst_test_before && q && q != p && q->pages == 304,
	      "a run whose place went begins elsewhere", "%p", (void *)q);
	audit();
}

/* Each call that fails leaves all as it was, but that free pages it had taken are cold. */
static void refused(void)
{
	struct nst_page *p = fresh();
	struct counts before;
	u64 cold;

	put(p);
	before = now();
	cold = cold_pages();
	nst_test_fail[NST_FAIL_POPULATE] = -1;
	check(!nst_cold_run(zone, 400), "memory that cannot be made ready is refused", "it is not");
	nst_test_fail[NST_FAIL_POPULATE] = 0;
	check(changed_by(before, -304, -304) && cold_pages() == cold + 304 &&
		      idle_of(p) == NST_BLOCK_PAGES && resident(p, NST_BLOCK_PAGES) == 0,
	      "its place is cold then", "%s, %llu cold", change(before),
	      (unsigned long long)cold_pages());
	audit();
	nst_test_fail[NST_FAIL_POPULATE] = 1;
	check(!nst_cold_run(zone, 400), "and no block is opened to be refused there as well",
	      "one is");
	nst_resident_add(1ull << 40);
	check(!nst_cold_run(zone, 400), "nor beyond the limit", "it is");
	nst_resident_sub(1ull << 40);
	before = now();
	check(run(400) == p && changed_by(before, 400, 0), "and there afterwards", "%s",
	      change(before));
	put(p);
	audit();
}

/* In a fork's parent, and its child. */
static void forked(void)
{
	struct nst_page *p = fresh();
	pid_t pid;

	pid = fork();
	nst_maintain();
	if (pid == 0)
		_exit(resident(p, 304) != 304 || resident(p + 304, 208) != 0);
	check(resident(p, 304) == 304 && resident(p + 304, 208) == 0,
	      "what is made ready again after a fork is what was ready", "%zu and %zu pages",
	      resident(p, 304), resident(p + 304, 208));
	check_child(pid, 30, 0, "in the child as well");
	put(p);
}

/* Unchecked: what another thread does meanwhile is done by this one, with locks held. */
TEST_CONF("worker:off,nodes:1,max:1G" CONF_UNCHECKED)

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	run_on_cpu(0, cpu_nth(0));
	zone->min = zone->low = zone->high = 0; /* nobody keeps any up */
	free_and_cold();
	best_place();
	reserve();
	extend();
	instead();
	warm();
	reclaimed();
	none_grows_over_what_gets_warm();
	none_joins_what_gets_warm();
	none_begins_in_a_block_that_goes();
	another_place();
	refused();
	forked();
	return check_status();
}
