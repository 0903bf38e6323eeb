/* SPDX-License-Identifier: MIT */
/*
 * mm_pool.c - a pool serves when the cache cannot, is refilled first, and says what goes against what was stated.
 *
 * C24 in one thread, and one that waits; floods by others, handlers and system calls: contract/prefill, torture/pool.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "mm/claim/pool.h"
#include "common/check.h"
#include "common/pattern.h"
#include "common/said.h"
#include "common/trap.h"
#include "common/trap.h"
#include "reserve.h"

#define BYTES 200u
#define MOST 2000u

static struct nst_cache *plain, *built;
static void *held[MOST];

static void build(void *obj)
{
	*(uint64_t *)obj = 42;
}

static struct nst_pool_stats now(void)
{
	static struct nst_stats s;

	nst_stats_read(&s, sizeof(s));
	return s.pools;
}

static struct nst_pool *pool_of(struct nst_cache *cache, unsigned int min_nr, unsigned int holders,
				unsigned int held_max)
{
	struct nst_pool *pool = nst_pool_create(cache, min_nr, holders, held_max);

	if (!pool)
		check_broken("nst_pool_create");
	return pool;
}

static unsigned int take_all(struct nst_pool *pool, nst_mode_t mode)
{
	unsigned int n = 0, i, k;

	while (n < MOST && (held[n] = nst_pool_alloc(pool, mode)) != NULL)
		n++;
	for (i = 0; i < n; i++)
		for (k = 0; k < i; k++)
			if (held[i] == held[k])
				check(0, "C24 handed out once", "%u and %u of %u", i, k, n);
	for (i = 0; i < n; i++)
		pattern_fill(held[i], BYTES, i);
	return n;
}

static void give_all(struct nst_pool *pool, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		check_quiet(pattern_check(held[i], BYTES, i) == BYTES, "as written", "%u is not",
			    i);
		if (i % 2)
			nst_pool_free(pool, held[i]);
		else
			nst_pool_free_nolock(pool, held[i]);
	}
}

/* Its size is one of no chunk, of several, and of all at once. */
static void serves(unsigned int min_nr)
{
	static const nst_mode_t modes[] = {NST_NOWAIT, NST_ATOMIC, NST_NOLOCK, NST_FASTTRY,
					   NST_NORETRY};
	struct nst_pool *pool = pool_of(plain, min_nr, 1, min_nr);
	struct nst_pool_stats before = now();
	void *p = nst_pool_alloc(pool, NST_NORMAL);
	unsigned int i, n;

	check(now().pool_from_cache == before.pool_from_cache + 1 &&
		      now().pool_from_pool == before.pool_from_pool,
	      "while the cache has some, the pool is left alone", "it is not");
	nst_pool_free(pool, p);
	flood(plain);
	for (i = 0; i < NST_ARRAY_SIZE(modes); i++) {
		n = take_all(pool, modes[i]);
		check(n == min_nr && lines == 0,
		      "C24 all memory taken: the pool's are there, and then NULL", "%u of %u, %s",
		      n, min_nr, said);
		give_all(pool, n);
		flood(plain);
		check(pool->out == 0 && nst_cache_alloc(plain, NST_NOWAIT) == NULL,
		      "C24 what is given back is the pool's before anybody's", "it is not");
	}
	flood_end(0);
	check(nst_pool_destroy(pool) == 0, "destroyed", "not");
}

/* ---- who waits ---- */

static struct waiter {
	struct nst_pool *pool;
	nst_mode_t mode;
	void *got;
	int done;
} waiter;

static void *wait_for_it(void *arg)
{
	struct waiter *w = arg;

	w->got = nst_pool_alloc(w->pool, w->mode);
	__atomic_store_n(&w->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void is_woken(nst_mode_t mode, void (*give)(struct nst_pool *pool, void *obj))
{
	uint64_t before = now().pool_waited;
	pthread_t t;
	void *mine;

	waiter = (struct waiter){.pool = pool_of(plain, 1, 0, 0), .mode = mode};
	flood_reserve(plain);
	mine = nst_pool_alloc(waiter.pool, NST_NOWAIT);
	pthread_create(&t, NULL, wait_for_it, &waiter);
	while (now().pool_waited == before && !__atomic_load_n(&waiter.done, __ATOMIC_ACQUIRE))
		usleep(1000);
	usleep(5000);
	check(!__atomic_load_n(&waiter.done, __ATOMIC_ACQUIRE),
	      "nothing there, nothing given back: it waits", "it does not");
	give(waiter.pool, mine);
	pthread_join(t, NULL);
	check(waiter.got == mine, "C24 and gets what is given back", "it gets %p, not %p",
	      waiter.got, mine);
	nst_pool_free(waiter.pool, waiter.got);
	flood_end(0);
	check(nst_pool_destroy(waiter.pool) == 0, "nothing is held", "not");
}

static void waits(void)
{
	is_woken(NST_NORMAL, (nst_pool_free_nolock));
	is_woken(NST_NOFAIL, (nst_pool_free_nolock));
	nst_pool_nap_us = 100000000; /* from here on a wake-up alone helps */
	is_woken(NST_NORMAL, (nst_pool_free));
	is_woken(NST_NOFAIL | NST_ZERO, (nst_pool_free));
	nst_pool_nap_us = 1000;
}

/* ---- resize, destroy ---- */

static void resized(void)
{
	struct nst_pool *pool = pool_of(plain, 10, 2, 4);
	unsigned int n;
	int err;

	/* What lies in another CPU's lists no request that does not wait finds. */
	run_on_cpu(gettid(), cpu_nth(0));
	check(nst_pool_resize(pool, 7) == -EINVAL && nst_pool_resize(pool, 0) == -EINVAL &&
		      nst_pool_resize(pool, NST_POOL_MAX + 1) == -EINVAL,
	      "fewer than the holders may hold, 0, too many: -EINVAL", "not");
	check(nst_pool_resize(pool, 1500) == 0, "larger", "not");
	flood(plain);
	err = nst_pool_resize(pool, 1900);
	check(err == -ENOMEM && pool->min == 1500, "no memory: -ENOMEM, and as it was", "%d, %u",
	      err, pool->min);
	n = take_all(pool, NST_NOLOCK);
	check(n == 1500, "it keeps as many", "%u", n);
	give_all(pool, n);
	check(nst_pool_resize(pool, 8) == 0, "smaller", "not");
	n = take_all(pool, NST_NOWAIT);
	check(n == 1500, "what it does not keep is the cache's", "%u in both", n);
	check(nst_pool_destroy(pool) == -EBUSY, "not destroyed while objects are held", "it is");
	give_all(pool, n);
	flood(plain);
	n = take_all(pool, NST_NOWAIT);
	check(n == 8, "and what comes back beyond it, too", "%u", n);
	give_all(pool, n);
	flood_end(0);
	check(nst_pool_destroy(pool) == 0 && nst_pool_destroy(NULL) == 0, "destroyed", "not");
	run_on_cpu(gettid(), -1);
	lines = 0; /* more was held than stated */
}

static void refused(void)
{
	check(!nst_pool_create(NULL, 4, 1, 1) && lines == 1, "no cache: a line", "\"%s\"", said);
	check(!nst_pool_create(plain, 0, 0, 0) && strstr(said, ": 0 objects; allowed: 1 to 65536"),
	      "no objects: a line", "\"%s\"", said);
	check(!nst_pool_create(plain, NST_POOL_MAX + 1, 1, 1) && lines == 3, "too many: a line",
	      "\"%s\"", said);
	check(!nst_pool_create(plain, 7, 2, 4) &&
		      strstr(said, "2 holders of 4 objects each; allowed: 7 objects together"),
	      "more holders than objects: a line", "\"%s\"", said);
	check(!nst_pool_create(plain, 7, 1u << 31, 4) && lines == 5, "by far: a line", "\"%s\"",
	      said);
	for (int n = 1; n <= 2; n++) {
		nst_test_fail[NST_FAIL_META] = n;
		check(!nst_pool_create(plain, 70, 1, 1) && lines == 5, "no memory: NULL, no line",
		      "\"%s\"", said);
		nst_test_fail[NST_FAIL_META] = 0;
	}
	flood(plain);
	check(!nst_pool_create(plain, 70, 1, 1) && lines == 5, "none for objects: the same",
	      "\"%s\"", said);
	flood_end(0);
	lines = 0;
}

/* ---- misuse ---- */

static void misused(void)
{
	struct nst_pool *pool = pool_of(plain, 4, 2, 2);
	unsigned int n;
	int on_stack;

	for (n = 0; n < 4; n++)
		held[n] = nst_pool_alloc(pool, NST_NORMAL);
	held[4] = nst_pool_alloc_nolock(pool);
	check(lines == 0, "more are held than stated: not said by who may not write", "%s", said);
	held[5] = nst_pool_alloc(pool, NST_NORMAL);
	check(lines == 1 &&
		      strstr(said, "nst_pool_alloc(\"plain\"): 5 objects are held; allowed: 4, "
				   "as 2 holders of at most 2"),
	      "but by the next who may", "\"%s\"", said);
	nst_pool_free(pool, held[5]);
	nst_pool_free(pool, nst_pool_alloc(pool, NST_NORMAL));
	check(lines == 1, "and once", "%d lines", lines);
	for (n = 0; n < 5; n++)
		nst_pool_free(pool, held[n]);
	flood(plain);
	held[0] = nst_pool_alloc(pool, NST_NOWAIT);
	held[1] = nst_pool_alloc(pool, NST_NOWAIT);
	nst_lockdep_expect(NST_NL_TWICE);
	nst_pool_free(pool, held[0]);
	nst_pool_free(pool, held[0]);
	nst_pool_free(pool, held[1]);
	nst_pool_free(pool, held[1]);
	nst_lockdep_expected();
	check(lines == 3 && strstr(said, "freed twice"), "given back twice: found", "\"%s\"", said);
	nst_pool_free(pool, &on_stack);
	check(lines == 4 && strstr(said, "not memory of this library"), "foreign: found", "\"%s\"",
	      said);
	flood_end(0);
	lines = 0;
	check(!nst_pool_alloc(pool, NST_NORMAL | NST_NOWAIT) && lines == 1, "two modes: a line",
	      "\"%s\"", said);
	nst_pool_free(pool, NULL);
	nst_pool_free_nolock(pool, NULL);
	check(pool->out == 0 && nst_pool_destroy(pool) == 0, "it goes on", "%u held", pool->out);
	lines = 0;
}

/* ---- kinds of objects ---- */

static void kinds(void)
{
	struct nst_pool *pool = pool_of(built, 8, 1, 8);
	unsigned int i, bad = 0;

	flood(built);
	check(!nst_pool_alloc(pool, NST_NOWAIT | NST_ZERO) && lines == 1 &&
		      !nst_pool_alloc(pool, NST_NOLOCK | NST_ZERO) && lines == 1,
	      "zeroes and a constructor: NULL, a line where one may be written", "\"%s\"", said);
	for (i = 0; i < 8; i++) {
		held[i] = nst_pool_alloc(pool, NST_NORMAL);
		bad += *(uint64_t *)held[i] != 42;
	}
	give_all(pool, 0);
	for (i = 0; i < 8; i++)
		nst_pool_free(pool, held[i]);
	check(!bad, "constructed", "%u of 8 are not", bad);
	flood_end(0);
	check(nst_pool_destroy(pool) == 0, "nothing is held", "not");
	lines = 0;
}

/* A class's pool keeps objects of that class, though a larger one's may be freed as of it. */
static void classes(void)
{
	struct nst_cache *small = nst_cache_of_size(200);
	struct nst_pool *pool = pool_of(small, 1, 0, 0);
	void *p, *large = nst_alloc(small->size + 1, NST_NORMAL);

	flood(small);
	p = nst_pool_alloc(pool, NST_NOWAIT);
	nst_pool_free(pool, large);
	check(p && (u32)pool->state == 0, "an object of another class is none of the pool's", "%p",
	      p);
	nst_pool_free(pool, p);
	flood_end(0);
	check(nst_pool_destroy(pool) == 0, "nothing is held", "not");
}

static void in_scope(void)
{
	struct nst_pool *pool = pool_of(plain, 2, 2, 1);
	nst_scope_t scope = nst_scope_enter(NST_SCOPE_NOLOCK);
	void *p, *q;

	flood(plain);
	p = nst_pool_alloc(pool, NST_NORMAL);
	q = nst_pool_alloc(pool, NST_NOFAIL | NST_ZERO);
	check(p && q && pattern_zero(q, BYTES) == BYTES && !nst_pool_alloc(pool, NST_NOFAIL),
	      "in a no-lock scope nothing waits", "%p %p", p, q);
	nst_pool_free(pool, p);
	nst_pool_free(pool, q);
	nst_scope_exit(scope);
	flood_end(0);
	check(nst_pool_destroy(pool) == 0, "nothing is held", "not");
}

/* ---- fork ---- */

/* What is held stays so, and what vanished with others is replaced. */
static int child(struct nst_pool *pool)
{
	unsigned int n;

	if (nst_pool_destroy(pool) != -EBUSY || nst_pool_resize(pool, 8))
		return 1;
	flood(plain);
	for (n = 0; n < 8; n++)
		if (!(held[100 + n] = nst_pool_alloc(pool, NST_NORMAL)))
			return 2;
	if (nst_pool_alloc(pool, NST_NORETRY))
		return 3;
	while (n--)
		nst_pool_free(pool, held[100 + n]);
	for (n = 0; n < 3; n++)
		nst_pool_free(pool, held[n]);
	flood_end(0);
	return nst_pool_destroy(pool) ? 4 : 0;
}

static void forked(void)
{
	struct nst_pool *pool = pool_of(plain, 8, 0, 0);
	unsigned int n;
	int status = 0;
	pid_t pid;

	flood(plain);
	for (n = 0; n < 3; n++)
		held[n] = nst_pool_alloc(pool, NST_NOLOCK);
	flood_end(0);
	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(child(pool));
	waitpid(pid, &status, 0);
	check(status == 0, "a child's pool is its own", "%s", child_status(status));
	while (n--)
		nst_pool_free(pool, held[n]);
	check(nst_pool_destroy(pool) == 0, "nothing is held", "not");
}

const char *test_conf(int argc, char **argv)
{
	return conf_of_level("worker:off,max:16M,misuse:continue", argc, argv);
}

int main(int argc, char **argv)
{
	size_t alive;

	(void)argc;
	conf_apply(argv);
	check_deadline(60, "in time");
	nst_bug_sink = listen;
	plain = nst_cache_create("plain", BYTES, 0, 0, NULL);
	built = nst_cache_create("built", BYTES, 0, 0, build);
	serves(1);
	serves(64);
	serves(65);
	serves(700);
	waits();
	resized();
	refused();
	misused();
	kinds();
	classes();
	in_scope();
	forked();
	alive = nst_cache_destroy(plain) + nst_cache_destroy(built);
	check(alive == 0 && lines == 0, "nothing is lost, nothing is said", "%zu alive, \"%s\"",
	      alive, said);
	return check_status();
}
