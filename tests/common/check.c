/* SPDX-License-Identifier: MIT */
/*
 * check.c - verdict lines, the exit status, deadlines and seeds.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <nostall/lockdep.h>
#include "check.h"

/* Some programs here are linked to no library of ours. */
#pragma weak nst_lockdep_read
#pragma weak nst_lockdep_dump
/* In a broken library: what is left out, by TEST_BREAKS. */
extern unsigned int nst_busted_code __attribute__((weak));

#define UNSEEN 99   /* no verdict: as automake's harness has it */
#define PATIENCE 20 /* seconds; TEST_PATIENCE */

static struct {
	pthread_mutex_t lock;
	int failed, unseen;
	const char *deadline;
} checks = {.lock = PTHREAD_MUTEX_INITIALIZER};

static __attribute__((constructor)) void break_it(void)
{
	static const char *const codes[] = {
#define NAME(name, ...) #name,
		NST_LOCKDEP_TABLE(NAME)
#undef NAME
	};
	const char *which = getenv("TEST_BREAKS");
	unsigned int i;

	for (i = 0; which && &nst_busted_code && i < sizeof(codes) / sizeof(codes[0]); i++)
		if (!strcmp(codes[i], which))
			nst_busted_code = i + 1;
}

static void verdict(int *failed, int holds, int quiet, const char *name, const char *why,
		    va_list ap)
{
	if (holds && quiet)
		return;
	pthread_mutex_lock(&checks.lock);
	if (holds) {
		printf("ok %s\n", name);
	} else {
		*failed = 1;
		printf("not ok %s: ", name);
		vprintf(why, ap);
		putchar('\n');
	}
	fflush(stdout);
	pthread_mutex_unlock(&checks.lock);
}

void check(int holds, const char *name, const char *why, ...)
{
	va_list ap;

	va_start(ap, why);
	verdict(&checks.failed, holds, 0, name, why, ap);
	va_end(ap);
}

void check_quiet(int holds, const char *name, const char *why, ...)
{
	va_list ap;

	va_start(ap, why);
	verdict(&checks.failed, holds, 1, name, why, ap);
	va_end(ap);
}

void check_seen(int enough, const char *name, const char *why, ...)
{
	va_list ap;

	va_start(ap, why);
	verdict(&checks.unseen, enough, 0, name, why, ap);
	va_end(ap);
}

/* Classes and orders, behind what other programs of the run have written there: scripts/test sums up. */
static void append_orders(void)
{
	const char *path = getenv("TEST_ORDERS");
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;

	if (fd < 0)
		return;
	nst_lockdep_dump(fd, NST_LD_TEXT);
	close(fd);
}

/* With the option check: what it reported that no test had announced. */
static void check_reports(void)
{
	struct nst_lockdep_stats s;

	if (!nst_lockdep_read || nst_lockdep_read(&s, sizeof(s)) || !s.classes)
		return;
	printf("# the validator: %llu locks' classes, %llu chains, %llu orders\n",
	       (unsigned long long)s.classes, (unsigned long long)s.chains,
	       (unsigned long long)s.edges);
	append_orders();
	if (s.errors > s.expected)
		check(0, "the validator reports nothing", "%llu errors, %llu expected",
		      (unsigned long long)s.errors, (unsigned long long)s.expected);
}

int check_status(void)
{
	check_reports();
	return checks.failed ? 1 : checks.unseen ? UNSEEN : 0;
}

void check_skip(const char *why, ...)
{
	va_list ap;

	va_start(ap, why);
	printf("skip: ");
	vprintf(why, ap);
	putchar('\n');
	fflush(stdout);
	va_end(ap);
	_exit(CHECK_SKIP);
}

void check_broken(const char *what)
{
	fflush(stdout);
	perror(what);
	_exit(checks.failed ? 1 : UNSEEN);
}

static void deadline_passed(int sig)
{
	static const char text[] = ": did not return in time\n";

	(void)sig;
	/* Write only: this may have interrupted anything. */
	if (write(STDOUT_FILENO, "not ok ", 7) < 0 ||
	    write(STDOUT_FILENO, checks.deadline, strlen(checks.deadline)) < 0 ||
	    write(STDOUT_FILENO, text, sizeof(text) - 1) < 0)
		_exit(2);
	_exit(1);
}

void check_deadline(unsigned int seconds, const char *name)
{
	checks.deadline = name;
	signal(SIGALRM, deadline_passed);
	alarm(seconds);
}

int check_patience(uint64_t *since)
{
	struct timespec now, ms = {0, 1000000};
	uint64_t ns;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	*since = *since ? *since : ns;
	if (ns - *since > (uint64_t)env_long("TEST_PATIENCE", PATIENCE) * 1000000000u)
		return 0;
	nanosleep(&ms, NULL);
	return 1;
}

uint64_t seed_of(int argc, char **argv)
{
	const char *text = argc > 1 ? argv[1] : getenv("NST_SEED");
	struct timespec now;
	uint64_t seed;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	if (text && *text)
		seed = strtoull(text, NULL, 0);
	printf("seed=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	return seed;
}

long env_long(const char *name, long otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtol(text, NULL, 0) : otherwise;
}
