/* SPDX-License-Identifier: MIT */
/*
 * scopes.c - C14: inside a no-lock scope every request of the thread is a no-lock request, whatever
 * its mode, and every free a no-lock free; scopes nest and belong to one thread.
 *
 * Every try of a lock is made to fail inside: an ordinary request would wait for ever and miss the
 * deadline.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>
#include "base/testhook.h"
#include "common/check.h"
#include "common/trap.h"
#include <nostall/nostall.h>

static void check_effective(void)
{
	nst_scope_t s = nst_scope_enter(NST_SCOPE_NOLOCK);

	for (unsigned int m = 0; m < NST_NR_MODES; m++) {
		nst_mode_t mode = 1u << m, want = mode == NST_FASTTRY ? NST_FASTTRY : NST_NOLOCK;
		check(nst_mode_effective(mode | NST_ZERO) == (want | NST_ZERO),
		      "C14 every mode is NOLOCK in the scope", "mode %#x is %#x", mode,
		      nst_mode_effective(mode | NST_ZERO));
		check_quiet(!nst_mode_may_wait(mode) && !nst_mode_may_wake(mode),
			    "C14 none may wait or wake in the scope", "mode %#x", mode);
	}
	nst_scope_exit(s);
	check(nst_mode_effective(NST_NORMAL) == NST_NORMAL, "C14 the scope ends", "it does not");
	s = nst_scope_enter(NST_SCOPE_NORECLAIM);
	check(nst_mode_may_wait(NST_NORMAL) == 1, "C14 NORECLAIM may wait for locks", "it may not");
	nst_scope_exit(s);
	s = nst_scope_enter(NST_SCOPE_NOIO | NST_SCOPE_NOCLIENT);
	check(nst_mode_effective(NST_NORMAL) == (NST_NORMAL | NST_NOIO | NST_NOCLIENT),
	      "C14 NOIO and NOCLIENT are added", "%#x", nst_mode_effective(NST_NORMAL));
	nst_scope_exit(s);
}

static void check_nesting(void)
{
	nst_scope_t outer = nst_scope_enter(NST_SCOPE_NOLOCK);
	nst_scope_t inner = nst_scope_enter(NST_SCOPE_NOLOCK | NST_SCOPE_NOIO);

	check(outer == NST_SCOPE_NOLOCK && inner == NST_SCOPE_NOIO, "C14 enter returns what is new",
	      "%#x, %#x", outer, inner);
	nst_scope_exit(inner);
	check(nst_mode_effective(NST_NORMAL) == NST_NOLOCK,
	      "C14 an inner exit leaves the outer scope", "%#x", nst_mode_effective(NST_NORMAL));
	nst_scope_exit(outer);
	check(nst_mode_effective(NST_NORMAL) == NST_NORMAL, "C14 the outer exit ends it", "%#x",
	      nst_mode_effective(NST_NORMAL));
}

static void *other_thread(void *arg)
{
	*(nst_mode_t *)arg = nst_mode_effective(NST_NORMAL);
	return NULL;
}

static void check_thread(void)
{
	nst_scope_t s = nst_scope_enter(NST_SCOPE_NOLOCK);
	nst_mode_t seen = 0;
	pthread_t thread;

	pthread_create(&thread, NULL, other_thread, &seen);
	pthread_join(thread, NULL);
	nst_scope_exit(s);
	check(seen == NST_NORMAL, "C14 a scope is its thread's alone", "another sees %#x", seen);
}

static void check_requests(void)
{
	static void *p[2000];
	unsigned int got = 0, large;

	nst_stock(nst_cache_of_size(64), 64, NST_CPU_ALL);
	nst_scope_t s = nst_scope_enter(NST_SCOPE_NOLOCK);
	nst_test_fail[NST_FAIL_TRYLOCK] = -1;
	for (int i = 0; i < 2000; i++) {
		p[i] = nst_alloc(64, NST_NORMAL);
		got += p[i] != NULL;
	}
	check(got > 0 && got < 2000, "C14 NORMAL gets what is there, then NULL", "%u of 2000", got);
	large = nst_alloc(NST_NOLOCK_MAX + 1, NST_NORMAL) != NULL;
	check(!large, "C14 too large is NULL in the scope", "served");
	for (int i = 0; i < 2000; i++)
		nst_free(p[i]);
	nst_test_fail[NST_FAIL_TRYLOCK] = 0;
	nst_scope_exit(s);
	void *q = nst_alloc(NST_NOLOCK_MAX + 1, NST_NORMAL);
	check(q != NULL, "C14 and is served outside", "NULL");
	nst_free(q);
}

TEST_CONF("worker:off")

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	check_deadline(30, "C14 nobody waits in a no-lock scope");
	check_effective();
	check_nesting();
	check_thread();
	check_requests();
	return check_status();
}
