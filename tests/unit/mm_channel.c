/* SPDX-License-Identifier: MIT */
/*
 * mm_channel.c - rings are made where they are wanted, have pages ready after what was taken, and go with their cache.
 *
 * Without memory a ring is missing, or short of pages, until the next pass that has some.
 */
#define _GNU_SOURCE
#include "retire.h"

static struct nst_cache *cache;

static void retire_many(unsigned int n)
{
	while (n--)
		nst_free_rcu(object_of(cache));
}

/* Who has the pass. */
static void wanted_once(void)
{
	nst_maintain_pause();
	nst_channel_ring_wanted(cache, &cache->dead);
	nst_maintain_resume();
}

static void made_where_wanted(void)
{
	unsigned int here = nst_ring_here(), i, n = 0;

	check(!nst_channel_is_open(&cache->dead), "a cache has no rings at first", "it has");
	wanted_once();
	check(!nst_channel_is_open(&cache->dead), "nor before one is wanted", "it has");
	retire_many(1);
	check(cache->dead.want == here + 1, "who finds none says where", "%u, not %u",
	      cache->dead.want, here + 1);
	wanted_once();
	for (i = 0; i < nst_ring_nr(&cache->dead.rings); i++)
		n += nst_ring_number(&cache->dead.rings, i) != NULL;
	check(n == 1 && nst_ring_number(&cache->dead.rings, here) && cache->dead.want == 0,
	      "and there one is made", "%u", n);
	check(nst_ring_ready(ring_here(&cache->dead)) == 2 &&
		      ring_room(ring_here(&cache->dead)) == 3u * cache->batch,
	      "with two pages ready, of a sheaf's size", "%u", ring_room(ring_here(&cache->dead)));
	check((void *)cache->main.real[NST_RINGS_BESIDE] == (void *)cache->dead.rings.fast,
	      "its table lies beside the stacks", "it does not");
}

/* What was sealed is taken; ready are twice as many after. */
static void ready_by_rate(void)
{
	struct nst_ring *r = ring_here(&cache->dead);
	unsigned int want = 2, i;

	for (i = 0; i < 4; i++) {
		u32 sealed;

		retire_many(ring_room(r));
		sealed = nst_ring_sealed(r);
		check_quiet(sealed == want && nst_ring_ready(r) == 0, "all pages are used",
			    "%u, %u ready", sealed, nst_ring_ready(r));
		pass();
		want = 2 * sealed;
		check(nst_ring_sealed(r) == 0 && nst_ring_ready(r) == want,
		      "as many pages are ready as twice what was taken", "%u, not %u",
		      nst_ring_ready(r), want);
	}
	nst_rcu_barrier();
	while (nst_ring_ready(r) < NST_RING_SLOTS - 3) {
		u32 before = nst_ring_ready(r);

		retire_many(ring_room(r));
		pass();
		check_quiet(nst_ring_ready(r) > before, "more are ready", "%u, not above %u",
			    nst_ring_ready(r), before);
		if (nst_ring_ready(r) <= before)
			break;
	}
	retire_many(ring_room(r));
	pass();
	check(nst_ring_ready(r) == NST_RING_SLOTS - 2, "up to the ring's room", "%u",
	      nst_ring_ready(r));
	nst_rcu_barrier();
}

/* Of a page part of which was freed the rest is taken. */
static void without_prefix(void)
{
	struct nst_ring *r = ring_here(&cache->dead);
	struct nst_sheaf *s;
	u32 before, first, i;

	retire_many(cache->batch - nst_ring_look(r).to % cache->batch + 1); /* a new page */
	pass();
	nst_rcu_barrier();
	first = nst_ring_look(r).to;
	check(first >= 1 && nst_ring_look(r).from == first, "what an open page holds was freed",
	      "%u of %u", nst_ring_look(r).from, first);
	for (i = first; i < cache->batch; i++) {
		void *p = object_of(cache);

		p = memset(p, (int)i, 1);
		nst_free_rcu(p);
	}
	retire_many(1);
	s = nst_channel_take(r, &before);
	check(s && before == first && s->count == cache->batch - first, "the rest is taken",
	      "%u, %u", before, s ? s->count : 0);
	for (i = 0; s && i < s->count; i++)
		check_quiet(*(unsigned char *)s->obj[i] == (unsigned char)(first + i),
			    "in order, the rest alone", "number %u", i);
	check(nst_channel_take(r, &before) == NULL && before == 0, "and nothing more", "there is");
	if (s) {
		nst_sub_relaxed(&nst_retired.bytes, (u64)cache->batch * cache->slot);
		nst_sheaf_flush(cache, s);
		nst_channel_page_free(cache, s);
	}
	nst_rcu_barrier();
	check(in_use(cache) == 0, "(all are freed)", "%llu", (unsigned long long)in_use(cache));
}

static void without_memory(void)
{
	struct nst_cache *c = cache_of("poor", 64);
	unsigned int n, mixed = 0;

	ways_look();
	for (n = 1; n < 7; n++) {
		mixed += ring_here(&c->dead) == NULL;
		nst_free_rcu(object_of(c));
		nst_hint_set(&c->dead.want, nst_ring_here() + 1);
		nst_test_fail[NST_FAIL_META] = (long)n;
		nst_maintain_pause();
		nst_channel_ring_wanted(c, &c->dead);
		nst_maintain_resume();
		if (nst_test_fail[NST_FAIL_META] > 0)
			break;
	}
	nst_test_fail[NST_FAIL_META] = 0;
	check(mixed > 1 && n < 7, "each step to a ring may fail, and is made again", "%u of %u",
	      mixed, n);
	ways_check("until then objects go the next way",
		   (struct nst_retired_stats){.mixed = mixed});
	pass();
	check(ring_here(&c->dead) && nst_ring_ready(ring_here(&c->dead)) == 2,
	      "in the end there is one, and pages", "there are not");
	nst_rcu_barrier();
	check(in_use(c) == 0 && nst_cache_destroy(c) == 0, "all are freed", "%llu are not",
	      (unsigned long long)in_use(c));
}

/* ---- the end of a cache ---- */

static void destroyed(void)
{
	u64 bytes = 0;
	u32 id = 0;
	void *p;

	for (unsigned int i = 0; i < 50; i++) {
		struct nst_cache *c = cache_of("short", 64);

		check_quiet(i == 0 || c->id == id, "(its number is used again)", "%u, not %u",
			    c->id, id);
		check_quiet(!nst_channel_is_open(&c->dead) && !c->dead.want,
			    "a number that is used again has no rings", "it has");
		id = c->id;
		ring_for(c, &c->dead);
		for (unsigned int k = 0; k < 3u * c->batch + 20; k++)
			nst_free_rcu(object_of(c));
		p = object_of(c);
		if (nst_dead_set(p) == 0)
			nst_add_relaxed(&nst_retired.bytes, c->slot);
		check_quiet(nst_cache_destroy(c) == 0,
			    "a cache goes with objects that wait in every way", "some are alive");
		if (i == 9)
			bytes = nst_meta_bytes();
	}
	check(nst_meta_bytes() == bytes, "50 caches with rings in turn use the same memory",
	      "%llu bytes more", (unsigned long long)(nst_meta_bytes() - bytes));
}

/* Objects in mixed pages alone, beside a ring whose open page was freed in part. */
static void destroyed_mixed(void)
{
	struct nst_cache *c = cache_of("mixed", 64);

	retire_many(1);
	nst_rcu_barrier();
	nst_free_rcu(object_of(c));
	check(!nst_channel_is_open(&c->dead) && ways_now().waiting_bytes == c->slot,
	      "an object waits in a mixed page", "%llu bytes",
	      (unsigned long long)ways_now().waiting_bytes);
	check(nst_cache_destroy(c) == 0, "its cache waits for it", "it does not");
}

static void nobodys_page(void)
{
	struct nst_page *p = nst_page_of(nst_pages_alloc(0, NST_NORMAL));
	struct nst_sheaf *s = nst_retired_page(p);

	check(s->count == 0 && s->cap == NST_PAGE_POINTERS &&
		      (char *)&s->obj[s->cap] == (char *)nst_page_address(p) + NST_PAGE_BYTES,
	      "a page is filled to its end", "%u", s->cap);
	nst_pages_free(nst_page_address(p));
}

TEST_CONF("worker:off,nodes:1,warn:off")

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	clock_stands();
	run_on_cpu(0, cpu_nth(0));
	cache = cache_of("channel", 96);
	check(nst_retired.ready && nst_mm.dead_bits,
	      "who compiles a call of nst_free_rcu() has nst_rcu_use() called before main()",
	      "not ready");
	made_where_wanted();
	ready_by_rate();
	without_prefix();
	without_memory();
	destroyed_mixed();
	destroyed();
	nobodys_page();
	check(nst_cache_destroy(cache) == 0, "and the cache can go", "it cannot");
	return check_status();
}
