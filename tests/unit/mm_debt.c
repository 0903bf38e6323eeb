/* SPDX-License-Identifier: MIT */
/*
 * mm_debt.c - C28, step by step: what is billed, what it costs, how it is paid, and where nobody sleeps for it.
 *
 * All memory is taken, and one page goes round: freed, and had again without waiting. Sleeps are not slept but noted.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "mm/mm.h"
#include "common/check.h"
#include "common/trap.h"

#define NR_PAGES 16384u
#define PAGE ((u64)NST_PAGE_BYTES)
#define DOSE (32 * PAGE)

const char *test_conf(int argc, char **argv)
{
	return argc > 1 && !strcmp(argv[1], "off") ? "worker:off,max:16M,high:1M,debt:off"
						   : "worker:off,max:16M,high:1M";
}

static void *page[NR_PAGES];
static unsigned int nr;

static struct {
	unsigned int nr;
	u64 us, most, last;
} naps;

static void nap(uint64_t us)
{
	naps.nr++;
	naps.us += us;
	naps.most = us > naps.most ? us : naps.most;
	naps.last = us;
}

static struct nst_stats *stats(void)
{
	static struct nst_stats s;

	if (nst_stats_read(&s, sizeof(s)))
		check_broken("nst_stats_read");
	return &s;
}

static void take_all(nst_mode_t mode)
{
	while (nr < NR_PAGES && (page[nr] = nst_pages_alloc(0, mode)))
		nr++;
}

/* Had without waiting, @n pages. */
static void owe(unsigned int n)
{
	while (n--) {
		nst_pages_free(page[--nr]);
		page[nr] = nst_pages_alloc_nolock(0);
		if (!page[nr])
			check_broken("a page that was freed is to be had");
		nr++;
	}
}

static u64 owed(void)
{
	return nst_thread.owed;
}

/* Owes @n pages, and nothing was noted. */
static void begin(unsigned int n)
{
	nst_thread.owed = 0;
	memset(&naps, 0, sizeof(naps));
	owe(n);
}

/* An ordinary request that leaves its fast path; what it gets goes back. */
static void request(nst_mode_t mode)
{
	nst_pages_free(page[--nr]);
	page[nr] = nst_pages_alloc(0, mode);
	if (!page[nr])
		check_broken("a page that was freed is to be had");
	nr++;
}

/* ---- memory can be made ready ---- */

static void check_refill(void)
{
	struct nst_debt_stats d;

	while ((page[nr] = nst_pages_alloc_nolock(0)) != NULL)
		nr++;
	check(owed() > DOSE && owed() == stats()->debt.billed_bytes && naps.nr == 0,
	      "C28 what is had without waiting below the low watermark is billed", "%llu bytes",
	      (unsigned long long)owed());
	check(nst_hint(&nst_zones[0].free_pages) < nst_hint(&nst_zones[0].low), "C28 it is short",
	      "not");
	page[nr++] = nst_pages_alloc(0, NST_NORETRY);
	d = stats()->debt;
	check(owed() == 0 && d.paid_bytes + d.lapsed_bytes == d.billed_bytes && d.paid_bytes > 0,
	      "C28 a request that may sleep refills", "%llu bytes are owed, %llu were paid",
	      (unsigned long long)owed(), (unsigned long long)d.paid_bytes);
	check(nst_settle() == 0 && naps.nr == 0, "C28 and nobody sleeps", "%u did", naps.nr);
}

/* ---- what it costs ---- */

static int near(u64 a, u64 b)
{
	return a <= b + 2 && b <= a + 2;
}

static void check_price(void)
{
	static const struct {
		unsigned int pages;
		u64 us;
	} rows[] = {{32, 0}, {64, 7500}, {96, 20000}, {160, 60000}, {512, 637500}};
	u64 us;

	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(rows[i].pages);
		check_quiet(owed() == rows[i].pages * PAGE, "C28 pages are billed one by one",
			    "%llu bytes of %u pages", (unsigned long long)owed(), rows[i].pages);
		us = nst_settle();
		check(near(us, rows[i].us) && naps.us == us && owed() <= DOSE + 2,
		      "C28 settling sleeps for the square",
		      "%u pages: %llu us, %llu bytes are left", rows[i].pages,
		      (unsigned long long)us, (unsigned long long)owed());
	}
	begin(5000);
	us = nst_settle();
	check(us <= 2000000 && us > 1990000 && naps.nr == 1 && owed() <= DOSE + 4096,
	      "C28 for 2 s at most, and then it is settled", "%llu us, %llu bytes are left",
	      (unsigned long long)us, (unsigned long long)owed());
	begin(34);
	check(nst_settle() == 0 && owed() == 34 * PAGE, "C28 less than 1 ms is not slept and stays",
	      "%llu bytes", (unsigned long long)owed());
}

static void check_requests(void)
{
	static const nst_mode_t others[] = {NST_NORETRY, NST_NOFAIL, NST_NOWAIT, NST_ATOMIC};
	unsigned int n = 0;

	begin(160);
	while (owed() > DOSE + 1 && n++ < 20)
		request(NST_NORMAL);
	check(naps.most == 10000 && naps.nr >= 6 && naps.nr <= 7 && near(naps.us / 100, 600),
	      "C28 NORMAL sleeps 10 ms at most, until it is slept off",
	      "%u sleeps, %llu us in all, %llu the longest", naps.nr, (unsigned long long)naps.us,
	      (unsigned long long)naps.most);
	for (unsigned int i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		begin(160);
		request(others[i]);
		check(naps.nr == 0 && owed() >= 160 * PAGE, "C28 other modes do not sleep for it",
		      "mode %x slept %u times", others[i], naps.nr);
	}
}

/* What NOWAIT and ATOMIC have is billed as well, objects too, by the batch. */
static void check_billed(void)
{
	static const nst_mode_t modes[] = {NST_NOWAIT, NST_ATOMIC, NST_NOLOCK, NST_FASTTRY};
	static void *obj[4096];
	unsigned int n = 0;
	u64 before;

	for (unsigned int i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		begin(0);
		request(modes[i]);
		check(owed() == PAGE, "C28 modes that do not sleep owe", "%x: %llu bytes", modes[i],
		      (unsigned long long)owed());
	}
	begin(0);
	request(NST_NORMAL);
	check(owed() == 0, "C28 those that sleep do not", "%llu bytes", (unsigned long long)owed());
	for (unsigned int i = 0; i < 64; i++)
		nst_pages_free(page[--nr]);
	while (n < 600 && (obj[n] = nst_alloc_nolock(256)))
		n++;
	check(owed() >= n * 256ull * 3 / 4 && owed() <= n * 512ull + 64 * 1024 && n > 100,
	      "C28 objects owe by the batch", "%u objects of 256, %llu bytes", n,
	      (unsigned long long)owed());
	before = owed();
	while (n)
		nst_free(obj[--n]);
	check(owed() == before && naps.nr == 0, "C28 no free pays", "%llu bytes, %u sleeps",
	      (unsigned long long)owed(), naps.nr);
	take_all(NST_NORETRY);
}

/* ---- where nobody sleeps ---- */

static void never(const char *where)
{
	request(NST_NORMAL);
	check(naps.nr == 0 && owed() >= 159 * PAGE, where, "%u sleeps, %llu bytes are owed",
	      naps.nr, (unsigned long long)owed());
}

static void check_scopes(void)
{
	static const u32 scopes[] = {NST_SCOPE_NOLOCK, NST_SCOPE_NORECLAIM, NST_SCOPE_NOIO,
				     NST_SCOPE_NOCLIENT};
	nst_rcu_token_t t;

	for (unsigned int i = 0; i < sizeof(scopes) / sizeof(scopes[0]); i++) {
		nst_scope_t s;

		begin(160);
		s = nst_scope_enter(scopes[i]);
		never("C28 never in a scope");
		nst_scope_exit(s);
	}
	begin(160);
	t = nst_rcu_read_begin();
	never("C28 never in a read section");
	nst_rcu_read_end(t);
}

static int is_reader;

static int reading(void *ctx)
{
	(void)ctx;
	return is_reader;
}

static void synchronize(void *ctx)
{
	(void)ctx;
}

static void check_domain(void)
{
	struct nst_rcu_domain_ops ops = {.synchronize = synchronize, .read_ongoing = reading};
	struct nst_rcu_domain *d;

	if (nst_rcu_domain_create("debt", &ops, &d))
		check_broken("a domain");
	is_reader = 1;
	begin(160);
	never("C28 never in a section of another domain");
	is_reader = 0;
	request(NST_NORMAL);
	check(naps.nr == 1, "C28 but outside of it", "%u sleeps", naps.nr);
	check(nst_rcu_domain_destroy(d) == 0, "C28 who was asked holds no domain", "it does");
}

static struct nst_reserve *reserve;

static void check_ticket(void)
{
	u64 before;

	begin(160);
	if (nst_reserve_enter(reserve, NST_NORMAL))
		check_broken("a ticket");
	never("C28 never with a ticket");
	before = owed();
	owe(4);
	check(owed() == before, "C28 what is had with a ticket is not owed", "%llu bytes more",
	      (unsigned long long)(owed() - before));
	nst_reserve_exit(reserve);
}

static void called(struct nst_rcu_head *head)
{
	(void)head;
	begin(160);
	never("C28 never in a function that is called after a grace period");
	is_reader = 1;
}

static void check_call(void)
{
	static struct nst_rcu_head head;
	uint64_t since = 0;

	is_reader = 0;
	nst_call_rcu(&head, called, 0);
	while (!is_reader && check_patience(&since))
		nst_maintain();
	check(is_reader, "C28 the function was called", "not");
}

/* ---- a thread that ends ---- */

static pthread_key_t key;

static void at_end(void *arg)
{
	(void)arg;
	begin(160);
	never("C28 never where libc ends the thread");
	check(nst_settle() == 0 && naps.nr == 0, "C28 nor settles", "it does");
}

static void *end(void *arg)
{
	(void)arg;
	pthread_setspecific(key, &key);
	begin(160);
	request(NST_NORMAL);
	check(naps.nr == 1, "C28 a thread sleeps", "%u times", naps.nr);
	return NULL;
}

static void check_end(void)
{
	pthread_t t;

	if (pthread_key_create(&key, at_end) || pthread_create(&t, NULL, end, NULL))
		check_broken("a thread");
	pthread_join(t, NULL);
}

/* ---- who is exempt, and what pays ---- */

static void *pile[256];
static unsigned int nr_piled;
static u64 in_shrinker;

static size_t count(void *ctx)
{
	(void)ctx;
	return nr_piled;
}

static size_t scan(void *ctx, size_t n)
{
	size_t done = 0;
	u64 before = owed();
	void *p;

	(void)ctx;
	p = nst_pages_alloc(0, NST_ATOMIC);
	if (!p)
		check_broken("a page of the reserve");
	nst_pages_free(p);
	in_shrinker += owed() - before;
	for (; done < n && nr_piled; done++)
		nst_pages_free(pile[--nr_piled]);
	return done ? done : NST_SHRINK_STOP;
}

static void check_reclaim(void)
{
	struct nst_shrinker *s;
	u64 paid = stats()->debt.paid_bytes;

	for (; nr_piled < 128; nr_piled++)
		pile[nr_piled] = page[--nr];
	s = nst_shrinker_register(count, scan, NULL, NST_SHRINK_SEEKS, 0);
	begin(160);
	nst_settle();
	paid = stats()->debt.paid_bytes - paid;
	check(paid >= 8 * PAGE && naps.us < 60000 && nr_piled <= 120,
	      "C28 what reclaim frees for it is paid, and the rest is slept off",
	      "%llu bytes paid, %llu us slept, %u left", (unsigned long long)paid,
	      (unsigned long long)naps.us, nr_piled);
	check(in_shrinker == 0, "C28 who reclaims owes nothing", "%llu bytes",
	      (unsigned long long)in_shrinker);
	nst_shrinker_unregister(s);
	while (nr_piled)
		page[nr++] = pile[--nr_piled];
	take_all(NST_NORETRY);
}

/* Pages that retiring brings for its pointers. */
static void check_retire(void)
{
	static void *obj[4096];
	u64 brought = stats()->retired.brought_pages;
	unsigned int n = 0;

	for (unsigned int i = 0; i < 80; i++)
		nst_pages_free(page[--nr]);
	while (n < 4096 && (obj[n] = nst_alloc(16, NST_NORETRY)))
		n++;
	begin(0);
	while (n)
		nst_free_rcu(obj[--n]);
	brought = stats()->retired.brought_pages - brought;
	check(owed() == 0, "C28 retiring owes nothing", "%llu bytes, %llu pages brought",
	      (unsigned long long)owed(), (unsigned long long)brought);
	printf("# brought_pages=%llu\n", (unsigned long long)brought);
	nst_rcu_barrier();
	take_all(NST_NORETRY);
}

static void check_lapse(void)
{
	struct nst_debt_stats before, after;

	begin(160);
	for (unsigned int i = 0; i < 600; i++)
		nst_pages_free(page[--nr]);
	before = stats()->debt;
	check(nst_settle() == 0 && naps.nr == 0 && owed() == 0,
	      "C28 where memory is not short any more nothing is owed", "%llu bytes",
	      (unsigned long long)owed());
	after = stats()->debt;
	check(after.lapsed_bytes == before.lapsed_bytes + 160 * PAGE, "C28 and it is counted",
	      "%llu", (unsigned long long)(after.lapsed_bytes - before.lapsed_bytes));
	take_all(NST_NORETRY);
}

/* ---- the books ---- */

/* A thread of its own, from nothing: each byte billed is found again. */
static void *keep_books(void *arg)
{
	struct nst_debt_stats a = stats()->debt, b;

	(void)arg;
	memset(&naps, 0, sizeof(naps));
	for (unsigned int i = 0; i < 50; i++) {
		owe(7 + i);
		if (i % 3 == 0)
			nst_settle();
		else
			request(i % 3 == 1 ? NST_NORMAL : NST_NORETRY);
	}
	b = stats()->debt;
	check(b.billed_bytes - a.billed_bytes == b.paid_bytes - a.paid_bytes + b.lapsed_bytes -
							 a.lapsed_bytes + b.slept_off_bytes -
							 a.slept_off_bytes + owed(),
	      "C28 what was billed is paid, lapsed, slept off, or still owed",
	      "%llu bytes are owed", (unsigned long long)owed());
	check(b.sleeps - a.sleeps == naps.nr && b.slept_us - a.slept_us == naps.us &&
		      b.longest_sleep_us >= naps.most && naps.nr > 10,
	      "C28 sleeps are counted", "%llu of %u", (unsigned long long)(b.sleeps - a.sleeps),
	      naps.nr);
	return NULL;
}

static void check_books(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, keep_books, NULL))
		check_broken("a thread");
	pthread_join(t, NULL);
}

static void check_print(void)
{
	static char text[16384];
	int fd[2];

	if (pipe(fd) || nst_stats_print(fd[1]))
		check_broken("the summary");
	close(fd[1]);
	for (size_t n = 0; n < sizeof(text) - 1;) {
		ssize_t k = read(fd[0], text + n, sizeof(text) - 1 - n);

		if (k <= 0)
			break;
		n += (size_t)k;
	}
	close(fd[0]);
	check(strstr(text, "debt billed_bytes=") && strstr(text, "longest_sleep_us="),
	      "C28 the summary says it", "not");
}

/* debt:off */
static void check_off(void)
{
	take_all(NST_NORETRY);
	begin(160);
	check(owed() == 0 && stats()->debt.billed_bytes == 0, "C28 by option nobody owes",
	      "%llu bytes", (unsigned long long)owed());
	request(NST_NORMAL);
	check(nst_settle() == 0 && naps.nr == 0, "C28 and nobody sleeps", "%u times", naps.nr);
}

/* Slept indeed: for what reclaim has not paid, which may find something yet. */
static void check_clock(void)
{
	u64 paid = stats()->debt.paid_bytes, slept, cost, left;
	struct timespec a, b;
	int64_t us;

	begin(160);
	nst_test_nap = NULL;
	clock_gettime(CLOCK_MONOTONIC, &a);
	slept = nst_settle();
	clock_gettime(CLOCK_MONOTONIC, &b);
	us = (b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000;
	left = 160 * PAGE - (stats()->debt.paid_bytes - paid);
	cost = 60000 * (left * left - DOSE * DOSE) / (160 * PAGE * 160 * PAGE - DOSE * DOSE);
	check(left > 150 * PAGE && slept + 2 >= cost && us + 1 >= (int64_t)slept, "C28 it sleeps",
	      "%llu us for %llu, and %lld; %llu bytes are left", (unsigned long long)slept,
	      (unsigned long long)cost, (long long)us, (unsigned long long)left);
	nst_test_nap = nap;
}

int main(int argc, char **argv)
{
	conf_apply(argv);
	check_deadline(50, "C28 in time");
	run_on_cpu(0, cpu_nth(0));
	nst_test_nap = nap;
	if (argc > 1) {
		check_off();
		return check_status();
	}
	check_refill();
	reserve = nst_reserve_create(64 << 10, 1);
	if (!reserve || nst_rcu_use())
		check_broken("a reserve, and retiring");
	take_all(NST_NORETRY);
	check_price();
	check_requests();
	check_billed();
	check_scopes();
	check_domain();
	check_ticket();
	check_call();
	check_end();
	check_reclaim();
	check_retire();
	check_lapse();
	check_books();
	check_print();
	check_clock();
	while (nr)
		nst_pages_free(page[--nr]);
	return check_status();
}
