/* SPDX-License-Identifier: MIT */
/*
 * spike.c - C36: what a spike took goes back, but for the pages that hold a live object.
 *
 *	objects		of every size, a page and more of them in a slab, and slabs of several pages
 *	runs		of every order
 *	mappings	larger than a pageblock
 *
 * All is touched, and freed but for a random part; no call of that gives anything back to the kernel, which is the only
 * work of it that is not bounded by a batch. Then nobody calls: the library's worker alone gives back what no live object
 * lies in. Resident is what the library counts, and what the kernel says of the blocks in which something lives (mincore),
 * so that a page counted as given back, and not, is seen. How soon is a question for the bench; here the worker is waited for.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <pthread.h>
#include <nostall/nostall.h>
#include "base/testhook.h"
#include "common/check.h"
#include "common/trap.h"

#define MIB ((uint64_t)1 << 20)
#define SLACK (8 * MIB)
#define PAGE 4096u
#define BLOCK ((uintptr_t)2 << 20)

struct object {
	char *at;
	size_t bytes;
};

struct kind {
	const char *name;
	uint64_t bytes;
	size_t (*size)(struct rng *rng);
	unsigned int live_per_mille;
};

static struct object *object;
static size_t nr, room;

/* What this thread's calls gave back to the kernel: they are not to pay for that. */
static pthread_t caller;
static unsigned long purges;

static void before(enum nst_fail what)
{
	if (what == NST_FAIL_PURGE && pthread_equal(pthread_self(), caller))
		purges++;
}

static uint64_t resident(void)
{
	static struct nst_stats s;

	nst_stats_read(&s, sizeof(s));
	return s.resident_bytes - s.metadata_bytes;
}

static uint64_t looks(void)
{
	static struct nst_stats s;

	nst_stats_read(&s, sizeof(s));
	return s.worker_wakeups;
}

static size_t small(struct rng *rng)
{
	return rng_size(rng, 16, 32768);
}

static size_t run(struct rng *rng)
{
	return (size_t)PAGE << rng_below(rng, 10);
}

static size_t page(struct rng *rng)
{
	(void)rng;
	return PAGE;
}

static size_t mapping(struct rng *rng)
{
	return (2 + rng_below(rng, 8)) * MIB + rng_below(rng, 1 << 20);
}

static void add(size_t bytes)
{
	char *p = bytes % PAGE || bytes > 512 * PAGE || bytes & (bytes - 1)
			  ? nst_alloc(bytes, NST_NORMAL)
			  : nst_pages_alloc((unsigned int)__builtin_ctzl(bytes / PAGE), NST_NORMAL);

	if (!p || nr == room)
		check_broken("memory");
	for (size_t i = 0; i < bytes; i += PAGE)
		p[i] = 1;
	p[bytes - 1] = 1;
	object[nr++] = (struct object){p, bytes};
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Bytes of the pages in which anything lives. */
static uint64_t live_bytes(void)
{
	size_t pages = 0, n = 0, most = 0;
	uint64_t *number;

	for (size_t i = 0; i < nr; i++)
		most += object[i].bytes / PAGE + 2;
	number = malloc((most + 1) * sizeof(*number));
	if (!number)
		check_broken("malloc");
	for (size_t i = 0; i < nr; i++)
		for (uint64_t at = (uintptr_t)object[i].at / PAGE;
		     at <= ((uintptr_t)object[i].at + object[i].bytes - 1) / PAGE; at++)
			number[n++] = at;
	qsort(number, n, sizeof(*number), by_number);
	for (size_t i = 0; i < n; i++)
		pages += !i || number[i] != number[i - 1];
	free(number);
	return pages * PAGE;
}

static uintptr_t block[65536]; /* in which there was anything */
static size_t nr_blocks;

static void note_blocks(void)
{
	size_t n = 0;

	for (size_t i = 0; i < nr; i++)
		for (uintptr_t at = (uintptr_t)object[i].at & ~(BLOCK - 1);
		     at < (uintptr_t)object[i].at + object[i].bytes && n < 65536; at += BLOCK)
			if (!n || block[n - 1] != at)
				block[n++] = at;
	qsort(block, n, sizeof(block[0]), by_number);
	nr_blocks = 0;
	for (size_t i = 0; i < n; i++)
		if (!i || block[i] != block[i - 1])
			block[nr_blocks++] = block[i];
}

/* As the kernel says, of these. */
static uint64_t in_blocks(void)
{
	unsigned char in[BLOCK / PAGE];
	uint64_t pages = 0;

	for (size_t i = 0; i < nr_blocks; i++) {
		if (mincore((void *)block[i], BLOCK, in))
			check_broken("mincore");
		for (size_t k = 0; k < sizeof(in); k++)
			pages += in[k] & 1;
	}
	return pages * PAGE;
}

static void free_all_but(struct rng *rng, unsigned int per_mille)
{
	size_t kept = 0;

	for (size_t i = 0; i < nr; i++)
		if (rng_below(rng, 1000) < per_mille)
			object[kept++] = object[i];
		else
			nst_free(object[i].at);
	nr = kept;
}

static void spike(const struct kind *k, struct rng *rng)
{
	uint64_t since = 0, top, live, most, now, kernel = 0, bytes = 0, passes;

	while (bytes < k->bytes) {
		size_t size = k->size(rng);

		add(size);
		bytes += size;
	}
	top = resident();
	note_blocks();
	purges = 0;
	passes = looks();
	free_all_but(rng, k->live_per_mille);
	check(purges == 0, "who frees gives nothing back to the kernel", "%lu times", purges);
	live = live_bytes();
	most = live + live / 10 + SLACK;
	while (((now = resident()) > most || (kernel = in_blocks()) > most) &&
	       check_patience(&since))
		;
	printf("# %s: top %llu KiB, live pages %llu KiB, resident %llu KiB after %llu passes\n",
	       k->name, (unsigned long long)top >> 10, (unsigned long long)live >> 10,
	       (unsigned long long)now >> 10, (unsigned long long)(looks() - passes));
	check(top > 2 * (live + SLACK), "a spike", "%llu KiB", (unsigned long long)top >> 10);
	check(now <= most && kernel <= most, k->name,
	      "C36: %llu KiB, %llu as the kernel says; the pages that live are %llu",
	      (unsigned long long)now >> 10, (unsigned long long)kernel >> 10,
	      (unsigned long long)live >> 10);
	free_all_but(rng, 0);
}

TEST_CONF("worker:on,nodes:1")

int main(int argc, char **argv)
{
	static const struct kind kinds[] = {
		{"objects", 192 * MIB, small, 20},
		{"pages", 192 * MIB, page, 20},
		{"runs", 192 * MIB, run, 20},
		{"mappings", 192 * MIB, mapping, 20},
	};
	struct rng rng;

	conf_apply(argv);
	caller = pthread_self();
	nst_test_before = before;
	rng.state = seed_of(argc, argv);
	check_deadline(150, "memory goes back");
	room = 1 << 20;
	object = calloc(room, sizeof(*object));
	if (!object)
		check_broken("calloc");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		spike(&kinds[i], &rng);
	return check_status();
}
