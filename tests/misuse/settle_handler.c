/* SPDX-License-Identifier: MIT */
/*
 * settle_handler.c - nst_settle() in a handler that interrupted it: one line, and nobody sleeps
 *
 *	clause: B41
 *	level: debug:0, worker:off, max:4M
 *	exit: 0
 *	says: nostall: nst_settle(): in a signal handler; allowed: a thread that may sleep, for which nobody waits
 */
#include <signal.h>
#include <sys/time.h>
#include "misuse.h"

static volatile sig_atomic_t hit, slept;

static void on_alarm(int signal)
{
	(void)signal;
	hit = 1;
	slept = nst_settle() != 0; /* HERE */
}

/* A page goes round: freed, and had again without waiting. */
static void owe(void *page)
{
	for (int i = 0; i < 512; i++) {
		nst_pages_free(page);
		page = nst_pages_alloc_nolock(0);
		if (!page)
			exit(3);
	}
}

int main(void)
{
	struct itimerval soon = {.it_value = {.tv_usec = 200000}};
	void *page = NULL, *next;

	while ((next = nst_pages_alloc(0, NST_NORETRY)) != NULL)
		page = next;
	owe(page);
	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &soon, NULL);
	HOLDS(nst_settle() > 500000); /* 640 ms */
	HOLDS(hit && !slept);
	return 0;
}
