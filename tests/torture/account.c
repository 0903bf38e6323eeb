/* SPDX-License-Identifier: MIT */
/*
 * account.c - C26, C27: 64 threads and their handlers charge a tree of accounts and free what others were charged for.
 *
 *	top (max)  <-  2 in the middle (one with a max)  <-  8 leaves (each with a max)
 *
 * What each object takes is added to a model after it was had, and taken off before it is freed: the model never is above
 * what is charged, so a model above max is a byte too many. Even leaves take nothing that is forced: there max is exact.
 * A reader of statistics looks at all accounts meanwhile, a reader of objects at what waits for it, and children of fork()
 * begin accounts of their own. In the end everything is freed, and every sum is 0.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <nostall/nostall.h>
#include "mm/mm.h"
#include "mm/claim/account.h"
#include "common/trap.h"
#include "rig.h"

#define NR_LEAVES 8u
#define NR_CRATES 512u
#define CACHED 136u /* bytes of the cache's objects */
#define LEAST 24u

/* At the front of each object. */
struct label {
	uint32_t leaf; /* NR_LEAVES: nobody's */
	uint32_t bytes, asked;
};

static struct nst_account *top, *middle[2], *leaf[NR_LEAVES];
static int64_t held[NR_LEAVES + 1], held_all;
static uint64_t leaf_max[NR_LEAVES];
static void *crate[NR_CRATES];
static struct nst_cache *cache;
static uint64_t steps, nulls, over, forced;
static int stop;

#define add(p, n) __atomic_add_fetch(p, n, __ATOMIC_RELAXED)

static uint32_t takes(uint32_t size)
{
	return size == CACHED	      ? cache->slot
	       : size > NST_CLASS_MAX ? (size + 4095) & ~4095u
				      : nst_size_table[nst_size_index(size)]->slot;
}

static nst_mode_t any_mode(struct rng *rng, unsigned int who)
{
	static const nst_mode_t modes[] = {NST_NORETRY, NST_NOWAIT, NST_NOLOCK,
					   NST_NOLOCK,	NST_NORMAL, NST_NOWAIT | NST_ZERO};

	if (who % 2 && !rng_below(rng, 8))
		return NST_ATOMIC;
	return modes[rng_below(rng, rng_below(rng, 16) ? 4 : 6)];
}

static void *take(struct rng *rng, uint32_t size, nst_mode_t mode)
{
	void *p = NULL;

	if (size == CACHED && rng_below(rng, 2))
		return nst_cache_alloc(cache, mode);
	if (size == CACHED)
		return nst_cache_alloc_bulk(cache, mode, 1, &p) ? p : NULL;
	if (rng_below(rng, 8))
		return nst_alloc(size, mode);
	return nst_alloc_bulk(size, mode, 1, &p) ? p : NULL;
}

static void model_add(const struct label *l)
{
	int64_t now = add(&held[l->leaf], l->bytes);
	int64_t most = l->leaf == NR_LEAVES ? INT64_MAX : (int64_t)leaf_max[l->leaf];

	if (l->leaf % 2 == 0 && now > most)
		add(&over, 1);
	if (l->leaf < NR_LEAVES)
		add(&held_all, l->bytes);
}

static void model_sub(const struct label *l)
{
	add(&held[l->leaf], -(int64_t)l->bytes);
	if (l->leaf < NR_LEAVES)
		add(&held_all, -(int64_t)l->bytes);
}

static void *had(void *p, uint32_t who, uint32_t size)
{
	struct label l = {who, takes(size), size};

	add(&steps, 1);
	if (!p) {
		add(&nulls, 1);
		return NULL;
	}
	memcpy(p, &l, sizeof(l));
	model_add(&l);
	return p;
}

static uint32_t any_size(struct rng *rng)
{
	uint32_t n = rng_below(rng, 64);

	if (n < 12)
		return CACHED;
	return n == 12 ? 40000 : n == 13 ? 3u << 20 : rng_size(rng, LEAST, 4096);
}

static void *some(struct rng *rng)
{
	uint32_t who = rng_below(rng, NR_LEAVES + 1), size = any_size(rng);
	nst_mode_t mode = any_mode(rng, who);
	nst_account_token_t t;
	void *p;

	if (who == NR_LEAVES) {
		p = take(rng, size, mode);
	} else if (rng_below(rng, 4)) {
		t = nst_account_enter(leaf[who]);
		p = take(rng, size, mode);
		nst_account_exit(t);
	} else {
		t = nst_account_use(leaf[who]);
		p = take(rng, size, mode | NST_ACCOUNT);
		nst_account_exit(t);
	}
	return had(p, who, size);
}

static void give(struct rng *rng, void *p)
{
	unsigned int way = rng_below(rng, 9);
	struct label l;

	if (!p)
		return;
	memcpy(&l, p, sizeof(l));
	model_sub(&l);
	memset(p, 0xaa, LEAST);
	if (way == 0 && l.asked == CACHED)
		nst_cache_free(cache, p);
	else if (way == 1 && l.asked == CACHED)
		nst_cache_free_nolock(cache, p);
	else if (way == 2 && l.asked != CACHED)
		nst_free_sized(p, l.asked);
	else if (way == 3)
		nst_free_nolock(p);
	else if (way == 4)
		nst_free_bulk(1, &p);
	else if (way == 5)
		nst_free_rcu(p);
	else if (way == 6)
		nst_free_rcu_bulk(1, &p);
	else
		nst_free(p);
}

static void handler(int sig)
{
	static struct rng rng = {99};
	struct rng mine = {__atomic_fetch_add(&rng.state, 0x9e3779b97f4a7c15u, __ATOMIC_RELAXED)};
	uint32_t size = rng_size(&mine, LEAST, 2000);
	nst_account_token_t t = nst_account_enter(leaf[0]);
	void *p = had(nst_alloc_nolock(size), 0, size);

	(void)sig;
	nst_account_exit(t);
	if (!p)
		return;
	struct label l;

	memcpy(&l, p, sizeof(l));
	model_sub(&l);
	nst_free_nolock(p);
}

static void *run(void *arg)
{
	struct rng rng = {(uint64_t)(uintptr_t)arg * 77 + 5};
	timer_t timer = rig_timer(200000 + (long)rng_below(&rng, 400000));

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		void **c = &crate[rng_below(&rng, NR_CRATES)];

		give(&rng, __atomic_exchange_n(c, some(&rng), __ATOMIC_ACQ_REL));
	}
	rig_timer_stop(timer);
	return NULL;
}

/* ---- who looks ---- */

static void look(struct nst_account *a)
{
	struct nst_account_stats s;

	nst_account_read(a, &s, sizeof(s));
	check_quiet(s.charged_bytes <= s.forced_bytes ||
			    s.charged_bytes - s.forced_bytes <= s.max_bytes,
		    "C26 never a byte over max", "%s: %llu of %llu, %llu forced", s.name,
		    (unsigned long long)s.charged_bytes, (unsigned long long)s.max_bytes,
		    (unsigned long long)s.forced_bytes);
	__atomic_store_n(&forced, s.forced, __ATOMIC_RELAXED);
}

static void look_at_all(void)
{
	for (unsigned int i = 0; i < NR_LEAVES; i++)
		look(leaf[i]);
	look(middle[0]);
	look(middle[1]);
	look(top);
}

static uint64_t taken(struct nst_account *a)
{
	struct nst_account_stats s;

	nst_account_read(a, &s, sizeof(s));
	return s.charged_bytes - s.stocked_bytes;
}

/* What is retired stays charged while a reader may have it. */
static void retire_beside_a_reader(struct rng *rng)
{
	struct nst_account *a = nst_account_create("reader", NULL, NST_NO_LIMIT, NST_NO_LIMIT);
	nst_account_token_t t = nst_account_enter(a);
	uint64_t bytes = 0;
	void *p[40];
	nst_rcu_token_t reader;

	for (int i = 0; i < 40; i++) {
		uint32_t size = any_size(rng);

		p[i] = take(rng, size, NST_NORMAL);
		bytes += p[i] ? takes(size) : 0;
	}
	nst_account_exit(t);
	reader = nst_rcu_read_begin();
	for (int i = 0; i < 40; i++)
		nst_free_rcu(p[i]);
	rig_nap_us(3000);
	check_quiet(taken(a) == bytes, "C27 what waits is charged", "%llu of %llu",
		    (unsigned long long)taken(a), (unsigned long long)bytes);
	nst_rcu_read_end(reader);
	nst_rcu_barrier();
	check_quiet(taken(a) == 0, "C27 what was freed is not", "%llu left",
		    (unsigned long long)taken(a));
	check_quiet(nst_account_destroy(a) == 0, "C27 its account goes", "refused");
}

static void child(struct rng *rng)
{
	struct nst_account *a = nst_account_create("child", top, NST_NO_LIMIT, NST_NO_LIMIT);
	nst_account_token_t t = nst_account_enter(a);

	for (int i = 0; i < 300; i++)
		nst_free(take(rng, any_size(rng), NST_NORETRY));
	nst_account_exit(t);
	_exit(taken(a) == 0 && nst_account_destroy(a) == 0 ? 0 : 1);
}

static void fork_one(struct rng *rng)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		child(rng);
	if (pid > 0)
		waitpid(pid, &status, 0);
	check_quiet(status == 0, "a child has accounts", "status 0x%x", status);
}

/* ---- the tree ---- */

static void make_tree(void)
{
	top = nst_account_create("top", NULL, NST_NO_LIMIT, 12 << 20);
	middle[0] = nst_account_create("middle0", top, NST_NO_LIMIT, 3 << 20);
	middle[1] = nst_account_create("middle1", top, 2 << 20, NST_NO_LIMIT);
	for (unsigned int i = 0; i < NR_LEAVES; i++) {
		leaf_max[i] = i == 4 ? 7 << 20 : (uint64_t)(40 << i % 4) << 10;
		leaf[i] = nst_account_create("leaf", middle[i % 4 / 2], NST_NO_LIMIT, leaf_max[i]);
		if (!leaf[i])
			check_broken("nst_account_create");
	}
}

static void end(struct nst_account *a, const char *name)
{
	uint64_t left = taken(a);
	struct nst_account_stats s;

	nst_account_read(a, &s, sizeof(s));
	check(left == 0 && s.forced_bytes == 0, "C27 each byte went back once",
	      "%s: %lld left, %llu forced", name, (long long)left,
	      (unsigned long long)s.forced_bytes);
	int err = nst_account_destroy(a);

	check(err == 0, "and its account goes", "%s: %d", name, err);
}

static int enough(void)
{
	uint64_t no = __atomic_load_n(&nulls, __ATOMIC_RELAXED);

	return no > 100 && __atomic_load_n(&steps, __ATOMIC_RELAXED) > 5 * no / 4 + 100;
}

static void settle(struct rng *rng)
{
	for (unsigned int i = 0; i < NR_CRATES; i++)
		give(rng, crate[i]);
	nst_rcu_barrier();
	nst_maintain();
	nst_rcu_barrier();
	check(held_all == 0, "the model is empty", "%lld", (long long)held_all);
	check(over == 0, "C26 never a byte over max, by what was had", "%llu times",
	      (unsigned long long)over);
	printf("# %llu requests, %llu NULL, %llu forced in all\n", (unsigned long long)steps,
	       (unsigned long long)nulls, (unsigned long long)forced);
	check_seen(enough(), "limits were met, and requests served", "see above");
	for (unsigned int i = 0; i < NR_LEAVES; i++)
		end(leaf[i], "leaf");
	end(middle[0], "middle0");
	end(middle[1], "middle1");
	end(top, "top");
	check(nst_cache_destroy(cache) == 0, "nothing of the cache is lost", "some objects are");
}

int main(int argc, char **argv)
{
	long nr = env_long("TEST_THREADS", 64), seconds = env_long("NST_SECONDS", 3);
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};
	struct rng rng = {seed_of(argc, argv)};
	pthread_t thread[64];
	double begun;

	check_deadline((unsigned int)seconds + 90, "in time");
	sigaction(RIG_SIGNAL, &sa, NULL);
	if (nst_rcu_use())
		check_broken("nst_rcu_use");
	cache = nst_cache_create("things", CACHED, 0, 0, NULL);
	make_tree();
	nst_test_delay[NST_SEQ_DEBIT][3] = nst_test_delay[NST_SEQ_CREDIT][3] = 300;
	for (long i = 0; i < nr; i++)
		if (pthread_create(&thread[i], NULL, run, (void *)(uintptr_t)(rng_next(&rng) | 1)))
			check_broken("pthread_create");
	for (begun = rig_now(); rig_goes_on(begun, (double)seconds, enough);) {
		for (int i = 0; i < 50; i++)
			look_at_all();
		retire_beside_a_reader(&rng);
		if (env_long("TEST_FORK", 1))
			fork_one(&rng);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (long i = 0; i < nr; i++)
		pthread_join(thread[i], NULL);
	settle(&rng);
	return check_status();
}
