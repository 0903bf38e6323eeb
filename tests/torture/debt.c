/* SPDX-License-Identifier: MIT */
/*
 * debt.c - C28: a flood of requests that do not wait leaves another thread's NORMAL requests half of their fair share.
 *
 *	in turns	one CPU; in each round some pages are freed, then the flood takes until NULL, then the victim
 *			asks until NULL. A flood is first, as one that never waits is. Every so many pages it comes to a
 *			safe point, and what it is to sleep there are rounds without it, one a millisecond: no clock and
 *			no scheduler has a part in it
 *	all at once	flood, its signal handlers, victim, who frees, who makes and destroys domains that are asked for
 *			readers; what was billed is found again to the byte
 *
 * Shares are of pages had, not of time, and of the first: in the second they are the scheduler's. A library in which
 * nobody owes anything starves the victim. NST_SECONDS (2): of the second.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "mm/mm.h"
#include "common/check.h"
#include "common/trap.h"
#include "rig.h"

#define NR_PAGES 8192u
#define BURST 32u  /* pages freed in a round */
#define SETTLES 8u /* safe points */

TEST_CONF("worker:off,max:16M,high:1M")

static void *page[NR_PAGES]; /* in use, the oldest at first */
static unsigned int first, nr;

static void keep(void *p)
{
	page[(first + nr++) % NR_PAGES] = p;
}

static void free_oldest(void)
{
	nst_pages_free(page[first++ % NR_PAGES]);
	nr--;
}

static void take_all(void)
{
	void *p;

	while (nr < NR_PAGES && (p = nst_pages_alloc(0, NST_NORETRY)))
		keep(p);
}

/* ---- in turns ---- */

/** struct flood - how it takes, and what it does at its safe points */
struct flood {
	const char *name;
	nst_mode_t mode;
	unsigned int each; /* pages between two of them */
	int settles;	   /* nst_settle(); else a request of NST_NORMAL */
};

static struct {
	const struct flood *flood;
	sem_t turn[2], done;
	unsigned int round, away_until; /* rounds */
	int stop;
	unsigned int points;
	uint64_t had[2], nulls;
} t;

static int load(const int *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void store(int *p, int v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

/* In place of sleeping. The others go on. */
static void nap(uint64_t us)
{
	t.away_until = t.round + 1 + (unsigned int)(us / 1000);
	sem_post(&t.done);
	sem_wait(&t.turn[0]);
}

static void safe_point(void)
{
	void *p = NULL;

	if (t.flood->settles)
		nst_settle();
	else
		p = nst_pages_alloc(0, NST_NORMAL);
	if (p)
		keep(p);
	t.points++;
}

static void *flood(void *arg)
{
	unsigned int n = 0;
	void *p;

	(void)arg;
	run_on_cpu(0, cpu_nth(0));
	for (sem_wait(&t.turn[0]); !load(&t.stop);) {
		p = nst_pages_alloc(0, t.flood->mode);
		if (!p) {
			sem_post(&t.done);
			sem_wait(&t.turn[0]);
			continue;
		}
		keep(p);
		t.had[0]++;
		if (++n % t.flood->each == 0)
			safe_point();
	}
	return NULL;
}

static void *victim(void *arg)
{
	void *p;

	(void)arg;
	run_on_cpu(0, cpu_nth(0));
	for (sem_wait(&t.turn[1]); !load(&t.stop); sem_wait(&t.turn[1])) {
		while ((p = nst_pages_alloc(0, NST_NORMAL)) != NULL) {
			keep(p);
			t.had[1]++;
		}
		t.nulls++;
		sem_post(&t.done);
	}
	return NULL;
}

static void one_round(void)
{
	for (unsigned int i = 0; i < BURST; i++)
		free_oldest();
	if (t.round >= t.away_until) {
		sem_post(&t.turn[0]);
		sem_wait(&t.done);
	}
	sem_post(&t.turn[1]);
	sem_wait(&t.done);
	t.round++;
}

static void check_turns(const struct flood *how)
{
	pthread_t thread[2];

	memset(&t, 0, sizeof(t));
	t.flood = how;
	sem_init(&t.turn[0], 0, 0);
	sem_init(&t.turn[1], 0, 0);
	sem_init(&t.done, 0, 0);
	take_all();
	if (pthread_create(&thread[0], NULL, flood, NULL) ||
	    pthread_create(&thread[1], NULL, victim, NULL))
		check_broken("threads");
	nst_test_nap = nap;
	while (t.points < SETTLES)
		one_round();
	store(&t.stop, 1);
	sem_post(&t.turn[0]);
	sem_post(&t.turn[1]);
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
	nst_test_nap = NULL;
	printf("# %s: rounds=%u flood=%llu victim=%llu\n", how->name, t.round,
	       (unsigned long long)t.had[0], (unsigned long long)t.had[1]);
	check(t.had[0] >= how->each * SETTLES, "C28 the flood is one", "it had %llu pages",
	      (unsigned long long)t.had[0]);
	check(t.had[1] * 4 >= t.had[0] + t.had[1],
	      "C28 beside a flood NORMAL has half of its fair share",
	      "%s: %llu pages, the flood %llu", how->name, (unsigned long long)t.had[1],
	      (unsigned long long)t.had[0]);
}

/* ---- all at once ---- */

#define NR_SLOTS 512u
#define BALLAST_LESS 48u /* pages that go round: memory stays short */

static struct {
	void *slot[NR_SLOTS];
	unsigned int next;
	uint64_t had[2], handlers, settled, asked_late, domains;
	uint64_t owed; /* of threads that have ended */
} all;

static void add(uint64_t *p, uint64_t n)
{
	__atomic_add_fetch(p, n, __ATOMIC_RELAXED);
}

/* To who frees. */
static void hand_over(void *p)
{
	unsigned int i = __atomic_fetch_add(&all.next, 1, __ATOMIC_RELAXED) % NR_SLOTS;

	nst_pages_free_nolock(__atomic_exchange_n(&all.slot[i], p, __ATOMIC_ACQ_REL));
}

static __thread int left;

static void on_signal(int signal)
{
	void *p = left ? NULL : nst_pages_alloc_nolock(0);

	(void)signal;
	add(&all.handlers, 1);
	if (p) {
		add(&all.had[0], 1);
		hand_over(p);
	}
}

/* A signal that was on its way may come later: TSan delivers at calls. */
static void leave(void)
{
	__atomic_store_n(&left, 1, __ATOMIC_SEQ_CST);
	add(&all.owed, nst_thread.owed);
}

static void *flood_freely(void *arg)
{
	static const nst_mode_t modes[] = {NST_NOLOCK, NST_NOWAIT, NST_ATOMIC, NST_FASTTRY};
	struct rng rng = {1};
	timer_t timer = rig_timer(500000);
	unsigned int n = 0;

	(void)arg;
	while (!load(&t.stop)) {
		void *p = nst_pages_alloc(0, modes[rng_below(&rng, 4)]);

		if (p) {
			add(&all.had[0], 1);
			hand_over(p);
		} else {
			sched_yield();
		}
		if (!p || ++n % 64)
			continue;
		if (rng_below(&rng, 2))
			add(&all.settled, nst_settle() != 0);
		else
			hand_over(nst_pages_alloc(0, NST_NORMAL));
	}
	rig_timer_stop(timer);
	leave();
	return NULL;
}

static void *ask_freely(void *arg)
{
	(void)arg;
	while (!load(&t.stop)) {
		void *p = nst_pages_alloc(0, NST_NORMAL);

		if (p) {
			add(&all.had[1], 1);
			hand_over(p);
		}
	}
	leave();
	return NULL;
}

static void *free_freely(void *arg)
{
	unsigned int found = 0;

	(void)arg;
	for (unsigned int i = 0; !load(&t.stop); i++) {
		void *p = __atomic_exchange_n(&all.slot[i % NR_SLOTS], NULL, __ATOMIC_ACQ_REL);

		nst_pages_free(p);
		found += p != NULL;
		if (i % NR_SLOTS == 0) {
			nst_settle(); /* it owes nothing, and domains are asked */
			if (!found)
				sched_yield();
			found = 0;
		}
	}
	leave();
	return NULL;
}

/* Is somebody asked about a domain that was destroyed? */
static int read_ongoing(void *ctx)
{
	sched_yield();
	if (load(ctx) != 1)
		add(&all.asked_late, 1);
	return 0;
}

static void synchronize(void *ctx)
{
	(void)ctx;
}

static void *make_domains(void *arg)
{
	static int there[64];

	(void)arg;
	for (unsigned int i = 0; !load(&t.stop); i++) {
		struct nst_rcu_domain_ops ops = {.synchronize = synchronize,
						 .read_ongoing = read_ongoing,
						 .ctx = &there[i % 64]};
		struct nst_rcu_domain *d;

		store(&there[i % 64], 1);
		if (nst_rcu_domain_create("short", &ops, &d))
			continue;
		rig_nap_us(200);
		check_quiet(nst_rcu_domain_destroy(d) == 0, "C28 who asks holds no domain",
			    "it does");
		store(&there[i % 64], 0);
		add(&all.domains, 1);
	}
	return NULL;
}

/* Threads have ended, but for this one. */
static void check_books(const struct nst_debt_stats *a)
{
	static struct nst_stats s;
	const struct nst_debt_stats *b = &s.debt;

	nst_stats_read(&s, sizeof(s));
	printf("# billed=%llu paid=%llu lapsed=%llu slept_off=%llu sleeps=%llu slept_us=%llu owed=%llu\n",
	       (unsigned long long)(b->billed_bytes - a->billed_bytes),
	       (unsigned long long)(b->paid_bytes - a->paid_bytes),
	       (unsigned long long)(b->lapsed_bytes - a->lapsed_bytes),
	       (unsigned long long)(b->slept_off_bytes - a->slept_off_bytes),
	       (unsigned long long)(b->sleeps - a->sleeps),
	       (unsigned long long)(b->slept_us - a->slept_us), (unsigned long long)all.owed);
	check(b->billed_bytes - a->billed_bytes == b->paid_bytes - a->paid_bytes + b->lapsed_bytes -
							   a->lapsed_bytes + b->slept_off_bytes -
							   a->slept_off_bytes + all.owed,
	      "C28 what was billed is found again to the byte, beside handlers", "it is not");
	check(b->slept_off_bytes > a->slept_off_bytes && all.had[1] > 0,
	      "C28 the flood slept, and the victim was served", "%llu pages",
	      (unsigned long long)all.had[1]);
}

/* All that is checked has come to pass. */
static int has_begun(const struct nst_debt_stats *before)
{
	static struct nst_stats s;

	nst_stats_read(&s, sizeof(s));
	return s.debt.slept_off_bytes > before->slept_off_bytes &&
	       __atomic_load_n(&all.had[1], __ATOMIC_RELAXED) &&
	       __atomic_load_n(&all.handlers, __ATOMIC_RELAXED) &&
	       __atomic_load_n(&all.domains, __ATOMIC_RELAXED);
}

static void check_at_once(long seconds)
{
	static void *(*const what[])(void *) = {flood_freely, ask_freely, free_freely,
						make_domains};
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	static struct nst_stats before;
	pthread_t thread[4];
	uint64_t since = 0;

	store(&t.stop, 0);
	sigaction(RIG_SIGNAL, &action, NULL);
	run_on_cpu(0, -1);
	take_all();
	for (unsigned int i = 0; i < BALLAST_LESS; i++)
		free_oldest();
	nst_thread.owed = 0;
	nst_stats_read(&before, sizeof(before));
	for (unsigned int i = 0; i < 4; i++)
		if (pthread_create(&thread[i], NULL, what[i], NULL))
			check_broken("threads");
	for (long ms = 0; ms < seconds * 1000; ms += 10)
		rig_nap_us(10000);
	while (!has_begun(&before.debt) && check_patience(&since))
		;
	store(&t.stop, 1);
	for (unsigned int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	for (unsigned int i = 0; i < NR_SLOTS; i++)
		nst_pages_free(all.slot[i]);
	printf("# at once: flood=%llu victim=%llu handlers=%llu settled=%llu domains=%llu\n",
	       (unsigned long long)all.had[0], (unsigned long long)all.had[1],
	       (unsigned long long)all.handlers, (unsigned long long)all.settled,
	       (unsigned long long)all.domains);
	check_seen(all.handlers > 0 && all.domains > 0, "handlers ran, domains came and went",
		   "none");
	check(all.asked_late == 0, "C28 no domain is asked that is gone", "%llu were",
	      (unsigned long long)all.asked_late);
	check_books(&before.debt);
}

int main(int argc, char **argv)
{
	static const struct flood floods[] = {
		{"no-lock, settles", NST_NOLOCK, 192, 1},
		{"atomic, settles", NST_ATOMIC, 192, 1},
		{"no-lock, settles often", NST_NOLOCK, 8, 1},
		{"no-lock, asks for NORMAL", NST_NOLOCK, 32, 0},
	};

	(void)argc;
	conf_apply(argv);
	check_deadline(100, "C28 in time");
	run_on_cpu(0, cpu_nth(0));
	for (unsigned int i = 0; i < sizeof(floods) / sizeof(floods[0]); i++)
		check_turns(&floods[i]);
	if (check_status() == 0)
		check_at_once(env_long("NST_SECONDS", 2));
	while (nr)
		free_oldest();
	return check_status();
}
