/* SPDX-License-Identifier: MIT */
/*
 * syscalls_short.c - the steps of docs/syscalls.md where memory is short: reclaim, tickets, accounts, pools.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
#define NST_NO_MACROS
#include "mm/mm.h"
#include "mm/claim/pool.h"
#include "mm/reclaim/reclaim.h"
#include "contract/syscalls.h"

static volatile int held;

/* What lies in lists of another size is enough. */
void path_reclaim(void)
{
	void *p, *some[256];

	for (int i = 0; i < 256; i++)
		some[i] = nst_alloc(1024, NST_NORMAL);
	while ((p = nst_pages_alloc(0, NST_NORETRY)) != NULL)
		;
	for (int i = 0; i < 256; i++)
		nst_free(some[i]);
	begin("reclaim");
	p = nst_pages_alloc(0, NST_NORMAL);
	end();
	must(p != NULL);
}

/* All but what an out-of-memory notifier keeps. */
static void *kept[64];
static int refused;

static size_t refuse_then_give(void *arg, const struct nst_oom *oom)
{
	(void)arg;
	(void)oom;
	if (!refused++)
		return NST_OOM_AGAIN;
	for (int i = 0; i < 64; i++)
		nst_pages_free_nolock(kept[i]);
	return sizeof(kept);
}

void path_oom(void)
{
	void *p, *some[256];

	nst_store_relaxed(&nst_oom_interval_us, 2000u);
	for (int i = 0; i < 64; i++)
		kept[i] = nst_pages_alloc(0, NST_NORMAL);
	for (int i = 0; i < 256; i++)
		some[i] = nst_alloc(1024, NST_NORMAL);
	while ((p = nst_pages_alloc(0, NST_NORMAL)) != NULL)
		;
	nst_free(some[0]); /* a list to empty, which gives no page */
	must(nst_oom_register(refuse_then_give, 0, NULL) != NULL);
	begin("oom");
	p = nst_pages_alloc(0, NST_NORMAL);
	end();
	must(p != NULL);
}

void path_oom_reaper(void)
{
	begin("oom-reaper");
	must(nst_oom_register(refuse_then_give, NST_NOTIFIER_BLOCKS, NULL) != NULL);
	end();
}

static struct nst_notifier *notifier;

static int begin_long(void *arg, const struct nst_notify_range *range)
{
	(void)arg;
	(void)range;
	held = 1;
	usleep(50000);
	return 0;
}

static void end_nothing(void *arg, const struct nst_notify_range *range)
{
	(void)arg;
	(void)range;
}

static void *change_long(void *unused)
{
	struct nst_notify_range r;

	(void)unused;
	nst_notify_begin(&r, NULL, 0, 1, NST_NOTIFY_BLOCKABLE);
	nst_notify_end(&r);
	return NULL;
}

void path_notifier_busy(void)
{
	static const struct nst_notifier_ops ops = {begin_long, end_nothing, NULL};
	pthread_t t;

	notifier = nst_notifier_register(NULL, 0, 1, &ops, 0, NULL);
	must(pthread_create(&t, NULL, change_long, NULL) == 0);
	while (!held)
		usleep(1000);
	begin("notifier-busy");
	must(nst_notifier_unregister(notifier) == 0);
	end();
	pthread_join(t, NULL);
}

/* A page goes round: freed, and had again without waiting. */
static void *owe(void *page)
{
	for (int i = 0; i < 64; i++) {
		nst_pages_free(page);
		page = nst_pages_alloc_nolock(0);
		must(page != NULL);
	}
	return page;
}

void path_debt(void)
{
	void *p = NULL, *next;

	while ((next = nst_pages_alloc(0, NST_NORETRY)) != NULL)
		p = next;
	p = owe(p);
	nst_pages_free(p);
	begin("debt");
	p = nst_pages_alloc(0, NST_NORMAL);
	end();
	must(p != NULL);
}

static struct nst_shrinker *shrinker;

static size_t one(void *ctx)
{
	(void)ctx;
	return 1;
}

static size_t scan_long(void *ctx, size_t nr)
{
	(void)ctx;
	(void)nr;
	held = 1;
	usleep(50000);
	return NST_SHRINK_STOP;
}

static void *reclaim_long(void *unused)
{
	(void)unused;
	while (nst_pages_alloc(0, NST_NORETRY))
		;
	return NULL;
}

void path_shrinker_busy(void)
{
	pthread_t t;

	shrinker = nst_shrinker_register(one, scan_long, NULL, 2, 0);
	must(pthread_create(&t, NULL, reclaim_long, NULL) == 0);
	while (!held)
		usleep(1000);
	begin("shrinker-busy");
	must(nst_shrinker_unregister(shrinker) == 0);
	end();
	pthread_join(t, NULL);
}

/* The mover's own function frees all that it has, and stays for a while. */
static void *movable[2048];

static int migrate_long(void *ctx, void *data, void *to, void *from, size_t bytes)
{
	(void)ctx;
	(void)data;
	(void)to;
	(void)from;
	(void)bytes;
	for (unsigned int i = 1; i < 2048; i += 2)
		nst_pages_free(movable[i]);
	held = 1;
	usleep(50000);
	return -EAGAIN;
}

static void *compact_long(void *unused)
{
	while (!held)
		nst_maintain();
	return unused;
}

void path_mover_busy(void)
{
	struct nst_mover *m = nst_mover_register(migrate_long, NULL, 0);
	pthread_t t;

	for (unsigned int i = 0; i < 2048; i++)
		must((movable[i] = nst_pages_alloc_movable(m, 0, NST_NORMAL, NULL)) != NULL);
	for (unsigned int i = 0; i < 2048; i += 2)
		nst_pages_free(movable[i]);
	must(pthread_create(&t, NULL, compact_long, NULL) == 0);
	while (!held)
		usleep(1000);
	begin("mover-busy");
	must(nst_mover_unregister(m) == 0);
	end();
	pthread_join(t, NULL);
}

static struct nst_reserve *reserve;

static void *hold_ticket(void *us)
{
	must(nst_reserve_enter(reserve, NST_NORMAL) == 0);
	held = 1;
	usleep((useconds_t)(uintptr_t)us);
	nst_reserve_exit(reserve);
	return NULL;
}

void path_ticket(void)
{
	pthread_t t;

	reserve = nst_reserve_create(4096, 1);
	must(reserve != NULL);
	must(pthread_create(&t, NULL, hold_ticket, (void *)50000) == 0);
	while (!held)
		usleep(1000);
	begin("ticket");
	must(nst_reserve_enter(reserve, NST_NORMAL) == 0);
	end();
	pthread_join(t, NULL);
}

void path_ticket_back(void)
{
	struct nst_reserve_stats s = {0};
	pthread_t t;

	reserve = nst_reserve_create(4096, 1);
	must(reserve && nst_reserve_enter(reserve, NST_NORMAL) == 0);
	must(pthread_create(&t, NULL, hold_ticket, NULL) == 0);
	while (!s.waits && nst_reserve_read(reserve, &s, sizeof(s)) == 0)
		usleep(1000);
	begin("ticket-back");
	nst_reserve_exit(reserve);
	end();
	pthread_join(t, NULL);
}

/* ---- accounts ---- */

void path_account(void)
{
	unsigned int i;

	for (i = 0; i < 100; i++) /* until metadata has to grow */
		must(nst_account_create("other", NULL, NST_NO_LIMIT, NST_NO_LIMIT) != NULL);
	begin("account");
	for (i = 0; i < 900; i++)
		must(nst_account_create("one", NULL, NST_NO_LIMIT, NST_NO_LIMIT) != NULL);
	end();
}

/* With bytes in this CPU's stock, and a descriptor. */
static struct nst_account *used_account(uint64_t max)
{
	struct nst_account *a = nst_account_create("used", NULL, NST_NO_LIMIT, max);
	nst_account_token_t t;

	must(a && nst_account_fd(a) >= 0);
	t = nst_account_enter(a);
	nst_free(nst_alloc(64, NST_NORMAL));
	nst_account_exit(t);
	return a;
}

void path_account_end(void)
{
	struct nst_account *a = used_account(NST_NO_LIMIT);

	begin("account-end");
	must(nst_account_destroy(a) == 0);
	end();
}

void path_account_fd(void)
{
	struct nst_account *a = nst_account_create("fd", NULL, NST_NO_LIMIT, NST_NO_LIMIT);

	begin("account-fd");
	must(nst_account_fd(a) >= 0);
	end();
}

void path_limit(void)
{
	struct nst_account *a = used_account(1 << 20);

	nst_maintain();
	nst_account_enter(a);
	begin("limit");
	must(!nst_alloc(2 << 20, NST_NORMAL));
	end();
}

void path_tell(void)
{
	struct nst_account *a = used_account(1 << 20);
	nst_account_token_t t;

	nst_maintain();
	t = nst_account_enter(a);
	must(!nst_alloc(2 << 20, NST_NOWAIT));
	nst_account_exit(t);
	begin("tell");
	nst_maintain();
	end();
}

/* ---- pools ---- */

static struct nst_pool *pool;

static void *give_soon(void *obj)
{
	nap_ms(30);
	nst_pool_free_nolock(pool, obj);
	return NULL;
}

static void *wait_for_it(void *nothing)
{
	(void)nothing;
	nst_pool_free_nolock(pool, nst_pool_alloc(pool, NST_NORMAL));
	return NULL;
}

/* One object, and no memory: it is out. */
static void *empty_pool(void)
{
	struct nst_cache *c = nst_cache_create("pool", 64, 0, 0, NULL);

	pool = nst_pool_create(c, 1, 0, 0);
	must(pool != NULL);
	while (nst_cache_alloc(c, NST_NORETRY))
		;
	return nst_pool_alloc(pool, NST_NOWAIT);
}

void path_pool_wait(void)
{
	void *obj = empty_pool();
	pthread_t t;

	if (pthread_create(&t, NULL, give_soon, obj))
		_exit(97);
	begin("pool-wait");
	must(nst_pool_alloc(pool, NST_NORMAL) == obj);
	end();
	pthread_join(t, NULL);
}

void path_pool_wake(void)
{
	void *obj = empty_pool();
	pthread_t t;

	nst_pool_nap_us = 100000000;
	if (pthread_create(&t, NULL, wait_for_it, NULL))
		_exit(97);
	while (!nst_load_relaxed(&pool->waiting))
		nap_ms(1);
	begin("pool-wake");
	nst_pool_free(pool, obj);
	end();
	pthread_join(t, NULL);
}
