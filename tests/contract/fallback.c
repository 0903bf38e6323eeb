/* SPDX-License-Identifier: MIT */
/*
 * fallback.c - C11: where a page comes from, in this order, and that each counter is exact.
 *
 *	this CPU's list of its mobility > the other mobilities' lists > the zone, if its lock can be
 *	had at once > the next node, unless THISNODE > NULL.	FASTTRY ends after the second.
 *
 * Two pretended nodes: CPU n belongs to node n % 2. While a thread stands inside the zone's lock of
 * node 0, the lists of the CPU are known to the page, so that each answer can be foretold.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "mm/mm.h"
#include "common/check.h"
#include "common/trap.h"

#define NR_OWN 3u
#define NR_OTHER 5u
#define NR_KEPT 4096u

static struct {
	int stopped, release;
	void *got;
} holder;
static __thread int is_holder;

static struct nst_stats *stats(void)
{
	static struct nst_stats now[2];
	static int turn;

	turn ^= 1;
	if (nst_stats_read(&now[turn], sizeof(now[turn])))
		check_broken("nst_stats_read");
	return &now[turn];
}

static int node_of(const void *ptr)
{
	return (int)nst_page_node(nst_page_of(ptr));
}

/* ---- counters ---- */

static const nst_mode_t mobility_mode[] = {0, NST_RECLAIMABLE, NST_MOVABLE};

/* Runs above the per-CPU orders leave the zone one by one: the counter moves by their pages. */
static void check_taken(int node, unsigned int mob)
{
	void *run[7];
	struct nst_stats *before = stats();

	for (int i = 0; i < 7; i++)
		run[i] = nst_pages_alloc(5, NST_NORMAL | NST_THISNODE | mobility_mode[mob]);
	struct nst_stats *after = stats();
	for (int n = 0; n < 2; n++)
		for (unsigned int m = 0; m < NST_STATS_MOBILITIES; m++) {
			uint64_t moved = after->zones[n].taken[m] - before->zones[n].taken[m];
			uint64_t wanted = n == node && m == mob ? 7 * 32 : 0;
			check(moved == wanted, "C11 pages taken, by node and mobility",
			      "node %d mobility %u: %llu, not %llu", n, m,
			      (unsigned long long)moved, (unsigned long long)wanted);
		}
	for (int i = 0; i < 7; i++) {
		check_quiet(run[i] && node_of(run[i]) == node, "C11 of the node wanted", "run %d",
			    i);
		nst_pages_free(run[i]);
	}
}

/* With nothing free of its own mobility, each page comes from another's, and is counted so. */
static void check_fallback_count(void)
{
	static void *kept[NR_KEPT];
	unsigned int n = 0;
	void *run;

	while (n < NR_KEPT && (kept[n] = nst_pages_alloc(5, NST_NOWAIT | NST_THISNODE)))
		n++;
	check_quiet(n < NR_KEPT, "C11 the zone can be emptied", "it was not");
	while (n)
		nst_pages_free(kept[--n]);
	/* All is of unmovable blocks now, or merged: ask for what has no block. */
	struct nst_stats *before = stats();
	run = nst_pages_alloc(5, NST_NOWAIT | NST_THISNODE | NST_MOVABLE);
	struct nst_stats *after = stats();
	uint64_t moved = after->zones[0].fallback[NST_MOB_MOVABLE] -
			 before->zones[0].fallback[NST_MOB_MOVABLE];
	check(run && moved == 32, "C11 fallback to another mobility is counted",
	      "%llu pages, not 32", (unsigned long long)moved);
	moved = after->zones[0].stolen_pageblocks - before->zones[0].stolen_pageblocks;
	check(moved == 1, "C11 its whole block goes along", "%llu blocks",
	      (unsigned long long)moved);
	nst_pages_free(run);
}

/* ---- order, with the zone's lock held ---- */

static void held(int lock_class)
{
	struct timespec ts = {0, 500000};

	if (!is_holder || lock_class != NST_LOCK_ZONE || holder.stopped)
		return;
	__atomic_store_n(&holder.stopped, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&holder.release, __ATOMIC_ACQUIRE))
		nanosleep(&ts, NULL);
}

static void *hold_zone(void *arg)
{
	(void)arg;
	is_holder = 1;
	run_on_cpu(0, cpu_nth(0));
	/* Above the per-CPU orders: straight to the lock, and the lists of the CPU are left alone. */
	holder.got = nst_pages_alloc(6, NST_NOWAIT | NST_THISNODE);
	return NULL;
}

static void hold_start(pthread_t *thread)
{
	memset(&holder, 0, sizeof(holder));
	pthread_create(thread, NULL, hold_zone, NULL);
	while (!__atomic_load_n(&holder.stopped, __ATOMIC_ACQUIRE))
		usleep(500);
}

static void hold_end(pthread_t thread)
{
	__atomic_store_n(&holder.release, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	nst_pages_free(holder.got);
}

static unsigned int empty_lists(void **kept)
{
	unsigned int n = 0;

	for (unsigned int m = 0; m < 3; m++)
		while (n < NR_KEPT &&
		       (kept[n] = nst_pages_alloc(0, NST_FASTTRY | mobility_mode[m])))
			n++;
	return n;
}

static int among(const void *p, void *const *set, unsigned int n)
{
	while (n--)
		if (set[n] == p)
			return 1;
	return 0;
}

static void check_order(void)
{
	static void *kept[NR_KEPT];
	void *own[NR_OWN], *other[NR_OTHER], *page[NR_OWN + NR_OTHER];
	pthread_t thread;
	unsigned int n, right = 0;

	/* With the lists empty each comes from a block of its own mobility. */
	n = empty_lists(kept);
	for (unsigned int i = 0; i < NR_OWN; i++)
		own[i] = nst_pages_alloc(0, NST_NORMAL | NST_THISNODE);
	n += empty_lists(kept + n);
	for (unsigned int i = 0; i < NR_OTHER; i++)
		other[i] = nst_pages_alloc(0, NST_NORMAL | NST_THISNODE | NST_MOVABLE);
	hold_start(&thread);
	n += empty_lists(kept + n);
	for (unsigned int i = 0; i < NR_OWN; i++)
		nst_pages_free_nolock(own[i]);
	for (unsigned int i = 0; i < NR_OTHER; i++)
		nst_pages_free_nolock(other[i]);
	for (unsigned int i = 0; i < NR_OWN + NR_OTHER; i++)
		page[i] = nst_pages_alloc(0, NST_FASTTRY);
	for (unsigned int i = 0; i < NR_OWN; i++)
		right += among(page[i], own, NR_OWN);
	check(right == NR_OWN, "C11 first its own mobility", "%u of %u pages", right, NR_OWN);
	for (right = 0; right < NR_OTHER; right++)
		if (!among(page[NR_OWN + right], other, NR_OTHER))
			break;
	check(right == NR_OTHER, "C11 then the others", "%u of %u pages", right, NR_OTHER);
	void *fast = nst_pages_alloc(0, NST_FASTTRY);
	check(!fast, "C11 FASTTRY ends with this CPU's lists", "got a page of node %d",
	      fast ? node_of(fast) : 0);
	void *here = nst_pages_alloc(0, NST_NOLOCK | NST_THISNODE);
	check(!here, "C11 THISNODE ends with this node", "got a page of node %d",
	      here ? node_of(here) : 0);
	void *next = nst_pages_alloc_nolock(0);
	check(next && node_of(next) == 1, "C11 then the next node", "%s", next ? "node 0" : "NULL");
	hold_end(thread);
	void *tried = nst_pages_alloc(0, NST_NOLOCK | NST_THISNODE);
	check(tried && node_of(tried) == 0, "C11 the zone, when its lock can be had", "%s",
	      tried ? "node 1" : "NULL");
	for (unsigned int i = 0; i < NR_OWN + NR_OTHER; i++)
		nst_pages_free(page[i]);
	void *const rest[] = {fast, here, next, tried};
	for (unsigned int i = 0; i < 4; i++)
		nst_pages_free(rest[i]);
	while (n)
		nst_pages_free(kept[--n]);
}

/* ---- FASTTRY never leaves its CPU ---- */

static uint64_t lock_traffic(const struct nst_stats *s)
{
	uint64_t n = 0;

	for (int i = 0; i < NST_NR_LOCKS; i++)
		if (i != NST_LOCK_ZONE)
			n += s->locks[i].taken + s->locks[i].try_failed;
	return n + s->locks[NST_LOCK_ZONE].try_failed;
}

static void check_fasttry(void)
{
	struct nst_cache *cache = nst_cache_create("fasttry", 100, 0, NST_CACHE_NOLOCK, NULL);
	static void *object[3000];
	unsigned int got = 0;

	/* Objects in plenty: in the other CPU's lists, in the barn and in slabs. */
	for (int i = 0; i < 3000; i++)
		object[i] = nst_cache_alloc(cache, NST_NORMAL);
	for (int i = 0; i < 3000; i++)
		nst_cache_free(cache, object[i]);
	/* Emptied by itself: what is left after this is elsewhere. */
	while (got < 3000 && (object[got] = nst_cache_alloc(cache, NST_FASTTRY)))
		got++;
	check(got < 3000, "C11 FASTTRY finds this CPU's own only", "all 3000");
	struct nst_stats *before = stats();
	unsigned int more = 0;
	for (int i = 0; i < 1000; i++)
		more += nst_cache_alloc(cache, NST_FASTTRY) != NULL;
	struct nst_stats *after = stats();
	check(more == 0, "C11 FASTTRY stays NULL", "%u objects", more);
	check(lock_traffic(after) == lock_traffic(before), "C11 FASTTRY tries no lock",
	      "%llu tries", (unsigned long long)(lock_traffic(after) - lock_traffic(before)));
	check(after->null_reasons[NST_NULL_EMPTY] - before->null_reasons[NST_NULL_EMPTY] == 1000,
	      "C11 each NULL is counted with its reason", "%llu",
	      (unsigned long long)(after->null_reasons[NST_NULL_EMPTY] -
				   before->null_reasons[NST_NULL_EMPTY]));
	void *one = nst_cache_alloc_nolock(cache);
	check(one != NULL, "C11 NOLOCK finds what FASTTRY may not", "NULL");
	nst_cache_free(cache, one);
	while (got)
		nst_cache_free(cache, object[--got]);
	check(nst_cache_destroy(cache) == 0, "C11 nothing lost", "objects alive");
}

TEST_CONF("worker:off,nodes:2,max:64M,stats:on")

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	check_deadline(60, "C11 in time");
	nst_test_held = held;
	for (int node = 0; node < 2 && cpu_nth((unsigned int)node) >= 0; node++) {
		run_on_cpu(0, cpu_nth((unsigned int)node));
		if (nst_sys_cpus.node[cpu_nth((unsigned int)node)] != node)
			check_skip("CPU %d is not of node %d", cpu_nth((unsigned int)node), node);
		for (unsigned int mob = 0; mob < NST_STATS_MOBILITIES; mob++)
			check_taken(node, mob);
	}
	run_on_cpu(0, cpu_nth(0));
	check_fallback_count();
	check_order();
	check_fasttry();
	return check_status();
}
