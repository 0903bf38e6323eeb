/* SPDX-License-Identifier: MIT */
/*
 * rcu_hazards.c - C19: what other libraries' deferred frees crash, hang or abort on runs here, or is refused.
 *
 * Nine cases, each in a process of its own. What was accepted must have run once by the end.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#include <nostall/nostall.h>
#include <nostall/rcu.h>
#include "base/testhook.h"
#include "common/check.h"
#include "common/trap.h"

#define HANDLER_US 20
#define STORM 60000u
#define DEEP 100000u
#define IN_CHILD 999u

static uint64_t accepted, ran, refused;
static volatile sig_atomic_t stop;

static void run_pointer(void *p)
{
	__atomic_fetch_add(&ran, 1, __ATOMIC_RELAXED);
	nst_free(p);
}

static void run_head(struct nst_rcu_head *head)
{
	run_pointer(head);
}

static void call(void *p)
{
	if (!p)
		return;
	__atomic_fetch_add(&accepted, 1, __ATOMIC_RELAXED);
	nst_call_rcu(p, run_head, 0);
}

static void defer(void *p)
{
	if (!p)
		return;
	if (nst_free_rcu_foreign(p, run_pointer) == 0) {
		__atomic_fetch_add(&accepted, 1, __ATOMIC_RELAXED);
		return;
	}
	__atomic_fetch_add(&refused, 1, __ATOMIC_RELAXED);
	nst_free_nolock(p);
	NST_BECAUSE("it is ours still, and this may be a handler");
}

static void all_ran(const char *name)
{
	nst_rcu_barrier();
	check(accepted > 0 && ran == accepted, name, "%llu of %llu ran, %llu refused",
	      (unsigned long long)ran, (unsigned long long)accepted, (unsigned long long)refused);
}

/* ---- a handler over the same call ---- */

static void (*retire)(void *p);

static void handler(int sig)
{
	(void)sig;
	if (!stop)
		retire(nst_alloc_nolock(64));
	NST_BECAUSE("signal handler");
}

static void in_a_storm(void (*how)(void *p), const char *name)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};
	struct itimerval every = {{0, HANDLER_US}, {0, HANDLER_US}}, never = {{0, 0}, {0, 0}};

	retire = how;
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	for (unsigned int i = 0; i < STORM; i++)
		how(nst_alloc(64, NST_NORMAL));
	setitimer(ITIMER_REAL, &never, NULL);
	stop = 1;
	check(accepted + refused > STORM, name, "no handler ran");
	all_ran(name);
}

static void storm_call(void)
{
	in_a_storm(call, "call_rcu in a handler over call_rcu");
}

static void storm_defer(void)
{
	in_a_storm(defer, "a bare pointer in a handler over a bare pointer");
}

/* ---- readers that retire ---- */

static void *write_and_read(void *arg)
{
	for (unsigned int i = 0; i < DEEP / 10; i++) {
		nst_rcu_token_t token = nst_rcu_read_begin();

		defer(nst_alloc(64, NST_NORMAL));
		nst_free_rcu(nst_alloc(64, NST_NORMAL));
		nst_rcu_read_end(token);
		if (i % 1000 == 0)
			nst_synchronize_rcu();
	}
	return arg;
}

static void two_writers(void)
{
	pthread_t thread[2];

	for (int i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, write_and_read, NULL);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	all_ran("two writers that are readers too");
}

static void deep_in_a_section(void)
{
	nst_rcu_token_t token = nst_rcu_read_begin();
	uint64_t early;

	for (unsigned int i = 0; i < DEEP; i++)
		defer(nst_alloc(64, NST_NORMAL));
	nst_maintain();
	early = __atomic_load_n(&ran, __ATOMIC_RELAXED);
	nst_rcu_read_end(token);
	check(early == 0, "a hundred thousand inside a section: the section holds", "%llu ran",
	      (unsigned long long)early);
	all_ran("a hundred thousand inside a section");
}

/* ---- without memory ---- */

static void fail_all(long n)
{
	static const enum nst_fail memory[] = {NST_FAIL_RESERVE,  NST_FAIL_COMMIT, NST_FAIL_META,
					       NST_FAIL_POPULATE, NST_FAIL_THREAD, NST_FAIL_MOVE};

	for (unsigned int i = 0; i < sizeof(memory) / sizeof(*memory); i++)
		nst_test_fail[memory[i]] = n;
}

static struct nst_rcu_head head_of_none;

static void run_none(struct nst_rcu_head *head)
{
	(void)head;
	__atomic_fetch_add(&ran, 1, __ATOMIC_RELAXED);
}

static void first_without_memory(void)
{
	fail_all(-1);
	accepted = 1;
	nst_call_rcu(&head_of_none, run_none, 0);
	fail_all(0);
	all_ran("the first call_rcu without memory");
}

static void *all_memory(void)
{
	void *all = NULL, **one;

	for (size_t size = (size_t)16 << 20; size >= 16; size /= 2)
		while ((one = nst_alloc(size, NST_NORMAL | NST_NOWARN))) {
			*one = all;
			all = one;
		}
	return all;
}

static void barrier_without_memory(void)
{
	void *all, *next;

	for (unsigned int i = 0; i < 1000; i++) {
		defer(nst_alloc(64, NST_NORMAL));
		call(nst_alloc(64, NST_NORMAL));
		nst_free_rcu(nst_alloc(64, NST_NORMAL));
	}
	fail_all(-1);
	all = all_memory();
	accepted++;
	nst_call_rcu(&head_of_none, run_none, 0);
	all_ran("rcu_barrier without memory");
	fail_all(0);
	for (; all; all = next) {
		next = *(void **)all;
		nst_free(all);
	}
}

/* ---- fork ---- */

static void in_child(void (*life)(void), const char *name)
{
	pid_t pid;
	int status = 0, rc;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		life();
		fflush(stdout);
		_exit(check_status());
	}
	rc = child_wait(pid, 40, &status);
	check(rc == 0 && status == 0, name, "%s", rc ? "hung" : child_status(status));
}

static void calls_of_child(void)
{
	uint64_t before = ran;

	for (unsigned int i = 0; i < IN_CHILD; i++)
		call(nst_alloc(64, NST_NORMAL));
	nst_rcu_barrier();
	check(ran - before >= IN_CHILD, "999 call_rcu in a child", "%llu ran",
	      (unsigned long long)(ran - before));
}

static void fork_and_call(void)
{
	call(nst_alloc(64, NST_NORMAL));
	nst_rcu_barrier();
	in_child(calls_of_child, "fork, then call_rcu in the child");
	all_ran("and in its parent");
}

static void *read_on(void *arg)
{
	nst_rcu_token_t token = nst_rcu_read_begin();

	__atomic_store_n((int *)arg, 1, __ATOMIC_RELEASE);
	while (!stop)
		usleep(1000);
	nst_rcu_read_end(token);
	return NULL;
}

static void wait_in_child(void)
{
	nst_synchronize_rcu();
	call(nst_alloc(64, NST_NORMAL));
	nst_rcu_barrier();
}

static void fork_while_reading(void)
{
	pthread_t thread;
	int reading = 0;

	/* The library's threads run: ASan's child hangs where its parent was amid starting one. */
	call(nst_alloc(64, NST_NORMAL));
	nst_rcu_barrier();
	pthread_create(&thread, NULL, read_on, &reading);
	while (!__atomic_load_n(&reading, __ATOMIC_ACQUIRE))
		usleep(100);
	in_child(wait_in_child, "fork while another thread reads, synchronize in the child");
	stop = 1;
	pthread_join(thread, NULL);
}

/* ---- idle ---- */

static uint64_t passes(void)
{
	struct nst_stats stats;

	nst_stats_read(&stats, sizeof(stats));
	return stats.worker_wakeups;
}

static uint64_t waiting(void)
{
	struct nst_stats stats;

	nst_stats_read(&stats, sizeof(stats));
	return stats.retired.waiting_bytes;
}

/*
 * Nobody calls anything more: some passes of the worker, counted from the next one, while it still waits. Functions have
 * a thread of their own, which comes to run when it does.
 */
static void idle(void)
{
	uint64_t begin, now, needed = 0, since = 0;

	nst_free(nst_alloc((size_t)1 << 20, NST_NORMAL));
	call(nst_alloc(64, NST_NORMAL)); /* the thread of functions is there */
	nst_rcu_barrier();
	usleep(150000); /* until the worker sleeps long */
	begin = passes();
	defer(nst_alloc(64, NST_NORMAL));
	call(nst_alloc(64, NST_NORMAL));
	nst_free_rcu(nst_alloc(64, NST_NORMAL));
	for (now = begin; waiting() && check_patience(&since); now = passes())
		needed = now - begin;
	printf("# idle: passes=%llu\n", (unsigned long long)needed);
	check(!waiting() && needed <= 5, "retired by an idle process", "%llu passes",
	      (unsigned long long)needed);
	while (__atomic_load_n(&ran, __ATOMIC_RELAXED) < accepted && check_patience(&since))
		;
	check(ran == accepted, "and its functions are called", "%llu of %llu",
	      (unsigned long long)ran, (unsigned long long)accepted);
}

static void (*const cases[])(void) = {
	storm_call,	   storm_defer,		 two_writers,
	deep_in_a_section, first_without_memory, barrier_without_memory,
	fork_and_call,	   fork_while_reading,	 idle,
};

#define NR_CASES (sizeof(cases) / sizeof(*cases))

TEST_CONF("max:64M")

int main(int argc, char **argv)
{
	unsigned int good = 0;
	char number[16];

	conf_apply(argv);
	if (argc > 2) {
		cases[atoi(argv[2]) % (int)NR_CASES]();
		return check_status();
	}
	for (unsigned int i = 0; i < NR_CASES; i++) {
		int status = 0, rc;

		fflush(stdout);
		snprintf(number, sizeof(number), "%u", i);
		rc = child_wait(child_exec("--case", number), 60, &status);
		check_quiet(rc == 0 && status == 0, "C19", "case %u: %s", i,
			    rc ? "hung" : child_status(status));
		good += rc == 0 && status == 0;
	}
	printf("# %u of %zu hazards ran, or were refused with a code\n", good, NR_CASES);
	check(good == NR_CASES, "C19 nine hazards", "%u of %zu", good, NR_CASES);
	return check_status();
}
