/* SPDX-License-Identifier: MIT */
/*
 * limits.c - who is at a limit, or draws on what was put aside, while something fails, the n-th time, for every n.
 *
 *	accounts in a tree, charged by two threads, a handler and a child of fork(), past their max in every mode
 *	a shrinker that must allocate in order to free, by a ticket of a reserve; it is asked at an account's max, and, once
 *	all memory is taken, by the library
 *	a pool whose holders wait for each other, prefilled sheaves, what was charged and waits for a grace period
 *	views that are told of changes, banks that are asked for memory last, a guest that comes and goes (told.h)
 *
 * Each lock of these is taken with each of the others held that the lock order allows, and each recursion is there: a
 * charge that reclaims, a shrinker that allocates and changes what others have a view of, a view that allocates as it is
 * told, a free within it. Nothing may hang, and in the end everything is given back: each account, pool and reserve can be
 * destroyed, each begin has had its end. That none is over its max is torture/account's.
 *
 * In two ways: with memory to be had, so that limits are what is met; and squeezed, with all of it taken.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/check.h"
#include "common/trap.h"
#include "rounds.h"
#include "told.h"

#define NR 400
#define KEPT 256
#define POOL_LEAST 8u
#define HOLDERS 2u
#define HELD 4u
#define PREFILLED 16u
#define RESERVE_PAGES 4u
#define TOP_MAX ((uint64_t)256 << 10)
#define LEAF_MAX ((uint64_t)192 << 10)

static struct nst_account *top, *leaf[2];
static struct nst_cache *cache;
static struct nst_pool *pool;
static struct nst_reserve *reserve;
static struct nst_shrinker *shrinker;
static void (*stage)(struct nst_account *a); /* of both threads, and of the child */

/* ---- who can give back, but must allocate for it ---- */

static struct kept {
	struct kept *next;
} * kept;
static unsigned int nr_kept;
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;

static void keep(nst_mode_t mode)
{
	struct kept *k = nst_alloc(2000, mode);

	if (!k)
		return;
	pthread_mutex_lock(&kept_lock);
	k->next = kept;
	kept = k;
	nr_kept++;
	pthread_mutex_unlock(&kept_lock);
}

static size_t count_kept(void *ctx)
{
	(void)ctx;
	return __atomic_load_n(&nr_kept, __ATOMIC_RELAXED);
}

/* A child whose zone's lists are lost has no reserve before the zone grows, and it may be that it cannot. */
static int lost_in_fork(void)
{
	static struct nst_stats s;

	return nst_stats_read(&s, sizeof(s)) == 0 && s.abandoned_after_fork;
}

/* A request of the thread that has the lock would come here again, if reclaim called shrinkers from within reclaim. */
static size_t give_kept(void *ctx, size_t nr)
{
	size_t done = 0;
	void *page = NULL;

	(void)ctx;
	WANT(!told_is_within());
	if (told_change(NST_NOTIFY_BLOCKABLE))
		return NST_SHRINK_STOP;
	if (reserve && nst_reserve_enter(reserve, NST_NOWAIT) == 0) {
		page = nst_pages_alloc(0, NST_NOWAIT);
		WANT(page || rounds_fails(NST_FAIL_PAGE) || rounds_fails(NST_FAIL_TRYLOCK) ||
		     lost_in_fork());
		nst_pages_free(page);
		nst_reserve_exit(reserve);
	}
	pthread_mutex_lock(&kept_lock);
	while (kept && done < nr) {
		struct kept *k = kept;

		kept = k->next;
		nr_kept--;
		nst_free(k);
		done++;
	}
	pthread_mutex_unlock(&kept_lock);
	return done ? done : NST_SHRINK_STOP;
}

/* ---- at an account's max ---- */

static void *any(int i)
{
	static const nst_mode_t modes[] = {NST_NORETRY, NST_NOLOCK, NST_ATOMIC,
					   NST_NOWAIT,	NST_NOLOCK, NST_FASTTRY};
	nst_mode_t mode = i == NR - 1 ? NST_NORMAL : modes[i % 6];
	void *p = NULL;

	if (i % 5 == 0)
		return nst_cache_alloc(cache, mode);
	if (i % 31 == 0)
		return nst_pages_alloc((unsigned int)i % 4, mode);
	if (i % 37 == 0)
		return nst_cache_alloc_bulk(cache, mode, 1, &p) ? p : NULL;
	return nst_alloc(64u << (i % 8), mode);
}

static void charge(struct nst_account *a)
{
	void *p[NR];
	nst_account_token_t t = nst_account_enter(a);

	for (int i = 0; i < NR; i++)
		p[i] = any(i);
	nst_account_exit(t);
	for (int i = 0; i < NR; i++) {
		if (i % 3 == 0)
			nst_free_rcu(p[i]);
		else if (i % 3 == 1)
			nst_free_nolock(p[i]);
		else
			nst_free(p[i]);
	}
}

/* NOFAIL is forced within the cap and never returns NULL. */
static void forced(struct nst_account *a)
{
	nst_account_token_t t = nst_account_enter(a);
	void *p;

	if (rounds_fails(NST_FAIL_POPULATE) || rounds_fails(NST_FAIL_COMMIT))
		return nst_account_exit(t); /* where all of them fail it waits for ever */
	p = nst_alloc(100, NST_NOFAIL);
	WANT(p);
	nst_free(p);
	nst_account_exit(t);
}

/* ---- what was put aside ---- */

/* Holders that each want all they may hold: who finds the pool empty waits for what the other gives back. */
static void hold(void)
{
	void *p[HELD];

	for (unsigned int i = 0; i < HELD; i++) {
		p[i] = nst_pool_alloc(pool, i ? NST_NOWAIT : NST_NORMAL);
		WANT(p[i]);
	}
	for (unsigned int i = 0; i < HELD; i++) {
		if (i % 2)
			nst_pool_free(pool, p[i]);
		else
			nst_pool_free_nolock(pool, p[i]);
	}
}

static void prefilled(void)
{
	struct nst_prefilled *sheaf = NULL;
	int rc = nst_sheaf_prefill(cache, PREFILLED, NST_NORETRY, &sheaf);

	WANT(rc == 0 || rc == -ENOMEM);
	if (rc)
		return;
	for (unsigned int i = 0; i < PREFILLED; i++) {
		void *p = nst_sheaf_alloc(sheaf);

		WANT(p);
		nst_free(p);
	}
	WANT(!nst_sheaf_alloc(sheaf));
	rc = nst_sheaf_refill(sheaf, PREFILLED / 2, NST_NORETRY);
	WANT(rc == 0 || rc == -ENOMEM);
	nst_sheaf_return(sheaf);
}

static void ticket(void)
{
	void *page;

	if (nst_reserve_enter(reserve, NST_NORMAL))
		return;
	page = nst_pages_alloc(0, NST_ATOMIC);
	WANT(page || rounds_fails(NST_FAIL_PAGE) || lost_in_fork());
	nst_pages_free(page);
	nst_reserve_exit(reserve);
}

static void put_aside(void)
{
	if (pool)
		hold();
	prefilled();
	if (reserve)
		ticket();
}

static void at_limits(struct nst_account *a)
{
	for (int i = 0; i < 3; i++) {
		if (a)
			charge(a);
		if (a && i == 1)
			forced(a);
		for (int j = 0; j < KEPT / 8; j++)
			keep(NST_NOWAIT);
		put_aside();
		told_change(i % 2 ? NST_NOTIFY_BLOCKABLE : 0);
	}
}

static void squeezed(struct nst_account *a)
{
	for (int i = 0; i < KEPT / 8; i++)
		keep(NST_NOWAIT);
	told_squeeze();
	if (a)
		charge(a);
	put_aside();
}

static void *beside(void *arg)
{
	stage(arg);
	return NULL;
}

static void on_alarm(int sig)
{
	nst_account_token_t t = nst_account_enter(leaf[1]);

	(void)sig;
	nst_free_nolock(nst_alloc_nolock(200));
	told_change(0);
	nst_account_exit(t);
}

/* The library's threads may be in the shrinker: its locks are the program's, and so is to see that a child gets them free. */
static void in_child(void)
{
	int status;
	pid_t pid;

	told_lock_all();
	pthread_mutex_lock(&kept_lock);
	pid = fork();
	pthread_mutex_unlock(&kept_lock);
	told_unlock_all();
	if (pid < 0)
		return;
	if (pid == 0) {
		stage(leaf[1]);
		fflush(stdout);
		_exit(rounds_is_wrong());
	}
	WANT(child_wait(pid, 40, &status) == 0 && status == 0);
}

static void make(void)
{
	cache = nst_cache_create("limits", 120, 0, 0, NULL);
	top = nst_account_create("top", NULL, NST_NO_LIMIT, TOP_MAX);
	for (int i = 0; i < 2 && top; i++)
		leaf[i] = nst_account_create("leaf", top, LEAF_MAX / 2, LEAF_MAX);
	reserve = nst_reserve_create(RESERVE_PAGES * 4096, 2);
	shrinker = nst_shrinker_register(count_kept, give_kept, NULL, 0, 0);
	if (cache)
		pool = nst_pool_create(cache, POOL_LEAST, HOLDERS, HELD);
}

static void together(void)
{
	pthread_t thread;
	timer_t timer;
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
	struct itimerspec each = {{0, 1000000}, {0, 1000000}};

	signal(SIGALRM, on_alarm);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &each, NULL))
		check_broken("timer");
	pthread_create(&thread, NULL, beside, leaf[0]);
	stage(leaf[1]);
	pthread_join(thread, NULL);
	timer_delete(timer);
	signal(SIGALRM, SIG_IGN);
	in_child();
}

static void scenario_limits(void)
{
	rounds_arm();
	make();
	if (!cache)
		return;
	stage = at_limits;
	told_begin();
	together();
	told_quiet();
}

/* It is made by then: what fails is what happens without memory. */
static void scenario_squeezed(void)
{
	make();
	if (!cache)
		return;
	stage = squeezed;
	told_begin();
	rounds_arm();
	together();
	told_quiet();
}

/* The failure is over. */
static void is_destroyed(struct nst_account *a)
{
	struct nst_account_stats s = {.name = ""};

	if (!a)
		return;
	nst_account_read(a, &s, sizeof(s));
	WANT(s.charged_bytes == s.stocked_bytes && s.forced_bytes == 0);
	WANT(s.refused > 0 || a == top || stage != at_limits || rounds_fails(NST_FAIL_POPULATE) ||
	     rounds_fails(NST_FAIL_COMMIT));
	WANT(nst_account_destroy(a) == 0);
}

static void all_is_well(void)
{
	static struct nst_stats stats;

	if (!nst_mm.started)
		return;
	while (give_kept(NULL, 128) != NST_SHRINK_STOP)
		;
	WANT(nst_rcu_barrier() == 0);
	WANT(!shrinker || nst_shrinker_unregister(shrinker) == 0);
	if (cache)
		told_end();
	WANT(!pool || nst_pool_destroy(pool) == 0);
	WANT(!reserve || nst_reserve_destroy(reserve) == 0);
	is_destroyed(leaf[0]);
	is_destroyed(leaf[1]);
	is_destroyed(top);
	WANT(!cache || nst_cache_destroy(cache) == 0);
	WANT(nst_stats_read(&stats, sizeof(stats)) == 0);
	WANT(stats.misuse == 0 && stats.side_pushed == stats.side_drained);
	WANT(!cache || (stats.notify.begins && stats.notify.invalidates));
	WANT(stage != squeezed || stats.notify.oom_calls);

	struct nst_account *again = nst_account_create("again", NULL, NST_NO_LIMIT, 1 << 20);
	nst_account_token_t t = nst_account_enter(again);
	void *p = nst_alloc(100, NST_NORMAL);

	WANT(again && p);
	nst_free(p);
	nst_account_exit(t);
	WANT(nst_account_destroy(again) == 0);
}

TEST_CONF("warn:off")

int main(int argc, char **argv)
{
	static const struct rounds_way ways[] = {
		{.name = "limits", .scenario = scenario_limits, .late = 1},
		{.name = "squeezed",
		 .scenario = scenario_squeezed,
		 .late = 1,
		 .conf = "max:16M,high:2M"},
		{0}};
	static const struct rounds rounds = {.ways = ways, .after = all_is_well};

	conf_apply(argv);
	return rounds_main(&rounds, argc, argv);
}
