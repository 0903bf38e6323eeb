/* SPDX-License-Identifier: MIT */
/*
 * syscalls_rcu.c - the steps of docs/syscalls.md that wait for readers: grace periods, what is retired, domains.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <unistd.h>
#define NST_NO_MACROS
#include "mm/mm.h"
#include "contract/syscalls.h"

#define NR 3000

static void *kept[NR];

void path_period(void)
{
	begin("period");
	must(nst_synchronize_rcu() == 0);
	end();
}

void path_period_visit(void)
{
	nst_sys_barrier_ok = 0;
	begin("period-visit");
	must(nst_synchronize_rcu() == 0);
	end();
}

void path_use_rcu(void)
{
	begin("use-rcu");
	must(nst_rcu_use() == 0);
	end();
}

static void do_nothing_head(struct nst_rcu_head *head)
{
	(void)head;
}

static void do_nothing_pointer(void *ptr)
{
	(void)ptr;
}

static void long_synchronize(void *ctx)
{
	(void)ctx;
	nap_ms(30);
}

static const struct nst_rcu_domain_ops long_ops = {.synchronize = long_synchronize};

/* Into rings, beyond what is ready, into mixed pages, by bits; of every kind. */
void path_retire(void)
{
	static struct nst_rcu_head heads[2];
	struct nst_rcu_domain *d;
	void *run;
	int i;

	nst_rcu_use();
	must(nst_rcu_domain_create("long", &long_ops, &d) == 0);
	for (i = 0; i < NR; i++)
		kept[i] = nst_alloc(64, NST_NORMAL);
	run = nst_alloc(60000, NST_NORMAL);
	begin("retire");
	for (i = 0; i < NR / 2; i++)
		nst_free_rcu(kept[i]);
	for (; i < NR / 4 * 3; i++)
		nst_free_rcu_in(d, kept[i]);
	nst_free_rcu_bulk((size_t)(NR - i), kept + i);
	nst_free_rcu(run);
	nst_free_rcu_head(&heads[0], do_nothing_head, 8);
	nst_call_rcu(&heads[1], do_nothing_head, 8);
	nst_free_rcu_foreign(heads, do_nothing_pointer);
	end();
}

#define BY_TURNS 20000

static void by_turns(void)
{
	for (int i = 0; i < BY_TURNS; i++)
		nst_free_rcu(nst_alloc(64, NST_NORMAL));
}

/* Who allocates and retires by turns lives on what he retires. */
void path_regain(void)
{
	nst_rcu_use();
	nst_free_rcu(nst_alloc(64, NST_NORMAL));
	nst_maintain();
	by_turns();
	begin("regain");
	by_turns();
	end();
}

/* Until all is warm; and one more is retired. */
static void retire_warm(void)
{
	static struct nst_rcu_head head;
	int i;

	nst_rcu_use();
	for (i = 0; i < 20; i++) {
		nst_call_rcu(&head, do_nothing_head, 8);
		nst_free_rcu(nst_alloc(64, NST_NORMAL));
		nst_rcu_barrier();
	}
	nst_free_rcu(nst_alloc(64, NST_NORMAL));
}

void path_settle(void)
{
	retire_warm();
	begin("settle");
	nst_rcu_barrier();
	end();
}

static void *end_soon(void *token)
{
	nap_ms(30);
	nst_rcu_read_end(*(nst_rcu_token_t *)token);
	return NULL;
}

/* A section that another thread ends in 30 ms; returns that thread. */
static pthread_t in_the_way(nst_rcu_token_t *token)
{
	pthread_t t;

	*token = nst_rcu_read_begin();
	if (pthread_create(&t, NULL, end_soon, token))
		_exit(97);
	return t;
}

void path_settle_wait(void)
{
	nst_rcu_token_t token;
	pthread_t t;

	retire_warm();
	t = in_the_way(&token);
	begin("settle-wait");
	nst_rcu_barrier();
	end();
	pthread_join(t, NULL);
}

static void wait_for_period(const char *step)
{
	nst_rcu_token_t token;
	pthread_t t = in_the_way(&token);

	begin(step);
	must(nst_synchronize_rcu() == 0);
	end();
	pthread_join(t, NULL);
}

void path_period_wait(void)
{
	wait_for_period("period-wait");
}

void path_period_stalled(void)
{
	wait_for_period("stall");
}

void path_domain(void)
{
	struct nst_rcu_domain *d;

	begin("domain");
	must(nst_rcu_domain_create("long", &long_ops, &d) == 0);
	end();
}

void path_domain_wait(void)
{
	struct nst_rcu_domain *d;

	must(nst_rcu_domain_create("long", &long_ops, &d) == 0);
	begin("domain-wait");
	must(nst_synchronize_rcu_in(d) == 0);
	end();
}

void path_domain_end(void)
{
	struct nst_rcu_domain *d;

	must(nst_rcu_domain_create("long", &long_ops, &d) == 0);
	nst_gp_start_in(d);
	begin("domain-end");
	must(nst_rcu_domain_destroy(d) == 0);
	end();
}
