/* SPDX-License-Identifier: MIT */
/*
 * lockdep_order.c - two threads take two locks in opposite orders, one after the other
 *
 *	clause: B49
 *	level: check:on, worker:off
 *	exit: 0
 *	says: nostall: error NL-ORDER: locks can wait for each other for ever
 *	says:   1. thread second (N): b (0xN, PROGRAM+0xN) held since PROGRAM+0xN;
 *	says:      waits for a (0xN, PROGRAM+0xN) at PROGRAM+0xN
 *	says:   2. thread first (N): a (0xN, PROGRAM+0xN) held since PROGRAM+0xN;
 *	says:      waits for b (0xN, PROGRAM+0xN) at PROGRAM+0xN
 *	says:      holds                    | wants
 *	says:   1. b | a
 *	says:   2. a | b
 *	says:   thread 'second' holds 1 lock, innermost first:
 *	says:     b (0xN, PROGRAM+0xN) since PROGRAM+0xN
 *	says:   fix: take them in one order, or try the inner one
 *	says:   suppress: NL-ORDER locks=b,a
 *	says:   read: nostall explain NL-ORDER; id=ID
 */
#include <pthread.h>
#include <sys/prctl.h>
#include "misuse.h"

static struct nst_lockdep_map a = NST_LOCKDEP_MAP("a", NULL, NST_WAIT_SLEEP),
			      b = NST_LOCKDEP_MAP("b", NULL, NST_WAIT_SLEEP);

static void both(const char *name, struct nst_lockdep_map *first, struct nst_lockdep_map *second)
{
	prctl(PR_SET_NAME, name);
	nst_lockdep_acquire(first, 0);
	nst_lockdep_acquire(second, 0);
	nst_lockdep_release(second);
	nst_lockdep_release(first);
}

static void *other(void *arg)
{
	both("second", &b, &a); /* HERE */
	return arg;
}

int main(void)
{
	struct nst_lockdep_stats s;
	pthread_t t;

	both("first", &a, &b);
	HOLDS(pthread_create(&t, NULL, other, NULL) == 0);
	pthread_join(t, NULL);
	HOLDS(nst_lockdep_read(&s, sizeof(s)) == 0 && s.errors == 1);
	return 0;
}
