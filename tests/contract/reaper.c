/* SPDX-License-Identifier: MIT */
/*
 * reaper.c - C32: out-of-memory notifiers come last, and none of them keeps the others from being called.
 *
 *	order		after shrinkers, for NORMAL and NOFAIL alone; not those that the request excludes, not within
 *	account		in none: the request's may be at its max
 *	attempts	one that refuses for ever: ten times, then it is passed over and waited for no more
 *	reaper		those that may block, on a thread of the library's; some never return, the others are called
 *	no thread	by nst_maintain()
 *	unregister	waits for who is in it
 *	real		the times as they are: one refuses for ever, one waits for a client's lock that is never let go
 *
 * No more memory can become ready than option max says. But for `real`, an interval takes 10 ms instead of 100.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "mm/reclaim/reclaim.h"
#include "common/check.h"
#include "common/trap.h"
#include <nostall/nostall.h>

#define NR_PAGES 65536u
#define MANY 40u /* what was taken below the mark for what others earned is made good first */
#define STUCK 8u /* as many as the reaper stands */
#define INTERVAL_US 10000u

const char *test_conf(int argc, char **argv)
{
	return argc > 1 && !strcmp(argv[1], "off") ? "worker:off,max:64M,high:4M"
						   : "max:64M,high:4M";
}

static void *page[NR_PAGES];
static unsigned int nr, nr_kept;

/* Until there is none; where there are notifiers, of a mode that does not call them. */
static void take_all(void)
{
	nst_mode_t mode = nr_kept ? NST_NORETRY : NST_NORMAL;

	while (nr < NR_PAGES && (page[nr] = nst_pages_alloc(0, mode)))
		nr++;
}

/* One request more, whose page is kept. */
static int served(nst_mode_t mode)
{
	void *p = nr < NR_PAGES ? nst_pages_alloc(0, mode) : NULL;

	if (p)
		page[nr++] = p;
	return p != NULL;
}

/* The same where another thread has to come to it first: on a loaded machine not in the time of one request. */
static int served_soon(void)
{
	uint64_t since = 0;
	int is;

	while (!(is = served(NST_NORMAL)) && check_patience(&since))
		;
	return is;
}

static struct nst_notify_stats *counts(void)
{
	static struct nst_stats s;

	if (nst_stats_read(&s, sizeof(s)))
		check_broken("nst_stats_read");
	return &s.notify;
}

/* ---- notifiers ---- */

static struct keeper {
	size_t (*how)(struct keeper *k);
	pthread_mutex_t lock; /* of its client */
	void *page[MANY];
	unsigned int nr, calls, refusals, inside, twice, attempts_wrong, left;
	uint32_t flags;
	nst_mode_t mode;
	pthread_t thread;
	struct nst_oom_notifier *n;
} keepers[STUCK + 3];

static size_t keeper_call(void *arg, const struct nst_oom *oom)
{
	struct keeper *k = arg;
	size_t bytes;

	if (__atomic_add_fetch(&k->inside, 1, __ATOMIC_SEQ_CST) > 1)
		k->twice++;
	__atomic_add_fetch(&k->calls, 1, __ATOMIC_SEQ_CST);
	k->flags = oom->flags;
	k->left = oom->attempts_left;
	k->mode = nst_mode_effective(NST_NORMAL);
	k->thread = pthread_self();
	errno = EILSEQ;
	bytes = k->how(k);
	__atomic_sub_fetch(&k->inside, 1, __ATOMIC_SEQ_CST);
	return bytes;
}

static unsigned int calls_of(struct keeper *k)
{
	return __atomic_load_n(&k->calls, __ATOMIC_SEQ_CST);
}

/* All it has. */
static size_t gives(struct keeper *k)
{
	size_t bytes = k->nr * 4096ul;

	while (k->nr)
		nst_pages_free(k->page[--k->nr]);
	return bytes;
}

static size_t refuses(struct keeper *k)
{
	k->attempts_wrong +=
		k->left !=
		(k->refusals < NST_OOM_ATTEMPTS ? NST_OOM_ATTEMPTS - 1 - k->refusals : 0);
	k->refusals++;
	return NST_OOM_AGAIN;
}

/* Three times "not now", then all it has. */
static size_t hesitates(struct keeper *k)
{
	return k->refusals++ < 3 ? NST_OOM_AGAIN : gives(k);
}

static size_t waits_for_client(struct keeper *k)
{
	pthread_mutex_lock(&k->lock);
	pthread_mutex_unlock(&k->lock);
	return gives(k);
}

/* Its own request does not reclaim, and does not come here again. */
static size_t allocates(struct keeper *k)
{
	void *p = nst_pages_alloc(0, NST_NORMAL);

	nst_pages_free(p);
	return p ? 4096 : gives(k);
}

/* With @pages of what there is. */
static struct keeper *keep(unsigned int i, size_t (*how)(struct keeper *k), unsigned int pages,
			   uint32_t flags)
{
	struct keeper *k = &keepers[i];

	memset(k, 0, sizeof(*k));
	pthread_mutex_init(&k->lock, NULL);
	k->how = how;
	while (k->nr < pages && nr)
		k->page[k->nr++] = page[--nr];
	k->n = nst_oom_register(keeper_call, flags, k);
	if (!k->n)
		check_broken("an out-of-memory notifier");
	nr_kept++;
	return k;
}

static void drop(struct keeper *k)
{
	check_quiet(nst_oom_unregister(k->n) == 0, "C32 unregistered", "not");
	nr_kept--;
	check_quiet(!k->twice, "C32 never two at a time", "%u times", k->twice);
	while (k->nr)
		page[nr++] = k->page[--k->nr];
}

/* ---- order ---- */

static size_t pile;
static pthread_t scans; /* alone: the pages are its own */

static size_t pile_count(void *ctx)
{
	(void)ctx;
	return __atomic_load_n(&pile, __ATOMIC_RELAXED); /* the library's thread asks, too */
}

static size_t pile_scan(void *ctx, size_t n)
{
	(void)ctx;
	(void)n;
	if (!__atomic_load_n(&pile, __ATOMIC_RELAXED) || !pthread_equal(scans, pthread_self()))
		return NST_SHRINK_STOP;
	__atomic_sub_fetch(&pile, 1, __ATOMIC_RELAXED);
	nst_pages_free(page[--nr]);
	return 1;
}

static void check_order(void)
{
	struct nst_shrinker *s;
	struct keeper *k;

	take_all();
	__atomic_store_n(&pile, 4, __ATOMIC_RELAXED);
	scans = pthread_self();
	s = nst_shrinker_register(pile_count, pile_scan, NULL, 0, 0);
	k = keep(0, gives, 4, 0);
	check(s && served(NST_NORMAL) && !calls_of(k), "C32 not while shrinkers free", "%u calls",
	      k->calls);
	__atomic_store_n(&pile, 0, __ATOMIC_RELAXED);
	take_all();
	check(!served(NST_NOWAIT) && !served(NST_NORETRY) && !calls_of(k),
	      "C32 modes that reclaim a little, or not, do not call it", "%u calls", calls_of(k));
	errno = 0;
	check(served(NST_NORMAL) && calls_of(k) == 1 && errno == 0, "C32 NORMAL does", "%u calls",
	      k->calls);
	check(k->flags == 0 && k->mode == NST_NOWAIT && pthread_equal(k->thread, pthread_self()),
	      "C32 on its own thread it may not wait, nor its requests reclaim", "mode 0x%x",
	      k->mode);
	take_all();
	check(!served(NST_NORMAL), "C32 who has nothing gives nothing: NULL", "a page");
	drop(k);
	nst_shrinker_unregister(s);
	take_all();
	k = keep(0, allocates, 4, 0);
	check(served(NST_NORMAL) && k->calls == 1, "C32 from within it is not called again",
	      "%u calls", calls_of(k));
	drop(k);
}

static void check_excluded(void)
{
	nst_scope_t in;
	struct keeper *k;

	take_all();
	k = keep(0, gives, 4, NST_NOTIFIER_IO | NST_NOTIFIER_CLIENT);
	in = nst_scope_enter(NST_SCOPE_NOIO);
	check(!served(NST_NORMAL) && !calls_of(k), "C32 NOIO excludes", "%u calls", calls_of(k));
	nst_scope_exit(in);
	check(!served(NST_NORMAL | NST_NOCLIENT) && !calls_of(k), "C32 NOCLIENT excludes",
	      "%u calls", calls_of(k));
	in = nst_scope_enter(NST_SCOPE_NORECLAIM);
	check(!served(NST_NORMAL) && !calls_of(k), "C32 not within reclaim", "%u calls",
	      calls_of(k));
	nst_scope_exit(in);
	check(served(NST_NORMAL) && calls_of(k) == 1, "C32 else it is called", "%u calls",
	      k->calls);
	drop(k);
}

/* ---- for all ---- */

static struct nst_reserve *reserve;

/* It has to allocate in order to free. */
static size_t by_ticket(struct keeper *k)
{
	void *p = NULL;

	if (nst_reserve_enter(reserve, NST_NOWAIT) == 0) {
		p = nst_pages_alloc(0, NST_NOWAIT);
		nst_pages_free(p);
		nst_reserve_exit(reserve);
	}
	return p ? gives(k) : 0;
}

/* Of a request whose account has nothing left for anybody else. */
static void check_account(void)
{
	struct nst_account *one = nst_account_create("one", NULL, NST_NO_LIMIT, 4096);
	nst_account_token_t in;
	struct keeper *k;
	void *p;

	reserve = nst_reserve_create(4096, 1);
	if (!one || !reserve)
		check_broken("an account and a reserve");
	take_all();
	k = keep(0, by_ticket, 4, 0);
	in = nst_account_enter(one);
	p = nst_pages_alloc(0, NST_NORMAL);
	nst_account_exit(in);
	check(p && calls_of(k) == 1, "C32 it is in no account", "%p, %u calls", p, k->calls);
	nst_pages_free(p);
	drop(k);
	check(nst_account_destroy(one) == 0 && nst_reserve_destroy(reserve) == 0,
	      "C32 nor is anything charged to the request's", "something is");
}

/* ---- attempts ---- */

static void check_attempts(void)
{
	uint64_t passed = counts()->oom_passed;
	struct keeper *k, *slow, *good;
	unsigned int calls;

	take_all();
	k = keep(0, refuses, 0, 0);
	check(!served(NST_NORMAL) && k->refusals == NST_OOM_ATTEMPTS && !k->attempts_wrong &&
		      counts()->oom_passed == passed + 1,
	      "C32 who refuses is asked ten times, told how many are left, then passed over: NULL",
	      "%u refusals, %u attempts wrong", k->refusals, k->attempts_wrong);
	for (calls = 0; calls < 20; calls++)
		check_quiet(!served(NST_NORMAL), "C32 NULL again", "a page");
	check(k->refusals <= NST_OOM_ATTEMPTS + 20 && counts()->oom_passed <= passed + 21,
	      "C32 nobody waits for it any more", "%u refusals", k->refusals);
	good = keep(1, gives, 4, 0);
	check(served(NST_NORMAL) && calls_of(good) == 1, "C32 beside it others are called", "not");
	take_all();
	slow = keep(2, hesitates, 4, 0);
	check(served(NST_NORMAL) && slow->refusals == 4, "C32 who refuses at first is asked again",
	      "%u times", slow->refusals);
	take_all();
	drop(good);
	drop(slow);
	k->how = gives;
	good = k;
	for (uint64_t since = 0; !good->nr && check_patience(&since);)
		if (nr)
			good->page[good->nr++] = page[--nr];
	check(served(NST_NOFAIL), "C32 NOFAIL gets what one gives that was passed over", "NULL");
	drop(k);
}

/* ---- the reaper ---- */

static unsigned int threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static void check_reaper(void)
{
	struct keeper *k;

	take_all();
	k = keep(0, gives, MANY, NST_NOTIFIER_BLOCKS);
	nst_test_fail[NST_FAIL_THREAD] = -1; /* it is there already */
	check(served_soon() && calls_of(k) >= 1, "C32 one that may block is called", "%u calls",
	      calls_of(k));
	nst_test_fail[NST_FAIL_THREAD] = 0;
	drop(k); /* what it wrote is in order from here on */
	check(!pthread_equal(k->thread, pthread_self()) && k->flags == NST_NOTIFY_BLOCKABLE &&
		      k->mode == NST_NOWAIT,
	      "C32 by the reaper, its requests do not reclaim", "mode 0x%x", k->mode);
}

/* Some never return: first in the table, so that all of them are in the way. */
static void check_stuck(void)
{
	unsigned int i, before = threads();
	struct keeper *refuse, *good, *k;

	take_all();
	for (i = 0; i < STUCK; i++) {
		k = keep(i, waits_for_client, 0, NST_NOTIFIER_BLOCKS);
		pthread_mutex_lock(&k->lock);
	}
	refuse = keep(STUCK, refuses, 0, 0);
	good = keep(STUCK + 1, gives, MANY, NST_NOTIFIER_BLOCKS);
	check(served_soon(), "C32 others are called while some never return", "NULL, %u calls",
	      good->calls);
	for (i = 0; i < STUCK; i++)
		check_quiet(calls_of(&keepers[i]) == 1, "C32 called once", "%u",
			    calls_of(&keepers[i]));
	take_all();
	drop(good);
	check(!served(NST_NORMAL), "C32 and when only those are left: NULL", "a page");
	for (i = 0; i < 20; i++)
		check_quiet(!served(NST_NORMAL), "C32 NULL again", "a page");
	for (i = 0; i < STUCK; i++)
		pthread_mutex_unlock(&keepers[i].lock);
	for (i = 0; i < STUCK; i++) /* it waits until they have come back */
		drop(&keepers[i]);
	drop(refuse);
	for (uint64_t since = 0; threads() > before && check_patience(&since);)
		;
	check(threads() <= before, "C32 then one reaper is left", "%u threads, %u before",
	      threads(), before);
}

/* A child has no reaper: what a lost thread was in is called again. */
static void check_fork(void)
{
	struct keeper *k;
	int status = -1;
	pid_t pid;

	take_all();
	k = keep(0, waits_for_client, 0, NST_NOTIFIER_BLOCKS);
	pthread_mutex_lock(&k->lock);
	check(!served(NST_NORMAL) && calls_of(k) == 1, "C32 stuck", "%u calls", calls_of(k));
	pid = fork();
	if (!pid) {
		k->how = gives;
		while (k->nr < MANY)
			k->page[k->nr++] = page[--nr];
		alarm(60);
		_exit(!(served_soon() && calls_of(k) > 1 && !nst_oom_unregister(k->n)));
	}
	waitpid(pid, &status, 0);
	check(status == 0, "C32 in a fork child the rest of it is forgotten", "0x%x", status);
	pthread_mutex_unlock(&k->lock);
	drop(k);
}

/* No thread can be had, or none is wanted. */
static void check_no_thread(void)
{
	struct keeper *k;

	take_all();
	nst_test_fail[NST_FAIL_THREAD] = -1;
	k = keep(0, gives, MANY, NST_NOTIFIER_BLOCKS);
	check(!served(NST_NORMAL) && !calls_of(k), "C32 without a thread: NULL", "%u calls",
	      k->calls);
	nst_maintain();
	check(calls_of(k) == 1 && pthread_equal(k->thread, pthread_self()),
	      "C32 and nst_maintain() calls it", "%u calls", calls_of(k));
	check(served(NST_NORMAL), "C32 what it freed is there", "NULL");
	nst_test_fail[NST_FAIL_THREAD] = 0;
	drop(k);
}

/* ---- unregister ---- */

static struct keeper *leaving;
static int within;

static size_t leaves(struct keeper *k)
{
	within = nst_oom_unregister(k->n);
	return gives(k);
}

static void *let_go(void *arg)
{
	struct keeper *k = arg;

	for (uint64_t since = 0; !calls_of(k) && check_patience(&since);)
		;
	usleep(20000);
	k->refusals = 1; /* before it returns */
	pthread_mutex_unlock(&k->lock);
	return NULL;
}

static void *lock_and_let_go(void *arg)
{
	struct keeper *k = arg;

	pthread_mutex_lock(&k->lock);
	__atomic_store_n(&leaving, k, __ATOMIC_SEQ_CST);
	return let_go(k);
}

static void check_unregister(void)
{
	struct nst_oom_notifier *n[NST_NR_OOM_NOTIFIERS];
	unsigned int i = 0;
	struct keeper *k;
	pthread_t t;

	take_all();
	k = keep(0, leaves, 4, 0);
	check(served(NST_NORMAL) && within == -EDEADLK, "C32 from within: -EDEADLK", "%d", within);
	drop(k);
	check(nst_oom_unregister(k->n) == -EINVAL && nst_oom_unregister(NULL) == -EINVAL,
	      "C32 what is none: -EINVAL", "not");
	take_all();
	k = keep(0, waits_for_client, 0, NST_NOTIFIER_BLOCKS);
	if (pthread_create(&t, NULL, lock_and_let_go, k))
		check_broken("a thread");
	while (!__atomic_load_n(&leaving, __ATOMIC_SEQ_CST))
		usleep(1000);
	served(NST_NORMAL);
	check(nst_oom_unregister(k->n) == 0 && k->refusals == 1 && !k->inside,
	      "C32 unregister waits for who is in it", "it does not");
	pthread_join(t, NULL);
	while (i < NST_NR_OOM_NOTIFIERS && (n[i] = nst_oom_register(keeper_call, 0, k)))
		i++;
	check(i == NST_NR_OOM_NOTIFIERS && !nst_oom_register(keeper_call, 0, k),
	      "C32 so many at a time: NULL", "%u", i);
	while (i)
		nst_oom_unregister(n[--i]);
}

/* ---- as it is ---- */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Issued words: 2 s. Asserted: 5, since the machine has more to do. */
static void check_real(void)
{
	struct keeper *refuse, *held, *good;
	double begun, took;

	take_all();
	refuse = keep(0, refuses, 0, 0);
	held = keep(1, waits_for_client, 0, NST_NOTIFIER_BLOCKS);
	pthread_mutex_lock(&held->lock);
	good = keep(2, gives, MANY, NST_NOTIFIER_BLOCKS);
	begun = now();
	check(served(NST_NORMAL), "C32 memory comes back from the others", "NULL");
	took = now() - begun;
	check(took < 5, "C32 soon", "%.3f s", took);
	printf("  one refuses for ever, one is held for ever: served after %.3f s\n", took);
	take_all();
	drop(good);
	begun = now();
	check(!served(NST_NORMAL), "C32 NULL when these two alone are left", "a page");
	printf("  NULL after %.3f s, refused %u times\n", now() - begun, refuse->refusals);
	check(refuse->refusals >= NST_OOM_ATTEMPTS, "C32 after its attempts", "%u",
	      refuse->refusals);
	pthread_mutex_unlock(&held->lock);
	drop(held);
	drop(refuse);
}

/* TSan starts no threads in a child. */
#if defined(__SANITIZE_THREAD__)
#define FORKS 0
#else
#define FORKS 1
#endif

int main(int argc, char **argv)
{
	conf_apply(argv);
	check_deadline(100, "C32 in time");
	if (argc > 1 && !strcmp(argv[1], "real")) {
		check_real();
		return check_status();
	}
	nst_store_relaxed(&nst_oom_interval_us, INTERVAL_US);
	check_no_thread();
	if (argc == 1) {
		check_order();
		check_excluded();
		check_account();
		check_attempts();
		check_reaper();
		check_stuck();
		if (FORKS)
			check_fork();
		check_unregister();
	}
	while (nr)
		nst_pages_free(page[--nr]);
	return check_status();
}
