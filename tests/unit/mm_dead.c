/* SPDX-License-Identifier: MIT */
/*
 * mm_dead.c - dead bits: each object has one, set once, taken once, wherever its memory is and has been.
 */
#define _GNU_SOURCE
#include <unistd.h>
#include "retire.h"

#define NR 4000u
#define ROOM 64u

static void *object[NR];
static struct nst_dead_word word[NR];

static int is_odd(const void *p)
{
	return (uintptr_t)p % 16 != 0;
}

static size_t take(u32 most)
{
	u32 n = 0;

	nst_dead_take(word, most, &n);
	return n;
}

/* Takes @most words at a time; how many of object[] came back, each once. */
static unsigned int take_all(u32 most, unsigned int *takes)
{
	unsigned int n = 0, i;
	size_t k, w;

	for (*takes = 0; (k = take(most)) != 0; ++*takes) {
		check_quiet(k <= most, "no more words than there is room for", "%zu", k);
		for (w = 0; w < k; w++) {
			u64 bits = word[w].bits;

			for (; bits; bits &= bits - 1) {
				void *p = nst_dead_object(&word[w], nst_lowest_bit(bits));

				for (i = 0; i < NR && object[i] != p; i++)
					;
				check_quiet(i < NR, "each bit is an object", "%p", p);
				if (i < NR)
					object[i] = NULL, n++;
				nst_free(p);
			}
		}
	}
	return n;
}

static void each_once(size_t size)
{
	struct nst_cache *c = cache_of("dead", size);
	unsigned int i, odd = 0, set = 0, twice = 0, takes;

	for (i = 0; i < NR; i++) {
		object[i] = object_of(c);
		odd += is_odd(object[i]);
	}
	for (i = 0; i < NR; i++)
		set += nst_dead_set(object[i]) == 0;
	for (i = 0; i < NR; i++)
		twice += nst_dead_set(object[i]) == 1;
	check(set == NR && twice == NR && (odd != 0) == (c->slot % 16 != 0), "a bit is set once",
	      "%u, %u, %u at odd addresses", set, twice, odd);
	i = take_all(ROOM, &takes);
	check(i == NR && takes >= NR * nst_min(c->slot, 64 * 16) / (64 * 16) / ROOM,
	      "and taken once, a bounded number at a time", "%u of %u in %u", i, NR, takes);
	check(!nst_retired.any_dead && take(NR) == 0, "then there is none", "there is");
	check(nst_cache_destroy(c) == 0, "no object is lost", "one is");
}

static size_t block_of(const void *p, struct nst_arena **a)
{
	*a = nst_arena_of(p);
	return ((uintptr_t)p - (*a)->base) / NST_BLOCK_BYTES;
}

/* Blocks go back to the kernel and come again. */
static void opened_again(void)
{
	enum { RUNS = 8 };
	void *run[RUNS], *obj;
	struct nst_cache *c;
	struct nst_arena *a;
	unsigned int i, takes;
	size_t block = 0;

	for (i = 0; i < RUNS; i++)
		run[i] = nst_pages_alloc(NST_BLOCK_ORDER, NST_NORMAL);
	for (i = 0; i < RUNS; i++)
		nst_pages_free(run[i]);
	no_pages_at_hand();
	for (i = 0; i < 50; i++)
		nst_maintain();
	for (i = 0; i < RUNS; i++) {
		block = block_of(run[i], &a);
		if (!nst_block_is_split(a, block))
			break;
	}
	check(!nst_block_is_split(a, block), "(a block is given back)", "it is not");
	c = nst_cache_create("again", 32768, 0, 0, NULL);
	for (i = 0; i < NR / 8; i++) {
		object[i] = obj = object_of(c);
		check_quiet(nst_dead_set(obj) == 0, "its bits are there, and 0", "one is set");
	}
	check(nst_block_is_split(a, block), "(and used again)", "it is not");
	check(take_all(NR, &takes) == NR / 8, "bits of blocks that came again are taken",
	      "not all");
	nst_cache_destroy(c);
}

/* The reservation is 64 MiB: more is in a second arena. */
static void new_arena(void)
{
	enum { RUNS = 60 };
	void *run[RUNS];
	struct nst_cache *c;
	unsigned int i, takes, there = 0;
	u32 arenas = nst_mm.nr_arenas;

	for (i = 0; i < RUNS; i++)
		if (!(run[i] = nst_pages_alloc(NST_BLOCK_ORDER, NST_NORMAL)))
			check_broken("2 MiB");
	check(nst_mm.nr_arenas > arenas, "(an arena is added)", "%u arenas", nst_mm.nr_arenas);
	c = cache_of("far", 4096);
	for (i = 0; i < NR; i++) {
		object[i] = object_of(c);
		there += nst_arena_of(object[i]) != &nst_arenas[0];
		check_quiet(nst_dead_set(object[i]) == 0, "its bits are there, and 0",
			    "one is set");
	}
	check(there > 0, "(objects are there)", "they are not");
	check(take_all(NR, &takes) == NR, "bits of a new arena are taken", "not all");
	for (i = 0; i < NR; i++)
		nst_free_rcu(object_of(c));
	check(nst_rcu_barrier() == 0 && in_use(c) == 0, "objects of a new arena are freed",
	      "%llu are not", (unsigned long long)in_use(c));
	nst_cache_destroy(c);
	for (i = 0; i < RUNS; i++)
		nst_pages_free(run[i]);
}

/* Several blocks are in use. What failed is tried again, and none of it is taken for done; the last has not all bits. */
static void without_memory(void)
{
	static const struct {
		enum nst_fail kind;
		long most; /* numbers: the first is of the arena, each further one of a block */
	} fails[] = {{NST_FAIL_RESERVE, 2}, {NST_FAIL_POPULATE, 4}, {NST_FAIL_COMMIT, 3}};
	unsigned int failed = 0, tried = 0;

	for (unsigned int k = 0; k < NST_ARRAY_SIZE(fails); k++) {
		for (long n = 1; n <= fails[k].most; n++, tried++) {
			nst_test_fail[fails[k].kind] = n;
			failed += nst_rcu_use() == -12;
			nst_test_fail[fails[k].kind] = 0;
			check_quiet(!nst_retired.ready, "it is not ready then", "it is");
		}
	}
	check(failed == tried, "without memory nst_rcu_use() says so", "%u of %u times", failed,
	      tried);
	check(nst_retired.bits_bytes == 0, "and nothing stays of it", "%llu bytes",
	      (unsigned long long)nst_retired.bits_bytes);
}

/* In a child of fork(), as in its parent, some blocks have bits to be and no memory for them. */
static void child_without_memory(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		nst_maintain(); /* its pages are made ready */
		_exit(nst_retired.ready ? 0 : 1);
	}
	check_child(pid, 10, 0, "a child makes good for it");
}

/* Passes try again, a few times a second; then all has bits, counted once. */
static void made_good_for(void)
{
	uint64_t since = 0;
	u64 bytes;

	while (!nst_retired.ready && check_patience(&since))
		nst_maintain();
	check(nst_retired.ready, "passes try again", "they do not");
	bytes = nst_retired.bits_bytes;
	check(bytes != 0 && nst_rcu_use() == 0 && nst_retired.bits_bytes == bytes,
	      "and more calls change nothing", "%llu bytes, then %llu", (unsigned long long)bytes,
	      (unsigned long long)nst_retired.bits_bytes);
}

static void counted(const char *name)
{
	const struct nst_arena *a = &nst_arenas[0];
	u64 bytes = 0;

	for (size_t block = 0; block < a->nr_blocks; block++)
		bytes += nst_block_is_split(a, block) ? NST_BLOCK_BYTES / 128 : 0;
	check(nst_retired.bits_bytes == bytes, name, "%llu bytes, counted %llu",
	      (unsigned long long)bytes, (unsigned long long)nst_retired.bits_bytes);
}

/* A mapping is retired by its descriptor. */
static void mappings_have_none(void)
{
	void *p;

	counted("blocks of objects have bits");
	p = nst_alloc(9 * NST_BLOCK_BYTES, NST_NORMAL);
	counted("a mapping has none");
	nst_free(p);
	nst_maintain();
	counted("and gives none back");
}

TEST_CONF("worker:off,nodes:1,reserve:64M,warn:off")

int main(int argc, char **argv)
{
	void *early[3];

	(void)argc;
	conf_apply(argv);
	run_on_cpu(0, cpu_nth(0));
	for (unsigned int i = 0; i < NST_ARRAY_SIZE(early); i++)
		early[i] = nst_alloc(NST_BLOCK_BYTES / 4 * 3, NST_NORMAL);
	without_memory();
	child_without_memory();
	made_good_for();
	mappings_have_none();
	nst_free_bulk(NST_ARRAY_SIZE(early), early);
	each_once(96);
	each_once(200);
	each_once(16);
	each_once(4096);
	opened_again();
	new_arena();
	return check_status();
}
