/* SPDX-License-Identifier: MIT */
/*
 * account.c - C26: at max a no-lock request of an account is NULL, at once; and before that it is charged like any.
 *
 * A thread that the kernel kills at its first system call enters an account, takes by every no-lock call until each gives
 * NULL, frees some, and takes again; what it had never is above max. Nobody maintains anything meanwhile.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <nostall/nostall.h>
#include "common/check.h"
#include "common/trap.h"

#define MAX ((uint64_t)512 << 10)
#define NR 8192

static struct nst_account *account;
static struct nst_cache *cache;
static void *had[NR];
static struct {
	uint64_t most, least_at_null, taken, nulls, foreign;
	uint32_t rounds, done;
} seen = {.least_at_null = UINT64_MAX};

static void *one(unsigned int way)
{
	switch (way % 6) {
	case 0:
		return nst_alloc_nolock(100);
	case 1:
		return nst_alloc_fasttry(100);
	case 2:
		return nst_cache_alloc_nolock(cache);
	case 3:
		return nst_pages_alloc_nolock(0);
	case 4:
		return nst_alloc(2000, NST_NOLOCK | NST_ZERO);
	default:
		return nst_cache_alloc(cache, NST_NOLOCK);
	}
}

/* Until each way has given NULL since one was served. */
static unsigned int take_all(void)
{
	unsigned int n = 0, way, in_vain = 0;

	for (way = 0; in_vain < 6 && n < NR; way++) {
		had[n] = one(way);
		in_vain = had[n] ? 0 : in_vain + 1;
		if (had[n])
			seen.taken += nst_usable_size(had[n++]);
		else
			seen.nulls++;
		seen.most = seen.taken > seen.most ? seen.taken : seen.most;
	}
	if (seen.taken < seen.least_at_null)
		seen.least_at_null = seen.taken;
	return n;
}

static void *run(void *unused)
{
	nst_account_token_t t;
	unsigned int n;

	(void)unused;
	trap_syscalls(TRAP_ALLOW_NONE);
	for (seen.rounds = 0; seen.rounds < 50; seen.rounds++) {
		t = nst_account_enter(account);
		n = take_all();
		nst_account_exit(t);
		had[n < NR ? n : 0] = n < NR ? nst_alloc_nolock(100) : had[0];
		seen.foreign += n < NR && had[n];
		if (n < NR)
			nst_free_nolock(had[n]);
		while (n--) {
			seen.taken -= nst_usable_size(had[n]);
			nst_free_nolock(had[n]);
		}
	}
	__atomic_store_n(&seen.done, 1, __ATOMIC_RELEASE);
	for (;;)
		;
	return NULL;
}

/* Enough of everything, so that nothing but the limit is in the way: charged objects, where the thread will run. */
static void stock(void)
{
	nst_account_token_t t = nst_account_enter(account);

	if (nst_stock(nst_cache_of_size(100), 6000, NST_CPU_ALL) ||
	    nst_stock(cache, 3000, NST_CPU_ALL) ||
	    nst_stock(nst_cache_of_size(2000), 600, NST_CPU_ALL) ||
	    nst_pages_stock(0, 300, NST_CPU_ALL))
		check_broken("nst_stock");
	nst_account_exit(t);
}

TEST_CONF("worker:off")

int main(int argc, char **argv)
{
	struct nst_account_stats s;
	pthread_t thread;

	(void)argc;
	conf_apply(argv);
	check_deadline(50, "C26 in time");
	account = nst_account_create("limited", NULL, NST_NO_LIMIT, MAX);
	cache = nst_cache_create("things", 200, 0, 0, NULL);
	stock();
	if (pthread_create(&thread, NULL, run, NULL))
		check_broken("pthread_create");
	while (!__atomic_load_n(&seen.done, __ATOMIC_ACQUIRE))
		sched_yield();
	check(seen.rounds == 50 && seen.foreign == 50, "C26 others are served meanwhile",
	      "%llu of 50", (unsigned long long)seen.foreign);
	check(seen.nulls >= 300, "C26 at the limit it is NULL", "%llu times",
	      (unsigned long long)seen.nulls);
	check(seen.most <= MAX, "C26 never a byte over max", "%llu of %llu",
	      (unsigned long long)seen.most, (unsigned long long)MAX);
	nst_account_read(account, &s, sizeof(s));
	check(s.peak_bytes <= MAX && s.peak_bytes > MAX / 2, "C26 nor is what is charged", "%llu",
	      (unsigned long long)s.peak_bytes);
	/* Stocks are an eighth of max; each object of these sizes takes a fifth more than may be used of it, at most. */
	check(seen.least_at_null > MAX / 2, "C26 and not NULL much before it", "at %llu of %llu",
	      (unsigned long long)seen.least_at_null, (unsigned long long)MAX);
	check(s.charged_bytes == s.stocked_bytes, "C27 all of it went back", "%llu of %llu",
	      (unsigned long long)s.charged_bytes, (unsigned long long)s.stocked_bytes);
	check(nst_account_destroy(account) == 0, "C27 its account goes", "refused");
	check(nst_cache_destroy(cache) == 0, "nothing lost", "objects alive");
	return check_status();
}
