/* SPDX-License-Identifier: MIT */
/*
 * mm_account.c - accounts: what is charged, to whom, what a limit does in each mode, and that all goes back.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "mm/mm.h"
#include "mm/claim/account.h"
#include "common/check.h"
#include "common/trap.h"

#define KIB ((u64)1024)
#define MIB (KIB * KIB)

static struct nst_account_stats stats_of(struct nst_account *a)
{
	struct nst_account_stats s;

	if (nst_account_read(a, &s, sizeof(s)))
		check_broken("nst_account_read");
	return s;
}

/* What objects take. */
static u64 taken(struct nst_account *a)
{
	struct nst_account_stats s = stats_of(a);

	return s.charged_bytes - s.stocked_bytes;
}

static struct nst_account *account(const char *name, struct nst_account *parent, u64 max)
{
	struct nst_account *a = nst_account_create(name, parent, NST_NO_LIMIT, max);

	if (!a)
		check_broken("nst_account_create");
	return a;
}

static void destroy(struct nst_account *a)
{
	u64 left = taken(a);
	int err = nst_account_destroy(a);

	check(!err, "an account without charges goes", "%d, %llu bytes left", err,
	      (unsigned long long)left);
}

static void *in(struct nst_account *a, size_t size, nst_mode_t mode)
{
	nst_account_token_t t = nst_account_enter(a);
	void *p = (nst_alloc)(size, mode);

	nst_account_exit(t);
	return p;
}

/* ---- what is charged ---- */

static void check_bytes(struct nst_account *a, size_t size, u64 bytes, nst_mode_t mode)
{
	u64 before = taken(a);
	void *p = in(a, size, mode);

	check(p && taken(a) - before == bytes, "charged what it takes", "%zu bytes: %llu, not %llu",
	      size, (unsigned long long)(taken(a) - before), (unsigned long long)bytes);
	nst_free(p);
	check(taken(a) == before, "and back", "%zu bytes: %llu left", size,
	      (unsigned long long)(taken(a) - before));
}

static void check_charges(void)
{
	struct nst_account *a = account("charges", NULL, NST_NO_LIMIT);
	u64 small = nst_cache_of_size(64)->slot;
	int i;

	for (i = 0; i < 4; i++)
		check_bytes(a, 64, small, NST_NORMAL);
	check_bytes(a, 1000, nst_cache_of_size(1000)->slot, NST_NORMAL | NST_ZERO);
	check_bytes(a, 100000, 25 * 4096, NST_NORMAL);
	check_bytes(a, 5 << 20, 5 << 20, NST_NORMAL);
	check_bytes(a, 64, small, NST_NOLOCK);
	destroy(a);
}

/* Each way to free, by another thread too. */
static struct nst_cache *cache;

static void *free_one(void *p)
{
	nst_free(p);
	return NULL;
}

static void free_by(void *p, size_t size, int way)
{
	pthread_t other;

	switch (way) {
	case 0:
		nst_free(p);
		break;
	case 1:
		nst_free_nolock(p);
		break;
	case 2:
		nst_free_sized(p, size);
		break;
	case 3:
		nst_free_bulk(1, &p);
		break;
	case 4:
		nst_free_rcu(p);
		nst_rcu_barrier();
		break;
	case 5:
		nst_free_rcu_bulk(1, &p);
		nst_rcu_barrier();
		break;
	default:
		if (pthread_create(&other, NULL, free_one, p))
			check_broken("pthread_create");
		pthread_join(other, NULL);
	}
}

static void check_frees(void)
{
	struct nst_account *a = account("frees", NULL, NST_NO_LIMIT);
	static const size_t sizes[] = {16, 64, 3000, 32768, 40000, 3 << 20};
	size_t i;
	int way, round;

	for (round = 0; round < 3; round++)
		for (way = 0; way < 7; way++)
			for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
				void *p = in(a, sizes[i], NST_NORMAL);

				check_quiet(taken(a) >= sizes[i], "charged", "%zu", sizes[i]);
				free_by(p, sizes[i], way);
				check_quiet(taken(a) == 0, "given back",
					    "way %d, %zu bytes: %llu left", way, sizes[i],
					    (unsigned long long)taken(a));
			}
	destroy(a);
}

static void check_caches(void)
{
	struct nst_account *a = account("caches", NULL, NST_NO_LIMIT);
	nst_account_token_t t = nst_account_enter(a);
	void *p[40];
	size_t n = nst_cache_alloc_bulk(cache, NST_NORMAL, 40, p), i;

	check(n == 40 && taken(a) == 40 * cache->slot, "bulk charges each", "%zu: %llu", n,
	      (unsigned long long)taken(a));
	for (i = 0; i < 10; i++)
		nst_cache_free(cache, p[i]);
	for (; i < 20; i++)
		nst_cache_free_nolock(cache, p[i]);
	nst_cache_free_bulk(cache, 10, p + 20);
	nst_free_bulk(10, p + 30);
	check(taken(a) == 0, "and each free gives back", "%llu left", (unsigned long long)taken(a));
	p[0] = nst_cache_alloc(cache, NST_NORMAL);
	nst_account_exit(t);
	check(nst_cache_destroy(cache) == 1, "a charged object is alive", "it was not");
	nst_free(p[0]);
	destroy(a);
}

static void check_realloc(void)
{
	struct nst_account *a = account("realloc", NULL, NST_NO_LIMIT);
	nst_account_token_t t = nst_account_enter(a);
	char *p = nst_alloc(10, NST_NORMAL);
	size_t size;

	for (size = 16; size < 6 << 20; size = size * 3 / 2) {
		memset(p, 7, size / 2 ? size / 2 : 1);
		p = nst_realloc(p, size, NST_NORMAL);
		check_quiet(p && taken(a) >= size && taken(a) <= 2 * size + 8192,
			    "charged what it has become", "%zu bytes: %llu", size,
			    (unsigned long long)taken(a));
	}
	nst_account_exit(t);
	p = nst_realloc(p, 100, NST_NORMAL);
	check(p && taken(a) == 0, "what it becomes outside is nobody's", "%llu",
	      (unsigned long long)taken(a));
	nst_free(p);
	destroy(a);
}

/* ---- whom ---- */

static void check_thread(void)
{
	struct nst_account *a = account("a", NULL, NST_NO_LIMIT),
			   *b = account("b", NULL, NST_NO_LIMIT);
	nst_account_token_t ta = nst_account_enter(a), tb, tn;
	void *p[6];

	p[0] = nst_alloc(100, NST_NORMAL);
	tb = nst_account_use(b);
	p[1] = nst_alloc(100, NST_NORMAL);
	p[2] = nst_alloc(200, NST_NORMAL | NST_ACCOUNT);
	tn = nst_account_enter(NULL);
	p[3] = nst_alloc(100, NST_NORMAL | NST_ACCOUNT);
	nst_account_exit(tn);
	p[4] = nst_pages_alloc(0, NST_NORMAL | NST_ACCOUNT);
	nst_account_exit(tb);
	p[5] = nst_alloc(100, NST_NORMAL);
	check(nst_account_destroy(a) == -16, "refused while a thread is in it", "it went");
	nst_account_exit(ta);
	check(taken(a) == 2 * nst_cache_of_size(100)->slot, "by all requests, or none", "%llu",
	      (unsigned long long)taken(a));
	check(taken(b) == nst_cache_of_size(200)->slot + 4096u, "by those with NST_ACCOUNT", "%llu",
	      (unsigned long long)taken(b));
	check(nst_account_destroy(b) == -16, "refused while charged", "it went");
	nst_free_bulk(6, p);
	destroy(a);
	destroy(b);
}

static void check_tree(void)
{
	struct nst_account *top = account("top", NULL, 1 * MIB),
			   *a = account("a", top, NST_NO_LIMIT), *b = account("b", top, 100 * KIB),
			   *level = b, *up[NST_ACCOUNT_DEPTH];
	unsigned int i, n = 0;
	void *p = in(a, 20 * 4096, NST_NORMAL), *q = in(b, 10 * 4096, NST_NORMAL), *r;

	check(taken(top) == 30 * 4096 && taken(a) == 20 * 4096, "charged to all above", "%llu",
	      (unsigned long long)taken(top));
	check(nst_account_destroy(top) == -16, "refused while accounts are below", "it went");
	r = in(b, 30 * 4096, NST_NORETRY);
	check(!r, "one's own limit", "served");
	r = in(a, 240 * 4096, NST_NORETRY);
	check(!r && stats_of(top).max_events, "and that of one above", "served");
	check(taken(a) == 20 * 4096 && taken(top) == 30 * 4096, "a refusal leaves nothing", "%llu",
	      (unsigned long long)taken(top));
	nst_free(p);
	nst_free(q);
	while ((level = nst_account_create("level", level, 0, 0)) != NULL)
		up[n++] = level;
	check(n == NST_ACCOUNT_DEPTH - 2, "so deep and no deeper", "%u below the second", n);
	for (i = n; i--;)
		destroy(up[i]);
	destroy(a);
	destroy(b);
	destroy(top);
}

/* ---- at the limit ---- */

static nst_mode_t modes_refused[] = {NST_NORETRY, NST_NOWAIT, NST_NOLOCK, NST_FASTTRY, NST_NORMAL};

static u64 nulls(enum nst_null_reason why)
{
	static struct nst_stats s;

	nst_stats_read(&s, sizeof(s));
	return s.null_reasons[why];
}

static void check_max(void)
{
	struct nst_account *a = account("max", NULL, 256 * KIB);
	static void *p[300];
	u64 before = nulls(NST_NULL_LIMIT);
	unsigned int n = 0, i;
	struct nst_account_stats s;

	while (n < 300 && (p[n] = in(a, 4096, NST_NORETRY)) != NULL)
		n++;
	s = stats_of(a);
	check(taken(a) + 4096 + nst_debug_slot_extra() * 64 + 4096 > 256 * KIB &&
		      taken(a) <= 256 * KIB,
	      "who may wait has all of it, and not a byte more", "%llu",
	      (unsigned long long)taken(a));
	for (i = 0; i < sizeof(modes_refused) / sizeof(modes_refused[0]); i++)
		check(!in(a, 8192, modes_refused[i]), "NULL at max", "mode 0x%x was served",
		      modes_refused[i]);
	check(nulls(NST_NULL_LIMIT) - before >= 4, "counted with its reason", "%llu",
	      (unsigned long long)(nulls(NST_NULL_LIMIT) - before));
	check(stats_of(a).max_events > s.max_events && stats_of(a).refused >= 5 &&
		      stats_of(a).peak_bytes <= 256 * KIB,
	      "statistics", "refused %llu", (unsigned long long)stats_of(a).refused);
	nst_free(p[--n]);
	p[n] = in(a, 4000, NST_NOWAIT);
	check(p[n] != NULL, "what was freed is had again", "NULL");
	n += p[n] != NULL;
	nst_free_bulk(n, p);
	check(taken(a) == 0, "all back", "%llu", (unsigned long long)taken(a));
	nst_account_limit(a, NST_NO_LIMIT, NST_NO_LIMIT);
	p[0] = in(a, 1 << 20, NST_NORMAL);
	check(p[0] != NULL, "a limit is lifted", "NULL");
	nst_account_limit(a, NST_NO_LIMIT, 4096);
	check(!in(a, 64, NST_NOWAIT), "and set below what there is", "served");
	nst_free(p[0]);
	destroy(a);
}

static u64 forced_cap(void)
{
	u64 pages = 0;
	unsigned int i;

	for (i = 0; i < nst_sys_cpus.nr_nodes; i++)
		pages += nst_zones[i].min;
	return (pages << NST_PAGE_SHIFT) / 2;
}

static void check_forced(void)
{
	struct nst_account *a = account("forced", NULL, 64 * KIB), *b = account("other", NULL, 0);
	u64 cap = forced_cap();
	void *most = in(a, 64 * KIB, NST_NORMAL), *p[4096], *q;
	unsigned int n = 0, i;

	while (n < 4096 && (p[n] = in(a, 8 * 4096, NST_ATOMIC)) != NULL)
		n++;
	check(most && n && stats_of(a).forced_bytes <= cap &&
		      stats_of(a).forced_bytes + 8 * 4096 > cap,
	      "ATOMIC is forced over, within the cap", "%u: %llu of %llu", n,
	      (unsigned long long)stats_of(a).forced_bytes, (unsigned long long)cap);
	check(stats_of(a).charged_bytes <= 64 * KIB + stats_of(a).forced_bytes, "and it is shown",
	      "%llu", (unsigned long long)stats_of(a).charged_bytes);
	check(!in(b, 8 * 4096, NST_ATOMIC), "which all accounts share", "another was served");
	nst_free(p[--n]);
	q = in(b, 4096, NST_NOFAIL);
	check(q && stats_of(b).forced_bytes == nst_cache_of_size(4096)->slot, "NOFAIL as well",
	      "%llu", (unsigned long long)stats_of(b).forced_bytes);
	nst_free(q);
	for (i = 0; i < n; i++)
		nst_free(p[i]);
	check(stats_of(a).forced_bytes == 0 && stats_of(b).forced_bytes == 0, "given back", "%llu",
	      (unsigned long long)stats_of(a).forced_bytes);
	nst_free(most);
	destroy(a);
	destroy(b);
}

struct freeing {
	void *most;
	unsigned int us;
};

static void *frees_later(void *arg)
{
	struct freeing *f = arg;

	usleep(f->us);
	nst_free(f->most);
	return NULL;
}

/* Past the cap NOFAIL waits until somebody frees; NORMAL, for a while. */
static void check_waits(nst_mode_t mode, unsigned int us)
{
	struct nst_account *a = account("waits", NULL, 4 * MIB);
	struct freeing f = {in(a, 4 * MIB, NST_NORMAL), us};
	pthread_t other;
	void *p;

	if (pthread_create(&other, NULL, frees_later, &f))
		check_broken("pthread_create");
	p = in(a, 4 * MIB, mode);
	check(p != NULL, "waits until somebody frees", "mode 0x%x: NULL", mode);
	pthread_join(other, NULL);
	nst_free(p);
	destroy(a);
}

static void check_high(void)
{
	struct nst_account *a = nst_account_create("high", NULL, 128 * KIB, MIB);
	struct pollfd told = {.fd = nst_account_fd(a), .events = POLLIN};
	u64 times;
	void *p, *q;

	p = in(a, 100 * KIB, NST_NORMAL);
	nst_maintain();
	check(told.fd >= 0 && poll(&told, 1, 0) == 0, "nothing to tell", "fd %d", told.fd);
	q = in(a, 100 * KIB, NST_NORMAL);
	check(p && q && stats_of(a).high_events == 1, "above high it is served, and told", "%llu",
	      (unsigned long long)stats_of(a).high_events);
	nst_maintain();
	check(poll(&told, 1, 5000) == 1 && read(told.fd, &times, 8) == 8 && times >= 1,
	      "to who polls", "not readable");
	check(!in(a, MIB, NST_NOLOCK | NST_NOWARN) && !in(a, 960 * KIB, NST_NOWAIT), "max",
	      "served");
	nst_maintain();
	check(poll(&told, 1, 5000) == 1, "again for max", "not readable");
	check(nst_account_fd(a) == told.fd, "one descriptor", "another");
	nst_free(p);
	nst_free(q);
	destroy(a);
	check(nst_account_fd(NULL) == -22 && nst_account_limit(NULL, 0, 0) == -22 &&
		      nst_account_read(NULL, NULL, 0) == -22 && nst_account_destroy(NULL) == 0,
	      "no account", "served");
}

/* ---- and without memory ---- */

/* Whatever of the second caches cannot be made: there is no account, and none is needed; and then all of them are. */
static void check_first_fails(void)
{
	static const int kinds[] = {NST_FAIL_META, NST_FAIL_COMMIT, NST_FAIL_POPULATE};
	struct nst_account *a;
	unsigned int k, refused = 0;
	void *p;
	long n;

	for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		for (n = 1; n < 400; n++) {
			nst_test_fail[kinds[k]] = n;
			a = nst_account_create("first", NULL, NST_NO_LIMIT, MIB);
			nst_test_fail[kinds[k]] = 0;
			refused += !a;
			p = nst_alloc(64, NST_NORETRY);
			check_quiet(p && !nst_mm.accounts == !a,
				    "all is as it was, or there is one", "kind %d, %ld", kinds[k],
				    n);
			nst_free(p);
			if (!a)
				continue;
			p = in(a, 64, NST_NORETRY);
			check_quiet(p && taken(a), "charged", "kind %d, %ld", kinds[k], n);
			nst_free(p);
			check_quiet(!nst_account_destroy(a), "it goes", "kind %d, %ld", kinds[k],
				    n);
		}
	}
	check(refused > 20, "what fails was met by the first account", "%u times", refused);
}

static void check_fails(void)
{
	struct nst_account *a = account("fails", NULL, NST_NO_LIMIT), *b;
	int what, n, failed = 0;

	for (what = 0; what < NST_NR_FAILS; what++) {
		for (n = 1; n < 6; n++) {
			void *p[40];
			size_t got = 0, i;

			nst_maintain();
			nst_test_fail[what] = n;
			/* Who waits would for ever. */
			nst_test_fail_on = what != NST_FAIL_TRYLOCK && what != NST_FAIL_PAGE;
			b = nst_account_create("b", a, NST_NO_LIMIT, MIB);
			for (i = 0; b && i < 40; i++) {
				p[got] = in(b, 64u << i % 14, NST_NORETRY);
				got += p[got] != NULL;
			}
			nst_test_fail[what] = 0;
			failed += !b || got < 40;
			nst_free_bulk(got, p);
			if (b)
				check_quiet(taken(b) == 0 && !nst_account_destroy(b), "all back",
					    "what %d, %d: %llu left", what, n,
					    (unsigned long long)taken(b));
		}
	}
	nst_test_fail_on = 0;
	check(failed > 5, "what fails was met", "%d times", failed);
	destroy(a);
}

static void check_fork(void)
{
	struct nst_account *a = account("fork", NULL, MIB);
	void *p = in(a, 5000, NST_NORMAL), *q;
	int status;
	pid_t pid;

	nst_account_fd(a);
	pid = fork();
	if (!pid) {
		q = in(a, 5000, NST_NORMAL);
		nst_free(p);
		nst_free(q);
		_exit(taken(a) == 0 && nst_account_destroy(a) == 0 ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	check(status == 0, "a child goes on with it", "status 0x%x", status);
	check(taken(a) >= 5000, "and the parent", "%llu", (unsigned long long)taken(a));
	nst_free(p);
	destroy(a);
}

TEST_CONF("worker:off")

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	check_deadline(50, "in time");
	if (nst_rcu_use())
		check_broken("nst_rcu_use");
	cache = nst_cache_create("things", 200, 0, 0, NULL);
	check_first_fails();
	check_charges();
	check_frees();
	check_caches();
	check_realloc();
	check_thread();
	check_tree();
	check_max();
	check_forced();
	check_waits(NST_NOFAIL, 60000);
	check_high();
	check_fork();
	check_fails();
	check(nst_cache_destroy(cache) == 0, "nothing lost", "objects alive");
	check(!nst_mm.accounts, "without accounts all is as it was", "still closed");
	return check_status();
}
