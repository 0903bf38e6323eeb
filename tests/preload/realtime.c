/* SPDX-License-Identifier: MIT */
/*
 * realtime.c - R5: a library that knows nothing of us, called from a real-time thread: in a scope
 * NST_SCOPE_NOLOCK its malloc() waits for nothing, and NULL is an error that it reports.
 *
 *	each millisecond:  nst_scope_enter() -> SQLite writes a row and asks for some -> nst_scope_exit()
 *
 * SCHED_FIFO where that is allowed. The kernel kills the process at the thread's first system call other
 * than the wait for its next period: no futex, so no lock that sleeps; no mapping, no advice. Other
 * threads allocate meanwhile. Then everything is taken away: SQLite must say SQLITE_NOMEM, and go on
 * when it is back; and nothing that it said was written may be missing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <nostall/nostall.h>
#include "common/trap.h"
#include "preload.h"

#define OK 0	/* SQLITE_OK */
#define NOMEM 7 /* SQLITE_NOMEM */
#define NO_LOOKASIDE 1001
#define PERIOD_NS 1000000
#define PERIODS 400
#define NR_OTHERS 2
#define QUIET 10 /* passes in a row after which nothing was left to take */
#define AGAIN_SECONDS 20

typedef int row_fn(void *arg, int columns, char **values, char **names);

static struct {
	int (*open)(const char *name, void **db);
	int (*exec)(void *db, const char *sql, row_fn *fn, void *arg, char **message);
	int (*config)(void *db, int what, ...);
	void (*free)(void *ptr);
	void *db;
} sql;

static struct {
	struct timespec next;
	int stop, done, is_fifo;
	unsigned int served, refused, wrong; /* callbacks of the first part, by what SQLite said */
	unsigned int starved; /* refused as well: the worker had no CPU since the last */
	unsigned int written;
	time_t again_at;
	int said_when_empty, last;
	char text[16384];
	uint64_t requests, nulls, passes;
} t;

/* Of the worker: as many as have been noted. */
static uint64_t passes(void)
{
	return __atomic_load_n(&t.passes, __ATOMIC_RELAXED);
}

/* ---- the callback ---- */

static int take_text(void *arg, int columns, char **values, char **names)
{
	(void)names;
	if (columns == 1 && values[0])
		snprintf(arg, sizeof(t.text), "%s", values[0]);
	return 0;
}

static int say(const char *statement)
{
	char *message = NULL;
	int code;

	t.text[0] = 0;
	code = sql.exec(sql.db, statement, take_text, t.text, &message);
	sql.free(message);
	return code;
}

static int write_row(void)
{
	int code = say("insert into t(word) select printf('%.*c', 1 + count(*) % 50, 'x') from t");

	t.written += code == OK;
	return code;
}

/* Its parser, its code and its sorter are all malloc()'s. */
static int ask(void)
{
	return say("select group_concat(word, ',') from (select word, count(*) from t where "
		   "id > (select max(id) - 60 from t) group by word order by word desc)");
}

static int callback(void)
{
	nst_scope_t scope = nst_scope_enter(NST_SCOPE_NOLOCK);
	int code = write_row();

	if (code == OK)
		code = ask();
	nst_scope_exit(scope);
	return code;
}

/* From now on, when it had no CPU meanwhile: periods are not caught up on. */
static void await_period(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec > t.next.tv_sec ||
	    (now.tv_sec == t.next.tv_sec && now.tv_nsec > t.next.tv_nsec))
		t.next = now;
	t.next.tv_nsec += PERIOD_NS;
	if (t.next.tv_nsec >= 1000000000) {
		t.next.tv_nsec -= 1000000000;
		t.next.tv_sec++;
	}
	trap_nap(&t.next);
}

static void periods(void)
{
	uint64_t seen = 0;
	unsigned int i;
	int code;

	for (i = 0; i < PERIODS; i++) {
		await_period();
		code = callback();
		t.served += code == OK && t.text[0] == 'x';
		/* While it refills, and not the CPU that it waits for. */
		t.refused += code == NOMEM && passes() != seen;
		t.starved += code == NOMEM && passes() == seen;
		t.wrong += code != NOMEM && (code != OK || t.text[0] != 'x');
		seen = passes();
	}
}

/* ---- nothing left ---- */

static void **take_all(void **list)
{
	void **p;
	size_t size;

	for (size = 32768; size >= 16; size -= size > 1024 ? 512 : 16)
		while ((p = malloc(size)) != NULL) {
			*p = list;
			list = p;
		}
	return list;
}

static void starve(void)
{
	void **list = NULL, **before;
	unsigned int quiet = 0;
	uint64_t seen;
	nst_scope_t scope = nst_scope_enter(NST_SCOPE_NOLOCK);

	/* The worker brings more, up to max: its passes count, for it may wait for a CPU. */
	while (quiet < QUIET) {
		seen = passes();
		before = list;
		list = take_all(list);
		await_period();
		quiet = list != before ? 0 : quiet + (passes() != seen);
	}
	t.said_when_empty = ask();
	while (list) {
		before = *list;
		free(list);
		list = before;
	}
	nst_scope_exit(scope);
}

static void *real_time(void *arg)
{
	struct sched_param high = {.sched_priority = 20};

	t.is_fifo = pthread_setschedparam(pthread_self(), SCHED_FIFO, &high) == 0;
	trap_syscalls(TRAP_ALLOW_NAP);
	clock_gettime(CLOCK_MONOTONIC, &t.next);
	periods();
	__atomic_store_n(&t.stop, 1, __ATOMIC_RELEASE);
	starve();
	t.again_at = t.next.tv_sec;
	do
		await_period();
	while ((t.last = callback()) != OK && t.next.tv_sec - t.again_at <= AGAIN_SECONDS);
	__atomic_store_n(&t.done, 1, __ATOMIC_RELEASE);
	for (;;)
		await_period();
	return arg;
}

/* ---- around it ---- */

static void *other(void *arg)
{
	struct rng rng = {(uintptr_t)arg};

	while (!__atomic_load_n(&t.stop, __ATOMIC_ACQUIRE))
		churn(&rng, 1000);
	return NULL;
}

static void stock(void)
{
	size_t size;

	for (size = 16; size <= 8192; size *= 2)
		nst_stock(nst_cache_of_size(size), 128, NST_CPU_ALL);
}

static void note_passes(void)
{
	static struct nst_stats s;

	if (nst_stats_read(&s, sizeof(s)))
		check_broken("nst_stats_read");
	__atomic_store_n(&t.passes, s.worker_wakeups, __ATOMIC_RELAXED);
}

static void count(void)
{
	static struct nst_stats s;

	if (nst_stats_read(&s, sizeof(s)))
		check_broken("nst_stats_read");
	t.requests = s.requests[NST_MODE_INDEX_NOLOCK];
	t.nulls = s.nulls[NST_MODE_INDEX_NOLOCK];
}

static void verdict(void)
{
	char written[32];

	printf("# %s; of %u callbacks %u were served, %u refused, %u while the worker had no CPU\n",
	       t.is_fifo ? "SCHED_FIFO" : "SCHED_FIFO is not allowed here", PERIODS, t.served,
	       t.refused, t.starved);
	check(t.wrong == 0, "an answer, or SQLITE_NOMEM", "%u callbacks got neither", t.wrong);
	check(t.served > 0 && t.refused <= PERIODS / 10, "9 of 10 callbacks are served",
	      "%u of %u were, %u not", t.served, PERIODS, t.refused);
	check(t.requests >= 20 * PERIODS, "its requests were no-lock ones", "%llu in %u callbacks",
	      (unsigned long long)t.requests, PERIODS);
	check(t.said_when_empty == NOMEM, "nothing left: SQLITE_NOMEM", "it said %d",
	      t.said_when_empty);
	check(t.last == OK, "when memory is back it goes on", "not in %d seconds", AGAIN_SECONDS);
	check(say("pragma integrity_check") == OK && !strcmp(t.text, "ok"), "its data is whole",
	      "'%s'", t.text);
	snprintf(written, sizeof(written), "%u", t.written);
	check(say("select count(*) from t") == OK && !strcmp(t.text, written),
	      "what it said was written is there", "%s, not %s", t.text, written);
}

static int child(void)
{
	pthread_t thread, others[NR_OTHERS];
	uintptr_t i;

	if (sql.open(":memory:", &sql.db) || sql.config(sql.db, NO_LOOKASIDE, NULL, 0, 0) ||
	    say("pragma temp_store = memory; create table t(id integer primary key, word)") ||
	    write_row() || ask())
		check_broken("SQLite");
	stock();
	for (i = 0; i < NR_OTHERS; i++)
		if (pthread_create(&others[i], NULL, other, (void *)(i + 1)))
			check_broken("pthread_create");
	if (pthread_create(&thread, NULL, real_time, NULL))
		check_broken("pthread_create");
	while (!__atomic_load_n(&t.done, __ATOMIC_ACQUIRE)) {
		note_passes();
		usleep(500);
	}
	for (i = 0; i < NR_OTHERS; i++)
		pthread_join(others[i], NULL);
	count();
	verdict();
	fflush(stdout);
	return check_status();
}

static void find_sqlite(void)
{
	void *lib = dlopen("libsqlite3.so.0", RTLD_NOW);

	if (!lib)
		check_skip("no SQLite (libsqlite3.so.0, package sqlite3) to call");
	*(void **)&sql.open = dlsym(lib, "sqlite3_open");
	*(void **)&sql.exec = dlsym(lib, "sqlite3_exec");
	*(void **)&sql.config = dlsym(lib, "sqlite3_db_config");
	*(void **)&sql.free = dlsym(lib, "sqlite3_free");
	if (!sql.open || !sql.exec || !sql.config || !sql.free)
		check_broken("dlsym");
}

int main(int argc, char **argv)
{
	int status = 0, got;
	pid_t pid;

	(void)argc;
	conf_need(argv, "stats:full,max:64M");
	demand_preload();
	find_sqlite();
	fflush(stdout);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		_exit(child());
	}
	got = child_wait(pid, 40, &status);
	check(got == 0 && status == 0, "the thread makes no system call, and all comes to its end",
	      "%s", child_status(status));
	return check_status();
}
