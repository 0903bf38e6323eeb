/* SPDX-License-Identifier: MIT */
/*
 * nodes.c - C25, C28: reserves and debt where memory has two nodes.
 *
 * Pretended: CPU n is node n, and the one thread says on which it is. What is billed is what came from a node that is short,
 * wherever the thread was; it is paid where the thread is then, and lapses where that node is not short. A reserve is of
 * the node it was made on; its holders have its pages on any, and who frees them, anywhere, gives them back to it.
 */
#include <stdio.h>
#include "mm/mm.h"
#include "common/check.h"
#include "common/trap.h"
#include <nostall/reclaim.h>

#define NR_PAGES 32768u
#define AHEAD 2048u /* pages, that node 1 has ready */
#define RESERVED 16u

static void *page[NR_PAGES];
static unsigned int nr;
static unsigned int naps;

static void nap(uint64_t us)
{
	(void)us;
	naps++;
}

static void on_node(u32 node)
{
	nst_store_relaxed((u32 *)(void *)(nst_thread.no_rseq + NST_RSEQ_CPU_ID), node);
}

static unsigned int node_of(const void *p)
{
	return nst_page_node(nst_page_of(p));
}

static int is_short(unsigned int node)
{
	return nst_hint(&nst_zones[node].free_pages) < nst_hint(&nst_zones[node].low);
}

static int take(nst_mode_t mode)
{
	if (nr == NR_PAGES)
		check_broken("too much memory");
	page[nr] = nst_pages_alloc(0, mode);
	return page[nr] ? ++nr != 0 : 0;
}

static void free_down_to(unsigned int n)
{
	while (nr > n)
		nst_pages_free(page[--nr]);
}

/* Node 1 has pages ready, and node 0 nothing. */
static void empty_one(void)
{
	on_node(1);
	while (nr < AHEAD && take(NST_NORMAL | NST_THISNODE))
		;
	free_down_to(0);
	nst_maintain();
	on_node(0);
	while (take(NST_NORETRY | NST_THISNODE))
		;
	check(nr > 0 && is_short(0) && !is_short(1), "C28 one node is short", "%u pages", nr);
}

static void check_debt(void)
{
	unsigned int first = nr, of_one;

	nst_thread.owed = 0;
	take(NST_NOWAIT);
	check(nr > first && node_of(page[nr - 1]) == 1 && !nst_thread.owed,
	      "C28 what comes from a node that is not short is not billed", "%llu bytes",
	      (unsigned long long)nst_thread.owed);
	of_one = nr;
	while (take(NST_NOWAIT))
		;
	check(is_short(1) && nst_thread.owed > NST_PAGE_BYTES &&
		      nst_thread.owed < (u64)(nr - of_one) * NST_PAGE_BYTES,
	      "C28 what comes from one that is short is", "%llu bytes, %u pages",
	      (unsigned long long)nst_thread.owed, nr - of_one);
	nst_pages_free(nst_pages_alloc(0, NST_NORMAL));
	check(naps > 0 && nst_thread.owed, "C28 it is slept off where memory is short", "%u naps",
	      naps);
	free_down_to(of_one);
	nst_maintain();
	on_node(1);
	naps = 0;
	nst_pages_free(nst_pages_alloc(4, NST_NORMAL));
	check(!is_short(1) && !nst_thread.owed && !naps, "C28 and lapses where it is not",
	      "%llu bytes, %u naps", (unsigned long long)nst_thread.owed, naps);
}

static void check_reserve(void)
{
	struct nst_reserve *r = nst_reserve_create(RESERVED * NST_PAGE_BYTES, 1);
	struct nst_reserve_stats s;
	unsigned int first, there = 0;

	on_node(0);
	while (take(NST_ATOMIC))
		;
	first = nr;
	check(r && nst_reserve_enter(r, NST_NORMAL) == 0 && is_short(0) && is_short(1),
	      "C25 a reserve of node 1, and a holder on node 0", "-");
	while (take(NST_NORETRY))
		there += node_of(page[nr - 1]) == 1;
	check(nr - first == RESERVED && there == RESERVED, "C25 has all of its pages",
	      "%u, of which %u of node 1", nr - first, there);
	nst_reserve_read(r, &s, sizeof(s));
	check(s.used == RESERVED * NST_PAGE_BYTES, "C25 which are in use", "%llu",
	      (unsigned long long)s.used);
	free_down_to(first);
	nst_reserve_read(r, &s, sizeof(s));
	check(s.used == 0, "C25 and its own again, freed on node 0", "%llu",
	      (unsigned long long)s.used);
	nst_reserve_exit(r);
	while (take(NST_ATOMIC))
		;
	first = nr;
	nst_reserve_enter(r, NST_NORMAL);
	while (take(NST_NORETRY))
		;
	check(nr - first == RESERVED, "C25 and nobody else's", "%u", nr - first);
	nst_reserve_exit(r);
	check(nst_reserve_destroy(r) == 0, "C25 it can go", "-");
}

TEST_CONF("cpus:2,nodes:2,worker:off,max:64M,high:4M")

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	nst_test_nap = nap;
	nst_test_now_ns = 1000000000; /* nothing goes back */
	empty_one();
	check_debt();
	check_reserve();
	free_down_to(0);
	return check_status();
}
