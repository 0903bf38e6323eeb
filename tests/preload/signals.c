/* SPDX-License-Identifier: MIT */
/*
 * signals.c - R5: every 30 us a timer's handler calls plain malloc() and realloc() in a no-lock scope, while the
 * code that it interrupts does nothing but call them outside one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <nostall/nostall.h>
#include "preload.h"

#define PERIOD_US 30
#define ROUNDS 400u
#define SIGNALS 30000u

static struct {
	unsigned char *obj[16]; /* from one signal to another */
	unsigned long calls, served, null, wrong_errno, damaged;
	unsigned int turn;
	int waits; /* seen: a mode that may wait, in the scope */
} seen;

static void grow(unsigned int i, uint16_t n)
{
	unsigned char *p = realloc(seen.obj[i], n);

	seen.damaged += *(p ? p : seen.obj[i]) != i;
	if (!p)
		seen.null++;
	else
		seen.obj[i] = p;
}

static void one(unsigned int i)
{
	static const uint16_t size[] = {1, 24, 100, 500, 1000, 4000, 9000, 32000};
	uint16_t n = size[(i + seen.turn) % 8];

	if (seen.obj[i] && seen.turn % 3 == 0) {
		grow(i, n);
		return;
	}
	if (seen.obj[i]) {
		seen.damaged += *seen.obj[i] != i;
		free(seen.obj[i]);
		seen.obj[i] = NULL;
		return;
	}
	errno = 0;
	seen.obj[i] = i % 3 ? malloc(n) : calloc(1, n);
	if (seen.obj[i])
		memset(seen.obj[i], (int)i, n);
	seen.served += seen.obj[i] != NULL;
	seen.null += !seen.obj[i];
	seen.wrong_errno += errno != (seen.obj[i] ? 0 : ENOMEM);
}

static void handler(int sig)
{
	nst_scope_t scope = nst_scope_enter(NST_SCOPE_NOLOCK);
	int kept = errno;
	unsigned int i;

	(void)sig;
	seen.waits |= nst_mode_may_wait(NST_NORMAL);
	for (i = seen.turn % 4; i < 16; i += 4)
		one(i);
	seen.turn++;
	seen.calls++;
	errno = kept;
	nst_scope_exit(scope);
}

int main(int argc, char **argv)
{
	struct itimerval every = {{0, PERIOD_US}, {0, PERIOD_US}}, never = {{0, 0}, {0, 0}};
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};
	unsigned int wrong = 0, i;
	struct rng rng;

	demand_preload();
	rng.state = seed_of(argc, argv);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	/* A slow machine has fewer signals, not none: more rounds then. */
	for (i = 0; i < ROUNDS || (seen.calls < SIGNALS && i < 50 * ROUNDS); i++)
		wrong += churn(&rng, 2000);
	setitimer(ITIMER_REAL, &never, NULL);

	printf("signals=%lu served=%lu null=%lu\n", seen.calls, seen.served, seen.null);
	check(seen.calls >= SIGNALS / 100, "signals came", "%lu", seen.calls);
	check(wrong == 0, "what was interrupted finds its objects", "%u damaged", wrong);
	check(seen.damaged == 0, "and so does the handler", "%lu damaged", seen.damaged);
	check(seen.served > seen.null, "most of the handler's requests are served",
	      "%lu were, %lu not", seen.served, seen.null);
	check(seen.wrong_errno == 0, "NULL comes with ENOMEM, an object without", "%lu did not",
	      seen.wrong_errno);
	check(!seen.waits, "in the scope nothing waits", "it may");
	for (i = 0; i < 16; i++)
		free(seen.obj[i]);
	return check_status();
}
