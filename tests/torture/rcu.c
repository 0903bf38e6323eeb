/* SPDX-License-Identifier: MIT */
/*
 * rcu.c - Q1, Q2, Q4, Q8: readers of every kind against updaters of every kind, after Linux's rcutorture.
 *
 *	slot[u] --> element, age 0: reachable; 1: unlinked; 2: unlinked, and a period has gone by
 *
 * A reader looks at the age of what it holds at the end of its section: 2 is the bug. It sleeps inside, nests, moves,
 * is interrupted by handlers that read, hands its section to another thread to end; a hurried one has its store
 * buffer full of misses when it begins, so that its count is seen late. Updaters wait, or ask and look. Delays are
 * put between the load of the phase and the count. Children are forked in the middle of it, some by a reader.
 *
 *	NST_SECONDS	how long at least (3)	TEST_FENCED	1: all barriers are refused; 2: from half time on
 *	TEST_ALONE	1, 2: one hurried or late reader and one updater, all the time; 0: never
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "mm/mm.h"
#include "common/check.h"
#include "common/trap.h"
#include "rig.h"

#define NR_UPDATERS 3u
#define NR_READERS 4u
#define NR_ELEMENTS 32u /* of each updater */
#define NR_PARCELS 4u
#define COLD_WORDS ((size_t)8 << 20)
#define MISSES 64u
#define DELAY_LOOPS 20000u
/* The first takes a second: all are given time to see that they must fence. */
#define FENCED_PERIODS 100u

struct element {
	int age;
	char pad[60];
};

/* A section that somebody else is to end. */
struct parcel {
	nst_rcu_token_t token;
	struct element *held;
	int full; /* 0 empty, 1 full, 2 somebody is at it */
};

/* At first one reader and one updater run alone, so that they meet often. */
enum alone { TOGETHER, HURRIED, LATE };

static struct {
	struct element element[NR_UPDATERS][NR_ELEMENTS];
	struct element *slot[NR_UPDATERS];
	struct parcel parcel[NR_PARCELS];
	uint64_t *cold;
	uint64_t seed;
	int stop;
	int alone;	     /* enum alone */
	uint64_t refused_at; /* periods that were over by then; 0: barriers are not refused */
	uint64_t by_age[3], handled, slept, moved, handed, nested, waits, polls, children;
} t;

static void count(uint64_t *what)
{
	__atomic_fetch_add(what, 1, __ATOMIC_RELAXED);
}

static int stopped(void)
{
	return __atomic_load_n(&t.stop, __ATOMIC_RELAXED);
}

/* ---- readers ---- */

static struct element *look(struct rng *rng)
{
	return nst_rcu_dereference(t.slot[rng_below(rng, NR_UPDATERS)]);
}

static void judge(const struct element *e)
{
	count(&t.by_age[__atomic_load_n(&e->age, __ATOMIC_RELAXED)]);
}

static void spin(uint32_t loops)
{
	while (loops--)
		__asm__ volatile("");
}

static void short_section(struct rng *rng)
{
	nst_rcu_token_t a = nst_rcu_read_begin();
	struct element *e = look(rng);

	spin(rng_below(rng, 3000));
	judge(e);
	nst_rcu_read_end(a);
}

/* The count is behind MISSES stores; the load of the slot is not. */
static void hurried_section(struct rng *rng)
{
	nst_rcu_token_t a;
	struct element *e;

	for (unsigned int i = 0; i < MISSES; i++)
		t.cold[rng_below(rng, (uint32_t)COLD_WORDS)] = i;
	a = nst_rcu_read_begin();
	e = nst_rcu_dereference(t.slot[0]);
	spin(rng_below(rng, 2500));
	judge(e);
	nst_rcu_read_end(a);
}

/* Delays lie between the load of the phase and the count. */
static void late_section(struct rng *rng)
{
	nst_rcu_token_t a = nst_rcu_read_begin();
	struct element *e = nst_rcu_dereference(t.slot[0]);

	spin(rng_below(rng, 60000));
	judge(e);
	nst_rcu_read_end(a);
}

static enum alone alone(void)
{
	return (enum alone)__atomic_load_n(&t.alone, __ATOMIC_ACQUIRE);
}

/* Two sections that overlap, ended in either order: what each found is its own. */
static void nested_section(struct rng *rng)
{
	int first = (int)rng_below(rng, 2);
	nst_rcu_token_t token[2];
	struct element *e[2];

	for (int i = 0; i < 2; i++) {
		token[i] = nst_rcu_read_begin();
		e[i] = look(rng);
		spin(rng_below(rng, 1000));
	}
	judge(e[first]);
	nst_rcu_read_end(token[first]);
	spin(rng_below(rng, 1000));
	judge(e[!first]);
	nst_rcu_read_end(token[!first]);
	count(&t.nested);
}

static void sleeping_section(struct rng *rng)
{
	nst_rcu_token_t a = nst_rcu_read_begin();
	struct element *e = look(rng);

	rig_nap_us(rng_below(rng, 1500));
	judge(e);
	nst_rcu_read_end(a);
	count(&t.slept);
}

static void moving_section(struct rng *rng)
{
	nst_rcu_token_t a;
	struct element *e;

	if (cpu_nth(1) < 0)
		return;
	run_on_cpu(0, cpu_nth(0));
	a = nst_rcu_read_begin();
	e = look(rng);
	run_on_cpu(0, cpu_nth(1));
	judge(e);
	nst_rcu_read_end(a);
	run_on_cpu(0, -1);
	count(&t.moved);
}

static void handed_section(struct rng *rng)
{
	struct parcel *p = &t.parcel[rng_below(rng, NR_PARCELS)];
	int full = __atomic_load_n(&p->full, __ATOMIC_RELAXED);

	if (full == 2 ||
	    !__atomic_compare_exchange_n(&p->full, &full, 2, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return;
	if (full) {
		judge(p->held);
		nst_rcu_read_end(p->token);
		count(&t.handed);
	} else {
		p->token = nst_rcu_read_begin();
		p->held = look(rng);
	}
	__atomic_store_n(&p->full, !full, __ATOMIC_RELEASE);
}

static __thread struct rng handlers;

static void handler(int sig)
{
	(void)sig;
	short_section(&handlers);
	count(&t.handled);
}

static void *reader(void *arg)
{
	uintptr_t id = (uintptr_t)arg;
	struct rng rng = {t.seed + id};
	timer_t timer;

	handlers.state = t.seed + 100 + id;
	while (alone() && id && !stopped())
		rig_nap_us(1000);
	run_on_cpu(0, alone() ? cpu_nth(0) : -1);
	while (alone() && !stopped())
		(alone() == HURRIED ? hurried_section : late_section)(&rng);
	run_on_cpu(0, -1);
	timer = rig_timer(100000 + 10000 * (long)id);
	while (!stopped()) {
		uint32_t what = rng_below(&rng, 100);

		if (what < 30)
			short_section(&rng);
		else if (what < 60)
			hurried_section(&rng);
		else if (what < 90)
			nested_section(&rng);
		else if (what < 96)
			handed_section(&rng);
		else if (what < 98)
			moving_section(&rng);
		else
			sleeping_section(&rng);
	}
	rig_timer_stop(timer);
	return NULL;
}

/* ---- updaters ---- */

/* Ask, and look: as who may not wait does. Now and then a step of one's own, beside the worker's. */
static void poll_period(struct rng *rng)
{
	nst_cookie_t c = nst_gp_start();

	while (!nst_gp_done(c) && !stopped()) {
		if (rng_below(rng, 4) == 0)
			nst_gp_step(nst_rcu_own);
		else
			sched_yield();
	}
	if (!nst_gp_done(c))
		nst_gp_wait(c);
	count(&t.polls);
}

static void *updater(void *arg)
{
	uintptr_t u = (uintptr_t)arg;
	struct rng rng = {t.seed + 1000 + u};
	int pinned = u == 0 && cpu_nth(1) >= 0;

	if (pinned)
		run_on_cpu(0, cpu_nth(1));
	for (unsigned int i = 1; !stopped(); i++) {
		struct element *old = t.slot[u], *fresh = &t.element[u][i % NR_ELEMENTS];

		if (pinned && !alone()) {
			run_on_cpu(0, -1);
			pinned = 0;
		}

		while (alone() && u && !stopped())
			rig_nap_us(1000);
		__atomic_store_n(&fresh->age, 0, __ATOMIC_RELAXED);
		nst_rcu_assign(t.slot[u], fresh);
		__atomic_store_n(&old->age, 1, __ATOMIC_RELAXED);
		if (u == 0 || rng_below(&rng, 2)) {
			check_quiet(nst_synchronize_rcu() == 0, "Q2 synchronize", "failed");
			count(&t.waits);
		} else {
			poll_period(&rng);
		}
		__atomic_store_n(&old->age, 2, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* ---- children ---- */

/* @token: the child's own section, or 0. */
static int child(nst_rcu_token_t token)
{
	nst_cookie_t c = nst_gp_start();

	for (int i = 0; i < 20; i++)
		nst_gp_step(nst_rcu_own);
	if (token && nst_gp_done(c))
		return 2;
	if (token)
		nst_rcu_read_end(token);
	nst_rcu_read_end(nst_rcu_read_begin());
	return nst_gp_wait(c) || nst_synchronize_rcu() ? 3 : 0;
}

static void fork_one(int reading)
{
	nst_rcu_token_t token = reading ? nst_rcu_read_begin() : 0;
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(child(token));
	if (token)
		nst_rcu_read_end(token);
	if (pid < 0 || child_wait(pid, 40, &status))
		check_quiet(0, "Q8 a child's periods end", "%s", pid < 0 ? "no child" : "it hung");
	else
		check_quiet(status == 0, "Q8 a child's periods", "%s", child_status(status));
	count(&t.children);
}

/* ---- the run ---- */

static void delay(unsigned int seq, unsigned int point, uint32_t loops)
{
	__atomic_store_n(&nst_test_delay[seq][point], loops, __ATOMIC_RELAXED);
}

/* In a late reader's begin; later anywhere, or nowhere. */
static void some_delay(struct rng *rng)
{
	uint32_t loops = 1 + rng_below(rng, DELAY_LOOPS);

	memset(nst_test_delay, 0, sizeof(nst_test_delay));
	if (alone())
		delay(NST_SEQ_IN, 1 + rng_below(rng, 3), alone() == LATE ? loops : 0);
	else if (rng_below(rng, 4))
		delay(rng_below(rng, 2) ? NST_SEQ_IN : NST_SEQ_OUT, rng_below(rng, 4), loops);
}

/* Else nothing would have been shown. */
static int enough(void)
{
	static const uint64_t *const counts[] = {&t.waits, &t.by_age[1], &t.polls,  &t.handled,
						 &t.slept, &t.handed,	 &t.nested, &t.children};
	size_t i, n = env_long("TEST_ALONE", TOGETHER) == TOGETHER
			      ? sizeof(counts) / sizeof(counts[0])
			      : 2;

	for (i = 0; i < n; i++)
		if (__atomic_load_n(counts[i], __ATOMIC_RELAXED) == 0)
			return 0;
	return !t.refused_at ||
	       nst_load_relaxed(&nst_rcu_own->done) > t.refused_at + FENCED_PERIODS;
}

static void control(double seconds)
{
	double begun = rig_now(), now;
	struct rng rng = {t.seed};
	static const int by_third[] = {HURRIED, LATE, TOGETHER};
	int only = (int)env_long("TEST_ALONE", -1);

	for (now = begun; rig_goes_on(begun, seconds, enough) && !t.by_age[2]; now = rig_now()) {
		if (only < 0)
			__atomic_store_n(&t.alone,
					 by_third[nst_min((int)((now - begun) / seconds * 3), 2)],
					 __ATOMIC_RELEASE);
		if (now > begun + seconds / 2 && env_long("TEST_FENCED", 0) == 2 && !t.refused_at) {
			t.refused_at = nst_load_relaxed(&nst_rcu_own->done);
			nst_test_fail[NST_FAIL_BARRIER] = -1;
		}
		rig_nap_us(2000);
		some_delay(&rng);
		if (!alone() && rng_below(&rng, 30) == 0)
			fork_one((int)rng_below(&rng, 2));
	}
	memset(nst_test_delay, 0, sizeof(nst_test_delay));
	__atomic_store_n(&t.stop, 1, __ATOMIC_RELAXED);
}

static void empty_parcels(void)
{
	for (unsigned int i = 0; i < NR_PARCELS; i++)
		if (t.parcel[i].full)
			nst_rcu_read_end(t.parcel[i].token);
}

/* Before the library starts. */
__attribute__((constructor(101))) static void refuse(void)
{
	if (env_long("TEST_FENCED", 0) == 1)
		nst_test_fail[NST_FAIL_BARRIER] = -1;
}

static void start(void)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};

	sigaction(RIG_SIGNAL, &sa, NULL);
	t.cold = calloc(COLD_WORDS, sizeof(*t.cold));
	if (!t.cold)
		check_broken("calloc");
	memset(t.cold, 1, COLD_WORDS * sizeof(*t.cold));
	for (unsigned int u = 0; u < NR_UPDATERS; u++)
		t.slot[u] = &t.element[u][0];
	t.alone = (int)env_long("TEST_ALONE", HURRIED);
}

static void report(void)
{
	uint64_t open =
		nst_rcu_sum_in(0) + nst_rcu_sum_in(1) - nst_rcu_sum_out(0) - nst_rcu_sum_out(1);

	printf("# form %s, periods %llu, waits %llu, polls %llu; ages %llu %llu %llu; in handlers %llu, asleep "
	       "%llu, moved %llu, handed %llu, children %llu; restarts %llu %llu\n",
	       rig_form(), (unsigned long long)nst_rcu_own->done, (unsigned long long)t.waits,
	       (unsigned long long)t.polls, (unsigned long long)t.by_age[0],
	       (unsigned long long)t.by_age[1], (unsigned long long)t.by_age[2],
	       (unsigned long long)t.handled, (unsigned long long)t.slept,
	       (unsigned long long)t.moved, (unsigned long long)t.handed,
	       (unsigned long long)t.children, (unsigned long long)nst_test_restarts[NST_SEQ_IN],
	       (unsigned long long)nst_test_restarts[NST_SEQ_OUT]);
	check(t.by_age[2] == 0, "Q2 nobody holds what a period has gone by for", "%llu sections",
	      (unsigned long long)t.by_age[2]);
	check(open == 0, "Q1 all sections have ended", "%llu open", (unsigned long long)open);
	check_seen(enough(), "readers and updaters of every kind ran", "not all");
	check(!nst_test_fail[NST_FAIL_BARRIER] || nst_rcu_readers.phase < 0,
	      "Q4 readers fenced where they had to", "they did not");
}

int main(int argc, char **argv)
{
	pthread_t thread[NR_READERS + NR_UPDATERS];
	double seconds = (double)env_long("NST_SECONDS", 3);

	t.seed = seed_of(argc, argv);
	check_deadline((unsigned int)seconds + 120, "Q2 periods end");
	start();
	for (uintptr_t i = 0; i < NR_READERS; i++)
		pthread_create(&thread[i], NULL, reader, (void *)i);
	for (uintptr_t u = 0; u < NR_UPDATERS; u++)
		pthread_create(&thread[NR_READERS + u], NULL, updater, (void *)u);
	control(seconds);
	for (unsigned int i = 0; i < NR_READERS; i++)
		pthread_join(thread[i], NULL);
	empty_parcels();
	for (unsigned int i = 0; i < NR_UPDATERS; i++)
		pthread_join(thread[NR_READERS + i], NULL);
	check(nst_synchronize_rcu() == 0, "Q2 and a last period", "failed");
	report();
	return check_status();
}
