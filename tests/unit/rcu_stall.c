/* SPDX-License-Identifier: MIT */
/*
 * rcu_stall.c - Q6: a period that takes longer than rcu_stall_ms is reported, once: how long, what waits, who holds it
 * up. Once more with debug:1, where the report says where those threads entered.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "mm/mm.h"
#include "common/check.h"
#include "common/said.h"
#include "common/trap.h"

#define MS 1000000u
#define STALL_MS 500u /* as in test_conf() */
#define RUN_BYTES ((size_t)64 << 10)
#define NR_READERS 4u
#define NR_NAMED 3u

static struct nst_rcu_domain *own = nst_rcu_own;
static int noted; /* where sections are begun */

/* A thread with a section that it keeps; or with none. */
static struct reader {
	pthread_t thread;
	int reads, tid, leave;
} reader[NR_READERS], idle;

static void steps(int n)
{
	while (n--)
		nst_gp_step(own);
}

/* ---- readers ---- */

static void wait_to_leave(struct reader *r)
{
	__atomic_store_n(&r->tid, gettid(), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&r->leave, __ATOMIC_ACQUIRE))
		usleep(100);
}

/* Sections that are over, here and nested, are not named. */
static void enter_and_stay(struct reader *r) __attribute__((noinline));
static void enter_and_stay(struct reader *r)
{
	nst_rcu_token_t t = nst_rcu_read_begin();

	nst_rcu_read_end(nst_rcu_read_begin());
	wait_to_leave(r);
	nst_rcu_read_end(t);
}

static void *run(void *arg)
{
	struct reader *r = arg;

	pthread_setname_np(pthread_self(), r->reads ? "stays" : "idle");
	nst_rcu_read_end(nst_rcu_read_begin());
	if (r->reads)
		enter_and_stay(r);
	else
		wait_to_leave(r);
	return NULL;
}

static void start(struct reader *r, int reads)
{
	*r = (struct reader){.reads = reads};
	if (pthread_create(&r->thread, NULL, run, r))
		check_broken("pthread_create");
	while (!__atomic_load_n(&r->tid, __ATOMIC_ACQUIRE))
		usleep(100);
}

static void leave(struct reader *r)
{
	__atomic_store_n(&r->leave, 1, __ATOMIC_RELEASE);
	pthread_join(r->thread, NULL);
}

/* ---- what is said ---- */

/* A number of what @key says; or -1. */
static long of(const char *text, const char *key)
{
	const char *s = strstr(text, key);

	return s ? atol(s + strlen(key)) : -1;
}

/* "module+0xoffset" of a place in enter_and_stay(). */
static int is_there(const char *entered)
{
	char name[128];
	const char *plus, *at;
	size_t module;

	nst_sys_code_name((const void *)(uintptr_t)enter_and_stay, name, sizeof(name));
	plus = strchr(name, '+');
	module = plus ? (size_t)(plus - name) + 1 : 0;
	at = strchr(entered, '+');
	return module && at && !strncmp(entered, name, module) &&
	       strtoul(at + 1, NULL, 16) - strtoul(plus + 1, NULL, 16) < 128;
}

static void check_blocker(const char *from, const char *what)
{
	const char *at = strstr(from, "entered=");
	int known = 0;

	for (unsigned int i = 0; i < NR_READERS; i++)
		known |= of(from, " blocker=") == reader[i].tid;
	check(known && strstr(from, "name='stays'"), what, "'%s'", from);
	check(at && (noted ? is_there(at + 8) : !strncmp(at, "entered=unknown", 15)),
	      noted ? "and where it entered" : "where it entered is known from debug:1 on", "'%s'",
	      from);
}

/* A period begins that @nr readers hold up; the clock is at rcu_stall_ms then. */
static nst_cookie_t stall(unsigned int nr)
{
	nst_cookie_t c;

	for (unsigned int i = 0; i < nr; i++)
		start(&reader[i], 1);
	nst_test_now_ns = nst_sys_now_ns();
	c = nst_gp_start();
	steps(1);
	return c;
}

static void check_one(void)
{
	nst_rcu_token_t late;
	struct nst_stats s;
	nst_cookie_t c = stall(1);
	u64 stalls = own->stalls;

	late = nst_rcu_read_begin(); /* of the next phase: nobody waits for it */
	nst_gp_start();
	nst_test_now_ns += (STALL_MS - 1) * MS;
	steps(3);
	check(lines == 0, "Q6 no report before rcu_stall_ms", "'%s'", said);
	nst_test_now_ns += MS;
	steps(5);
	check(lines == 1 && strstr(said, "nostall: grace period stalled: domain=own age_ms=500 ") &&
		      strstr(said, " periods_waiting=2 threads_waiting=0 sections_open=1 "
				   "of_this_thread=1 blockers=1 blockers_sections=1 "),
	      "Q6 one line a stall", "%d lines, '%s'", lines, said);
	check(of(said, "bytes_waiting=") == (long)RUN_BYTES, "Q6 how much waits", "'%s'", said);
	check_blocker(said, "Q6 the thread that holds it up is named, and no other");
	nst_stats_read(&s, sizeof(s));
	check(s.rcu_stalls == stalls + 1 && s.rcu_oldest_ns == STALL_MS * MS &&
		      s.rcu_blocker == (u64)reader[0].tid && s.rcu_domains == 1,
	      "Q6 statistics say so", "%llu stalls, blocker %llu of %d",
	      (unsigned long long)s.rcu_stalls, (unsigned long long)s.rcu_blocker, reader[0].tid);
	leave(&reader[0]);
	nst_rcu_read_end(late);
	steps(3);
	nst_stats_read(&s, sizeof(s));
	check(nst_gp_done(c) == 1 && s.rcu_oldest_ns == 0 && s.rcu_blocker == 0,
	      "Q6 all recovers when the reader leaves", "done %d, blocker %llu", nst_gp_done(c),
	      (unsigned long long)s.rcu_blocker);
	nst_test_now_ns = 0;
}

static void check_many(void)
{
	nst_cookie_t c = stall(NR_READERS);
	const char *at = said;
	unsigned int named = 0;

	lines = 0;
	nst_test_now_ns += STALL_MS * MS;
	steps(5);
	for (; (at = strstr(at, " blocker=")) != NULL; at++, named++)
		check_blocker(at, "Q6 of several each");
	check(lines == 1 && of(said, " blockers=") == NR_READERS && named == NR_NAMED,
	      "Q6 of many the first and how many they are", "%d lines, '%s'", lines, said);
	for (unsigned int i = 0; i < NR_READERS; i++)
		leave(&reader[i]);
	steps(3);
	check(nst_gp_done(c) == 1, "Q6 until they leave", "%d", nst_gp_done(c));
	nst_test_now_ns = 0;
}

const char *test_conf(int argc, char **argv)
{
	(void)argv;
	return argc > 1 ? "worker:off,rcu_stall_ms:500,debug:1" : "worker:off,rcu_stall_ms:500";
}

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	noted = nst_mm.debug || !nst_sys_rseq.usable;
	check_deadline(55, "stalls are reported");
	start(&idle, 0);
	nst_free_rcu(nst_alloc(RUN_BYTES, NST_NORMAL));
	nst_bug_sink = listen;
	check_one();
	check_many();
	leave(&idle);
	return check_status();
}
