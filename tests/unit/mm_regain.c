/* SPDX-License-Identifier: MIT */
/*
 * mm_regain.c - who allocates takes what is ripe off his ring, presses where it is time, and waits for nobody.
 *
 * Without a worker, and no pass but those made here: what comes back was taken by an allocation.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "retire.h"

#define PRESSING 32u /* as in mm/retire/regain.c */
#define ROUNDS 1000u /* times that all of a sheaf is allocated and retired */

static struct nst_cache *cache;
static struct nst_ring *ring;

static void begin(void)
{
	cache = cache_of("regain", 64);
	ring = ring_for(cache, &cache->dead);
	ways_look();
}

static void end(const char *name)
{
	check(nst_rcu_barrier() == 0 && in_use(cache) == 0 && ways_now().waiting_bytes == 0, name,
	      "%llu in use, %llu bytes wait", (unsigned long long)in_use(cache),
	      (unsigned long long)ways_now().waiting_bytes);
	check_quiet(nst_cache_destroy(cache) == 0, name, "some are alive");
}

/* @n pages are sealed. */
static void seal(unsigned int n)
{
	unsigned int i;

	while (nst_ring_ready(ring) < n + 1)
		nst_channel_make_ready(cache, &cache->dead, nst_ring_here(), n + 1);
	for (i = 0; i <= n * cache->batch; i++)
		nst_free_rcu(object_of(cache));
	check_quiet(nst_ring_sealed(ring) == n, "(pages are sealed)", "%u of %u",
		    nst_ring_sealed(ring), n);
}

/* How many objects one allocation would take; they are free. */
static u32 regained(void)
{
	u64 before = in_use(cache);
	struct nst_sheaf *s = nst_regain(cache);

	if (s)
		nst_sheaf_put_waits(cache, s);
	return (u32)(before - in_use(cache));
}

static u64 waiting(void)
{
	return ways_now().waiting_bytes;
}

static u64 periods(void)
{
	struct nst_rcu_numbers n;

	nst_rcu_numbers(&n);
	return n.periods;
}

/* ---- what is ripe ---- */

static void taken_whole(void)
{
	u64 before;

	begin();
	check(regained() == 0, "of nothing nothing is taken", "there is");
	seal(2);
	before = periods();
	check(regained() == 0 && periods() == before && nst_ring_sealed(ring) == 2,
	      "nor of what is not ripe, while there is room", "%llu periods",
	      (unsigned long long)(periods() - before));
	nst_synchronize_rcu();
	check(regained() == cache->batch && nst_ring_sealed(ring) == 1 &&
		      waiting() == (u64)cache->batch * cache->slot,
	      "what is ripe is taken, one page", "%u sealed, %llu bytes wait",
	      nst_ring_sealed(ring), (unsigned long long)waiting());
	check(regained() == cache->batch && waiting() == 0 && regained() == 0,
	      "then the next, and no open page", "%llu bytes wait", (unsigned long long)waiting());
	end("and what is open is freed as ever");
}

/* The oldest first, and in order, where no free is looked at. */
static void taken_as_it_is(void)
{
	void *first[NST_SHEAF_MAX];
	struct nst_sheaf *s;
	u32 i, other = 0;

	begin();
	for (i = 0; i < cache->batch; i++) {
		first[i] = object_of(cache);
		nst_free_rcu(first[i]);
	}
	nst_free_rcu(object_of(cache));
	nst_synchronize_rcu();
	s = nst_regain(cache);
	for (i = 0; s && i < s->count; i++)
		other += s->obj[i] != first[i];
	check((s && s->count == cache->batch && other == 0) || nst_mm.instrument,
	      "a page is a sheaf as it is", "%u others", other);
	if (s)
		nst_sheaf_put_waits(cache, s);
	end("all is freed");
}

/* Others make the periods. */
static void ring_keeps_its_pages(void)
{
	unsigned int i, pages;

	begin();
	pages = ring->head - ring->tail;
	for (i = 0; i < 20u * cache->batch; i++) {
		if (i % cache->batch == 0) {
			nst_synchronize_rcu();
			regained();
		}
		nst_free_rcu(object_of(cache));
	}
	check(ring->head - ring->tail == pages, "for a page that is taken the ring has another",
	      "%u, not %u", ring->head - ring->tail, pages);
	ways_check("so it lasts", (struct nst_retired_stats){.sealed_pages = 19});
	end("all is freed");
}

/* Cuts have freed the first 5 of a page, and all of another. */
static void taken_in_part(void)
{
	u32 i, n, left;

	begin();
	for (i = 0; i < 5; i++)
		nst_free_rcu(object_of(cache));
	nst_rcu_barrier();
	while (nst_ring_sealed(ring) == 0)
		nst_free_rcu(object_of(cache));
	nst_synchronize_rcu();
	n = regained();
	check(n == cache->batch - 5u && waiting() == 0,
	      "what was freed of a page is not taken again", "%u, %llu bytes wait", n,
	      (unsigned long long)waiting());
	for (left = cache->batch - nst_ring_look(ring).to; left; left--)
		nst_free_rcu(object_of(cache));
	nst_rcu_barrier();
	nst_free_rcu(object_of(cache));
	check_quiet(nst_ring_sealed(ring) == 1, "(a page is sealed)", "it is not");
	nst_synchronize_rcu();
	check(regained() == 0 && nst_ring_sealed(ring) == 0 && waiting() == 0,
	      "and of one all of which was freed the page alone goes", "%u sealed, %llu bytes",
	      nst_ring_sealed(ring), (unsigned long long)waiting());
	end("nothing is lost of them");
}

/* A round has noted what the open page held; it is sealed, and regained, before the round's period is looked at. */
static void round_is_stale(void)
{
	nst_rcu_token_t t;
	u32 n;

	begin();
	t = nst_rcu_read_begin();
	for (unsigned int i = 0; i < 5; i++)
		nst_free_rcu(object_of(cache));
	pass();
	while (nst_ring_sealed(ring) == 0)
		nst_free_rcu(object_of(cache));
	nst_rcu_read_end(t);
	nst_synchronize_rcu();
	n = regained();
	passes();
	check(n == cache->batch && waiting() == 0 && in_use(cache) == 0,
	      "what a round had noted of it is not freed again", "%u taken, %llu in use", n,
	      (unsigned long long)in_use(cache));
	end("and the round ends");
}

/* ---- who may ---- */

static void *alloc_in(nst_mode_t mode, uint32_t scope)
{
	nst_scope_t in = nst_scope_enter(scope);
	void *p = nst_cache_alloc(cache, mode);

	nst_scope_exit(in);
	return p;
}

static void by_mode(void)
{
	static const struct {
		nst_mode_t mode;
		uint32_t scope;
		u32 taken;
	} ask[] = {
		{NST_FASTTRY, 0, 0},
		{NST_NOLOCK, 0, 0},
		{NST_ATOMIC, 0, 0},
		{NST_NOWAIT, 0, 0},
		{NST_NORMAL, NST_SCOPE_NOLOCK, 0},
		{NST_NORMAL, NST_SCOPE_NORECLAIM, 0},
		{NST_NORMAL, 0, 1},
		{NST_NORETRY, 0, 1},
		{NST_NOFAIL | NST_NOIO | NST_NOCLIENT, 0, 1},
	};

	begin();
	seal(2u * NST_ARRAY_SIZE(ask));
	nst_synchronize_rcu();
	for (unsigned int i = 0; i < NST_ARRAY_SIZE(ask); i++) {
		u32 before = nst_ring_sealed(ring);
		char name[64];

		nst_cache_drain(cache);
		nst_free(alloc_in(ask[i].mode, ask[i].scope));
		nst_mode_name(ask[i].mode, name, sizeof(name));
		check(before - nst_ring_sealed(ring) == ask[i].taken,
		      "who may sleep takes, and nobody else", "%s in scope %u: %u pages", name,
		      ask[i].scope, before - nst_ring_sealed(ring));
	}
	nst_lock_wait(&nst_retired.lock);
	check(regained() == 0, "the lock is not waited for", "it is taken");
	nst_unlock(&nst_retired.lock);
	end("all comes back");
}

/* ---- pressing ---- */

static void pressed_when_many(void)
{
	u64 before;
	u32 n;

	begin();
	seal(PRESSING - 1);
	before = periods();
	check(regained() == 0 && periods() == before, "fewer than many do not press",
	      "%llu periods", (unsigned long long)(periods() - before));
	end("all is freed");
	begin();
	seal(PRESSING);
	before = periods();
	n = regained();
	check(n == cache->batch && periods() == before + 1, "many do: one period for them",
	      "%u, %llu periods", n, (unsigned long long)(periods() - before));
	for (n = 1; nst_ring_sealed(ring); n++)
		check_quiet(regained() == cache->batch, "and for all", "page %u", n);
	check(n == PRESSING && periods() == before + 1, "which makes all ripe", "%u, %llu periods",
	      n, (unsigned long long)(periods() - before));
	check(nst_ring_ready(ring) >= PRESSING, "and pages are ready", "%u", nst_ring_ready(ring));
	end("all were freed");
}

static void pressed_when_none_ready(void)
{
	u32 n;

	begin();
	while (nst_ring_ready(ring))
		nst_free_rcu(object_of(cache));
	nst_cache_drain(cache);
	nst_free(nst_cache_alloc(cache, NST_NORMAL));
	n = nst_ring_ready(ring);
	check(nst_ring_sealed(ring) == 1 && n == 5,
	      "where no page is ready twice what is sealed is, and for what is taken one",
	      "%u sealed, %u ready", nst_ring_sealed(ring), n);
	ways_check("nothing went another way", (struct nst_retired_stats){.sealed_pages = 2});
	end("all is freed");
}

/* The thread's own section; another's comes from whom nothing is known. */
static void not_in_a_section(void)
{
	nst_rcu_token_t t;
	u64 before;

	begin();
	t = nst_rcu_read_begin();
	seal(2 * PRESSING);
	before = periods();
	check(regained() == 0 && nst_rcu_own->started == nst_rcu_own->done && periods() == before,
	      "in a section, which it would wait for, no period is begun", "it is");
	nst_rcu_read_end(t);
	check(regained() == cache->batch, "after it one is", "it is not");
	end("all is freed");
}

static sem_t entered, let_go;

static void *reader(void *arg)
{
	nst_rcu_token_t t = nst_rcu_read_begin();

	sem_post(&entered);
	sem_wait(&let_go);
	nst_rcu_read_end(t);
	return arg;
}

static void another_reads(void)
{
	unsigned int i, n, pressed = 0;
	pthread_t thread;
	u32 last;

	begin();
	if (pthread_create(&thread, NULL, reader, NULL))
		check_broken("a thread");
	sem_wait(&entered);
	last = ring->pressed;
	for (i = 0; i < 100; i++) {
		for (n = 0; n < cache->batch; n++)
			nst_free_rcu(object_of(cache));
		check_quiet(regained() == 0, "nothing is taken that another may see", "page %u", i);
		pressed += ring->pressed != last;
		last = ring->pressed;
	}
	check(nst_ring_sealed(ring) == 99, "a reader that stays is not waited for", "%u",
	      nst_ring_sealed(ring));
	check(pressed > 1 && pressed <= 20, "and pressed for now and then", "%u times", pressed);
	sem_post(&let_go);
	pthread_join(thread, NULL);
	nst_synchronize_rcu();
	check(regained() == cache->batch, "when it has gone, all is ripe", "it is not");
	end("all is freed");
}

static void period_in_other_hands(void)
{
	begin();
	seal(PRESSING);
	nst_lock_wait(&nst_rcu_lock);
	check(regained() == 0, "who makes a period is not waited for", "it is made");
	nst_unlock(&nst_rcu_lock);
	end("all is freed");
	begin();
	seal(PRESSING);
	nst_sys_barrier_ok = 0;
	check(regained() == 0, "nor are CPUs visited for it", "they are");
	nst_sys_barrier_ok = 1;
	end("all is freed");
}

/* ---- who allocates is stopped in the midst of it ---- */

#define STOCK 500u

static void stop(void)
{
	nst_test_held = NULL;
	sem_post(&entered);
	sem_wait(&let_go);
}

static void stop_in_a_period(int lock_class)
{
	if (lock_class == NST_LOCK_RCU)
		stop();
}

static unsigned int on_this_cpu(struct nst_cache *c)
{
	unsigned int n = 0;

	while (nst_cache_alloc(c, NST_FASTTRY))
		n++;
	return n;
}

static unsigned int refilled;

static void *maintain(void *stocked)
{
	sem_wait(&entered);
	pass();
	refilled = on_this_cpu(stocked);
	sem_post(&let_go);
	return NULL;
}

static void refills_go_on(void)
{
	struct nst_cache *stocked = cache_of("stocked", 128);
	unsigned int before;
	pthread_t thread;

	begin();
	if (nst_stock(stocked, STOCK, NST_CPU_THIS) ||
	    pthread_create(&thread, NULL, maintain, stocked))
		check_broken("a stock, or a thread");
	before = on_this_cpu(stocked);
	seal(PRESSING);
	nst_test_held = stop_in_a_period;
	regained();
	check(!nst_test_held, "(it was stopped while it pressed)", "it was not");
	if (nst_test_held)
		stop(); /* the other thread waits for it */
	pthread_join(thread, NULL);
	check(before >= STOCK && refilled >= STOCK, "who has no CPU for it holds up no refill",
	      "%u of %u no-lock objects", refilled, before);
	end("all is freed");
}

/* ---- what it is for ---- */

/* Allocates and retires far more than rings and mixed pages have room for: 1 if it lives on what it retires. */
static int lives_on_it(const char *name)
{
	struct nst_retired_stats before = ways_now();
	unsigned int i;

	for (i = 0; i < ROUNDS * cache->batch; i++) {
		void *p = nst_cache_alloc(cache, NST_NORMAL);

		if (!p)
			check_broken("memory");
		nst_free_rcu(p);
	}
	check(cache->node[0]->nr_slabs * cache->slots < ROUNDS / 8 * cache->batch, name,
	      "%llu slabs of %u", (unsigned long long)cache->node[0]->nr_slabs, cache->slots);
	check(ways_now().mixed == before.mixed && ways_now().dead_bits == before.dead_bits,
	      "and all finds room in its own ring", "%llu mixed, %llu dead bits",
	      (unsigned long long)(ways_now().mixed - before.mixed),
	      (unsigned long long)(ways_now().dead_bits - before.dead_bits));
	return check_status();
}

static void who_allocates(void)
{
	u64 meta;

	begin();
	lives_on_it("who retires and allocates by turns lives on what he retires");
	meta = nst_meta_bytes();
	lives_on_it("and again");
	check(nst_meta_bytes() == meta, "on the same pages", "%llu bytes more",
	      (unsigned long long)(nst_meta_bytes() - meta));
	end("all is freed");
}

static void in_a_child(void)
{
	pid_t pid;

	begin();
	seal(PRESSING + 3);
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		check_broken("fork");
	if (pid == 0) {
		lives_on_it("a child of a fork, too, and on what its parent had retired");
		end("all is freed there");
		fflush(stdout);
		_exit(check_status());
	}
	check_child(pid, 20, 0, "(the child)");
	end("and here");
}

static struct nst_rcu_head head;

static void allocates(struct nst_rcu_head *h)
{
	(void)h;
	lives_on_it("a function that is called may");
}

static void in_a_function(void)
{
	begin();
	nst_call_rcu(&head, allocates, 1);
	nst_rcu_barrier();
	end("all is freed");
}

/* Unchecked: this thread holds a lock of grace periods in the place of another, and goes on. */
TEST_CONF("worker:off,nodes:1,warn:off" CONF_UNCHECKED)

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	clock_stands();
	run_on_cpu(0, cpu_nth(0));
	taken_whole();
	taken_as_it_is();
	ring_keeps_its_pages();
	taken_in_part();
	round_is_stale();
	by_mode();
	if (!nst_sys_barrier_ok)
		return check_status(); /* nobody presses */
	pressed_when_many();
	pressed_when_none_ready();
	not_in_a_section();
	another_reads();
	period_in_other_hands();
	refills_go_on();
	who_allocates();
	in_a_child();
	in_a_function();
	return check_status();
}
