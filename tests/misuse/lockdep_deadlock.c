/* SPDX-License-Identifier: MIT */
/*
 * lockdep_deadlock.c - two threads wait for each other's lock, and the worker says so
 *
 *	clause: B58
 *	level: check:on, check_watchdog:20
 *	exit: 0
 *	says: nostall: error NL-DEADLOCK: threads wait for each other for ever
 *	says:   1. thread second (N): waits for a (0xN) at PROGRAM+0xN (for N ms)
 *	says:      holds b (0xN) since PROGRAM+0xN
 *	says:   2. thread main (N): waits for b (0xN) at PROGRAM+0xN (for N ms)
 *	says:      holds a (0xN) since PROGRAM+0xN
 *	says:   fix: take them in one order, or try the inner one
 *	says:   suppress: NL-DEADLOCK id=ID
 *	says:   read: nostall explain NL-DEADLOCK; id=ID
 */
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <nostall/pthread.h>
#include "misuse.h"

static struct nst_pthread_mutex a = NST_PTHREAD_MUTEX("a"), b = NST_PTHREAD_MUTEX("b");
static pthread_barrier_t both_have;

static void *takes_b(void *arg)
{
	prctl(PR_SET_NAME, "second");
	nst_pthread_mutex_lock(&b);
	pthread_barrier_wait(&both_have);
	nst_pthread_mutex_lock(&a); /* HERE */
	return arg;
}

/* The only way on from here. */
static void *sees(void *arg)
{
	struct nst_lockdep_stats s;

	do
		nst_lockdep_read(&s, sizeof(s));
	while (!s.codes[NST_NL_DEADLOCK]);
	nst_lockdep_reset(); /* it waits until all is written */
	_exit(0);
	return arg;
}

int main(void)
{
	pthread_t t;

	prctl(PR_SET_NAME, "main");
	nst_lockdep_expect(NST_NL_ORDER); /* that it can happen is known before it does */
	pthread_barrier_init(&both_have, NULL, 2);
	nst_pthread_mutex_lock(&a);
	HOLDS(pthread_create(&t, NULL, takes_b, NULL) == 0 &&
	      pthread_create(&t, NULL, sees, NULL) == 0);
	pthread_barrier_wait(&both_have);
	nst_pthread_mutex_lock(&b);
	return 1;
}
