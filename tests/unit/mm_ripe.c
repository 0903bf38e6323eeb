/* SPDX-License-Identifier: MIT */
/*
 * mm_ripe.c - rounds: what was retired before one began is freed with it, all of it, and nothing before its period.
 *
 * Passes are made one by one, under a section that keeps the period from ending, so that a page is sealed, a round too
 * short or a sheaf one too many exactly when it is wanted.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <unistd.h>
#include "retire.h"

static struct nst_cache *cache;
static struct nst_ring *ring;

static void begin(size_t size)
{
	cache = cache_of("ripe", size);
	ring = ring_for(cache, &cache->dead);
}

static void end(const char *name)
{
	check(nst_rcu_barrier() == 0 && in_use(cache) == 0 && ways_now().waiting_bytes == 0, name,
	      "%llu in use, %llu bytes wait", (unsigned long long)in_use(cache),
	      (unsigned long long)ways_now().waiting_bytes);
	check_quiet(nst_cache_destroy(cache) == 0, name, "some are alive");
}

static void retire_many(unsigned int n)
{
	while (n--)
		nst_free_rcu(object_of(cache));
}

static unsigned int batches(unsigned int n)
{
	return n * cache->batch;
}

/* ---- open pages ---- */

static void by_prefix(void)
{
	nst_rcu_token_t t;

	begin(96);
	t = nst_rcu_read_begin();
	retire_many(5);
	passes();
	retire_many(3);
	check(nst_ring_look(ring).from == 0 && nst_ring_look(ring).to == 8,
	      "an open page goes on filling", "%u", nst_ring_look(ring).to);
	nst_rcu_read_end(t);
	t = nst_rcu_read_begin(); /* the next round does not end */
	passes();
	check(nst_ring_look(ring).from == 5 && in_use(cache) == 3,
	      "what it held as the round began is freed", "%u, %llu in use",
	      nst_ring_look(ring).from, (unsigned long long)in_use(cache));
	nst_rcu_read_end(t);
	passes();
	check(nst_ring_look(ring).from == 8 && nst_ring_look(ring).to == 8 && in_use(cache) == 0,
	      "the rest with the next round, the page still open", "%u, %llu in use",
	      nst_ring_look(ring).from, (unsigned long long)in_use(cache));
	end("nothing is left of it");
}

/* The page is sealed and taken while the round waits: the cut is stale. */
static void stale(void)
{
	nst_rcu_token_t t, u;

	begin(96);
	t = nst_rcu_read_begin();
	retire_many(5);
	passes();
	retire_many(batches(1));
	check(nst_ring_sealed(ring) == 1, "(the page is sealed)", "it is not");
	passes();
	check(nst_ring_sealed(ring) == 0 && in_use(cache) == batches(1) + 5, "(and taken)",
	      "%llu in use", (unsigned long long)in_use(cache));
	u = nst_rcu_read_begin();
	nst_rcu_read_end(t);
	passes();
	check(in_use(cache) == batches(1) + 5, "what the round had noted of it is left to the next",
	      "%llu in use", (unsigned long long)in_use(cache));
	nst_rcu_read_end(u);
	end("which frees it, once");
}

/* A barrier that begins while a round is on. */
static nst_rcu_token_t held;

static void *let_go_later(void *arg)
{
	(void)arg;
	usleep(20000);
	nst_rcu_read_end(held);
	return NULL;
}

static void barrier_waits(void)
{
	pthread_t thread;

	for (unsigned int n = 1; n <= 5; n++) {
		begin(96);
		held = nst_rcu_read_begin();
		retire_many(n * 7);
		pass();
		retire_many(batches(1) - 3);
		if (pthread_create(&thread, NULL, let_go_later, NULL))
			check_broken("a thread");
		nst_rcu_barrier();
		check_quiet(in_use(cache) == 0, "a barrier waits for what came after a round began",
			    "%llu in use", (unsigned long long)in_use(cache));
		pthread_join(thread, NULL);
		end("a barrier waits for what came after a round began");
	}
}

/* ---- rounds that do not take all ---- */

#define MANY_CACHES 700u

static void many_open_pages(void)
{
	static struct nst_cache *c[MANY_CACHES];
	nst_rcu_token_t t;
	unsigned int i;
	u64 left = 0;

	for (i = 0; i < MANY_CACHES; i++) {
		c[i] = cache_of("many", 64);
		ring_for(c[i], &c[i]->dead);
		nst_free_rcu(object_of(c[i]));
	}
	t = nst_rcu_read_begin();
	pass();
	nst_rcu_read_end(t);
	nst_retired_settle();
	for (i = 0; i < MANY_CACHES; i++)
		left += in_use(c[i]);
	check(left == 0, "more open pages than a round has room for: a barrier waits for all",
	      "%llu in use", (unsigned long long)left);
	for (i = 0; i < MANY_CACHES; i++)
		left += nst_cache_destroy(c[i]);
	check(left == 0, "and the caches can go", "%llu alive", (unsigned long long)left);
}

static void many_dead_words(void)
{
	enum { NR = 3000 };
	unsigned int i;

	begin(1024); /* each in a word of its own */
	ways_look();
	for (i = 0; i < NR; i++)
		if (nst_dead_set(object_of(cache)) == 0)
			nst_add_relaxed(&nst_retired.bytes, cache->slot);
	nst_retired_settle();
	check(in_use(cache) == 0,
	      "more dead words than a round has room for: a barrier waits for all", "%llu in use",
	      (unsigned long long)in_use(cache));
	end("nothing is left");
}

/* The tables of a round get no longer, and open pages no copy. */
static void without_memory(void)
{
	begin(1024);
	for (unsigned int i = 0; i < 2000; i++)
		if (nst_dead_set(object_of(cache)) == 0)
			nst_add_relaxed(&nst_retired.bytes, cache->slot);
	retire_many(3);
	nst_test_fail[NST_FAIL_META] = -1;
	nst_retired_settle();
	nst_test_fail[NST_FAIL_META] = 0;
	check(in_use(cache) == 0, "without memory it takes more rounds", "%llu in use",
	      (unsigned long long)in_use(cache));
	end("and all are freed");
}

/* ---- periods ---- */

/* Sealed and stamped before a period that has ended. */
static void elapsed_at_once(void)
{
	nst_rcu_token_t t;

	begin(96);
	retire_many(batches(2));
	nst_synchronize_rcu();
	t = nst_rcu_read_begin();
	check(nst_ring_sealed(ring) == 1, "(one page is sealed)", "%u", nst_ring_sealed(ring));
	passes();
	check(in_use(cache) == batches(1), "a page whose period is over is freed as it is taken",
	      "%llu in use", (unsigned long long)in_use(cache));
	nst_rcu_read_end(t);
	end("the open one after its own");
}

static void readers_in_turn(void)
{
	nst_rcu_token_t t[3];
	unsigned int i;

	begin(96);
	t[0] = nst_rcu_read_begin();
	retire_many(batches(1) + 1);
	for (i = 1; i < 3; i++) {
		passes();
		t[i] = nst_rcu_read_begin();
	}
	nst_rcu_read_end(t[1]);
	nst_rcu_read_end(t[2]);
	passes();
	check(in_use(cache) == batches(1) + 1, "the oldest reader decides", "%llu in use",
	      (unsigned long long)in_use(cache));
	nst_rcu_read_end(t[0]);
	end("and none is left without");
}

/* ---- where it goes ---- */

static u64 in_barn(void)
{
	struct nst_cache_stats s;

	nst_stats_cache(cache->id, &s);
	return s.in_barn;
}

static void to_barn(void)
{
	struct nst_sheaf *page, *s;
	void *obj[NST_SHEAF_MAX];
	u32 wrong = 0, n, i;

	begin(96);
	retire_many(batches(1));
	page = nst_ring_look(ring).page;
	n = page->count;
	memcpy(obj, page->obj, n * sizeof(*obj));
	retire_many(1);
	nst_synchronize_rcu();
	if (nst_mm.instrument) {
		end("(each is freed alone here)");
		return;
	}
	pass();
	for (s = cache->node[0]->full; s && s != page; s = s->next)
		;
	check(s && s->count == n && in_barn() >= n, "a ripe page is a sheaf of the barn",
	      "%llu in barn", (unsigned long long)in_barn());
	for (i = 0; s == page && i < n; i++)
		wrong += s->obj[i] != obj[i];
	check(wrong == 0, "as it was", "%u differ", wrong);
	end("and is allocated from");
}

/* Past what a barn may have of them they go to their slabs. */
static void past_the_cap(void)
{
	enum { RIPE_SHEAVES = 256 }; /* as ripe.c has it */
	struct nst_cache_stats s;

	begin(32);
	for (unsigned int i = 0; i < 12; i++) {
		static void *all[40000];
		unsigned int n = batches(60), k;

		for (k = 0; k < n; k++)
			all[k] = object_of(cache);
		nst_free_rcu_bulk(n, all);
		nst_retired_settle();
	}
	nst_stats_cache(cache->id, &s);
	check(cache->node[0]->nr_full <= RIPE_SHEAVES,
	      "a barn has no more ripe sheaves than its cap", "%u", cache->node[0]->nr_full);
	nst_maintain_pause();
	for (unsigned int i = 0; i < RIPE_SHEAVES + 10; i++) {
		struct nst_sheaf *full = nst_sheaf_filled(cache, 0);

		if (!full)
			check_broken("a sheaf");
		if (!nst_barn_add_ripe(cache, full, RIPE_SHEAVES)) {
			nst_sheaf_flush(cache, full);
			nst_sheaf_delete(full);
		}
	}
	nst_maintain_resume();
	check(cache->node[0]->nr_full == RIPE_SHEAVES, "(the barn is full)", "%u",
	      cache->node[0]->nr_full);
	retire_many(batches(3));
	nst_retired_settle();
	check(cache->node[0]->nr_full == RIPE_SHEAVES && in_use(cache) == 0,
	      "what finds no room there finds it elsewhere", "%u, %llu in use",
	      cache->node[0]->nr_full, (unsigned long long)in_use(cache));
	end("none is lost");
}

/* ---- rcu_budget:64K ---- */

static u64 nulls_of(enum nst_null_reason why)
{
	static struct nst_stats s;

	nst_stats_read(&s, sizeof(s));
	return s.null_reasons[why];
}

static void crossed(const char *name, nst_mode_t mode, int served)
{
	u64 before = nulls_of(NST_NULL_RETIRED);
	void *run = nst_pages_alloc(0, mode), *obj = nst_alloc(40000, mode);

	check(!run == !served && !obj == !served &&
		      nulls_of(NST_NULL_RETIRED) - before == (served ? 0 : 2u),
	      name, "%p, %p, %llu reasons", run, obj,
	      (unsigned long long)(nulls_of(NST_NULL_RETIRED) - before));
	nst_free(run);
	nst_free(obj);
}

/* A class whose lists are empty: what lies on this CPU costs nobody anything and is served. */
static void nolock_crossed(void)
{
	struct nst_cache *c = cache_of("empty", 512);
	u64 before = nulls_of(NST_NULL_RETIRED);

	check(!nst_cache_alloc(c, NST_NOLOCK) && !nst_cache_alloc_nolock(c) &&
		      !nst_pages_alloc_nolock(0) && !nst_cache_alloc(c, NST_FASTTRY),
	      "no-lock requests are NULL", "one is served");
	check(nulls_of(NST_NULL_RETIRED) - before == 4, "each with its reason", "%llu of 4",
	      (unsigned long long)(nulls_of(NST_NULL_RETIRED) - before));
	nst_cache_destroy(c);
}

static void served_again(void)
{
	void *run;

	check(nst_rcu_barrier() == 0 && !nst_retired_is_over(),
	      "when the reader has left nothing waits", "%llu bytes",
	      (unsigned long long)nst_retired_bytes());
	crossed("and all are served again", NST_NORMAL, 1);
	crossed("as is NOWAIT", NST_NOWAIT, 1);
	nst_maintain();
	run = nst_pages_alloc_nolock(0);
	check(run != NULL, "and NOLOCK", "NULL");
	nst_pages_free(run);
}

static void over_budget(void)
{
	nst_rcu_token_t t = nst_rcu_read_begin();
	void *p[3] = {nst_alloc(40000, NST_NORMAL), nst_alloc(30000, NST_NORMAL),
		      nst_alloc(40000, NST_NORMAL)};

	nst_free_rcu(p[0]);
	check(!nst_retired_is_over() && nst_retired_bytes() == 40960,
	      "below rcu_budget all is as ever", "%llu bytes",
	      (unsigned long long)nst_retired_bytes());
	crossed("(served)", NST_NORMAL, 1);
	nst_free_rcu(p[2]);
	check(nst_retired_is_over(), "above it requests give way", "%llu bytes",
	      (unsigned long long)nst_retired_bytes());
	crossed("who may sleep is slowed down, then refused", NST_NORMAL, 0);
	crossed("NORETRY too", NST_NORETRY, 0);
	crossed("who may not sleep is refused at once", NST_NOWAIT, 0);
	crossed("ATOMIC too", NST_ATOMIC, 0);
	nolock_crossed();
	crossed("NOFAIL is served", NST_NOFAIL, 1);
	nst_free_rcu(p[1]);
	check(nst_retired_bytes() == 40960 + 40960 + nst_cache_of_size(30000)->slot,
	      "retiring is never refused", "%llu bytes", (unsigned long long)nst_retired_bytes());
	nst_rcu_read_end(t);
	served_again();
}

static void fn_nothing(struct nst_rcu_head *head)
{
	(void)head;
}

static void heads_count(void)
{
	static struct nst_rcu_head head;

	nst_rcu_token_t t = nst_rcu_read_begin();
	nst_call_rcu(&head, fn_nothing, (size_t)1 << 20);
	check(nst_retired_is_over(), "what heads say counts", "%llu bytes",
	      (unsigned long long)nst_retired_bytes());
	crossed("and is refused for", NST_NORETRY, 0);
	nst_rcu_read_end(t);
	served_again();
}

static void *reader_leaves(void *arg)
{
	usleep(5000);
	nst_rcu_read_end(*(nst_rcu_token_t *)arg);
	return NULL;
}

/* The twenty milliseconds are time enough for a reader to leave. */
static void waits_for_reader(void)
{
	pthread_t thread;
	nst_rcu_token_t t = nst_rcu_read_begin();

	nst_free_rcu(nst_alloc(90000, NST_NORMAL));
	if (pthread_create(&thread, NULL, reader_leaves, &t))
		check_broken("a thread");
	for (unsigned int i = 0; i < 1000 && nst_retired_is_over(); i++)
		nst_free(nst_pages_alloc(0, NST_NORMAL));
	check(!nst_retired_is_over(), "who is slowed down frees what can be freed", "%llu bytes",
	      (unsigned long long)nst_retired_bytes());
	pthread_join(thread, NULL);
	served_again();
}

/* ---- how fast ---- */

/*
 * The worker makes a pass each millisecond while something waits, so that 100 ms are 100 of them. A flood of every kind
 * under a reader; from when he leaves passes are counted until a tenth waits.
 */
static void recovers(void)
{
	enum { MOST_PASSES_OF_RECOVERY = 4 };
	nst_rcu_token_t t = nst_rcu_read_begin();
	unsigned int n = 0;
	u64 waited;

	begin(96);
	for (unsigned int i = 0; i < 200; i++) {
		retire_many(100);
		nst_free_rcu(nst_alloc(50000, NST_NORMAL));
		pass();
	}
	waited = nst_retired_bytes();
	nst_rcu_read_end(t);
	for (; n < 100 && nst_retired_bytes() > waited / 10; n++)
		pass();
	check(waited > 200 * 50000 && n <= MOST_PASSES_OF_RECOVERY,
	      "a tenth waits a few passes after the reader has left", "%u for %llu bytes", n,
	      (unsigned long long)waited);
	end("and all of it is freed");
}

const char *test_conf(int argc, char **argv)
{
	(void)argv;
	return argc > 1 ? "worker:off,nodes:1,warn:off,rcu_budget:64K"
			: "worker:off,nodes:1,warn:off";
}

int main(int argc, char **argv)
{
	conf_apply(argv);
	check_deadline(55, "in time");
	clock_stands();
	run_on_cpu(0, cpu_nth(0));
	if (nst_rcu_use())
		check_broken("nst_rcu_use");
	if (argc > 1) {
		over_budget();
		heads_count();
		waits_for_reader();
		return check_status();
	}
	by_prefix();
	stale();
	barrier_waits();
	elapsed_at_once();
	readers_in_turn();
	recovers();
	to_barn();
	past_the_cap();
	many_dead_words();
	without_memory();
	many_open_pages();
	return check_status();
}
