/* SPDX-License-Identifier: MIT */
/*
 * retire.c - whatever fails as things are retired, each goes some way, and all of it is freed.
 *
 *	for each kind of failure: n = 1, 2, 3 ...: a child in which the n-th of its kind fails, from before nst_rcu_use()
 *	on; done when the n-th is not reached. Then one in which all of that kind fail, until the end
 *
 * nst_rcu_use() says -ENOMEM, and can be called again once there is memory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "mm/mm.h"
#include "common/check.h"
#include "common/trap.h"

#define NR 2000u
#define ALWAYS (-1L)

static const char *const kinds[] = {
	[NST_FAIL_RESERVE] = "reserve",	      [NST_FAIL_COMMIT] = "commit",
	[NST_FAIL_POPULATE] = "populate",     [NST_FAIL_META] = "meta",
	[NST_FAIL_MEMBARRIER] = "membarrier", [NST_FAIL_THREAD] = "thread",
	[NST_FAIL_TRYLOCK] = "trylock",
};

static unsigned int called, handed;
static struct nst_rcu_head head[NR];
static void *small[NR], *run[20], *mapping[4];

static void fn_head(struct nst_rcu_head *h)
{
	(void)h;
	called++;
}

static void fn_ptr(void *ptr)
{
	(void)ptr;
	called++;
}

static void prepare(struct nst_cache *c)
{
	for (unsigned int i = 0; i < NR; i++)
		small[i] = nst_cache_alloc(c, NST_NORMAL);
	for (unsigned int i = 0; i < NST_ARRAY_SIZE(run); i++)
		run[i] = nst_alloc(40000 + i, NST_NORMAL);
	for (unsigned int i = 0; i < NST_ARRAY_SIZE(mapping); i++)
		mapping[i] = nst_alloc((size_t)(3 + i) << 20, NST_NORMAL);
}

static void retire_all(void)
{
	for (unsigned int i = 0; i < NR; i++) {
		nst_free_rcu(small[i]);
		if (i % 5 == 0 && nst_free_rcu_foreign(&called, fn_ptr) == 0)
			handed++;
		if (i % 7 == 0) {
			nst_call_rcu(&head[i], fn_head, 3);
			handed++;
		}
		if (i % 500 == 499)
			nst_maintain();
	}
	nst_free_rcu_bulk(NST_ARRAY_SIZE(run), run);
	nst_free_rcu_bulk(NST_ARRAY_SIZE(mapping), mapping);
}

static void all_is_freed(struct nst_cache *c)
{
	static struct nst_stats stats;

	check_quiet(nst_rcu_barrier() == 0 && called == handed, "each function is called once",
		    "%u of %u", called, handed);
	nst_stats_read(&stats, sizeof(stats));
	check_quiet(stats.retired.waiting_bytes == 0 && stats.misuse == 0, "nothing waits",
		    "%llu bytes", (unsigned long long)stats.retired.waiting_bytes);
	check_quiet(nst_cache_destroy(c) == 0, "each object is freed", "some are alive");
}

/* 1 if the failure happened. */
static int scenario(enum nst_fail kind, long n)
{
	struct nst_cache *c = nst_cache_create("retire", 96, 0, 0, NULL);
	int err, reached;

	prepare(c);
	nst_test_fail[kind] = n;
	err = nst_rcu_use();
	check_quiet(err == 0 || err == -ENOMEM, "nst_rcu_use()", "%d", err);
	if (err && n == ALWAYS)
		nst_test_fail[kind] = 0;
	while (err && nst_test_fail[kind] <= 0 && nst_rcu_use())
		nst_test_fail[kind] = 0;
	retire_all();
	for (int i = 0; i < 20; i++)
		nst_maintain();
	reached = n == ALWAYS || nst_test_fail[kind] <= 0;
	nst_test_fail[kind] = 0;
	all_is_freed(c);
	return reached;
}

/* 1: it went on to the end, and the failure was reached; 0: not reached; -1: wrong. */
static int round_of(enum nst_fail kind, long n)
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		check_broken("fork");
	if (pid == 0) {
		int reached = scenario(kind, n);

		fflush(stdout);
		_exit(check_status() ? 1 : reached ? 2 : 3);
	}
	if (child_wait(pid, 40, &status) || !WIFEXITED(status) || WEXITSTATUS(status) < 2) {
		check(0, kinds[kind], "number %ld: %s", n, child_status(status));
		return -1;
	}
	return WEXITSTATUS(status) == 2;
}

static void rounds(enum nst_fail kind)
{
	unsigned int made = 0;
	long n = 1;
	int r = 1;

	for (; r > 0 && n < 100000; n += n < 24 ? 1 : n / 3) {
		r = round_of(kind, n);
		made += r > 0;
	}
	if (r == 0)
		r = kind == NST_FAIL_TRYLOCK ? 1 : round_of(kind, ALWAYS);
	printf("# %s: %u rounds\n", kinds[kind], made);
	check(r >= 0, kinds[kind], "wrong");
}

/* A thread that begins may hold a lock of a sanitizer's malloc, which a child would find held for ever. */
static void begin_worker(int on)
{
	static struct nst_stats s;

	check_deadline(60, "a worker");
	while (on && !nst_stats_read(&s, sizeof(s)) && !s.worker_wakeups)
		usleep(1000);
	check_deadline(0, NULL);
}

const char *test_conf(int argc, char **argv)
{
	(void)argv;
	return argc > 1 ? "warn:off,worker:on" : "warn:off,worker:off";
}

int main(int argc, char **argv)
{
	conf_apply(argv);
	begin_worker(argc > 1);
	for (unsigned int i = 0; i < NST_ARRAY_SIZE(kinds); i++)
		if (kinds[i])
			rounds((enum nst_fail)i);
	return check_status();
}
