/* SPDX-License-Identifier: MIT */
/*
 * retired.c - R12: what a program retires slows its malloc down above rcu_budget: a reader stays, and allocates
 * itself. With rcu_budget_malloc:on malloc gives NULL.
 *
 * Under NOSTALL_CONF=worker:off,rcu_budget:1M, with that or without.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <nostall/nostall.h>
#include <nostall/rcu.h>
#include "preload.h"

#define BUDGET ((size_t)1 << 20)
#define BYTES 1000u
#define NR 1250u /* of them: more than the budget, and than lists hold */

static uint64_t waiting(void)
{
	static struct nst_stats s;

	if (nst_stats_read(&s, sizeof(s)))
		check_broken("nst_stats_read");
	return s.retired.waiting_bytes;
}

static uint64_t refused(void)
{
	static struct nst_stats s;

	nst_stats_read(&s, sizeof(s));
	return s.null_reasons[NST_NULL_RETIRED];
}

/* What malloc() gives is retired at once; until it is NULL, @nr times at most. */
static unsigned int flood(unsigned int nr)
{
	unsigned int i;
	void *p;

	for (i = 0; i < nr && (p = malloc(BYTES)) != NULL; i++)
		nst_free_rcu(memset(p, 1, BYTES));
	return i;
}

/* Times that this thread went to sleep. */
static long naps(void)
{
	struct rusage u;

	if (getrusage(RUSAGE_THREAD, &u))
		check_broken("getrusage");
	return u.ru_nvcsw;
}

int main(void)
{
	int refuses = strstr(getenv("NOSTALL_CONF"), "rcu_budget_malloc:on") != NULL;
	nst_rcu_token_t t;
	void *p, *native;
	unsigned int n;
	long slept;

	demand_preload();
	check_deadline(60, "a reader that allocates is not held up for ever");
	t = nst_rcu_read_begin();
	n = flood(NR);
	errno = 0;
	slept = naps();
	p = malloc(100000);
	slept = naps() - slept;
	native = nst_alloc(100000, NST_NORMAL);
	check(waiting() > BUDGET, "the budget is crossed", "%llu bytes",
	      (unsigned long long)waiting());
	if (refuses)
		check(!p && errno == ENOMEM && n < NR, "malloc is refused where that is wanted",
		      "%p, errno %d, %u served", p, errno, n);
	else
		check(p && n == NR, "malloc is served", "%u of %u", n, NR);
	check(slept >= 10, "it is slowed down", "it slept %ld times", slept);
	check(!native && refused(), "a request of the library's own is not", "%p", native);
	free(p);
	nst_rcu_read_end(t);
	check(nst_rcu_barrier() == 0 && (p = malloc(100000)) != NULL && waiting() == 0,
	      "all recovers when the reader leaves", "%llu bytes wait",
	      (unsigned long long)waiting());
	free(p);
	return check_status();
}
