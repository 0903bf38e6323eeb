/* SPDX-License-Identifier: MIT */
/*
 * rounds.c - a scenario again and again, each time in a new process in which something else fails.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "common/check.h"
#include "common/trap.h"
#include "rounds.h"

#define REPORT_FD 201
#define SAID_FD 202
#define ALWAYS (-1L)
#define ROUND_SECONDS 60

static struct report {
	int reached;  /* the failure happened */
	int needless; /* it could not */
	int line;     /* where the scenario found something wrong */
	char what[120];
} * report;

static const char *const kinds[] = {
	[NST_FAIL_RESERVE] = "reserve",
	[NST_FAIL_RELEASE] = "release",
	[NST_FAIL_COMMIT] = "commit",
	[NST_FAIL_POPULATE] = "populate",
	[NST_FAIL_PURGE] = "purge",
	[NST_FAIL_META] = "meta",
	[NST_FAIL_MEMBARRIER] = "membarrier",
	[NST_FAIL_THREAD] = "thread",
	[NST_FAIL_TRYLOCK] = "trylock",
	[NST_FAIL_MOVE] = "move",
	[NST_FAIL_BARRIER] = "barrier",
	[NST_FAIL_PAGE] = "page",
	[NST_FAIL_WAKE] = "wake",
};

/* ---- one round, in its process ---- */

static long number_of(const char *variable)
{
	const char *text = getenv(variable);

	return text ? atol(text) : 0;
}

static int is_round(void)
{
	return getenv("TEST_FAIL_KIND") && getenv("TEST_FAIL_N");
}

static int disarmed;

void rounds_arm(void)
{
	if (!is_round() || disarmed)
		return;
	nst_test_fail_on = number_of("TEST_FAIL_ON") != 0;
	nst_test_fail[number_of("TEST_FAIL_KIND")] = number_of("TEST_FAIL_N");
}

void rounds_disarm(void)
{
	enum nst_fail kind = (enum nst_fail)number_of("TEST_FAIL_KIND");

	if (disarmed)
		return;
	disarmed = 1;
	report->reached = nst_test_fail[kind] <= 0;
	report->needless = kind == NST_FAIL_MEMBARRIER && !nst_sys_rseq.usable;
	nst_test_fail[kind] = 0;
}

/* Before the library's own constructor: its start is part of a scenario that is not late. */
__attribute__((constructor(101))) static void begin(void)
{
	if (!is_round())
		return;
	dup2(SAID_FD, STDERR_FILENO);
	if (!number_of("TEST_FAIL_LATE"))
		rounds_arm();
}

void rounds_maintain(void)
{
	nst_maintain_pause(); /* and then it naps */
	nst_maintain_resume();
	nst_maintain();
}

int rounds_fails(enum nst_fail kind)
{
	return number_of("TEST_FAIL_KIND") == (long)kind;
}

void rounds_wrong(int line, const char *what)
{
	if (report->line)
		return;
	report->line = line;
	snprintf(report->what, sizeof(report->what), "%s", what);
}

int rounds_is_wrong(void)
{
	return report->line != 0;
}

size_t rounds_said(char *buf, size_t len)
{
	ssize_t n = pread(SAID_FD, buf, len - 1, 0);

	buf[n < 0 ? 0 : n] = 0;
	return n < 0 ? 0 : (size_t)n;
}

static int run(const struct rounds *r, const struct rounds_way *way)
{
	report = shared_memory_of(sizeof(*report), REPORT_FD);
	way->scenario();
	rounds_disarm();
	r->after();
	return rounds_is_wrong();
}

/* ---- the rounds ---- */

static int skipped;

static void set_number(const char *variable, long n)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", n);
	setenv(variable, text, 1);
}

/* What the test has, and the way adds. */
static void set_options(const struct rounds_way *way)
{
	static char first[400];
	char conf[512];

	if (!*first && getenv("NOSTALL_CONF"))
		snprintf(first, sizeof(first), "%s", getenv("NOSTALL_CONF"));
	snprintf(conf, sizeof(conf), "%s%s%s", first, way->conf ? "," : "",
		 way->conf ? way->conf : "");
	setenv("NOSTALL_CONF", conf, 1);
}

static int round_of(const struct rounds_way *way, enum nst_fail kind, long n, int and_on)
{
	int status, rc;
	char said[400];
	pid_t pid;

	set_options(way);
	set_number("TEST_FAIL_KIND", kind);
	set_number("TEST_FAIL_N", n);
	set_number("TEST_FAIL_ON", and_on);
	set_number("TEST_FAIL_LATE", way->late);
	memset(report, 0, sizeof(*report));
	if (ftruncate(SAID_FD, 0) || lseek(SAID_FD, 0, SEEK_SET))
		check_broken("standard error");
	pid = child_exec("--run", way->name);
	rc = child_wait(pid, ROUND_SECONDS, &status);
	if (!rc && !status)
		return 0;
	rounds_said(said, sizeof(said));
	check(0, "failure is survived", "%s, %s number %ld%s: %s; line %d: %s; it says '%s'",
	      way->name, kinds[kind], n, and_on ? " and on" : "",
	      rc ? "hung" : child_status(status), report->line, report->what, said);
	return 1;
}

/* How many of them were made; *@bad of those went wrong. */
static unsigned int rounds_of_way(const struct rounds_way *way, enum nst_fail kind, int and_on,
				  unsigned int *bad)
{
	/* One by one at first, where each is another call; then in growing steps. */
	long n, each = env_long("TEST_FAIL_EACH", 40), part = env_long("TEST_FAIL_PART", 4);
	unsigned int made = 0;

	for (n = 1; *bad < 3; n += n < each && !and_on ? 1 : 1 + n / part) {
		*bad += (unsigned int)round_of(way, kind, n, and_on);
		if (!report->reached)
			break;
		made++;
	}
	printf("# %s, %s%s: %u rounds, up to number %ld\n", way->name, kinds[kind],
	       and_on ? " and on" : "", made, n);
	return made;
}

static void rounds(const struct rounds *r, enum nst_fail kind)
{
	unsigned int bad = 0, made = 0, here;
	int waits = kind == NST_FAIL_TRYLOCK || kind == NST_FAIL_PAGE, needless = 0;
	const struct rounds_way *way;

	for (way = r->ways; way->name; way++) {
		here = rounds_of_way(way, kind, 0, &bad);
		made += here;
		needless |= report->needless;
		if (r->and_on && !waits && here)
			rounds_of_way(way, kind, 1, &bad);
		if (!waits && here)
			bad += (unsigned int)round_of(way, kind, ALWAYS, 0);
	}
	if (!made && needless) {
		printf("# %s: never needed without sequences\n", kinds[kind]);
		skipped = 1;
		return;
	}
	check(made > 0, "it is reached", "no %s in the scenario", kinds[kind]);
	check(bad == 0, kinds[kind], "%u rounds went wrong", bad);
}

static const struct rounds_way *way_named(const struct rounds *r, const char *name)
{
	const struct rounds_way *way = r->ways;

	while (way->name && strcmp(way->name, name))
		way++;
	return way->name ? way : NULL;
}

int rounds_main(const struct rounds *r, int argc, char **argv)
{
	const struct rounds_way *way = argc > 2 ? way_named(r, argv[2]) : NULL;
	int i, said;

	if (way && !strcmp(argv[1], "--run") && is_round())
		return run(r, way);
	report = shared_memory(sizeof(*report), REPORT_FD);
	said = memfd_create("said", 0);
	if (said < 0 || dup2(said, SAID_FD) < 0)
		check_broken("standard error");
	for (i = 0; i < NST_NR_FAILS; i++)
		if (argc < 2 || !strcmp(argv[1], kinds[i]))
			rounds(r, (enum nst_fail)i);
	return skipped ? CHECK_SKIP : check_status();
}
