/* SPDX-License-Identifier: MIT */
/*
 * free_rcu.c - C20: `nostall torture rcu` on the library with hooks: what is seldom there is forced here.
 *
 *	threads		read and update (tools/torture_rcu.h), with signals into both
 *	director	a weather for some milliseconds, then another:
 *			fair	 nothing, or a delay at one point of one sequence
 *			stopped	 no pass runs: rings fill, pages are brought
 *			refused	 nor does any try of a lock succeed: dead bits, and foreign pointers refused
 *			child	 fork()
 *
 * Each way in which something can be retired must have been taken. NST_SECONDS (3). TEST_FENCED=1: halfway the
 * kernel refuses its barrier, and everybody fences for himself.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "mm/mm.h"
#include "rig.h"
#include "tools/torture_rcu.h"

#define DELAY_LOOPS 3000u
#define WEATHER_US 30000u

/* Points of the rings' sequences; rseq_ops.h counts them the same way on every CPU kind. */
static const unsigned char ring_points[] = {
	[NST_SEQ_RETIRE - NST_NR_STACK_SEQS] = 8,
	[NST_SEQ_RETIREN - NST_NR_STACK_SEQS] = 8,
	[NST_SEQ_ADVANCE - NST_NR_STACK_SEQS] = 6,
};

static void some_ring_delay(struct rng *rng)
{
	unsigned int seq = rng_below(rng, sizeof(ring_points) + 1);

	rig_no_delay();
	if (seq == sizeof(ring_points))
		return;
	__atomic_store_n(&nst_test_delay[NST_NR_STACK_SEQS + seq][rng_below(rng, ring_points[seq])],
			 1 + rng_below(rng, DELAY_LOOPS), __ATOMIC_RELAXED);
}

static void stopped(struct rng *rng, int refused)
{
	nst_maintain_pause();
	if (refused)
		__atomic_store_n(&nst_test_fail[NST_FAIL_TRYLOCK], -1, __ATOMIC_RELAXED);
	rig_nap_us(1 + rng_below(rng, WEATHER_US));
	__atomic_store_n(&nst_test_fail[NST_FAIL_TRYLOCK], 0, __ATOMIC_RELAXED);
	nst_maintain_resume();
}

/* In a child the locks of a sanitizer's malloc are as they were, and what waits for it calls its free(). */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FORKS 0
#else
#define FORKS 1
#endif

#define ENOUGH 50000 /* functions called: on a busy machine that takes its time */

/* Stripes have fewer pages to bring than rings of CPUs. */
static int went_every_way(const struct nst_retired_stats *r)
{
	return r->sealed_pages && r->mixed && (r->brought_pages || rig_is_none()) && r->dead_bits &&
	       r->runs && r->heads && r->calls && r->foreign && r->refused && r->others;
}

static int enough(void)
{
	struct nst_stats stats;

	if (nst_stats_read(&stats, sizeof(stats)))
		check_broken("nst_stats_read");
	return atomic_load(&rcu_torture.called) >= ENOUGH && went_every_way(&stats.retired) &&
	       (rcu_torture.forks || !FORKS);
}

/* Ends early once something is found: the rest could only crash. */
static void direct(double seconds)
{
	struct rng rng = {(uint64_t)rcu_torture.seed};
	double begin = rig_now();

	while (rig_goes_on(begin, seconds, enough) && !rcu_torture.fork_failed &&
	       !atomic_load(&rcu_torture.freed_twice) && !atomic_load(&rcu_torture.found)) {
		if (env_long("TEST_FENCED", 0) && rig_now() - begin > seconds / 2)
			nst_test_fail[NST_FAIL_BARRIER] = -1;
		some_ring_delay(&rng);
		switch (rng_below(&rng, 8)) {
		case 0:
			if (FORKS)
				rcu_torture_fork();
			break;
		case 1:
		case 2:
			stopped(&rng, 0);
			break;
		case 3:
		case 4:
			stopped(&rng, 1);
			break;
		default:
			rig_nap_us(1 + rng_below(&rng, WEATHER_US));
		}
	}
	rig_no_delay();
}

static void check_ways(const struct rcu_torture_counts *sum)
{
	struct nst_stats stats;
	const struct nst_retired_stats *r = &stats.retired;

	if (nst_stats_read(&stats, sizeof(stats)))
		check_broken("nst_stats_read");
	printf("# sealed_pages=%llu mixed=%llu brought_pages=%llu dead_bits=%llu runs=%llu heads=%llu "
	       "calls=%llu foreign=%llu refused=%llu others=%llu misuse=%llu\n",
	       (unsigned long long)r->sealed_pages, (unsigned long long)r->mixed,
	       (unsigned long long)r->brought_pages, (unsigned long long)r->dead_bits,
	       (unsigned long long)r->runs, (unsigned long long)r->heads,
	       (unsigned long long)r->calls, (unsigned long long)r->foreign,
	       (unsigned long long)r->refused, (unsigned long long)r->others,
	       (unsigned long long)stats.misuse);
	check_seen(went_every_way(r), "memory of every kind went every way", "see above");
	check(stats.misuse == 0, "no misuse was reported", "%llu times",
	      (unsigned long long)stats.misuse);
	check_seen(sum->handed_on && sum->stalls && sum->nested && sum->handler_updates &&
			   sum->aged && sum->caches && (rcu_torture.forks || !FORKS),
		   "readers and updaters of every kind", "see above");
}

int main(int argc, char **argv)
{
	struct rcu_torture_counts sum = {0};
	long seconds = env_long("NST_SECONDS", 3);
	uint64_t wrong;

	rcu_torture.seed = (long long)(seed_of(argc, argv) & INT64_MAX);
	check_deadline((unsigned int)seconds + 90, "the torture ends");
	if (!rcu_torture_start())
		check_broken("threads");
	direct((double)seconds);
	rcu_torture_end(&sum);
	wrong = rcu_torture_print(&sum);
	check(wrong == 0, "C20 nothing is freed while it is seen, everything once", "%llu wrong",
	      (unsigned long long)wrong);
	check_ways(&sum);
	return check_status();
}
