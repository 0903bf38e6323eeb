/* SPDX-License-Identifier: MIT */
/*
 * rcu_bound.c - C18: however long a reader stays, what is retired stays within rcu_budget.
 *
 *	flood		a reader stays; a thread that may wait and one that may not (the kernel kills it at its first
 *			system call) allocate and retire: resident memory, the NULLs of both, and how many passes
 *			of the worker it takes to get rid of it once the reader has left
 *	live		more than the budget lives, a reader stays, all of it is retired: it holds what it had
 *	reader		who holds all up allocates himself: NULL in the end, and never for ever; NOFAIL is served
 *
 *	ticket		then who holds one has all that its reserve has, and nothing else
 *
 * A child process, because the trapped thread never ends. TEST_STALL_MS (400): how long readers stay.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <nostall/nostall.h>
#include <nostall/rcu.h>
#include "common/check.h"
#include "common/trap.h"

#define REPORT_FD 200
#define BUDGET ((uint64_t)32 << 20) /* as in TEST_CONF */
#define LIVE ((uint64_t)64 << 20)
#define NR_SIZES 2u
#define RESERVE_PAGES 8u
#define PASSES 100u /* 100 ms of a worker that looks each millisecond */

static const size_t sizes[NR_SIZES] = {64, 256};

/* By one thread each. */
struct flood {
	uint64_t retired, nulls;
};

static struct {
	int *done;
	int reading, leave, stop, trapped_stopped;
	struct flood waits, never;
	void *live[LIVE / 256];
	struct nst_reserve *reserve;
} t;

static uint64_t resident(void)
{
	unsigned long long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%*u %llu", &pages) != 1)
		check_broken("/proc/self/statm");
	fclose(f);
	return pages * 4096;
}

static uint64_t waiting(void)
{
	struct nst_stats stats;

	nst_stats_read(&stats, sizeof(stats));
	return stats.retired.waiting_bytes;
}

/* What CPUs may hold and pages may be part-filled with, in each cache that is used and in the mixed ones. */
static uint64_t quanta(void)
{
	return (uint64_t)sysconf(_SC_NPROCESSORS_CONF) * (NR_SIZES + 1) * (512 << 10);
}

static void check_resident(const char *name, uint64_t before, uint64_t most, uint64_t allowed)
{
	uint64_t bound = allowed + quanta();

	printf("# %s: grew_kb=%llu bound_kb=%llu\n", name,
	       (unsigned long long)(most - before) >> 10, (unsigned long long)bound >> 10);
	check(most - before <= bound + bound / 10, name, "%llu KiB more, allowed %llu + 10 %%",
	      (unsigned long long)(most - before) >> 10, (unsigned long long)bound >> 10);
}

/* ---- the reader ---- */

static void *read_for_long(void *arg)
{
	nst_rcu_token_t token = nst_rcu_read_begin();

	__atomic_store_n(&t.reading, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&t.leave, __ATOMIC_ACQUIRE))
		usleep(1000);
	nst_rcu_read_end(token);
	return arg;
}

static pthread_t reader_start(void)
{
	pthread_t thread;

	t.reading = t.leave = 0;
	if (pthread_create(&thread, NULL, read_for_long, NULL))
		check_broken("pthread_create");
	while (!__atomic_load_n(&t.reading, __ATOMIC_ACQUIRE))
		usleep(100);
	return thread;
}

static void reader_end(pthread_t thread)
{
	__atomic_store_n(&t.leave, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
}

/* ---- flood ---- */

static void flood_one(struct flood *f, void *p, size_t size)
{
	if (!p) {
		f->nulls++;
		return;
	}
	memset(p, 1, size);
	nst_free_rcu(p);
	f->retired++;
}

static void *flood_waiting(void *arg)
{
	for (unsigned int i = 0; !__atomic_load_n(&t.stop, __ATOMIC_ACQUIRE); i++) {
		size_t size = sizes[i % NR_SIZES];

		flood_one(&t.waits, nst_alloc(size, NST_NORMAL | NST_NOWARN), size);
	}
	return arg;
}

static void *flood_trapped(void *arg)
{
	trap_syscalls(TRAP_ALLOW_NONE);
	for (unsigned int i = 0; !__atomic_load_n(&t.stop, __ATOMIC_ACQUIRE); i++) {
		size_t size = sizes[i % NR_SIZES];

		flood_one(&t.never, i & 2 ? nst_alloc_fasttry(size) : nst_alloc_nolock(size), size);
	}
	__atomic_store_n(&t.trapped_stopped, 1, __ATOMIC_RELEASE);
	for (;;)
		__asm__ volatile("" ::: "memory");
	return arg;
}

static uint64_t passes(void)
{
	struct nst_stats stats;

	nst_stats_read(&stats, sizeof(stats));
	return stats.worker_wakeups;
}

/* Of the worker alone, until a tenth of @bytes waits: so many had been made when more did, however late it is seen. */
static void check_recovery(uint64_t bytes)
{
	uint64_t begin = passes(), now, n = 0;

	for (now = begin; waiting() > bytes / 10; now = passes()) {
		n = now - begin;
		usleep(200);
	}
	printf("# recovered: waited_kb=%llu passes=%llu\n", (unsigned long long)bytes >> 10,
	       (unsigned long long)n);
	check(n <= PASSES, "C18 it recovers", "%llu passes for %llu KiB", (unsigned long long)n,
	      (unsigned long long)bytes >> 10);
}

static void check_flood(long ms)
{
	pthread_t reader, waits, never;
	uint64_t before, most = 0, bytes;

	reader = reader_start();
	before = resident();
	if (pthread_create(&waits, NULL, flood_waiting, NULL) ||
	    pthread_create(&never, NULL, flood_trapped, NULL))
		check_broken("pthread_create");
	/* However slow the machine: until both have met the budget. */
	for (long i = 0; (i < ms || !t.waits.nulls || !t.never.nulls) && most < before + 3 * BUDGET;
	     i += 5) {
		uint64_t now = resident();

		most = now > most ? now : most;
		usleep(5000);
	}
	__atomic_store_n(&t.stop, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&t.trapped_stopped, __ATOMIC_ACQUIRE))
		usleep(100);
	pthread_join(waits, NULL);
	bytes = waiting();
	printf("# flood: retired=%llu nulls=%llu by_nolock=%llu nulls=%llu waiting_kb=%llu\n",
	       (unsigned long long)t.waits.retired, (unsigned long long)t.waits.nulls,
	       (unsigned long long)t.never.retired, (unsigned long long)t.never.nulls,
	       (unsigned long long)bytes >> 10);
	check(bytes >= BUDGET, "C18 the budget was used up", "%llu KiB wait",
	      (unsigned long long)bytes >> 10);
	check_resident("C18 a flood stays within the budget", before, most, BUDGET);
	reader_end(reader);
	check_recovery(bytes);
}

/* ---- live ---- */

static void check_live(long ms)
{
	uint64_t before, most = 0, got = 0;
	size_t nr = sizeof(t.live) / sizeof(*t.live);
	pthread_t reader;

	for (size_t i = 0; i < nr; i++) {
		t.live[i] = nst_alloc(256, NST_NORMAL);
		if (!t.live[i])
			check_broken("memory to live on");
		memset(t.live[i], 2, 256);
	}
	before = most = resident();
	reader = reader_start();
	nst_free_rcu_bulk(nr, t.live);
	for (long i = 0; i < ms; i += 20) { /* a request that may wait takes as long as that */
		void *p = nst_alloc(256, NST_NORMAL | NST_NOWARN);
		uint64_t now = resident();

		if (p) {
			got += 256;
			memset(p, 3, 256);
			nst_free_rcu(p);
		}
		most = now > most ? now : most;
	}
	printf("# live: got=%llu waiting_kb=%llu\n", (unsigned long long)got,
	       (unsigned long long)waiting() >> 10);
	check(waiting() + (512 << 10) >= LIVE, "C18 all that lived waits", "%llu KiB",
	      (unsigned long long)waiting() >> 10);
	check_resident("C18 who retires all he has holds what he had", before, most, 0);
	reader_end(reader);
	nst_rcu_barrier();
	check(waiting() == 0, "C18 all of it is freed", "%llu bytes wait",
	      (unsigned long long)waiting());
}

/* ---- a reader that allocates ---- */

/* What waits is more than may. */
static void check_ticket(void)
{
	static const nst_mode_t modes[] = {NST_NOWAIT, NST_ATOMIC, NST_NORETRY, NST_NORMAL};
	struct nst_reserve_stats s;
	void *p[RESERVE_PAGES + 1];

	check(nst_reserve_enter(t.reserve, NST_NOWAIT) == 0, "C18 a ticket", "none");
	for (unsigned int i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		unsigned int n = 0, k;

		while (n <= RESERVE_PAGES && (p[n] = nst_pages_alloc(0, modes[i] | NST_NOWARN)))
			n++;
		nst_reserve_read(t.reserve, &s, sizeof(s));
		check(n == RESERVE_PAGES && s.used == s.bytes,
		      "C18 who holds a ticket has its reserve",
		      "mode %u: %u pages, %llu bytes used", i, n, (unsigned long long)s.used);
		check(!nst_alloc(256, modes[i] | NST_NOWARN) &&
			      !nst_alloc(8 << 20, modes[i] | NST_NOWARN),
		      "C18 and nothing else", "mode %u: more", i);
		p[n] = nst_pages_alloc(0, NST_NORMAL | NST_OVERBUDGET);
		check(p[n] != NULL, "C18 who may exceed the budget may with a ticket", "NULL");
		for (k = 0; k <= n; k++)
			nst_pages_free(p[k]);
	}
	nst_reserve_exit(t.reserve);
	check(!nst_pages_alloc(0, NST_NOWAIT | NST_NOWARN), "C18 without one it is NULL", "a page");
}

static void check_reader(void)
{
	nst_rcu_token_t token = nst_rcu_read_begin();
	void *p, *must;
	unsigned int nulls = 0;

	check_deadline(30, "C18 a reader that allocates comes back");
	while (nulls < 3) {
		p = nst_alloc(256, NST_NORMAL | NST_NOWARN);
		nulls += !p;
		nst_free_rcu(p);
	}
	check_ticket();
	must = nst_alloc(256, NST_NOFAIL);
	check(must != NULL, "C18 NOFAIL is served all the same", "NULL");
	nst_rcu_read_end(token);
	nst_free_rcu(must);
	nst_rcu_barrier();
	p = nst_alloc(256, NST_NORMAL);
	check(p != NULL, "C18 requests are served once the reader has left", "NULL");
	nst_free(p);
	check_deadline(100, "C18 in time");
}

/* ---- the child ---- */

static void child(void)
{
	long ms = env_long("TEST_STALL_MS", 400);

	check_deadline(100 + (unsigned int)ms / 100, "C18 in time");
	nst_free_rcu(nst_alloc(64, NST_NORMAL));
	nst_rcu_barrier();
	t.reserve = nst_reserve_create(RESERVE_PAGES * 4096, 1);
	check_flood(ms);
	check_live(ms);
	check_reader();
	__atomic_store_n(t.done, 1 + check_status(), __ATOMIC_RELEASE);
	for (;;)
		pause();
}

TEST_CONF("rcu_budget:32M")

int main(int argc, char **argv)
{
	int status, rc;
	pid_t pid;

	conf_apply(argv);
	if (argc > 1 && !strcmp(argv[1], "--child")) {
		t.done = shared_memory_of(sizeof(*t.done), REPORT_FD);
		child();
	}
	t.done = shared_memory(sizeof(*t.done), REPORT_FD);
	pid = child_exec("--child", "");
	rc = child_wait_done(pid, 150, t.done, &status);
	if (rc == 1) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	check(rc != 0 || !WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS,
	      "C18 who may not wait does not", "the kernel killed the child");
	check(rc == 1, "C18 the child came to its end", "%s",
	      rc < 0 ? "stuck" : child_status(status));
	check(*t.done == 1, "C18 the child's own checks", "failed, see above");
	return check_status();
}
