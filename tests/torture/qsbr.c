/* SPDX-License-Identifier: MIT */
/*
 * qsbr.c - Q7: a domain whose readers never fence, as liburcu's qsbr: the library's barrier alone keeps what was
 * unlinked from being found by a section that its period does not wait for.
 *
 *	retirer, one CPU		reader, another CPU, in synchronize()
 *	stores that miss		started was raised, and the barrier went round
 *	slot = new			a section begins: held = slot
 *	stamp = started			that of the period before ends: is what it held as it was?
 *	done > stamp? old is spoilt
 *
 * Without that barrier slot = new may still lie in the retirer's store buffer when the section begins, though the
 * stamp was taken before started was raised. NST_SECONDS (1).
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "mm/mm.h"
#include "rcu/rcu.h"
#include "common/check.h"
#include "common/trap.h"
#include "rig.h"

#define NR_ELEMENTS 1024u
#define COLD_WORDS ((size_t)4 << 20)
#define MISSES 12u
#define LINGER 50u /* loops of a section */

struct element {
	uint64_t spoilt; /* times */
	nst_cookie_t stamp;
	char pad[112];
};

static struct {
	struct element element[NR_ELEMENTS];
	struct element *slot NST_LINE_ALIGNED;
	uint64_t sections, retired, wrong NST_LINE_ALIGNED;
	uint64_t *cold;
} t;

static struct nst_rcu_domain *domain;

/* What a section of a reader found. */
static struct held {
	struct element *e;
	uint64_t spoilt;
} held;

static uint64_t spoilt(const struct element *e)
{
	return __atomic_load_n(&e->spoilt, __ATOMIC_RELAXED);
}

/* Two readers pass through quiescent states: one begins at once, the other has been inside since the last period. */
static void synchronize(void *ctx)
{
	struct held began;

	(void)ctx;
	if (!t.sections)
		run_on_cpu(0, cpu_nth(1));
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* as liburcu's does first of all */
	began.e = nst_rcu_dereference(t.slot);
	began.spoilt = spoilt(began.e);
	for (unsigned int i = 0; i < LINGER; i++)
		nst_cpu_relax();
	if (held.e && spoilt(held.e) != held.spoilt)
		__atomic_fetch_add(&t.wrong, 1, __ATOMIC_RELAXED);
	held = began;
	__atomic_fetch_add(&t.sections, 1, __ATOMIC_RELAXED);
}

/* The store that follows waits behind these. */
static void miss(struct rng *rng)
{
	for (unsigned int i = 0; i < MISSES; i++)
		__atomic_store_n(&t.cold[rng_below(rng, (uint32_t)COLD_WORDS)], i,
				 __ATOMIC_RELAXED);
}

/* Element @i is in the slot; the next one takes its place, if it is nobody's. */
static unsigned int replace(struct rng *rng, unsigned int i)
{
	unsigned int next = (i + 1) % NR_ELEMENTS;

	if (t.element[next].stamp)
		return i;
	miss(rng);
	nst_rcu_assign(t.slot, &t.element[next]);
	t.element[i].stamp = nst_gp_stamp(domain);
	t.retired++;
	return next;
}

/* From the oldest on, element @i, those whose period is over. */
static unsigned int spoil(unsigned int i)
{
	for (; t.element[i].stamp && nst_gp_is_done(domain, t.element[i].stamp);
	     i = (i + 1) % NR_ELEMENTS) {
		__atomic_fetch_add(&t.element[i].spoilt, 1, __ATOMIC_RELAXED);
		t.element[i].stamp = 0;
	}
	return i;
}

static int enough(void)
{
	return t.retired > 100 && __atomic_load_n(&t.sections, __ATOMIC_RELAXED) > 100;
}

static void go(struct rng *rng, double seconds)
{
	double begun = rig_now();
	unsigned int now = 0, oldest = 0;

	while (rig_goes_on(begun, seconds, enough) &&
	       !__atomic_load_n(&t.wrong, __ATOMIC_RELAXED)) {
		for (unsigned int k = 0; k < 100; k++) {
			now = replace(rng, now);
			nst_gp_want(domain);
			oldest = spoil(oldest);
		}
		nst_gp_step(domain);
	}
}

int main(int argc, char **argv)
{
	static const struct nst_rcu_domain_ops ops = {.synchronize = synchronize};
	struct rng rng = {seed_of(argc, argv)};

	check_deadline(90, "in time");
	t.cold = calloc(COLD_WORDS, sizeof(*t.cold));
	if (!t.cold)
		check_broken("memory");
	memset(t.cold, 1, COLD_WORDS * sizeof(*t.cold));
	t.slot = &t.element[0];
	run_on_cpu(0, cpu_nth(0));
	if (nst_rcu_domain_create("qsbr-like", &ops, &domain))
		check_broken("a domain");
	go(&rng, (double)env_long("NST_SECONDS", 1));
	printf("# retired=%llu sections=%llu\n", (unsigned long long)t.retired,
	       (unsigned long long)t.sections);
	check(t.wrong == 0, "Q7 nobody holds what was freed", "%llu do",
	      (unsigned long long)t.wrong);
	check_seen(enough(), "often enough", "see above");
	return check_status();
}
