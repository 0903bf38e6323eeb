/* SPDX-License-Identifier: MIT */
/*
 * mm_speculate.c - C30: a speculation never sleeps, reclaims or touches reserves; who was refused pays outside.
 *
 * Each attempt is counted once; the three policies; what is put aside is the next attempt's, whoever takes all else.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#include "mm/mm.h"
#include "common/check.h"
#include "common/trap.h"

#define NR_PAGES 65536u
#define BATCH 128u

static void *page[NR_PAGES];
static unsigned int nr;

static u64 pages_free(void)
{
	static struct nst_stats stats;

	nst_stats_read(&stats, sizeof(stats));
	return stats.zones[0].pages_free;
}

static void take_all(nst_mode_t mode)
{
	while (nr < NR_PAGES && (page[nr] = nst_pages_alloc(0, mode)))
		nr++;
}

static void free_some(unsigned int n)
{
	while (n-- && nr)
		nst_pages_free(page[--nr]);
}

static struct nst_speculate_stats counts(const struct nst_speculate_site *site)
{
	struct nst_speculate_stats s;

	nst_speculate_read(site, &s);
	return s;
}

static int counted(const struct nst_speculate_site *site, u64 success, u64 abort, u64 retry,
		   u64 miss)
{
	struct nst_speculate_stats s = counts(site);

	return s.success == success && s.abort == abort && s.retry == retry && s.miss == miss;
}

/* How often it may go round with this outcome alone, and whether the lock follows. */
static unsigned int rounds_of(struct nst_speculate_site *site, unsigned int outcome, int *locked)
{
	struct nst_speculation s;
	unsigned int rounds = 0;

	nst_speculate_init(&s, site);
	do {
		nst_speculate_begin(&s);
		rounds++;
		nst_speculate_end(&s, outcome);
	} while (nst_speculate_again(&s));
	*locked = nst_speculate_locked(&s);
	nst_speculate_finish(&s);
	return rounds;
}

static void check_outcomes(void)
{
	static struct nst_speculate_site retry = {.policy = NST_SPECULATE_RETRY},
					 leave = {.policy = NST_SPECULATE_LEAVE},
					 three = {.rounds = 3};
	int locked;

	check(rounds_of(&retry, NST_SPECULATE_DONE, &locked) == 1 && !locked &&
		      counted(&retry, 1, 0, 0, 0),
	      "C30 what held is a success", "counted otherwise");
	check(rounds_of(&retry, NST_SPECULATE_GIVE_UP, &locked) == 1 && locked &&
		      counted(&retry, 1, 1, 0, 0),
	      "C30 what is given up takes the lock", "counted otherwise");
	check(rounds_of(&retry, NST_SPECULATE_CHANGED, &locked) == NST_SPECULATE_ROUNDS && locked &&
		      counted(&retry, 1, 2, 0, NST_SPECULATE_ROUNDS - 1),
	      "C30 what changed goes round, then takes the lock", "counted otherwise");
	check(rounds_of(&retry, NST_SPECULATE_NULL, &locked) == NST_SPECULATE_ROUNDS && locked &&
		      counted(&retry, 1, 3, NST_SPECULATE_ROUNDS - 1, NST_SPECULATE_ROUNDS - 1),
	      "C30 NULL goes round, then takes the lock", "counted otherwise");
	check(rounds_of(&leave, NST_SPECULATE_NULL, &locked) == 1 && locked &&
		      counted(&leave, 0, 1, 0, 0),
	      "C30 by policy NULL takes the lock at once", "counted otherwise");
	check(rounds_of(&three, NST_SPECULATE_CHANGED, &locked) == 3 && locked,
	      "C30 a site says how many rounds", "it did not");
}

/* All that is not reserve is gone: NULL, nothing of the reserve, and ATOMIC would have had some. */
static void check_reserve(void)
{
	static struct nst_speculate_site site;
	struct nst_speculation s;
	u64 min = nst_hint(&nst_zones[0].min), before, after;
	unsigned int got = 0;
	void *p;

	take_all(NST_NORETRY);
	take_all(NST_NOLOCK);
	before = pages_free();
	nst_speculate_init(&s, &site);
	nst_speculate_begin(&s);
	while (nr < NR_PAGES && (p = nst_speculate_pages(&s, 0))) {
		page[nr++] = p;
		got++;
	}
	nst_speculate_end(&s, NST_SPECULATE_NULL);
	after = pages_free();
	check(nr < NR_PAGES && got < BATCH && after >= min && before >= after,
	      "C30 it leaves the reserve alone", "%u pages, %llu left of %llu, min %llu", got,
	      (unsigned long long)after, (unsigned long long)before, (unsigned long long)min);
	check(counts(&site).nulls == 1, "C30 a NULL is counted", "%llu",
	      (unsigned long long)counts(&site).nulls);
	check(nst_speculate_again(&s) == 1 && counts(&site).paid == 0 && pages_free() >= min,
	      "C30 who cannot pay goes round all the same", "he does not");
	nst_speculate_finish(&s);
	p = nst_pages_alloc(0, NST_ATOMIC);
	check(p != NULL, "C30 and there is a reserve", "none");
	page[nr++] = p;
	take_all(NST_NOLOCK); /* what came with it */
}

/* What was paid for is there, though others took all else. */
static void check_pay(void)
{
	static struct nst_speculate_site site;
	struct nst_speculation s;
	void *p[NST_SPECULATE_ASIDE + 1];
	u64 before;

	nst_speculate_init(&s, &site);
	nst_speculate_begin(&s);
	for (int i = 0; i < 3; i++)
		p[i] = nst_speculate_pages(&s, 0);
	check(!p[0] && !p[1] && !p[2], "C30 there is none", "there is");
	nst_speculate_end(&s, NST_SPECULATE_NULL);
	free_some(2 * BATCH);
	check(nst_speculate_again(&s) && s.nr_aside == 3 && counts(&site).paid == 3,
	      "C30 as many are paid for as were asked for", "%u", s.nr_aside);
	take_all(NST_NORETRY);
	take_all(NST_NOLOCK);
	nst_speculate_begin(&s);
	check(!nst_speculate_alloc(&s, 16384), "C30 put aside is what was paid for",
	      "another kind");
	for (int i = 0; i < 4; i++)
		p[i] = nst_speculate_pages(&s, 0);
	check(p[0] && p[1] && p[2] && !p[3], "C30 the next attempt finds them", "%p %p %p %p", p[0],
	      p[1], p[2], p[3]);
	nst_speculate_end(&s, NST_SPECULATE_DONE);
	check(!nst_speculate_again(&s) && !nst_speculate_locked(&s), "C30 and it held",
	      "it did not");
	nst_free(p[0]);
	before = counts(&site).paid;
	nst_speculate_finish(&s);
	nst_speculate_begin(&s);
	check(!nst_speculate_pages(&s, 9), "C30 runs above the limit are NULL", "they are not");
	for (int i = 0; i < 9; i++) {
		void *q = nst_speculate_pages(&s, 3);

		if (q)
			page[nr++] = q;
	}
	nst_speculate_end(&s, NST_SPECULATE_NULL);
	free_some(8 * BATCH);
	nst_speculate_again(&s);
	check(counts(&site).paid - before <= NST_SPECULATE_ASIDE && s.nr_aside,
	      "C30 no more than there is room for", "%u", s.nr_aside);
	before = pages_free();
	nst_speculate_finish(&s);
	check(s.nr_aside == 0, "C30 what is left goes back", "%u", s.nr_aside);
	nst_free(p[1]);
	nst_free(p[2]);
	free_some(nr);
	check(pages_free() > before, "C30 and all is back", "it is not");
}

/* What is missing is not asked for, though there is plenty. */
/* Nothing is put aside for a size that is none: a larger one of them would be given it. */
static void check_too_large(void)
{
	static struct nst_speculate_site site;
	struct nst_speculation s;
	void *p, *larger;

	nst_speculate_init(&s, &site);
	nst_speculate_begin(&s);
	p = nst_speculate_alloc(&s, NST_NOLOCK_MAX + 1);
	nst_speculate_end(&s, NST_SPECULATE_NULL);
	nst_speculate_again(&s);
	nst_speculate_begin(&s);
	larger = nst_speculate_alloc(&s, (size_t)1 << 20);
	nst_speculate_end(&s, NST_SPECULATE_GIVE_UP);
	check(!p && !larger && counts(&site).paid == 0, "C30 too large is NULL, and not paid for",
	      "%p %p, %llu paid", p, larger, (unsigned long long)counts(&site).paid);
	nst_speculate_finish(&s);
}

static void check_missing(void)
{
	static struct nst_speculate_site site = {.policy = NST_SPECULATE_MISSING};
	struct nst_speculation s;
	void *p;

	nst_speculate_init(&s, &site);
	nst_speculate_begin(&s);
	p = nst_speculate_alloc(&s, 64);
	nst_speculate_end(&s, NST_SPECULATE_NULL);
	check(!p && counts(&site).nulls == 0, "C30 what is missing is not asked for", "%p", p);
	check(!nst_speculate_again(&s) && nst_speculate_locked(&s) && counts(&site).abort == 1,
	      "C30 it takes the lock at once", "it does not");
	p = nst_speculate_alloc(&s, 64);
	check(p && counts(&site).paid == 1, "C30 with the lock it has what was paid for", "%p", p);
	check(!nst_speculate_alloc(&s, 64), "C30 and no more", "there is");
	nst_free(p);
	nst_speculate_finish(&s);
}

/* ---- legal anywhere ---- */

static struct nst_speculate_site everywhere;

static void attempt(struct nst_speculation *s, unsigned int i)
{
	void *p, *q;

	nst_speculate_begin(s);
	p = nst_speculate_alloc(s, 16 + i % 2000);
	q = nst_speculate_pages(s, i % 3);
	nst_free_nolock(p), NST_BECAUSE("in a section");
	nst_free_nolock(q), NST_BECAUSE("in a section");
	nst_speculate_end(s, p && q ? NST_SPECULATE_DONE : NST_SPECULATE_NULL);
}

/* The kernel kills it at its first system call; in the scope even paying makes none. */
static void *trapped(void *arg)
{
	int *done = arg;
	struct nst_speculation s;
	nst_scope_t scope = nst_scope_enter(NST_SCOPE_NOLOCK);

	NST_BECAUSE("nothing here may enter the kernel");
	nst_speculate_init(&s, &everywhere);
	trap_syscalls(TRAP_ALLOW_NONE);
	for (unsigned int i = 0; i < 50000; i++) {
		attempt(&s, i);
		nst_speculate_again(&s);
		nst_speculate_locked(&s);
		nst_speculate_finish(&s);
	}
	nst_scope_exit(scope);
	__atomic_store_n(done, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(done, __ATOMIC_RELAXED)) /* until the process ends */
		;
	return NULL;
}

static int trapped_child(void)
{
	static int done;
	uint64_t since = 0;
	pthread_t thread;

	if (pthread_create(&thread, NULL, trapped, &done))
		return 1;
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE) && check_patience(&since))
		;
	return done ? 0 : 2;
}

/* TSan makes system calls of its own, in any thread. */
#if defined(__SANITIZE_THREAD__)
#define TRAPS 0
#else
#define TRAPS 1
#endif

static void check_trapped(void)
{
	pid_t pid = TRAPS ? fork() : -1;

	if (!TRAPS)
		return;
	if (!pid)
		_exit(trapped_child());
	check_child(pid, 60, 0, "C30 it enters no kernel");
}

static u64 hits, spoiled;

static void on_alarm(int sig)
{
	struct nst_speculation s;
	int was = errno;

	(void)sig;
	nst_speculate_init(&s, &everywhere);
	errno = ENOTTY;
	attempt(&s, (unsigned int)__atomic_fetch_add(&hits, 1, __ATOMIC_RELAXED));
	__atomic_fetch_add(&spoiled, errno != ENOTTY, __ATOMIC_RELAXED);
	errno = was;
}

#define EACH 100000u

static void *many(void *arg)
{
	struct nst_speculation s;

	(void)arg;
	for (unsigned int i = 0; i < EACH; i++) {
		nst_speculate_init(&s, &everywhere);
		attempt(&s, i);
		nst_speculate_finish(&s);
	}
	return NULL;
}

/* Two threads, each interrupted by handlers that speculate, too: nothing is counted twice or lost. */
static void check_counts(void)
{
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	struct itimerval on = {{0, 200}, {0, 200}}, off = {{0, 0}, {0, 0}};
	static struct nst_stats before, after;
	struct nst_speculate_stats was = counts(&everywhere), now;
	pthread_t thread;
	u64 attempts;

	nst_stats_read(&before, sizeof(before));
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &on, NULL);
	pthread_create(&thread, NULL, many, NULL);
	many(NULL);
	pthread_join(thread, NULL);
	setitimer(ITIMER_REAL, &off, NULL);
	nst_stats_read(&after, sizeof(after));
	now = counts(&everywhere);
	attempts = now.success + now.abort + now.retry + now.miss - was.success - was.abort -
		   was.retry - was.miss;
	check(attempts == 2 * EACH + hits && hits > 0, "C30 each attempt is counted once",
	      "%llu of %llu", (unsigned long long)attempts, (unsigned long long)(2 * EACH + hits));
	check(after.speculate.success - before.speculate.success == now.success - was.success &&
		      after.speculate.retry - before.speculate.retry == now.retry - was.retry,
	      "C30 statistics say the same", "%llu, %llu",
	      (unsigned long long)(after.speculate.success - before.speculate.success),
	      (unsigned long long)(now.success - was.success));
	check(spoiled == 0, "C7 errno is untouched", "%llu times", (unsigned long long)spoiled);
	check(nst_rcu_open_here() == 0, "C30 no section is left open", "%llu",
	      (unsigned long long)nst_rcu_open_here());
}

TEST_CONF("worker:off,max:64M,high:16M" CONF_UNCHECKED)

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	run_on_cpu(0, cpu_nth(0));
	check_outcomes();
	check_reserve();
	check_pay();
	check_too_large();
	check_missing();
	run_on_cpu(0, -1);
	check_trapped();
	check_counts();
	return check_status();
}
