/* SPDX-License-Identifier: MIT */
/*
 * checkerboard.c - C35: blocks that are in use for a few movable runs come back.
 *
 *	fill		64 pageblocks with single pages, all movable, each with contents of its own
 *	checkerboard	every other one is freed: no block is free, half of all pages are
 *	idle		the library moves what lives together; at least 90 % of the possible blocks come back
 *
 * Blocks that are back are counted by what the kernel says is resident (mincore), page by page, of those that were
 * filled. The same with a mover that always refuses gives none back: what is counted is the moving.
 *
 *	worker		by the library's threads, while this one calls nothing
 *	(none)		by nst_maintain(), worker:off
 *	rcu		the old runs after a grace period
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <nostall/nostall.h>
#include "common/check.h"
#include "common/trap.h"

#define BLOCK ((size_t)2 << 20)
#define PAGE 4096u
#define NR_BLOCKS 64u
#define NR_PAGES (NR_BLOCKS * 512u)

/* A table of pages, as a program would have it. */
static struct {
	pthread_mutex_t lock;
	unsigned char *page[NR_PAGES];
	int refuses, worker, errors;
	unsigned int calls, on_callers_thread;
	pthread_t main;
} t = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uintptr_t block[2 * NR_BLOCKS + 8]; /* those that were filled */
static size_t nr_blocks;

static int migrate(void *ctx, void *data, void *to, void *from, size_t bytes)
{
	size_t i = (uintptr_t)data;
	int err = -EAGAIN;

	errno = EILSEQ;
	pthread_mutex_lock(&t.lock);
	t.calls++;
	t.errors += ctx != &t || bytes != PAGE || nst_mode_effective(NST_NORMAL) != NST_NOWAIT;
	t.on_callers_thread += pthread_equal(pthread_self(), t.main) != 0;
	if (!t.refuses && t.page[i] == from) {
		memcpy(to, from, bytes);
		t.page[i] = to;
		err = 0;
	}
	pthread_mutex_unlock(&t.lock);
	return err;
}

static void fill(struct nst_mover *m)
{
	for (size_t i = 0; i < NR_PAGES; i++) {
		unsigned char *p = nst_pages_alloc_movable(m, 0, NST_NORMAL, (void *)i);

		if (!p)
			check_broken("memory");
		memset(p, (int)(i % 251), PAGE);
		memcpy(p, &i, sizeof(i));
		pthread_mutex_lock(&t.lock);
		t.page[i] = p;
		pthread_mutex_unlock(&t.lock);
	}
}

static void free_page(size_t i)
{
	pthread_mutex_lock(&t.lock);
	nst_pages_free(t.page[i]);
	t.page[i] = NULL;
	pthread_mutex_unlock(&t.lock);
}

static int by_address(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return x < y ? -1 : x > y;
}

static void note_blocks(void)
{
	static uintptr_t all[NR_PAGES];

	for (size_t i = 0; i < NR_PAGES; i++)
		all[i] = (uintptr_t)t.page[i] & ~(BLOCK - 1);
	qsort(all, NR_PAGES, sizeof(all[0]), by_address);
	nr_blocks = 0;
	for (size_t i = 0; i < NR_PAGES; i++)
		if (!i || all[i] != all[i - 1])
			block[nr_blocks++] = all[i];
}

static size_t resident_in(uintptr_t at)
{
	unsigned char in[512];
	size_t n = 0;

	if (mincore((void *)at, BLOCK, in))
		check_broken("mincore");
	for (size_t i = 0; i < 512; i++)
		n += in[i] & 1;
	return n;
}

/* Blocks of those that were filled that hold no page any more. */
static size_t blocks_back(void)
{
	size_t n = 0;

	for (size_t i = 0; i < nr_blocks; i++)
		n += resident_in(block[i]) == 0;
	return n;
}

static size_t wrong_pages(void)
{
	size_t wrong = 0;

	pthread_mutex_lock(&t.lock);
	for (size_t i = 0; i < NR_PAGES; i++) {
		unsigned char *p = t.page[i];
		size_t number;

		if (!p)
			continue;
		memcpy(&number, p, sizeof(number));
		wrong += number != i;
		for (size_t k = sizeof(number); k < PAGE; k++)
			if (p[k] != i % 251) {
				wrong++;
				break;
			}
	}
	pthread_mutex_unlock(&t.lock);
	return wrong;
}

static void checkerboard(struct nst_mover *m)
{
	fill(m);
	note_blocks();
	for (size_t i = 0; i < NR_PAGES; i += 2)
		free_page(i);
}

static void empty(struct nst_mover *m, const char *what)
{
	int err;

	for (size_t i = 1; i < NR_PAGES; i += 2)
		free_page(i);
	err = nst_mover_unregister(m);
	check(err == 0, what, "nst_mover_unregister() says %d", err);
}

static uint64_t looks(void)
{
	static struct nst_stats s;

	nst_stats_read(&s, sizeof(s));
	return s.worker_wakeups;
}

/* One idle moment. */
static void idle(uint64_t *since, int *more)
{
	if (!t.worker)
		nst_maintain();
	*more = check_patience(since);
}

static unsigned int nr_calls(void)
{
	unsigned int n;

	pthread_mutex_lock(&t.lock);
	n = t.calls;
	pthread_mutex_unlock(&t.lock);
	return n;
}

static void refused(void)
{
	struct nst_mover *m = nst_mover_register(migrate, &t, 0);
	uint64_t since = 0, first;
	unsigned int calls;
	int more = 1;

	t.refuses = 1;
	checkerboard(m);
	first = looks();
	calls = nr_calls();
	/* as many looks as the others need at most, or passes */
	for (int i = 0; more && (t.worker ? looks() < first + 100 : i < 30); i++)
		idle(&since, &more);
	calls = nr_calls() - calls;
	check(calls > 0, "C35 a mover is asked", "never");
	check(blocks_back() * 100 < nr_blocks, "C35 where it refuses no block comes back",
	      "%zu of %zu", blocks_back(), nr_blocks);
	check(wrong_pages() == 0, "C35 and all is where it was", "%zu pages", wrong_pages());
	check(nst_mover_unregister(m) == -EBUSY, "C35 a mover that has runs stays", "it goes");
	empty(m, "C35 and goes when it has none");
	t.refuses = 0;
}

static void moved(uint32_t flags)
{
	struct nst_mover *m = nst_mover_register(migrate, &t, flags);
	uint64_t since = 0;
	int more = 1;
	size_t possible, back;
	struct nst_stats s;

	errno = 7;
	checkerboard(m);
	possible = nr_blocks / 2;
	while ((back = blocks_back()) * 10 < possible * 9 && more)
		idle(&since, &more);
	nst_stats_read(&s, sizeof(s));
	printf("# %zu blocks filled, %zu back; moved=%llu refused=%llu freed=%llu blocks=%llu\n",
	       nr_blocks, back, (unsigned long long)s.compact.moved,
	       (unsigned long long)s.compact.refused, (unsigned long long)s.compact.freed,
	       (unsigned long long)s.compact.blocks);
	check(nr_blocks >= NR_BLOCKS && back * 10 >= possible * 9,
	      "C35 nine tenths of the possible blocks come back", "%zu of %zu", back, possible);
	check(wrong_pages() == 0, "C35 every byte is there", "%zu pages are wrong", wrong_pages());
	check(s.compact.moved >= back * 200 && s.compact.moved < NR_PAGES,
	      "C35 by moving each run once, or little more", "%llu moves",
	      (unsigned long long)s.compact.moved);
	check(t.errors == 0 && errno == 7, "C35 in a scope, with what was told, errno is kept",
	      "%d times not, errno %d", t.errors, errno);
	check(!t.worker || t.on_callers_thread == 0, "C35 not on a caller's thread", "%u times",
	      t.on_callers_thread);
	empty(m, "C35 what was moved is freed as any other");
}

const char *test_conf(int argc, char **argv)
{
	return argc > 1 && !strcmp(argv[1], "worker") ? "worker:on,nodes:1" : "worker:off,nodes:1";
}

int main(int argc, char **argv)
{
	conf_apply(argv);
	t.worker = argc > 1 && !strcmp(argv[1], "worker");
	t.main = pthread_self();
	check_deadline(100, "C35 blocks come back");
	refused();
	moved(argc > 1 && !strcmp(argv[1], "rcu") ? NST_MOVER_RCU : 0);
	return check_status();
}
