/* SPDX-License-Identifier: MIT */
/*
 * mm_cool.c - C36: pages of a slab in which nothing lives go back, are nobody's meanwhile, and come again.
 *
 * No worker: the test looks as often as it takes. Objects of 2 KiB: four pages and eight slots in a slab.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "mm/mm.h"
#include "common/check.h"
#include "common/trap.h"

#define BYTES 2048u
#define SLOTS 8u
#define PAGES 4u
#define NR 80u /* ten slabs */

static struct nst_zone *const zone = &nst_zones[0];
static struct nst_cache *cache;
static struct nst_cache_node *node;
static char *object[NR];

static size_t resident(const struct nst_page *slab)
{
	unsigned char in[PAGES];
	size_t n = 0;

	if (mincore(nst_page_address(slab), PAGES * NST_PAGE_BYTES, in))
		check_broken("mincore");
	for (unsigned int i = 0; i < PAGES; i++)
		n += in[i] & 1;
	return n;
}

/* As many looks as it takes, and enough of a budget. */
static void look(u32 slabs)
{
	for (int i = 0; i < 8; i++) {
		u32 budget = slabs;

		nst_cache_cool(cache, 1, &budget);
	}
}

/* From slabs, past all lists, so that nobody else has any. */
static void take_all(void)
{
	size_t n = 0;

	while (n < NR) {
		size_t got = nst_cache_fill(cache, 0, (void **)object + n, NR - n);

		if (!got)
			check_broken("memory");
		n += got;
	}
}

static void put(unsigned int i)
{
	nst_to_slab_waits(cache, object[i]);
	object[i] = NULL;
}

/* Of each slab the object in slot 5 lives. */
static void leave_few(void)
{
	for (unsigned int i = 0; i < NR; i++)
		if (nst_slab_slot(cache, nst_slab_of(object[i], cache->order), object[i]) != 5)
			put(i);
}

static void begin(void (*ctor)(void *obj), u32 flags)
{
	cache = nst_cache_create("cool", BYTES - (ctor ? 16 : 0), 0, flags, ctor);
	node = cache->node[0];
	if (cache->order != 2 || cache->slots != SLOTS)
		check_broken("slabs of eight");
	take_all();
	for (unsigned int i = 0; i < NR; i++)
		memset(object[i], 0x33, BYTES - 16);
	leave_few();
}

static size_t alive(void)
{
	return (size_t)(node->nr_slabs * cache->slots - node->free_slots);
}

static void end(void)
{
	for (unsigned int i = 0; i < NR; i++)
		if (object[i])
			put(i);
	check(nst_cache_destroy(cache) == 0, "nothing is lost", "some are alive");
	nst_lock_wait(&zone->lock);
	nst_buddy_check(zone);
	nst_unlock(&zone->lock);
}

static size_t slabs_resident(size_t *slabs)
{
	size_t pages = 0;

	*slabs = 0;
	for (unsigned int i = 0; i < NR; i++)
		if (object[i]) {
			pages += resident(nst_slab_of(object[i], cache->order));
			++*slabs;
		}
	return pages;
}

static void pages_go_and_come(void)
{
	u64 ready, before;
	size_t slabs, pages;
	void *again[NR];
	size_t n = 0, got;

	begin(NULL, 0);
	before = zone->ready_pages;
	look(1000);
	pages = slabs_resident(&slabs);
	ready = zone->ready_pages;
	check(slabs == NR / SLOTS && pages == slabs,
	      "of each slab the page stays in which one lives", "%zu pages of %zu slabs", pages,
	      slabs);
	check(before - ready == (PAGES - 1) * slabs, "the others are counted as gone", "%llu pages",
	      (unsigned long long)(before - ready));
	check(alive() == slabs, "their slots count as free", "%zu are alive", alive());

	/* One more of each slab is there; then they get warm, and no new slab is made. */
	while (n < NR - slabs) {
		got = nst_cache_fill(cache, 0, again + n, NR - slabs - n);
		if (!got)
			check_broken("memory");
		for (size_t i = n; i < n + got; i++)
			memset(again[i], 0x44, BYTES);
		n += got;
	}
	check(node->nr_slabs == NR / SLOTS && alive() == NR && zone->ready_pages == before,
	      "all of it can be had again, and no slab is made for it", "%llu slabs, %llu pages",
	      (unsigned long long)node->nr_slabs, (unsigned long long)zone->ready_pages);
	for (unsigned int i = 0; i < NR; i++)
		check_quiet(!object[i] || object[i][100] == 0x33, "what lived is as it was", "%u",
			    i);
	for (size_t i = 0; i < n; i++)
		nst_to_slab_waits(cache, again[i]);
	end();
}

/* Who may not wait gets what is there, and no slot of a page that is not. */
static void no_lock_callers_get_what_is_there(void)
{
	void *got[64];
	unsigned int n = 0;

	begin(NULL, 0);
	look(1000);
	while (n < 64 && (got[n] = nst_cache_alloc_nolock(cache)) != NULL) {
		struct nst_page *slab = nst_slab_of(got[n], cache->order);
		unsigned char in;

		if (mincore((void *)((uintptr_t)got[n] & ~(NST_PAGE_BYTES - 1)), 1, &in))
			check_broken("mincore");
		check_quiet(in & 1 && !nst_slab_is_absent(cache, slab,
							  (u32)nst_slab_slot(cache, slab, got[n])),
			    "a no-lock object is resident", "object %u", n);
		n++;
	}
	check(n >= NR / SLOTS, "a no-lock caller gets what is resident", "%u", n);
	while (n)
		nst_cache_free(cache, got[--n]);
	end();
}

/* A slab that nobody uses any more goes in pieces. */
static void unused_slabs_go_in_pieces(void)
{
	struct nst_page *slab;
	u64 ready;

	begin(NULL, 0);
	look(1000);
	slab = nst_slab_of(object[5] ? object[5] : object[10], cache->order);
	for (unsigned int i = 0; i < NR; i++)
		if (object[i])
			put(i);
	ready = zone->ready_pages;
	nst_cache_drain(cache);
	check(node->nr_slabs == 0 && node->free_slots == 0, "unused slabs go", "%llu stay",
	      (unsigned long long)node->nr_slabs);
	check(zone->ready_pages == ready && slab[1].owner == 0 && resident(slab) <= 1,
	      "in pieces, of which the cold ones stay so", "%zu pages", resident(slab));
	end();
}

static void refused(void)
{
	size_t slabs, pages;

	begin(NULL, 0);
	nst_test_fail[NST_FAIL_PURGE] = -1;
	look(1000);
	nst_test_fail[NST_FAIL_PURGE] = 0;
	pages = slabs_resident(&slabs);
	check(pages == PAGES * slabs &&
		      *nst_slab_cold(
			      nst_slab_of(object[5] ? object[5] : object[10], cache->order)) == 0,
	      "where the kernel refuses, slots are free as before", "%zu pages", pages);
	end();
	begin(NULL, 0);
	look(1000);
	nst_test_fail[NST_FAIL_POPULATE] = -1;
	check(!nst_slab_warm(cache, node), "without memory none gets warm", "one does");
	nst_test_fail[NST_FAIL_POPULATE] = 0;
	end();
}

static void ctor(void *obj)
{
	memset(obj, 0x77, 8);
}

static void others_stay(void)
{
	size_t slabs;

	begin(ctor, 0);
	look(1000);
	check(slabs_resident(&slabs) == PAGES * slabs, "a constructor's work stays", "it does not");
	end();
	begin(NULL, NST_CACHE_NOLOCK);
	look(1000);
	check(slabs_resident(&slabs) == PAGES * slabs, "and what is kept for no-lock callers",
	      "it does not");
	end();
}

static void a_free_of_an_absent_slot(void)
{
	struct nst_page *slab;
	int status;
	pid_t pid;

	begin(NULL, 0);
	look(1000);
	slab = nst_slab_of(object[5] ? object[5] : object[10], cache->order);
	pid = fork();
	if (pid == 0) {
		alarm(10);
		close(2);
		nst_to_slab_waits(cache, (char *)nst_page_address(slab) + 1 * BYTES);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		check_broken("waitpid");
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
	      "a free of a slot that is absent is a second one", "status %x", status);
	end();
}

TEST_CONF("worker:off,nodes:1")

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	pages_go_and_come();
	no_lock_callers_get_what_is_there();
	unused_slabs_go_in_pieces();
	refused();
	others_stay();
	if (!getenv("TEST_NO_FORK"))
		a_free_of_an_absent_slot();
	return check_status();
}
