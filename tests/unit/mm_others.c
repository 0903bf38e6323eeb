/* SPDX-License-Identifier: MIT */
/*
 * mm_others.c - C22: what is retired to domains that are not ours: each place is forced, each waits for the readers of its
 * domain, and nothing else waits for them.
 *
 * The domains are made up here: a reader is a number. Their threads make their periods, so what is to come is waited
 * for, and what is not to come is given the time in which all else came.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>
#include "fake.h"
#include "retire.h"

#define RUN_BYTES (9 * NST_PAGE_BYTES)
#define MAPPING_BYTES ((size_t)3 << 20)

static struct fake fakes[2];

static struct nst_rcu_domain *domain, *second;
static struct nst_cache *cache;

/* Returns once there is no reader. */
static void fake_synchronize(void *ctx)
{
	while (__atomic_load_n(&((struct fake *)ctx)->readers, __ATOMIC_ACQUIRE))
		usleep(100);
}

static struct nst_rcu_domain *make(const char *name, struct fake *f, int by_state)
{
	struct nst_rcu_domain_ops ops = {
		.synchronize = fake_synchronize, .read_ongoing = fake_ongoing, .ctx = f};
	struct nst_rcu_domain *d = NULL;

	if (by_state) {
		ops.online = fake_online;
		ops.offline = fake_offline;
	}
	if (nst_rcu_domain_create(name, &ops, &d))
		check_broken("nst_rcu_domain_create");
	return d;
}

static void readers(struct fake *f, int n)
{
	__atomic_store_n(&f->readers, n, __ATOMIC_RELEASE);
}

static struct nst_channel *mixed_of(const struct nst_rcu_domain *d)
{
	return &nst_retired.others[d - nst_rcu_domains];
}

static unsigned int held(const struct nst_rcu_domain *d)
{
	return __atomic_load_n(&d->holders, __ATOMIC_RELAXED);
}

/* Passes, and periods of domains' own threads, until @want objects are in use. */
static int comes_to(u64 want)
{
	uint64_t since = 0;

	while (in_use(cache) != want && check_patience(&since))
		pass();
	return in_use(cache) == want;
}

/* Something of ours and of the second domain is retired, and freed: long enough for what must not be. */
static void others_go(const char *name)
{
	u64 before = in_use(cache);

	nst_free_rcu(object_of(cache));
	nst_free_rcu_in(second, object_of(cache));
	check(comes_to(before), name, "%llu in use, not %llu", (unsigned long long)in_use(cache),
	      (unsigned long long)before);
	for (int i = 0; i < 20; i++) {
		pass();
		usleep(200);
	}
	check_quiet(in_use(cache) == before, name, "%llu in use, not %llu",
		    (unsigned long long)in_use(cache), (unsigned long long)before);
}

static void settle(const char *name)
{
	check(nst_rcu_barrier() == 0 && in_use(cache) == 0 && ways_now().waiting_bytes == 0 &&
		      held(domain) == 0 && held(second) == 0,
	      name, "%llu in use, %llu bytes wait, held %u and %u",
	      (unsigned long long)in_use(cache), (unsigned long long)ways_now().waiting_bytes,
	      held(domain), held(second));
	ways_look();
}

static void retire_many(unsigned int n)
{
	while (n--)
		nst_free_rcu_in(domain, object_of(cache));
}

/* ---- places ---- */

static void by_page(void)
{
	ring_for(NULL, mixed_of(second));
	ring_for(NULL, mixed_of(domain));
	ways_look();
	readers(&fakes[0], 1);
	retire_many(5);
	ways_check("an object goes to a page of its domain",
		   (struct nst_retired_stats){.others = 5});
	check(ways_now().waiting_bytes == 5 * cache->slot && held(domain) == 5,
	      "its bytes wait, and it holds the domain", "%llu, %u",
	      (unsigned long long)ways_now().waiting_bytes, held(domain));
	others_go("a reader there holds up nobody else");
	check(in_use(cache) == 5 && nst_rcu_domain_destroy(domain) == -EBUSY,
	      "but those, and the domain stays", "%llu in use", (unsigned long long)in_use(cache));
	readers(&fakes[0], 0);
	check(comes_to(0), "when it leaves they are freed", "%llu in use",
	      (unsigned long long)in_use(cache));
	settle("and nothing is held");
}

static void by_ready_page(void)
{
	struct nst_ring *r = ring_for(NULL, mixed_of(domain));
	unsigned int room = ring_room(r);

	readers(&fakes[0], 1);
	ways_look();
	retire_many(room);
	ways_check("full pages are followed by ready ones",
		   (struct nst_retired_stats){.others = room});
	check(nst_ring_sealed(r) > 0 && nst_ring_ready(r) == 0, "(all of them)", "%u ready",
	      nst_ring_ready(r));
	page_at_hand();
	retire_many(1);
	ways_check("then one is brought",
		   (struct nst_retired_stats){.others = 1, .brought_pages = 1});
	others_go("sealed pages, too, hold up nobody");
	check(in_use(cache) == room + 1, "and wait for their readers", "%llu in use",
	      (unsigned long long)in_use(cache));
	readers(&fakes[0], 0);
	settle("sealed, ready and brought pages are freed");
}

/* No page is left for either domain; ours goes to dead bits as well. */
static void no_room(void)
{
	struct nst_ring *r = ring_for(NULL, mixed_of(domain));

	retire_many(ring_room(r));
	no_pages_at_hand();
	ways_look();
}

static void by_dead_bit(void)
{
	void *p[3] = {object_of(cache), object_of(cache), object_of(cache)};

	readers(&fakes[0], 1);
	no_room();
	for (int i = 0; i < 3; i++)
		nst_free_rcu_in(domain, p[i]);
	ways_check("where no page is to be had it is a dead bit",
		   (struct nst_retired_stats){.dead_bits = 3});
	passes();
	if (nst_dead_set(object_of(cache)) == 0)
		nst_add_relaxed(&nst_retired.bytes, cache->slot);
	others_go("which holds up no page");
	check(in_use(cache) == held(domain) + 1, "but other dead bits", "%llu in use, %u held",
	      (unsigned long long)in_use(cache), held(domain));
	readers(&fakes[0], 0);
	settle("until it has gone");
	readers(&fakes[0], 1);
	if (nst_dead_set(object_of(cache)) == 0)
		nst_add_relaxed(&nst_retired.bytes, cache->slot);
	check(comes_to(0), "when it has none left dead bits no longer wait for it", "%llu in use",
	      (unsigned long long)in_use(cache));
	readers(&fakes[0], 0);
	settle("none is left");
}

/* The first of a domain. */
static void without_ring(void)
{
	static struct fake f;
	struct nst_rcu_domain *d = make("third", &f, 0);

	ways_look();
	nst_free_rcu_in(d, object_of(cache));
	ways_check("the first of a domain finds no ring",
		   (struct nst_retired_stats){.dead_bits = 1});
	check(comes_to(0) && ring_here(mixed_of(d)), "it is freed, and there is one", "%llu in use",
	      (unsigned long long)in_use(cache));
	nst_free_rcu_in(d, object_of(cache));
	ways_check("which takes the next", (struct nst_retired_stats){.others = 1});
	settle("that too");
	check(held(d) == 0 && nst_rcu_domain_destroy(d) == 0, "the domain can go", "%u held",
	      held(d));
	d = make("fourth", &f, 0);
	nst_free_rcu_in(d, object_of(cache));
	check(nst_rcu_barrier() == 0 && in_use(cache) == 0 && nst_rcu_domain_destroy(d) == 0,
	      "and another in its place", "%llu in use", (unsigned long long)in_use(cache));
}

static void by_descriptor(void)
{
	void *run = nst_alloc(RUN_BYTES, NST_NORMAL),
	     *mapping = nst_alloc(MAPPING_BYTES, NST_NORMAL);

	readers(&fakes[0], 1);
	ways_look();
	nst_free_rcu_in(domain, run);
	nst_free_rcu_in(domain, mapping);
	ways_check("a run and a mapping go by their descriptors",
		   (struct nst_retired_stats){.runs = 2});
	nst_free_rcu(nst_alloc(RUN_BYTES, NST_NORMAL));
	others_go("and hold up no other");
	check(ways_now().waiting_bytes == RUN_BYTES + MAPPING_BYTES && held(domain) == 2 &&
		      nst_page_of(run)->state == NST_PAGE_RUN_RETIRED &&
		      nst_page_of(mapping)->state == NST_PAGE_LARGE_RETIRED,
	      "those two wait", "%llu bytes", (unsigned long long)ways_now().waiting_bytes);
	readers(&fakes[0], 0);
	settle("for their readers");
}

static void by_our_own(void)
{
	nst_rcu_token_t t = nst_rcu_read_begin();

	readers(&fakes[0], 1);
	ring_for(cache, &cache->dead);
	ways_look();
	nst_free_rcu_in(NULL, object_of(cache));
	nst_free_rcu_in(NULL, NULL);
	nst_free_rcu_in(domain, NULL);
	ways_check("no domain is ours: the ring of its cache", (struct nst_retired_stats){0});
	passes();
	check(in_use(cache) == 1, "which waits for our readers", "%llu in use",
	      (unsigned long long)in_use(cache));
	nst_rcu_read_end(t);
	settle("and no others");
	t = nst_rcu_read_begin();
	nst_free_rcu_in(second, object_of(cache));
	check(comes_to(0), "what is not ours does not wait for ours", "%llu in use",
	      (unsigned long long)in_use(cache));
	nst_rcu_read_end(t);
	readers(&fakes[0], 0);
	settle("nothing is left");
}

/* ---- who waits ---- */

static void barrier_stands_aside(void)
{
	fakes[0].ongoing = 1;
	nst_free_rcu_in(domain, object_of(cache));
	check(nst_rcu_barrier() == -EDEADLK, "inside a section of such a domain: -EDEADLK", "0");
	fakes[0].ongoing = 0;
	settle("and behind it");
	fakes[1].ongoing = 1;
	nst_free_rcu_in(second, object_of(cache));
	settle("a reader by being online stands aside");
	check(fakes[1].offline == 1 && fakes[1].online == 1 && fakes[1].ongoing == 1,
	      "once, and comes back", "%d, %d", fakes[1].offline, fakes[1].online);
	settle("nobody stands aside for nothing");
	check(fakes[1].offline == 1, "(nor has)", "%d", fakes[1].offline);
	fakes[1].ongoing = 0;
}

static void cache_waits(void)
{
	struct nst_cache *c = cache_of("goes", 80);

	for (int i = 0; i < 40; i++)
		nst_free_rcu_in(i % 2 ? domain : second, object_of(c));
	check(nst_cache_destroy(c) == 0, "a cache waits for its own", "some are alive");
	settle("(all)");
}

/* ---- fork ---- */

/* 0, or the number of the check that failed. */
static inline int child(void)
{
	u64 before = in_use(cache);

	nst_test_now_ns = 0; /* a stall takes its time */
	nst_free_rcu_in(domain, object_of(cache));
	nst_free_rcu(object_of(cache));
	nst_free_rcu_in(second, object_of(cache));
	if (nst_rcu_barrier() != (before ? -EDEADLK : 0))
		return 2;
	if (in_use(cache) != (before ? before + 1 : 0))
		return 3;
	if (held(second) || nst_rcu_domain_destroy(second))
		return 4;
	return 0;
}

static inline void fork_child(const char *name)
{
	int status = 0, rc;
	pid_t pid = fork();

	if (pid == 0)
		_exit(child());
	rc = child_wait(pid, 40, &status);
	check(rc == 0 && status == 0, name, "%s", rc ? "hung" : child_status(status));
}

#if defined(__SANITIZE_THREAD__)
/* A child of its can make no thread. */
static void forks(void)
{
}
#else
static void forks(void)
{
	fork_child("in a child all is freed");
	readers(&fakes[0], 1);
	nst_free_rcu_in(domain, object_of(cache));
	fork_child("a reader caught by the fork: a barrier is refused, and all else freed");
	readers(&fakes[0], 0);
	settle("in the parent it leaves");
}
#endif

TEST_CONF("worker:off,nodes:1,warn:off,rcu_stall_ms:200")

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	check_deadline(60, "in time");
	clock_stands();
	run_on_cpu(0, cpu_nth(0));
	if (nst_rcu_use())
		check_broken("nst_rcu_use");
	cache = cache_of("others", 96);
	domain = make("first", &fakes[0], 0);
	second = make("second", &fakes[1], 1);
	by_page();
	if (check_status()) /* the rest takes its time to find the same */
		return check_status();
	by_ready_page();
	by_dead_bit();
	without_ring();
	by_descriptor();
	by_our_own();
	barrier_stands_aside();
	cache_waits();
	forks();
	check(nst_rcu_domain_destroy(domain) == 0 && nst_rcu_domain_destroy(second) == 0 &&
		      nst_cache_destroy(cache) == 0,
	      "all can go", "not all");
	return check_status();
}
