/* SPDX-License-Identifier: MIT */
/*
 * lockdep_realtime.c - V30: a thread that says it is a real-time one, or that the option check_realtime names, neither waits nor allocates.
 *
 *	lockdep_realtime [policy]	which threads the option names: by a pattern, or by their policy
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include "common/trap.h"
#include "unit/lockdep.h"

const char *test_conf(int argc, char **argv)
{
	(void)argv;
	return argc > 1 ? "check_realtime:policy,worker:off" : "check_realtime:audio*2,worker:off";
}

static struct nst_lockdep_map sleeps = NST_LOCKDEP_MAP("sleeps", NULL, NST_WAIT_SLEEP),
			      spins = NST_LOCKDEP_MAP("spins", NULL, NST_WAIT_SPIN);

static void take(struct nst_lockdep_map *m, uint32_t how)
{
	nst_lockdep_acquire(m, how);
	nst_lockdep_release(m);
}

static void right_for_all(const char *name)
{
	void *p;

	take(&spins, 0);
	take(&sleeps, NST_LD_TRY);
	p = nst_alloc_nolock(64);
	nst_free_nolock(p);
	nst_allow_begin("the wait for the next period");
	take(&sleeps, 0);
	nst_might_alloc(NST_NORMAL);
	nst_allow_end();
	no_report(name);
}

static void *is_one(void *arg)
{
	(void)arg;
	take(&sleeps, 0);
	one_report(NST_NL_BLOCK, NST_LD_ERROR, "V30 a lock that sleeps");
	nst_might_alloc(NST_NOWAIT);
	one_report(NST_NL_ALLOC, NST_LD_ERROR, "V30 a request that takes short locks");
	nst_might_sleep();
	one_report(NST_NL_BLOCK, NST_LD_ERROR, "V30 it may sleep");
	right_for_all("V30 spinning, trying, no-lock requests, and what is allowed");
	return NULL;
}

static int json_is_right;

static void look_at_json(const struct nst_lockdep_report *r, void *arg)
{
	keep(r, arg);
	json_is_right = strstr(r->json, "\"begun\":[]") != NULL;
}

static void *is_named(void *arg)
{
	is_one(arg);
	nst_lockdep_on_report(look_at_json, NULL);
	take(&sleeps, 0);
	check(strstr(last_text, "begun with the thread (check_realtime)") != NULL,
	      "V30 the report says by what it is one", "%s", last_text);
	check(json_is_right, "V30 as JSON: begun nowhere", "somewhere");
	nst_lockdep_on_report(keep, NULL);
	forget();
	return NULL;
}

static void *is_none(void *arg)
{
	take(&sleeps, 0);
	nst_might_alloc(NST_NORMAL);
	no_report(arg);
	return NULL;
}

static void *says_so(void *arg)
{
	is_none(arg);
	nst_realtime_begin();
	is_one(NULL);
	nst_realtime_end();
	nst_lockdep_reset();
	take(&sleeps, 0);
	nst_might_alloc(NST_NORMAL);
	no_report("V30 and no more: nothing");
	return NULL;
}

static void *named_audio(void *arg)
{
	pthread_setname_np(pthread_self(), arg);
	forget();
	return is_named(arg);
}

static void *named_otherwise(void *arg)
{
	pthread_setname_np(pthread_self(), arg);
	return is_none("V30 a thread of another name: nothing");
}

static void *with_policy(void *arg)
{
	const struct sched_param p = {.sched_priority = 1};

	forget();
	if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &p)) {
		printf("# no real-time policy can be had here\n");
		return NULL;
	}
	return is_named(arg);
}

int main(int argc, char **argv)
{
	(void)argv;
	conf_demand();
	check_deadline(100, "V30 it comes to an end");
	start_checking();
	if (argc > 1) {
		in_thread(with_policy, NULL);
	} else {
		in_thread(named_audio, "audio-2");
		in_thread(named_otherwise, "audio-23");
	}
	forget();
	in_thread(is_none, "V30 a thread that nobody named: nothing");
	in_thread(says_so, "V30 before it says so: nothing");
	nst_lockdep_stop();
	return check_status();
}
