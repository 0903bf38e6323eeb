/* SPDX-License-Identifier: MIT */
/*
 * reserve.c - C25 under floods: 64 threads, 4 tickets, nothing free but the reserve.
 *
 *	flood		ATOMIC, NORETRY, NOLOCK requests for pages until NULL, again and again, and never a free
 *	holders		enter (each waits, or asks until it is let in), take what is a ticket's, all of it written
 *			and found unchanged, free it (on this CPU, another one, without waiting), exit
 *	director	moves threads from CPU to CPU; forks now and then, and the child is a holder too
 *
 * No holder gets NULL; never more tickets are out than there are, nor more bytes; each thread has its turns.
 * NST_SECONDS (3).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/check.h"
#include "common/trap.h"
#include "rig.h"
#include <nostall/nostall.h>

#define NR_THREADS 64u
#define NR_FLOODS 2u
#define TICKETS 4u
#define EACH 16u /* pages a ticket */
#define NR_PAGES 65536u

TEST_CONF("max:64M,high:8M")

static struct {
	struct nst_reserve *r;
	unsigned int in, most_in; /* holders */
	uint64_t turns[NR_THREADS], nulls, damaged, flooded, forks, lost_children;
	int stop;
} t;

static int stopped(void)
{
	return __atomic_load_n(&t.stop, __ATOMIC_ACQUIRE);
}

static void *flood(void *arg)
{
	static const nst_mode_t modes[] = {NST_NORETRY, NST_ATOMIC, NST_NOLOCK, NST_NOWAIT};
	static void *page[NR_FLOODS][NR_PAGES];
	unsigned int i = (unsigned int)(uintptr_t)arg, n = 0, k = 0;

	while (!stopped() && n < NR_PAGES) {
		page[i][n] = nst_pages_alloc(0, modes[k++ % 4]);
		if (page[i][n])
			n++;
		else if (k % 64 == 0)
			rig_nap_us(50);
	}
	__atomic_add_fetch(&t.flooded, n, __ATOMIC_RELAXED);
	while (n)
		nst_pages_free(page[i][--n]);
	return NULL;
}

static void use(struct rng *rng, unsigned int who)
{
	void *page[EACH];

	for (unsigned int i = 0; i < EACH; i++) {
		page[i] = nst_pages_alloc(0, i % 2 ? NST_ATOMIC : NST_NORETRY);
		if (!page[i])
			__atomic_add_fetch(&t.nulls, 1, __ATOMIC_RELAXED);
		else
			memset(page[i], (int)who, NST_PAGE_SIZE);
	}
	if (rng_below(rng, 8) == 0)
		rig_nap_us(100);
	for (unsigned int i = 0; i < EACH; i++) {
		unsigned char *b = page[i];

		if (b && (b[0] != who || b[2048] != who || b[NST_PAGE_SIZE - 1] != who))
			__atomic_add_fetch(&t.damaged, 1, __ATOMIC_RELAXED);
		if (rng_below(rng, 2))
			nst_pages_free(b);
		else
			nst_pages_free_nolock(b);
	}
}

static void enter(struct rng *rng)
{
	unsigned int n, most, asks = rng_below(rng, 2) * 30; /* who only asks may never be let in */

	/* Not sched_yield(): of dozens of threads in such a loop the kernel (Linux 6.18) keeps others waiting for a minute. */
	while (asks && nst_reserve_enter(t.r, NST_NOLOCK) && --asks)
		rig_nap_us(20);
	if (!asks && nst_reserve_enter(t.r, NST_NORMAL))
		check_broken("a ticket");
	n = __atomic_add_fetch(&t.in, 1, __ATOMIC_SEQ_CST);
	most = __atomic_load_n(&t.most_in, __ATOMIC_RELAXED);
	while (n > most && !__atomic_compare_exchange_n(&t.most_in, &most, n, 0, __ATOMIC_RELAXED,
							__ATOMIC_RELAXED))
		;
}

static void *hold(void *arg)
{
	unsigned int who = (unsigned int)(uintptr_t)arg;
	struct rng rng = {who};

	while (!stopped()) {
		enter(&rng);
		use(&rng, who);
		__atomic_sub_fetch(&t.in, 1, __ATOMIC_SEQ_CST);
		nst_reserve_exit(t.r);
		__atomic_fetch_add(&t.turns[who], 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* A child has none of the others' tickets, and may find pages in use that nobody there will free. */
static void fork_one(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		check_deadline(60, "C25 a child's tickets");
		for (unsigned int i = 0; i < TICKETS; i++)
			if (nst_reserve_enter(t.r, NST_NOLOCK))
				_exit(1);
			else if (i + 1 < TICKETS)
				nst_reserve_exit(t.r);
		check_deadline(60, "C25 a child's page, or NULL");
		nst_pages_free(nst_pages_alloc(0, NST_NORETRY));
		_exit(0);
	}
	t.forks++;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		t.lost_children++;
}

/* Each has had a turn; that all get one, sooner or later, is part of what is promised. */
static int enough(void)
{
	for (unsigned int i = 0; i < NR_THREADS; i++)
		if (__atomic_load_n(&t.turns[i], __ATOMIC_RELAXED) == 0)
			return 0;
	return 1;
}

static void direct(pthread_t *thread, long seconds)
{
	struct rng rng = {1};
	double begun = rig_now();

	for (unsigned int ms = 0; rig_goes_on(begun, (double)seconds, enough); ms++) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(cpu_nth(rng_below(&rng, 2)), &set);
		pthread_setaffinity_np(thread[rng_below(&rng, NR_THREADS)], sizeof(set), &set);
		if (ms % 500 == 250)
			fork_one();
		rig_nap_us(1000);
	}
}

static void finish(void)
{
	struct nst_reserve_stats s = {0};
	uint64_t least = UINT64_MAX, turns = 0;

	nst_reserve_read(t.r, &s, sizeof(s));
	for (unsigned int i = 0; i < NR_THREADS; i++) {
		least = t.turns[i] < least ? t.turns[i] : least;
		turns += t.turns[i];
	}
	printf("# turns=%llu least=%llu flooded=%llu waits=%llu refused=%llu forks=%llu used_most=%llu\n",
	       (unsigned long long)turns, (unsigned long long)least, (unsigned long long)t.flooded,
	       (unsigned long long)s.waits, (unsigned long long)s.refused,
	       (unsigned long long)t.forks, (unsigned long long)s.used_most);
	check(t.nulls == 0, "C25 no holder gets NULL", "%llu did", (unsigned long long)t.nulls);
	check(t.damaged == 0, "C25 a holder's page is its own", "%llu were not",
	      (unsigned long long)t.damaged);
	check(t.most_in <= TICKETS, "C25 no more tickets than there are", "%u were out", t.most_in);
	check(s.used_most <= s.bytes && s.used_most > 0, "C25 never over its bytes, and used",
	      "%llu of %llu", (unsigned long long)s.used_most, (unsigned long long)s.bytes);
	check(enough(), "C25 all have their turns", "one had none");
	check(t.lost_children == 0, "C25 children have their own", "%llu had not",
	      (unsigned long long)t.lost_children);
	check(s.out == 0 && s.used == 0 && nst_reserve_destroy(t.r) == 0, "C25 whole in the end",
	      "%llu bytes used", (unsigned long long)s.used);
}

int main(int argc, char **argv)
{
	long seconds = env_long("NST_SECONDS", 3);
	pthread_t thread[NR_THREADS], floods[NR_FLOODS];

	(void)argc;
	conf_apply(argv);
	check_deadline((unsigned int)seconds + 150, "C25 all finish");
	t.r = nst_reserve_create(TICKETS * EACH * NST_PAGE_SIZE, TICKETS);
	if (!t.r)
		check_broken("a reserve");
	for (unsigned int i = 0; i < NR_FLOODS; i++)
		pthread_create(&floods[i], NULL, flood, (void *)(uintptr_t)i);
	rig_nap_us(200000);
	for (unsigned int i = 0; i < NR_THREADS; i++)
		pthread_create(&thread[i], NULL, hold, (void *)(uintptr_t)i);
	direct(thread, seconds);
	__atomic_store_n(&t.stop, 1, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < NR_THREADS; i++)
		pthread_join(thread[i], NULL);
	for (unsigned int i = 0; i < NR_FLOODS; i++)
		pthread_join(floods[i], NULL);
	finish();
	return check_status();
}
