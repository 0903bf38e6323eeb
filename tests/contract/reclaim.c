/* SPDX-License-Identifier: MIT */
/*
 * reclaim.c - C29: who reclaims gets what it reclaims.
 *
 *	rounds		NORETRY one, NORMAL until it is served or nothing more comes; modes that do not reclaim, none
 *	excluded	by NST_NOIO, NST_NOCLIENT and the scopes; not within reclaim, nor by who holds a ticket
 *	by socket	a shrinker that must allocate and send before it can free, with nothing free
 *	starving	one frees slowly, one takes without waiting, one reclaims
 *	busy		a shrinker that another request is in
 *	background	below the low watermark, before anybody has to
 *	unregister	waits for who is in it
 *
 * No more memory can become ready than option max says.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/check.h"
#include "common/trap.h"
#include <nostall/nostall.h>

#define NR_PAGES 65536u

const char *test_conf(int argc, char **argv)
{
	/* debt:off: what this thread has without waiting it would reclaim before it is served. */
	return argc > 1 && !strcmp(argv[1], "background") ? "max:64M,high:4M"
							  : "worker:off,max:64M,high:4M,debt:off";
}

static void *page[NR_PAGES];
static unsigned int nr;

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

/* ---- a shrinker that has the pages of a stack ---- */

static struct pile {
	pthread_mutex_t lock;
	void *page[NR_PAGES];
	size_t nr;
	unsigned int counts, scans, inside, twice;
	size_t most; /* a scan frees no more */
	useconds_t nap_us;
	nst_mode_t saw;
	void *(*also)(void);
} pile = {.lock = PTHREAD_MUTEX_INITIALIZER, .most = SIZE_MAX};

static size_t pile_count(void *ctx)
{
	struct pile *p = ctx;
	size_t n;

	p->counts++;
	pthread_mutex_lock(&p->lock);
	n = p->nr;
	pthread_mutex_unlock(&p->lock);
	return n;
}

static size_t pile_scan(void *ctx, size_t n)
{
	struct pile *p = ctx;
	size_t done = 0;

	if (__atomic_add_fetch(&p->inside, 1, __ATOMIC_SEQ_CST) > 1)
		p->twice++;
	errno = EILSEQ;
	p->scans++;
	p->saw = nst_mode_effective(NST_NORMAL);
	if (p->also)
		p->also();
	pthread_mutex_lock(&p->lock);
	while (done < n && done < p->most && p->nr) {
		p->nr--;
		nst_pages_free(p->page[p->nr]);
		done++;
	}
	pthread_mutex_unlock(&p->lock);
	if (p->nap_us) /* time for others to take it */
		usleep(p->nap_us);
	__atomic_sub_fetch(&p->inside, 1, __ATOMIC_SEQ_CST);
	return done ? done : NST_SHRINK_STOP;
}

/* All that there is, on the pile. */
static void pile_up(nst_mode_t mode)
{
	void *p;

	while (pile.nr < NR_PAGES && (p = nst_pages_alloc(0, mode)))
		pile.page[pile.nr++] = p;
	pile.counts = pile.scans = 0;
}

static void pile_down(void)
{
	while (pile.nr)
		nst_pages_free(pile.page[--pile.nr]);
}

/* ---- rounds ---- */

static void check_modes(void)
{
	static const nst_mode_t none[] = {NST_NOWAIT, NST_ATOMIC, NST_NOLOCK};
	unsigned int scans;
	uint64_t served = stats()->reclaim.served;
	size_t had;
	void *p;

	pile_up(NST_ATOMIC);
	for (unsigned int i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		check_quiet(!nst_pages_alloc(0, none[i]), "C29 all is taken", "mode %u got a page",
			    i);
	check(pile.counts == 0, "C29 modes that do not reclaim do not", "%u counts", pile.counts);

	had = pile.nr;
	errno = 7;
	p = nst_pages_alloc(0, NST_NORMAL);
	check(p && pile.scans > 0 && pile.nr < had, "C29 NORMAL is served by reclaim",
	      "%p, %u scans", p, pile.scans);
	check(errno == 7, "C29 errno is kept", "%d", errno);
	check(pile.nr > had / 2, "C29 a little is asked for first", "%zu of %zu are left", pile.nr,
	      had);
	check(pile.saw == NST_NOWAIT, "C29 in a scope that does not reclaim", "%x", pile.saw);
	check(stats()->reclaim.served == served + 1 && stats()->reclaim.shrunk >= had - pile.nr,
	      "C29 it is counted", "%llu", (unsigned long long)stats()->reclaim.served);
	nst_pages_free(p);

	/* Nothing can be freed: one round, or as many as there are until all is asked for. */
	pile.most = 0;
	while ((page[nr] = nst_pages_alloc(0, NST_ATOMIC)) != NULL)
		nr++;
	pile.counts = pile.scans = 0;
	check(!nst_pages_alloc(0, NST_NORETRY) && pile.counts == 1, "C29 NORETRY: one round", "%u",
	      pile.counts);
	pile.counts = 0;
	check(!nst_pages_alloc(0, NST_NORMAL), "C29 NORMAL is NULL in the end", "it is not");
	scans = pile.counts;
	check(scans > 1 && scans <= 16, "C29 after more rounds", "%u", scans);
	pile.most = SIZE_MAX;
}

static void check_excluded(void)
{
	struct nst_shrinker *io = nst_shrinker_register(pile_count, pile_scan, &pile,
							NST_SHRINK_SEEKS, NST_SHRINKER_IO);
	nst_scope_t scope;

	pile.counts = 0;
	check(!nst_pages_alloc(0, NST_NORMAL | NST_NOIO) && pile.counts == 0, "C29 not under NOIO",
	      "%u", pile.counts);
	scope = nst_scope_enter(NST_SCOPE_NOIO);
	check(!nst_pages_alloc(0, NST_NORETRY) && pile.counts == 0, "C29 nor in its scope", "%u",
	      pile.counts);
	nst_scope_exit(scope);
	scope = nst_scope_enter(NST_SCOPE_NORECLAIM);
	check(!nst_pages_alloc(0, NST_NORMAL) && pile.counts == 0, "C29 nor in one without reclaim",
	      "%u", pile.counts);
	nst_scope_exit(scope);
	page[nr] = nst_pages_alloc(0, NST_NORMAL | NST_NOCLIENT);
	check(page[nr] && pile.counts > 0, "C29 but else it is asked", "%p", page[nr]);
	nst_pages_free(page[nr]);
	check(nst_shrinker_unregister(io) == 0, "C29 unregistered", "not");
	pile.counts = 0;
	while ((page[nr] = nst_pages_alloc(0, NST_ATOMIC)) != NULL)
		nr++;
	check(!nst_pages_alloc(0, NST_NORMAL) && pile.counts == 0, "C29 it is asked no more", "%u",
	      pile.counts);
	check(nst_shrinker_unregister(io) == -EINVAL && nst_shrinker_unregister(NULL) == -EINVAL,
	      "C29 none: -EINVAL", "not");
}

/* ---- a shrinker that sends first ---- */

static struct nst_reserve *reserve;
static int wire[2];
static unsigned int sent, refused;

/* The client lets a page go for each message, which is as long as one. */
static void *client(void *arg)
{
	char message[1500];

	(void)arg;
	while (read(wire[1], message, sizeof(message)) == (ssize_t)sizeof(message))
		if (write(wire[1], "k", 1) != 1)
			break;
	return NULL;
}

static void *send_one(void)
{
	char *message, reply;

	if (nst_reserve_enter(reserve, NST_NOWAIT)) {
		refused++;
		return NULL;
	}
	message = nst_alloc(1500, NST_NOWAIT);
	if (message) {
		memset(message, 1, 1500);
		if (write(wire[0], message, 1500) == 1500 && read(wire[0], &reply, 1) == 1)
			sent++;
		nst_free(message);
	} else {
		refused++;
	}
	nst_reserve_exit(reserve);
	return message;
}

static void check_by_socket(void)
{
	struct nst_shrinker *s;
	pthread_t t;
	unsigned int got = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, wire) || pthread_create(&t, NULL, client, NULL))
		check_broken("a client");
	s = nst_shrinker_register(pile_count, pile_scan, &pile, 2, NST_SHRINKER_IO);
	pile.also = send_one;
	pile_up(NST_ATOMIC);
	for (; got < 200 && (page[nr] = nst_pages_alloc(0, NST_NORMAL)); got++)
		nr++;
	check(got == 200 && sent > 0 && !refused,
	      "C29 who must send in order to free does, with nothing free",
	      "%u pages, %u messages, %u refused", got, sent, refused);
	pile.also = NULL;
	check(nst_shrinker_unregister(s) == 0, "C29 unregistered", "not");
	close(wire[0]);
	pthread_join(t, NULL);
	close(wire[1]);
	check(nst_reserve_destroy(reserve) == 0, "C29 the reserve is whole", "not");
}

/* ---- one frees slowly, one takes without waiting, one reclaims ---- */

static int stop;
static unsigned int stolen;

static void *take_without_waiting(void *arg)
{
	static void *mine[NR_PAGES];
	static const nst_mode_t modes[] = {NST_NOLOCK, NST_NOWAIT, NST_ATOMIC, NST_FASTTRY};
	unsigned int k = 0;

	run_on_cpu(0, cpu_nth(1));
	(void)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		void *p = nst_pages_alloc(0, modes[k++ % 4]);

		if (p && stolen < NR_PAGES)
			mine[stolen++] = p;
		else if (k % 64 == 0)
			sched_yield();
	}
	while (stolen)
		nst_pages_free(mine[--stolen]);
	return NULL;
}

/* Pages come back one by one, by a thread that knows of no reclaim. */
static void *free_slowly(void *arg)
{
	(void)arg;
	run_on_cpu(0, cpu_nth(0));
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		void *p = NULL;

		pthread_mutex_lock(&pile.lock);
		if (pile.nr)
			p = pile.page[--pile.nr];
		pthread_mutex_unlock(&pile.lock);
		nst_pages_free(p);
		usleep(1000);
	}
	return NULL;
}

static void check_starving(void)
{
	pthread_t taker, freer;
	struct nst_shrinker *s;
	unsigned int got = 0;

	pile_up(NST_ATOMIC);
	s = nst_shrinker_register(pile_count, pile_scan, &pile, 2, 0);
	pile.most = 1;
	pile.nap_us = 300;
	run_on_cpu(0, cpu_nth(0));
	if (pthread_create(&taker, NULL, take_without_waiting, NULL) ||
	    pthread_create(&freer, NULL, free_slowly, NULL))
		check_broken("threads");
	check_deadline(60, "C29 who reclaims progresses");
	for (; got < 500 && (page[nr] = nst_pages_alloc(0, NST_NORMAL)); got++)
		nr++;
	check(got == 500, "C29 who reclaims progresses, beside one that takes without waiting",
	      "%u of 500 requests were served, %zu pages are left", got, pile_count(&pile));
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	pthread_join(taker, NULL);
	pthread_join(freer, NULL);
	pile.most = SIZE_MAX;
	pile.nap_us = 0;
	check(nst_shrinker_unregister(s) == 0, "C29 unregistered", "not");
}

/* ---- unregister ---- */

static int scanning, leave;

static size_t one(void *ctx)
{
	(void)ctx;
	return 1;
}

static size_t stay(void *ctx, size_t n)
{
	struct nst_shrinker **s = ctx;

	(void)n;
	check_quiet(nst_shrinker_unregister(*s) == -EDEADLK, "C29 from within: -EDEADLK", "not");
	__atomic_store_n(&scanning, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&leave, __ATOMIC_SEQ_CST))
		usleep(1000);
	usleep(20000);
	__atomic_store_n(&scanning, 2, __ATOMIC_SEQ_CST);
	return NST_SHRINK_STOP;
}

static void *reclaim(void *arg)
{
	(void)arg;
	nst_pages_free(nst_pages_alloc(0, NST_NORETRY));
	return NULL;
}

static void check_unregister(void)
{
	struct nst_shrinker *s = NULL;
	pthread_t t;

	take_all(NST_ATOMIC);
	s = nst_shrinker_register(one, stay, &s, 2, 0);
	if (!s || pthread_create(&t, NULL, reclaim, NULL))
		check_broken("a thread");
	while (!__atomic_load_n(&scanning, __ATOMIC_SEQ_CST))
		usleep(1000);
	check(!nst_pages_alloc(0, NST_NORETRY), "C29 who finds it busy goes on", "it got a page");
	__atomic_store_n(&leave, 1, __ATOMIC_SEQ_CST);
	check(nst_shrinker_unregister(s) == 0 && __atomic_load_n(&scanning, __ATOMIC_SEQ_CST) == 2,
	      "C29 unregister waits for who is in it", "it does not");
	pthread_join(t, NULL);
}

/* ---- a shrinker that is busy with another's request ---- */

#define ASKED_OFTEN 40u

static uint64_t asked;
static int answered;

/* It gives nothing before the other request has come back so often, or given up. */
static size_t ponder(void *ctx, size_t n)
{
	static struct nst_stats s;
	uint64_t since = 0;
	size_t i;

	(void)ctx;
	__atomic_store_n(&scanning, 1, __ATOMIC_SEQ_CST);
	do {
		if (nst_stats_read(&s, sizeof(s)))
			check_broken("nst_stats_read");
	} while (s.reclaim.rounds < asked + ASKED_OFTEN &&
		 !__atomic_load_n(&answered, __ATOMIC_SEQ_CST) && check_patience(&since));
	for (i = 0; i < n && nr; i++)
		nst_pages_free(page[--nr]);
	return i ? i : NST_SHRINK_STOP;
}

static void check_busy(void)
{
	struct nst_shrinker *s;
	pthread_t t;
	void *p;

	take_all(NST_ATOMIC);
	asked = stats()->reclaim.rounds;
	__atomic_store_n(&scanning, 0, __ATOMIC_SEQ_CST);
	s = nst_shrinker_register(one, ponder, NULL, 2, 0);
	if (!s || pthread_create(&t, NULL, reclaim, NULL))
		check_broken("a thread");
	while (!__atomic_load_n(&scanning, __ATOMIC_SEQ_CST))
		usleep(1000);
	p = nst_pages_alloc(0, NST_NORMAL);
	__atomic_store_n(&answered, 1, __ATOMIC_SEQ_CST);
	check(p != NULL, "C29 NORMAL waits for a shrinker that another request is in", "NULL");
	pthread_join(t, NULL);
	nst_pages_free(p);
	check(nst_shrinker_unregister(s) == 0, "C29 unregistered", "not");
}

/* ---- in the background ---- */

static void check_background(void)
{
	struct nst_shrinker *s;
	uint64_t rounds;

	pile_up(NST_NORETRY);
	pile_up(NST_NOWAIT);
	rounds = stats()->reclaim.rounds;
	s = nst_shrinker_register(pile_count, pile_scan, &pile, 2, 0);
	while (stats()->zones[0].pages_free < stats()->zones[0].pages_low)
		usleep(1000);
	check(stats()->reclaim.background_rounds > 0 && stats()->reclaim.rounds == rounds,
	      "C29 below the low watermark it is asked before anybody has to", "%llu rounds",
	      (unsigned long long)stats()->reclaim.background_rounds);
	check(nst_shrinker_unregister(s) == 0, "C29 unregistered", "not");
	pile_down();
}

static void check_many(void)
{
	struct nst_shrinker *s[NST_NR_SHRINKERS];
	unsigned int n = 0;

	while (n < NST_NR_SHRINKERS &&
	       (s[n] = nst_shrinker_register(pile_count, pile_scan, &pile, 2, 0)))
		n++;
	check(n == NST_NR_SHRINKERS && !nst_shrinker_register(pile_count, pile_scan, &pile, 2, 0),
	      "C29 so many at a time: NULL", "%u", n);
	while (n)
		nst_shrinker_unregister(s[--n]);
}

int main(int argc, char **argv)
{
	struct nst_shrinker *s;

	conf_apply(argv);
	check_deadline(100, "C29 in time");
	if (argc > 1) {
		check_background();
		return check_status();
	}
	run_on_cpu(0, cpu_nth(0));
	reserve = nst_reserve_create(64 << 10, 1);
	pile_up(NST_NORETRY); /* else it would reclaim */
	s = nst_shrinker_register(pile_count, pile_scan, &pile, NST_SHRINK_SEEKS, 0);
	check(s && reserve, "C29 a shrinker, a reserve", "none");
	check_modes();
	check(nst_shrinker_unregister(s) == 0, "C29 unregistered", "not");
	check_excluded();
	check_by_socket();
	check_starving();
	check_unregister();
	check_busy();
	check_many();
	check(pile.twice == 0, "C29 never two at a time", "%u times", pile.twice);
	pile_down();
	while (nr)
		nst_pages_free(page[--nr]);
	return check_status();
}
