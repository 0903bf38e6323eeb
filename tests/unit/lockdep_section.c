/* SPDX-License-Identifier: MIT */
/*
 * lockdep_section.c - V15: read sections, and who waits for them.
 */
#include <stdlib.h>
#include "unit/lockdep.h"

static struct nst_lockdep_map a = NST_LOCKDEP_MAP("a", NULL, NST_WAIT_SLEEP),
			      spin = NST_LOCKDEP_MAP("spin", NULL, NST_WAIT_SPIN);
static int *shared;

static void dereference(void)
{
	nst_rcu_token_t s = nst_rcu_read_begin();

	(void)nst_rcu_dereference_check(shared, 0);
	nst_rcu_read_end(s);
	(void)nst_rcu_dereference_check(shared, 1);
	no_report("V15 read in a section, or held otherwise: nothing");
	(void)nst_rcu_dereference_check(shared, 0);
	one_report(NST_NL_RCU, NST_LD_ERROR, "V15 read outside of a section");
}

static void sleeping(void)
{
	nst_rcu_token_t s = nst_rcu_read_begin();

	nst_might_sleep();
	one_report(NST_NL_RCU, NST_LD_POSSIBLE, "V15 a reader that may sleep: possible");
	nst_allow_begin("this reader may");
	nst_might_sleep();
	nst_allow_end();
	nst_rcu_read_end(s);
	nst_might_sleep();
	no_report("V15 allowed, or behind its end: nothing");
}

static void *waits(void *arg)
{
	nst_lockdep_acquire(arg, 0);
	nst_synchronize_rcu();
	nst_lockdep_release(arg);
	return NULL;
}

static void *reads(void *arg)
{
	nst_rcu_token_t s = nst_rcu_read_begin();

	nst_lockdep_acquire(arg, 0);
	nst_lockdep_release(arg);
	nst_rcu_read_end(s);
	return NULL;
}

/* The section ends on another thread: who waits for a period in it comes back. */
static nst_rcu_token_t open_section;
static int waiting;

static void *ends_it(void *arg)
{
	uint64_t since = 0;

	(void)arg;
	while (!__atomic_load_n(&waiting, __ATOMIC_ACQUIRE) && check_patience(&since))
		;
	nst_rcu_read_end(open_section);
	return NULL;
}

static void on_report(const struct nst_lockdep_report *r, void *arg)
{
	keep(r, arg);
	__atomic_store_n(&waiting, 1, __ATOMIC_RELEASE);
}

static void periods(void)
{
	pthread_t t;

	open_section = nst_rcu_read_begin();
	nst_lockdep_on_report(on_report, NULL);
	if (pthread_create(&t, NULL, ends_it, NULL))
		check_broken("pthread_create");
	nst_synchronize_rcu();
	pthread_join(t, NULL);
	nst_lockdep_on_report(keep, NULL);
	one_report(NST_NL_RCU, NST_LD_ERROR, "V15 waits for a period inside a section");
	nst_synchronize_rcu();
	check(last.level == NST_LD_POSSIBLE,
	      "V15 once a section has ended elsewhere nothing is sure: possible", "level %u",
	      (unsigned int)last.level);
	forget();
}

static void orders(void)
{
	nst_rcu_token_t s;

	in_thread(waits, &a);
	in_thread(reads, &a);
	check(strstr(last_text, "rcu") != NULL, "V15 the report names it", "%s", last_text);
	one_report(NST_NL_ORDER, NST_LD_ERROR,
		   "V15 a lock that readers take, held while readers are waited for");
	in_thread(reads, &a);
	in_thread(reads, &a);
	no_report("V15 readers alone: nothing");
	/* A reader reclaims, and reclaim waits for readers. */
	nst_reclaiming_begin(0);
	nst_synchronize_rcu();
	nst_reclaiming_end();
	s = nst_rcu_read_begin();
	nst_might_alloc(NST_NORMAL);
	nst_rcu_read_end(s);
	one_report(NST_NL_RECLAIM, NST_LD_ERROR, "V15 reclaim waits for a reader that reclaims");
	nst_lockdep_acquire(&spin, 0);
	nst_synchronize_rcu();
	nst_lockdep_release(&spin);
	one_report(NST_NL_WAIT, NST_LD_ERROR, "V15 a period waited for with a spinlock held");
	nst_assert_none_held();
	no_report("V15 a section is no lock: nothing");
}

int main(void)
{
	check_deadline(100, "V15 it comes to an end");
	start_checking();
	dereference();
	sleeping();
	orders();
	periods();
	nst_lockdep_stop();
	return check_status();
}
