/* SPDX-License-Identifier: MIT */
/*
 * reserve_ends.c - a thread ends with a ticket: one line, and it is given back; not if a destructor of its own gives it back
 *
 *	clause: B34
 *	level: debug:0
 *	exit: 0
 *	says: nostall: nst_reserve_enter(0xN): a thread ended with its ticket, which is given back; allowed: nst_reserve_exit() before
 */
#include <pthread.h>
#include "misuse.h"

static pthread_key_t key;

static void *enters(void *r)
{
	return nst_reserve_enter(r, NST_NORMAL) || nst_reserve_enter(r, NST_NORMAL) ? NULL : r;
}

static void exits(void *r)
{
	nst_reserve_exit(r);
}

static void *enters_and_exits(void *r)
{
	pthread_setspecific(key, r);
	return nst_reserve_enter(r, NST_NORMAL) ? NULL : r;
}

int main(void)
{
	struct nst_reserve *r = nst_reserve_create(4096, 1);
	struct nst_reserve_stats s;
	pthread_t thread;
	void *done;

	pthread_key_create(&key, exits);
	pthread_create(&thread, NULL, enters_and_exits, r);
	pthread_join(thread, &done);
	HOLDS(done == r);
	HOLDS(nst_reserve_read(r, &s, sizeof(s)) == 0 && s.out == 0);
	pthread_create(&thread, NULL, enters, r); /* HERE */
	pthread_join(thread, &done);
	HOLDS(done == r);
	HOLDS(nst_reserve_read(r, &s, sizeof(s)) == 0 && s.out == 0);
	HOLDS(nst_reserve_enter(r, NST_NOWAIT) == 0);
	nst_reserve_exit(r);
	HOLDS(nst_reserve_destroy(r) == 0);
	return 0;
}
