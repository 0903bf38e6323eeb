/* SPDX-License-Identifier: MIT */
/*
 * bound.c - C21: what deferred free takes stays within the figures of `nostall bound`, and those are what is taken.
 *
 * Formulas against what is there: one more cache, its ring, pages of it. Then the flood: a reader stays in its
 * section, objects of all sizes are allocated and retired without pause, until requests get NULL.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/testhook.h"
#include "common/check.h"
#include "common/trap.h"
#include <nostall/account.h>
#include <nostall/nostall.h>
#include <nostall/rcu.h>
#include <nostall/reclaim.h>
#include <nostall/reserve.h>
#include <nostall/speculate.h>

#define BUDGET (1u << 20) /* as in TEST_CONF */
#define STRIPES 8u	  /* rings of threads without sequences */
#define MOST_ROWS 32

enum row {
	TABLES,
	RINGS,
	RING_PAGES,
	WAITING_PAGES,
	DEAD_BITS,
	NOTES,
	BUDGETED,
	FOREIGN_PAGES,
	EXCESS,
	RESERVES,
	POOLS,
	PREFILLED,
	ACCOUNTS,
	TWINS,
	OWNERS,
	STOCKS,
	SPECULATION,
	NR_ROWS
};

static const char *const names[NR_ROWS] = {
	"tables",   "rings",	     "ring_pages", "waiting_pages", "dead_bits",  "notes",
	"budget",   "foreign_pages", "excess",	   "reserves",	    "pools",	  "prefilled",
	"accounts", "twins",	     "owners",	   "stocks",	    "speculation"};

struct bounds {
	struct nst_bound row[MOST_ROWS];
};

static unsigned int cpus_possible(void)
{
	char text[32];

	nst_info("cpus_possible", text, sizeof(text));
	return (unsigned int)strtoul(text, NULL, 10);
}

static struct bounds read_bounds(void)
{
	static struct bounds b;

	if (nst_bounds(0, b.row, MOST_ROWS, sizeof(b.row[0])) != NR_ROWS)
		check_broken("nst_bounds");
	return b;
}

static struct nst_stats *stats(void)
{
	static struct nst_stats s;

	nst_stats_read(&s, sizeof(s));
	return &s;
}

static void check_rows(void)
{
	struct bounds b = read_bounds();
	struct nst_bound first;

	for (int i = 0; i < NR_ROWS; i++) {
		check_quiet(!strcmp(b.row[i].what, names[i]) && *b.row[i].formula &&
				    *b.row[i].holds && b.row[i].promise[0] == 'C',
			    "C21 rows have names", "row %d is '%s'", i, b.row[i].what);
		check_quiet(b.row[i].now_bytes <= b.row[i].most_bytes, "C21 within the bound",
			    "%s: %llu of %llu", names[i], (unsigned long long)b.row[i].now_bytes,
			    (unsigned long long)b.row[i].most_bytes);
	}
	check(nst_bounds(0, &first, 1, 16) == NR_ROWS && !strcmp(first.what, names[0]),
	      "C21 a smaller reader gets the beginning", "'%s'", first.what);
	check(nst_bounds(384, b.row, 2, sizeof(b.row[0])) == NR_ROWS &&
		      b.row[RINGS].most_bytes / (384 + STRIPES) ==
			      read_bounds().row[RINGS].most_bytes / (cpus_possible() + STRIPES),
	      "C21 for other machines", "-");
}

/* What one more cache adds to the bound is as many times what it takes here as there are rings it may have. */
static void check_cache(void)
{
	struct bounds before = read_bounds(), there, after;
	struct nst_cache *cache = nst_cache_create("bound", 64, 0, 0, NULL);
	uint64_t ring;

	there = read_bounds();
	while (read_bounds().row[RINGS].now_bytes == before.row[RINGS].now_bytes) {
		nst_free_rcu(nst_cache_alloc(cache, NST_NORMAL));
		nst_maintain();
	}
	after = read_bounds();
	ring = after.row[RINGS].now_bytes - there.row[RINGS].now_bytes;
	check(there.row[RINGS].most_bytes - before.row[RINGS].most_bytes ==
		      (cpus_possible() + STRIPES) * ring,
	      "C21 rings are as computed", "%llu a ring", (unsigned long long)ring);
	check(there.row[TABLES].most_bytes - before.row[TABLES].most_bytes ==
			      after.row[TABLES].now_bytes - there.row[TABLES].now_bytes &&
		      there.row[TABLES].most_bytes % ((cpus_possible() + 2) * sizeof(void *)) == 0,
	      "C21 tables are as computed", "-");
	check(after.row[RING_PAGES].now_bytes > there.row[RING_PAGES].now_bytes &&
		      (after.row[RING_PAGES].now_bytes - there.row[RING_PAGES].now_bytes) * 255 %
				      ((there.row[RING_PAGES].most_bytes -
					before.row[RING_PAGES].most_bytes) /
				       (cpus_possible() + STRIPES)) ==
			      0,
	      "C21 pages are as computed", "-");
	nst_rcu_barrier();
	check(nst_cache_destroy(cache) == 0, "C21 nothing is lost", "-");
}

/* 1 bit for 16 bytes of all blocks that are cut, no more. */
static void check_dead_bits(void)
{
	uint64_t bits = read_bounds().row[DEAD_BITS].now_bytes * 128;
	uint64_t ready = stats()->zones[0].pages_ready * 4096;

	check(bits >= ready && bits % (2u << 20) == 0, "C21 dead bits are 1/128",
	      "for %llu of %llu bytes", (unsigned long long)bits, (unsigned long long)ready);
}

/* The summary says it, too. */
static void check_print(void)
{
	char text[65536] = "";
	int fd = memfd_create("print", 0);

	if (fd < 0 || nst_stats_print(fd) || pread(fd, text, sizeof(text) - 1, 0) <= 0)
		check_broken("nst_stats_print");
	check(strstr(text, "\nretired waiting_bytes=") && strstr(text, " budget_bytes=1048576\n") &&
		      strstr(text, "\nretired sealed_pages="),
	      "C21 the summary has it", "%s", text);
	close(fd);
}

#define FILL 4096u

/* This CPU's lists of all sizes hold what they may. */
static void fill_lists(void)
{
	static void *object[FILL];

	for (size_t size = 16; size <= NST_NOLOCK_MAX; size += size < 128 ? 16 : size / 8) {
		unsigned int nr = size * FILL > 8u << 20 ? (8u << 20) / (unsigned int)size : FILL;

		for (int round = 0; round < 3; round++) {
			for (unsigned int i = 0; i < nr; i++)
				object[i] = nst_alloc(size, NST_NORMAL);
			for (unsigned int i = 0; i < nr; i++)
				nst_free(object[i]);
		}
	}
}

/* Of every size as many as there are; how often there was none. */
static unsigned int drain_lists(void)
{
	unsigned int nulls = 0;

	for (size_t size = 16; size <= NST_NOLOCK_MAX; size += size < 128 ? 16 : size / 8) {
		void *p;

		for (int i = 0; i < 100000 && (p = nst_alloc_nolock(size)) != NULL; i++)
			nst_free_rcu(p);
		nulls += !p;
		nst_maintain();
	}
	return nulls;
}

/* The budget is crossed at once, by a mapping; from then on only what this CPU's lists hold is served. */
static void check_flood(void)
{
	nst_rcu_token_t section = nst_rcu_read_begin();
	struct nst_retired_stats before, r;
	struct bounds b = read_bounds();
	uint64_t over, quantum = b.row[EXCESS].most_bytes / (cpus_possible() + STRIPES);
	unsigned int nulls;
	void *p;

	fill_lists();
	nst_free_rcu(nst_alloc(4 * BUDGET, NST_NORMAL));
	before = stats()->retired;
	nulls = drain_lists();
	r = stats()->retired;
	over = r.waiting_bytes - before.waiting_bytes;
	b = read_bounds();
	check(before.budget_bytes == BUDGET && before.waiting_bytes >= 4 * BUDGET,
	      "C21 the budget is crossed", "%llu wait", (unsigned long long)before.waiting_bytes);
	check(nulls > 30 && stats()->null_reasons[NST_NULL_RETIRED] >= nulls,
	      "C21 requests give way", "%u NULLs, %llu for that", nulls,
	      (unsigned long long)stats()->null_reasons[NST_NULL_RETIRED]);
	check(over <= quantum, "C21 by one quantum a channel", "%llu more wait, not %llu",
	      (unsigned long long)over, (unsigned long long)quantum);
	/* Where every call takes the slow path, lists serve nobody. */
	check(!over || over >= quantum / 8, "C21 the quantum is no more than is needed",
	      "%llu of %llu", (unsigned long long)over, (unsigned long long)quantum);
	check(b.row[BUDGETED].now_bytes == r.waiting_bytes &&
		      b.row[EXCESS].now_bytes == r.waiting_bytes - BUDGET,
	      "C21 the rows say how far", "%llu", (unsigned long long)b.row[EXCESS].now_bytes);
	check(b.row[WAITING_PAGES].now_bytes >= over / 1024 &&
		      b.row[WAITING_PAGES].now_bytes <= b.row[WAITING_PAGES].most_bytes,
	      "C21 pages that wait", "%llu", (unsigned long long)b.row[WAITING_PAGES].now_bytes);
	nst_rcu_read_end(section);
	nst_rcu_barrier();
	b = read_bounds();
	check(stats()->retired.waiting_bytes == 0 && b.row[WAITING_PAGES].now_bytes == 0,
	      "C21 and all of it comes back", "%llu wait",
	      (unsigned long long)stats()->retired.waiting_bytes);
	nst_free(p = nst_alloc_nolock(64));
	check(p != NULL, "C21 requests are served again", "NULL");
}

/* ---- what is set aside ahead of need ---- */

static uint64_t most(enum row r)
{
	return read_bounds().row[r].most_bytes;
}

static uint64_t now(enum row r)
{
	return read_bounds().row[r].now_bytes;
}

static uint64_t most_on(unsigned int cpus, enum row r)
{
	struct nst_bound b[MOST_ROWS];

	nst_bounds(cpus, b, MOST_ROWS, sizeof(b[0]));
	return b[r].most_bytes;
}

/* Of the cache of this name: bytes of a slot, and objects that are not free. */
static struct nst_cache_stats cache_named(const char *name, uint64_t *in_use)
{
	static struct nst_cache_stats c[512];
	size_t n = nst_stats_caches(c, 512, sizeof(c[0]));

	for (size_t i = 0; i < n && i < 512; i++) {
		if (strcmp(c[i].name, name))
			continue;
		*in_use = c[i].objects - c[i].in_slabs - c[i].in_cpus - c[i].in_barn;
		return c[i];
	}
	check_broken(name);
}

/* All of it in use, and not a page more. */
static void check_reserves(void)
{
	uint64_t before = most(RESERVES);
	struct nst_reserve *r = nst_reserve_create(64 << 10, 4);
	static void *p[65536];
	unsigned int n = 0;

	check(r && most(RESERVES) - before == 64 << 10 && now(RESERVES) == 0,
	      "C21 a reserve is its bytes", "%llu", (unsigned long long)most(RESERVES));
	nst_reserve_enter(r, NST_NORMAL);
	nst_test_fail[NST_FAIL_POPULATE] = -1; /* no more memory */
	while (n < 65536 && (p[n] = nst_pages_alloc(0, NST_NORETRY | NST_MEMALLOC)) != NULL)
		n++;
	nst_test_fail[NST_FAIL_POPULATE] = 0;
	check(now(RESERVES) == 64 << 10, "C21 all of it in use, and no more",
	      "%llu in use, %u pages", (unsigned long long)now(RESERVES), n);
	while (n)
		nst_pages_free(p[--n]);
	nst_reserve_exit(r);
	check(nst_reserve_destroy(r) == 0 && most(RESERVES) == before, "C21 a reserve that goes",
	      "-");
}

#define POOL 100u

/* Objects that debug:3 keeps from being free. */
static uint64_t quarantined(void)
{
	const char *conf = getenv("NOSTALL_CONF");

	return conf && strstr(conf, "debug:3") ? 64 : 0;
}

static void check_pools(void)
{
	struct nst_cache *c = nst_cache_create("bound_pool", 64, 0, 0, NULL);
	uint64_t before = most(POOLS), in_use, slot = cache_named("bound_pool", &in_use).slot_bytes,
		 bytes;
	struct nst_pool *pool = nst_pool_create(c, POOL, 4, POOL / 4);
	void *p[POOL + 50];
	unsigned int i;

	bytes = most(POOLS) - before;
	cache_named("bound_pool", &in_use);
	check(in_use == POOL && bytes >= POOL * (slot + 8) &&
		      bytes <= POOL * slot + 3 * 512 + 256 && now(POOLS) == most(POOLS),
	      "C21 a pool is its objects", "%llu of %llu bytes, %llu objects",
	      (unsigned long long)bytes, (unsigned long long)slot, (unsigned long long)in_use);
	/* More come back than it has room for: those are the cache's. */
	for (i = 0; i < POOL + 50; i++)
		p[i] = nst_cache_alloc(c, NST_NORMAL);
	while (i)
		nst_pool_free(pool, p[--i]);
	cache_named("bound_pool", &in_use);
	check(in_use <= POOL + quarantined() && most(POOLS) - before == bytes,
	      "C21 and no more than those", "%llu", (unsigned long long)in_use);
	nst_pool_resize(pool, 2 * POOL);
	cache_named("bound_pool", &in_use);
	check(in_use - 2 * POOL <= quarantined() && most(POOLS) - before >= bytes + POOL * slot,
	      "C21 resized", "%llu", (unsigned long long)in_use);
	check(nst_pool_destroy(pool) == 0 && most(POOLS) == before && !nst_cache_destroy(c),
	      "C21 a pool that goes", "-");
}

static void check_prefilled(void)
{
	struct nst_cache *c = nst_cache_create("bound_sheaf", 64, 0, 0, NULL);
	uint64_t before = most(PREFILLED), in_use,
		 slot = cache_named("bound_sheaf", &in_use).slot_bytes;
	struct nst_prefilled *s = NULL;
	void *p[POOL];
	unsigned int i;

	nst_sheaf_prefill(c, POOL, NST_NORMAL, &s);
	cache_named("bound_sheaf", &in_use);
	check(in_use == POOL && most(PREFILLED) - before == POOL * (slot + 8) + 32,
	      "C21 a sheaf is its objects", "%llu, %llu objects",
	      (unsigned long long)(most(PREFILLED) - before), (unsigned long long)in_use);
	for (i = 0; i < POOL / 2; i++)
		p[i] = nst_sheaf_alloc(s);
	nst_sheaf_refill(s, POOL, NST_NORMAL);
	cache_named("bound_sheaf", &in_use);
	check(in_use - POOL - POOL / 2 <= quarantined() &&
		      most(PREFILLED) - before == POOL * (slot + 8) + 32,
	      "C21 beside those that were taken", "%llu", (unsigned long long)in_use);
	while (i)
		nst_free(p[--i]);
	nst_sheaf_return(s);
	check(most(PREFILLED) == before && !nst_cache_destroy(c), "C21 a sheaf that goes", "-");
}

static void check_charged(struct nst_account *a)
{
	nst_account_token_t t = nst_account_enter(a);
	void *p[4096];
	unsigned int n;

	for (n = 0; n < 4096 && (p[n] = nst_alloc(16, NST_NORMAL)) != NULL; n++)
		check_quiet(now(STOCKS) <= most(STOCKS), "C21 stocks", "%llu of %llu",
			    (unsigned long long)now(STOCKS), (unsigned long long)most(STOCKS));
	check(n == 4096 && now(STOCKS) > 0 && most(STOCKS) >= now(STOCKS), "C21 stocks",
	      "%llu of %llu", (unsigned long long)now(STOCKS), (unsigned long long)most(STOCKS));
	check(now(OWNERS) >= n * 2 && now(OWNERS) <= most(OWNERS), "C21 owners, two bytes each",
	      "%llu", (unsigned long long)now(OWNERS));
	check(now(TWINS) > 0 && now(TWINS) <= most(TWINS), "C21 a cache beside each",
	      "%llu of %llu", (unsigned long long)now(TWINS), (unsigned long long)most(TWINS));
	while (n)
		nst_free(p[--n]);
	nst_account_exit(t);
}

/* As many as there can be, and one more. */
static void check_accounts(void)
{
	static struct nst_account *a[NST_ACCOUNTS_MAX + 1];
	uint64_t each = most(ACCOUNTS) / NST_ACCOUNTS_MAX;
	unsigned int n = 1;

	check(most_on(384, ACCOUNTS) - most_on(383, ACCOUNTS) == NST_ACCOUNTS_MAX * (8 + 32),
	      "C21 accounts grow with CPUs", "-");
	a[0] = nst_account_create("bound", NULL, NST_NO_LIMIT, 1 << 20);
	check(now(ACCOUNTS) > 0 && now(ACCOUNTS) <= each, "C21 an account", "%llu of %llu",
	      (unsigned long long)now(ACCOUNTS), (unsigned long long)each);
	check_charged(a[0]);
	each = now(ACCOUNTS);
	while (n <= NST_ACCOUNTS_MAX &&
	       (a[n] = nst_account_create("bound", NULL, NST_NO_LIMIT, NST_NO_LIMIT)) != NULL)
		n++;
	check(n == NST_ACCOUNTS_MAX && now(ACCOUNTS) == n * each && now(ACCOUNTS) <= most(ACCOUNTS),
	      "C21 as many as there can be", "%u: %llu of %llu", n,
	      (unsigned long long)now(ACCOUNTS), (unsigned long long)most(ACCOUNTS));
	while (n)
		check_quiet(nst_account_destroy(a[--n]) == 0, "C21 nothing is charged", "-");
	check(now(ACCOUNTS) == 0 && now(STOCKS) == 0, "C21 accounts that go", "%llu",
	      (unsigned long long)now(ACCOUNTS));
}

/* Refused as often as there are sizes: what is paid is no more than may be put aside. */
static void check_speculation(void)
{
	static struct nst_speculate_site site;
	static void *p[100000];
	struct nst_speculation s;
	unsigned int n = 0, nulls = 0;

	nst_speculate_init(&s, &site);
	nst_speculate_begin(&s);
	while (nulls < 10 && n < 100000)
		if ((p[n] = nst_speculate_alloc(&s, NST_NOLOCK_MAX)) != NULL)
			n++;
		else
			nulls++;
	nst_speculate_end(&s, NST_SPECULATE_NULL);
	nst_speculate_again(&s);
	check(nulls == 10 && s.nr_aside == NST_SPECULATE_ASIDE &&
		      s.nr_aside * NST_NOLOCK_MAX == most(SPECULATION),
	      "C21 put aside", "%u, after %u NULLs", s.nr_aside, nulls);
	nst_speculate_finish(&s);
	while (n)
		nst_free(p[--n]);
}

TEST_CONF("worker:off,rcu_budget:1M,high:32M")

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	check_deadline(110, "C21 in time");
	nst_test_now_ns =
		1000000000; /* nothing is found to be idle, however slow the machine: lists stay full */
	run_on_cpu(0, cpu_nth(0));		 /* one CPU's rings */
	nst_free_rcu(nst_alloc(64, NST_NORMAL)); /* rings that are everybody's */
	nst_rcu_barrier();
	check_rows();
	check_cache();
	check_dead_bits();
	check_reserves();
	check_pools();
	check_prefilled();
	check_speculation();
	check_flood();
	check_accounts();
	check_print();
	return check_status();
}
