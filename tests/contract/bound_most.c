/* SPDX-License-Identifier: MIT */
/*
 * bound_most.c - C21: rows of `nostall bound` that take every CPU, or all memory, each driven to its bound.
 *
 * On pretended CPUs, so that the one thread is on each of them in turn: a row is what its formula says of CPUs to the byte, once
 * there is a ring for each, full of pages, a full stock, an account and a charged cache that are used everywhere. What is a
 * part of all memory is driven with all of it taken. Stripes come instead of CPUs, not beside them, but for rings: one more is
 * made only while all others are full (docs/contract.md).
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include "mm/claim/account.h"
#include "mm/retire/retired.h"
#include "common/check.h"
#include "common/trap.h"

#define CPUS 16u
#define MOST_ROWS 32
#define STOCKED 6000u	  /* objects of 16 bytes: more than a stock, 64 KiB */
#define FOREIGN_PAGES 64u /* as in TEST_CONF */

static struct nst_bound bound(const char *what)
{
	static struct nst_bound b[MOST_ROWS];
	size_t n = nst_bounds(0, b, MOST_ROWS, sizeof(b[0]));

	for (size_t i = 0; i < n && i < MOST_ROWS; i++)
		if (!strcmp(b[i].what, what))
			return b[i];
	check_broken(what);
}

static void check_at(const char *name, u64 now, u64 most)
{
	check(now == most, name, "%llu, not %llu", (unsigned long long)now,
	      (unsigned long long)most);
}

/* What is left of it is what others have, or the last page of a ring: an eighth at most. */
static void check_near(const char *what, const char *name, u64 most)
{
	u64 now = bound(what).now_bytes;

	check(now <= most && now >= most / 8 * 7, name, "%llu of %llu", (unsigned long long)now,
	      (unsigned long long)most);
}

static void check_row(const char *what, const char *name)
{
	check_at(name, bound(what).now_bytes, bound(what).most_bytes);
}

/* Of a row that counts places: what is not the stripes'. */
static u64 of_cpus(u64 bytes)
{
	return bytes / (CPUS + NST_STRIPES) * CPUS;
}

static void everywhere(void (*fn)(void))
{
	for (u32 cpu = 0; cpu < CPUS; cpu++) {
		nst_store_relaxed((u32 *)(void *)(nst_thread.no_rseq + NST_RSEQ_CPU_ID), cpu);
		fn();
	}
}

/* ---- what is charged ---- */

static struct nst_account *account;
static struct nst_cache *cache;

static void charge(void)
{
	static void *p[STOCKED];
	nst_account_token_t t = nst_account_enter(account);
	unsigned int n;

	for (n = 0; n < STOCKED && (p[n] = nst_cache_alloc(cache, NST_NORMAL)) != NULL; n++)
		;
	check_quiet(n == STOCKED, "C21 charged", "%u", n);
	while (n)
		nst_free(p[--n]);
	nst_account_exit(t);
}

/* A table of stacks for @room pointers, but for its stripes. */
static u64 table_bytes(u32 room)
{
	return nst_pcs_table_bytes(CPUS, room) - nst_pcs_table_bytes(0, room) +
	       NST_BESIDE * sizeof(void *);
}

static u64 beside_bytes(void)
{
	struct nst_cache *c = nst_cache_charged(cache);
	u64 bytes;

	nst_lock_wait(&c->areas);
	bytes = nst_pcs_table_bytes_now(&c->main) + nst_pcs_table_bytes_now(&c->full) +
		nst_pcs_table_bytes_now(&c->empty);
	nst_unlock(&c->areas);
	return bytes;
}

/* One account, used everywhere: its number is there, each stock is full, and all the stacks of a charged cache. */
static void check_charged(void)
{
	u64 tables;

	account = nst_account_create("most", NULL, NST_NO_LIMIT, (u64)64 << 20);
	cache = nst_cache_create("most", 16, 0, 0, NULL);
	everywhere(charge);
	check_at("C21 stocks are full", bound("stocks").now_bytes,
		 of_cpus(bound("stocks").most_bytes));
	check_at("C21 an account that is used everywhere", bound("accounts").now_bytes,
		 sizeof(struct nst_account) + table_bytes(0));
	tables = table_bytes(cache->main_cap) + table_bytes(cache->spares) +
		 table_bytes(cache->spares + 1) + (CPUS + NST_BESIDE) * sizeof(void *);
	check_at("C21 a charged cache that is used everywhere", beside_bytes(), tables);
}

/* ---- what is retired ---- */

static unsigned int nr_called;

static void called(void *p)
{
	(void)p;
	nr_called++;
}

static void retire_of(struct nst_cache *c, unsigned int nr)
{
	static void *p[NST_RING_SLOTS * NST_SHEAF_MAX];
	nst_mode_t mode = NST_NOFAIL | (c->charged ? NST_ACCOUNT : 0);
	nst_account_token_t t = nst_account_use(account);

	for (unsigned int n = 0; n < nr; n++)
		p[n] = nst_cache_alloc(nst_cache_plain(c), mode);
	while (nr)
		nst_free_rcu(p[--nr]);
	nst_account_exit(t);
}

static unsigned int retire_foreign(unsigned int nr)
{
	static char foreign;
	unsigned int n = 0;

	while (n < nr && nst_free_rcu_foreign(&foreign, called) == 0)
		n++;
	return n;
}

/* The first one finds no ring, and says so. */
static void retire_all(void)
{
	for (u32 id = 1; id <= nst_nr_caches; id++)
		if (nst_cache_is_used(nst_cache_number(id)))
			retire_of(nst_cache_number(id), 1);
	retire_foreign(1);
	nst_maintain();
}

static void check_rings(void)
{
	everywhere(retire_all);
	check_row("tables", "C21 tables of all channels");
	check_at("C21 rings of all channels, everywhere", bound("rings").now_bytes,
		 of_cpus(bound("rings").most_bytes));
	nst_rcu_barrier();
}

/* Ready pages of a ring are twice as many as were sealed: it gets full of them. */
static void fill_ring(void)
{
	for (unsigned int pages = 2; pages <= NST_RING_SLOTS; pages *= 2) {
		retire_of(cache, (pages - 1) * cache->batch);
		nst_rcu_barrier();
	}
}

static void check_ring_pages(void)
{
	unsigned int pages = 0;

	everywhere(fill_ring);
	for (unsigned int i = 0; i < CPUS; i++) {
		const struct nst_ring *r = nst_ring_number(&cache->dead.rings, i);

		pages += r ? r->head - r->tail : 0;
	}
	check_at("C21 a ring full of pages, everywhere", pages, CPUS * (NST_RING_SLOTS - 1));
}

static void fill_ring_of_calls(void)
{
	for (unsigned int pages = 1; pages <= 4 * NST_RING_SLOTS_MIXED; pages *= 2) {
		retire_foreign(pages * NST_PAGE_POINTERS / 2);
		nst_rcu_barrier();
	}
}

static void retire_until_refused(void)
{
	while (retire_foreign(~0u))
		nst_maintain();
}

static void check_foreign(void)
{
	nst_rcu_token_t section;

	everywhere(fill_ring_of_calls);
	section = nst_rcu_read_begin();
	everywhere(retire_until_refused);
	check_near("foreign_pages", "C21 foreign pointers until they are refused, everywhere",
		   of_cpus(bound("foreign_pages").most_bytes - FOREIGN_PAGES * NST_PAGE_BYTES) +
			   FOREIGN_PAGES * NST_PAGE_BYTES);
	nst_rcu_read_end(section);
	nst_rcu_barrier();
}

/* Of pages that wait, those of the smallest objects are the largest part of what is in them. */
static void check_waiting(void)
{
	nst_rcu_token_t section = nst_rcu_read_begin();
	u64 page = nst_channel_page_bytes(cache), objects = (u64)cache->batch * cache->slot, pages,
	    bytes;

	retire_of(cache, (NST_RING_SLOTS - 1) * cache->batch);
	nst_maintain();
	pages = bound("waiting_pages").now_bytes / page;
	bytes = bound("budget").now_bytes;
	/* Less what lies in pages that were not full. */
	check(pages >= NST_RING_SLOTS - 4 && pages * objects <= bytes &&
		      bytes - pages * objects < 2 * objects,
	      "C21 pages that wait, for the bytes that do", "%llu pages, %llu bytes",
	      (unsigned long long)pages, (unsigned long long)bytes);
	check_at("C21 no larger part of them", bound("waiting_pages").most_bytes,
		 (bound("budget").most_bytes + bound("excess").most_bytes) / objects * page);
	nst_rcu_read_end(section);
	nst_rcu_barrier();
}

/* ---- all memory ---- */

static void check_all_memory(void)
{
	nst_account_token_t t = nst_account_enter(account);
	void **first = NULL, **p;

	nst_account_limit(account, NST_NO_LIMIT, NST_NO_LIMIT);
	while ((p = nst_alloc(16, NST_NORETRY)) != NULL) {
		*p = first;
		first = p;
	}
	check_row("dead_bits", "C21 dead bits of all memory");
	check_near("owners", "C21 owners of all memory, but for what is not charged",
		   bound("owners").most_bytes);
	for (; (p = first) != NULL; nst_free(p))
		first = *p;
	nst_account_exit(t);
}

TEST_CONF("cpus:16,worker:off,rcu_budget:64M,rcu_pages:64,max:128M,high:32M")

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	check_deadline(100, "C21 in time");
	nst_test_now_ns = 1000000000; /* nothing is found to be idle */
	nst_rcu_use();
	check_charged();
	check_all_memory();
	check_rings();
	check_ring_pages();
	check_waiting();
	check_foreign();
	nst_rcu_barrier();
	check(nst_account_destroy(account) == 0 && nst_cache_destroy(cache) == 0,
	      "C21 nothing is lost", "-");
	return check_status();
}
