/* SPDX-License-Identifier: MIT */
/*
 * mm_free_rcu.c - each way that something can be handed over to be freed is forced, and its counter exact.
 *
 * What cannot be had is taken away first: a ring, ready pages, pages on this CPU's list, the lock. Nothing of it is
 * freed while a section runs, and all of it after.
 */
#define _GNU_SOURCE
#include <errno.h>
#include "retire.h"

#define RUN_BYTES (9 * NST_PAGE_BYTES)
#define MAPPING_BYTES ((size_t)3 << 20)

static struct nst_cache *cache, *other;
static unsigned int called, called_with_other;
static int word;

static void fn_ptr(void *ptr)
{
	called++;
	called_with_other += ptr != &word;
}

static struct counted_head {
	int before;
	struct nst_rcu_head head;
} heads[4];

static void fn_head(struct nst_rcu_head *head)
{
	called++;
	called_with_other += head < &heads[0].head || head > &heads[NST_ARRAY_SIZE(heads) - 1].head;
}

static void settle(const char *name)
{
	check(nst_rcu_barrier() == 0 && in_use(cache) == 0 && in_use(other) == 0 &&
		      ways_now().waiting_bytes == 0,
	      name, "%llu and %llu objects in use, %llu bytes wait",
	      (unsigned long long)in_use(cache), (unsigned long long)in_use(other),
	      (unsigned long long)ways_now().waiting_bytes);
	ways_look();
}

static void retire_many(struct nst_cache *c, unsigned int n)
{
	while (n--)
		nst_free_rcu(object_of(c));
}

/* ---- before it is used ---- */

static void too_early(void)
{
	void *p = object_of(cache);

	check(nst_mm.dead_bits == 0 && !nst_retired.ready, "who does not retire pays nothing",
	      "%u, %u", nst_mm.dead_bits, nst_retired.ready);
	ways_look();
	nst_free_rcu(p);
	nst_free_rcu(p);
	ways_check("too early, an object is lost, and counted",
		   (struct nst_retired_stats){.refused = 2});
	check(nst_free_rcu_foreign(&word, fn_ptr) == -EAGAIN, "and what is foreign is refused",
	      "taken");
	ways_check("too", (struct nst_retired_stats){.refused = 1});
	nst_free_rcu(nst_alloc(RUN_BYTES, NST_NORMAL));
	ways_check("a run needs no bit: it is kept", (struct nst_retired_stats){.runs = 1});
	nst_free_rcu_mightsleep(&word, fn_ptr);
	check(called == 1 && called_with_other == 0, "who may wait does so", "%u calls", called);
	nst_free(p);
	called = 0;
}

static void use(void)
{
	u64 bytes;

	check(nst_rcu_use() == 0 && nst_retired.ready && nst_mm.dead_bits,
	      "from nst_rcu_use() on all can be retired", "not ready");
	bytes = nst_meta_bytes();
	for (int i = 0; i < 10; i++)
		check_quiet(nst_rcu_use() == 0, "once more is as well", "it is not");
	check(nst_meta_bytes() == bytes, "more calls of it change nothing", "%llu bytes",
	      (unsigned long long)(nst_meta_bytes() - bytes));
	check(ring_here(&nst_retired.mixed) && ring_here(&nst_retired.calls),
	      "this CPU has a ring for what has none of its own", "it has not");
	check(nst_rcu_barrier() == 0 && ways_now().waiting_bytes == 0,
	      "a barrier frees what came before", "%llu bytes wait",
	      (unsigned long long)ways_now().waiting_bytes);
}

/* ---- pages ---- */

static void by_cache(void)
{
	struct nst_ring *r;
	unsigned int room;

	ways_look();
	nst_free_rcu(object_of(cache));
	ways_check("the first of a cache finds no ring", (struct nst_retired_stats){.mixed = 1});
	pass();
	r = ring_here(&cache->dead);
	check(r && nst_ring_ready(r) == 2, "the next pass makes one, with two pages ready", "%u",
	      r ? nst_ring_ready(r) : 0);
	settle("and it is freed");
	room = ring_room(r);
	retire_many(cache, room - 2u * cache->batch);
	ways_check("a page takes what a sheaf does", (struct nst_retired_stats){0});
	check(nst_ring_look(r).to == cache->batch && nst_ring_sealed(r) == 0,
	      "all in the open page", "%u", nst_ring_look(r).to);
	nst_free_rcu(object_of(cache));
	ways_check("one more seals it", (struct nst_retired_stats){.sealed_pages = 1});
	check(nst_ring_sealed(r) == 1 && nst_ring_ready(r) == 1 &&
		      ways_now().waiting_bytes == (u64)cache->batch * cache->slot,
	      "and its bytes wait", "%llu", (unsigned long long)ways_now().waiting_bytes);
	retire_many(cache, 2u * cache->batch - 1);
	ways_check("up to the last page", (struct nst_retired_stats){.sealed_pages = 1});
	nst_free_rcu(object_of(cache));
	ways_check("then it is mixed", (struct nst_retired_stats){.mixed = 1});
	settle("and all are freed");
	check(nst_ring_ready(r) >= 2, "pages are ready again", "%u", nst_ring_ready(r));
}

/* A cache that has no ring, and gets none before the next settle(). */
static void other_anew(void)
{
	if (nst_cache_destroy(other))
		check_broken("nst_cache_destroy");
	other = cache_of("other", 200);
	nst_test_fail[NST_FAIL_META] = -1;
}

static void by_mixed(void)
{
	unsigned int room = ring_room(ring_for(NULL, &nst_retired.mixed));

	other_anew();
	retire_many(other, room);
	ways_check("mixed pages take all that has no ring",
		   (struct nst_retired_stats){.mixed = room});
	check(ways_now().waiting_bytes == (u64)room * other->slot, "each object's bytes wait",
	      "%llu", (unsigned long long)ways_now().waiting_bytes);
	page_at_hand();
	nst_free_rcu(object_of(other));
	ways_check("then a page is brought",
		   (struct nst_retired_stats){.mixed = 1, .brought_pages = 1});
	no_pages_at_hand();
	retire_many(other, NST_PAGE_POINTERS - 1);
	ways_check("and filled", (struct nst_retired_stats){.mixed = NST_PAGE_POINTERS - 1});
}

static void by_dead_bit(void)
{
	void *p[3] = {object_of(other), object_of(other), object_of(cache)};
	unsigned int full;

	no_pages_at_hand();
	nst_free_rcu(p[0]);
	ways_check("when none is to be had, its dead bit takes the object",
		   (struct nst_retired_stats){.dead_bits = 1});
	page_at_hand();
	nst_lock_wait(&nst_retired.lock);
	nst_free_rcu(p[1]);
	nst_unlock(&nst_retired.lock);
	ways_check("as when the lock cannot be had", (struct nst_retired_stats){.dead_bits = 1});
	full = ring_room(ring_here(&cache->dead)) % cache->batch == 0;
	nst_free_rcu_bulk(1, &p[2]);
	ways_check("an object with a ring goes there all the same",
		   (struct nst_retired_stats){.sealed_pages = full});
	nst_test_fail[NST_FAIL_META] = 0;
	settle("all three ways are freed");
}

/* ---- runs and mappings ---- */

static void by_descriptor(void)
{
	void *run, *mapping;

	run = nst_alloc(RUN_BYTES, NST_NORMAL | NST_ZERO);
	mapping = nst_alloc(MAPPING_BYTES, NST_NORMAL | NST_ZERO);
	if (!run || !mapping)
		check_broken("memory");
	memset(run, 7, RUN_BYTES);
	memset(mapping, 7, MAPPING_BYTES);
	no_pages_at_hand();
	ways_look();
	nst_free_rcu(run);
	check(ways_now().waiting_bytes == RUN_BYTES, "a run's pages wait", "%llu",
	      (unsigned long long)ways_now().waiting_bytes);
	nst_free_rcu(mapping);
	ways_check("a run and a mapping go by their descriptors",
		   (struct nst_retired_stats){.runs = 2});
	check(ways_now().waiting_bytes == RUN_BYTES + MAPPING_BYTES, "a mapping's bytes wait",
	      "%llu", (unsigned long long)ways_now().waiting_bytes);
	check(*(char *)run == 7 && ((char *)mapping)[MAPPING_BYTES - 1] == 7,
	      "nothing is written to them", "it is");
	check(nst_usable_size(run) == RUN_BYTES && nst_usable_size(mapping) == MAPPING_BYTES,
	      "who reads them may ask their size", "%zu, %zu", nst_usable_size(run),
	      nst_usable_size(mapping));
	settle("and are freed");
	nst_maintain();
	check(nst_large_count == 0, "the mapping is gone", "it is not");
}

/* ---- functions ---- */

static void by_head(void)
{
	ways_look();
	nst_free_rcu_head(&heads[0].head, fn_head, 100);
	nst_call_rcu(&heads[1].head, fn_head, 20);
	nst_call_rcu(&heads[2].head, fn_head, 0);
	ways_check("heads and calls are counted",
		   (struct nst_retired_stats){.heads = 1, .calls = 2});
	check(ways_now().waiting_bytes == 120 && ways_now().head_bytes == 120, "with their bytes",
	      "%llu, %llu", (unsigned long long)ways_now().waiting_bytes,
	      (unsigned long long)ways_now().head_bytes);
	check(called == 0, "and not called at once", "%u", called);
	settle("what they say is over");
	check(called == 3 && called_with_other == 0 && ways_now().head_bytes == 0,
	      "each is called once, with its head", "%u calls, %u wrong", called,
	      called_with_other);
	called = 0;
	nst_free_rcu_head(NULL, fn_head, 9);
	nst_free_rcu_head(&heads[0].head, NULL, 9);
	nst_call_rcu(NULL, fn_head, 9);
	ways_check("no head or no function is refused", (struct nst_retired_stats){0});
	check(ways_now().waiting_bytes == 0, "and does not wait", "it does");
}

static void by_foreign(void)
{
	unsigned int n = 0, room = ring_room(ring_for(NULL, &nst_retired.calls));

	no_pages_at_hand();
	ways_look();
	errno = 77;
	while (n < 10000 && nst_free_rcu_foreign(&word, fn_ptr) == 0)
		n++;
	check(n == room / 2, "a pointer that is not ours has half a page's room, and a function",
	      "%u", n);
	ways_check("then it is refused", (struct nst_retired_stats){.foreign = n, .refused = 1});
	check(nst_free_rcu_foreign(&word, NULL) == -EINVAL &&
		      nst_free_rcu_foreign(NULL, fn_ptr) == 0 &&
		      nst_free_rcu_foreign(NULL, NULL) == -EINVAL && errno == 77,
	      "no function is an error, no pointer is none", "errno %d", errno);
	ways_check("and neither is counted", (struct nst_retired_stats){0});
	nst_free_rcu_mightsleep(&word, fn_ptr);
	check(called == 1, "who may wait waits where it would be refused", "%u calls", called);
	ways_check("which is counted as that", (struct nst_retired_stats){.refused = 1});
	page_at_hand();
	nst_free_rcu_mightsleep(&word, fn_ptr);
	check(called == 1, "and does not where it is not", "%u calls", called);
	ways_check("with a page that is brought",
		   (struct nst_retired_stats){.brought_pages = 1, .foreign = 1});
	settle("all are called");
	check(called == n + 2 && called_with_other == 0, "each once", "%u of %u, %u wrong", called,
	      n + 2, called_with_other);
	nst_free_rcu_mightsleep(object_of(cache), NULL);
	ways_check("with no function it is an object of ours", (struct nst_retired_stats){0});
	settle("which is freed");
	called = 0;
}

/* ---- several at once ---- */

static void bulk(void)
{
	void *p[40];
	unsigned int n = 0, i;

	ring_for(cache, &cache->dead);
	ring_for(NULL, &nst_retired.mixed);
	other_anew();
	ways_look();
	p[n++] = NULL;
	for (i = 0; i < 9; i++)
		p[n++] = object_of(cache);
	p[n++] = nst_alloc(RUN_BYTES, NST_NORMAL);
	p[n++] = nst_alloc(RUN_BYTES, NST_NORMAL);
	p[n++] = NULL;
	p[n++] = NULL;
	for (i = 0; i < 7; i++)
		p[n++] = object_of(other);
	p[n++] = nst_alloc(MAPPING_BYTES, NST_NORMAL);
	p[n++] = object_of(cache);
	p[n++] = object_of(other);
	p[n++] = object_of(cache);
	p[n++] = NULL;
	nst_free_rcu_bulk(n, p);
	ways_check("each of a bulk goes its own way",
		   (struct nst_retired_stats){.mixed = 8, .runs = 3});
	check(in_use(cache) == 11 && in_use(other) == 8, "none is freed at once", "%llu, %llu",
	      (unsigned long long)in_use(cache), (unsigned long long)in_use(other));
	nst_test_fail[NST_FAIL_META] = 0;
	settle("all are freed");
	nst_free_rcu_bulk(0, NULL);
	nst_free_rcu(NULL);
	nst_free_rcu_bulk(2, (void *[]){NULL, NULL});
	ways_check("nothing is nothing", (struct nst_retired_stats){0});
}

static void long_bulk(void)
{
	enum { NR = 5000 };
	static void *p[NR];
	unsigned int i, own = ring_room(ring_for(cache, &cache->dead)),
			mixed = ring_room(ring_for(NULL, &nst_retired.mixed));
	uint64_t ready = nst_ring_ready(ring_here(&cache->dead));

	for (i = 0; i < NR; i++)
		p[i] = object_of(cache);
	no_pages_at_hand();
	ways_look();
	nst_free_rcu_bulk(NR, p);
	ways_check("a long one fills the ring, then mixed pages, then sets bits",
		   (struct nst_retired_stats){
			   .sealed_pages = ready, .mixed = mixed, .dead_bits = NR - own - mixed});
	settle("all are freed");
}

/* ---- readers ---- */

static void reader_sees_all(void)
{
	void *run, *mapping;
	nst_rcu_token_t t;
	unsigned int n;
	char *p;

	ring_for(cache, &cache->dead);
	p = object_of(cache);
	run = nst_alloc(RUN_BYTES, NST_NORMAL);
	mapping = nst_alloc(MAPPING_BYTES, NST_NORMAL);
	memset(p, 3, cache->size);
	t = nst_rcu_read_begin();
	n = ring_room(ring_here(&cache->dead)) - 1;
	nst_free_rcu(p);
	retire_many(cache, n);
	retire_many(other, 5);
	nst_lock_wait(&nst_retired.lock);
	nst_dead_set(object_of(other));
	nst_add_relaxed(&nst_retired.bytes, other->slot);
	nst_unlock(&nst_retired.lock);
	nst_free_rcu(run);
	nst_free_rcu(mapping);
	nst_call_rcu(&heads[3].head, fn_head, 1);
	if (nst_free_rcu_foreign(&word, fn_ptr))
		check_broken("a page for calls");
	passes();
	check(in_use(cache) == n + 1 && in_use(other) == 6 && called == 0 &&
		      nst_page_of(run)->state == NST_PAGE_RUN_RETIRED &&
		      nst_page_of(mapping)->state == NST_PAGE_LARGE_RETIRED,
	      "while a section runs nothing is freed", "%llu, %llu, %u",
	      (unsigned long long)in_use(cache), (unsigned long long)in_use(other), called);
	check(p[0] == 3 && !memcmp(p, p + 1, cache->size - 1), "nor written to", "it is");
	nst_rcu_read_end(t);
	settle("after it all is");
	check(called == 2 && called_with_other == 0, "and functions are called", "%u", called);
	called = 0;
}

TEST_CONF("worker:off,nodes:1,warn:off")

/* The last: from then on every retirer fences, which the fast path does not. */
static void fenced(void)
{
	check(nst_retired.units == nst_mm.units && !nst_rcu_stamp_fences,
	      "while nobody must fence there is a fast path", "%zu", nst_retired.units);
	nst_test_fail[NST_FAIL_BARRIER] = -1;
	nst_gp_start();
	nst_gp_step(nst_rcu_own);
	check(nst_retired.units == 0 && nst_rcu_stamp_fences, "then there is none", "%zu",
	      nst_retired.units);
	for (unsigned int i = 0; i < 1000; i++)
		nst_free_rcu(object_of(cache));
	nst_test_now_ns += 2000000000;
	check(nst_rcu_barrier() == 0 && in_use(cache) == 0, "and all that is retired is freed",
	      "%llu in use", (unsigned long long)in_use(cache));
	nst_test_fail[NST_FAIL_BARRIER] = 0;
}

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	clock_stands();
	run_on_cpu(0, cpu_nth(0));
	cache = cache_of("retired", 96);
	other = cache_of("other", 200);
	too_early();
	use();
	by_cache();
	by_mixed();
	by_dead_bit();
	by_descriptor();
	by_head();
	by_foreign();
	bulk();
	long_bulk();
	reader_sees_all();
	fenced();
	check(nst_cache_destroy(cache) == 0 && nst_cache_destroy(other) == 0,
	      "and the caches can go", "they cannot");
	return check_status();
}
