/* SPDX-License-Identifier: MIT */
/*
 * lockdep_reclaim.c - V13: what reclaim takes, and what is held around requests, without memory being short.
 */
#include <stdlib.h>
#include "common/trap.h"
#include "unit/lockdep.h"

TEST_CONF("worker:off,max:16M,debt:off" CONF_UNCHECKED)

static struct nst_lockdep_map a = NST_LOCKDEP_MAP("a", NULL, NST_WAIT_SLEEP),
			      b = NST_LOCKDEP_MAP("b", NULL, NST_WAIT_SLEEP),
			      c = NST_LOCKDEP_MAP("c", NULL, NST_WAIT_SLEEP);

static void *take_in_reclaim(void *what)
{
	nst_reclaiming_begin((uint32_t)(uintptr_t)what);
	nst_lockdep_acquire(&a, 0);
	nst_lockdep_release(&a);
	nst_reclaiming_end();
	return NULL;
}

static void *ask_with(struct nst_lockdep_map *m, nst_mode_t mode)
{
	nst_lockdep_acquire(m, 0);
	nst_might_alloc(mode);
	nst_lockdep_release(m);
	return NULL;
}

static void inside(void)
{
	nst_scope_t s;

	nst_reclaiming_begin(0);
	nst_might_sleep();
	no_report("V13 sleeping inside reclaim: nothing");
	nst_might_alloc(NST_NORMAL);
	one_report(NST_NL_RECLAIM, NST_LD_ERROR, "V13 a request that reclaims, inside reclaim");
	nst_might_alloc(NST_NOWAIT);
	nst_might_alloc(NST_ATOMIC);
	nst_might_alloc(NST_NOLOCK);
	no_report("V13 requests that do not reclaim: nothing");
	s = nst_scope_enter(NST_SCOPE_NORECLAIM);
	nst_might_alloc(NST_NORMAL);
	nst_scope_exit(s);
	no_report("V13 in a scope that does not: nothing");
	nst_lockdep_acquire(&a, 0);
	nst_lockdep_release(&a);
	nst_reclaiming_end();
	nst_might_alloc(NST_NORMAL);
	no_report("V13 behind it: nothing");
	nst_reclaiming_end();
	one_report(NST_NL_SECTION, NST_LD_POSSIBLE, "V13 an end without a beginning");
	/* The other way round in a section that must not block. */
	nst_nonblock_begin();
	nst_might_alloc(NST_NOLOCK);
	no_report("V13 NOLOCK in a section that must not block: nothing");
	nst_might_sleep();
	one_report(NST_NL_BLOCK, NST_LD_ERROR, "V13 sleeping in it: reported");
	nst_nonblock_end();
	/* Reclaim of input and output is not entered by who excludes it. */
	nst_reclaiming_begin(NST_RECLAIM_IO);
	nst_might_alloc(NST_NORMAL | NST_NOIO);
	no_report("V13 NOIO inside reclaim that does input and output: nothing");
	nst_might_alloc(NST_NORMAL | NST_NOCLIENT);
	one_report(NST_NL_RECLAIM, NST_LD_ERROR, "V13 NOCLIENT inside it: reported");
	nst_reclaiming_end();
}

static void through_locks(void)
{
	nst_scope_t s;

	in_thread(take_in_reclaim, NULL);
	ask_with(&a, NST_NORMAL);
	check(strstr(last_text, "may enter reclaim at") != NULL &&
		      strstr(last_text, "2. reclaim, begun at") != NULL,
	      "V13 the report says which request, and where reclaim is", "%s", last_text);
	one_report(NST_NL_RECLAIM, NST_LD_ERROR, "V13 reclaim's lock held around a request");
	in_thread(take_in_reclaim, NULL);
	ask_with(&a, NST_NOWAIT);
	ask_with(&b, NST_NORMAL);
	s = nst_scope_enter(NST_SCOPE_NORECLAIM);
	ask_with(&a, NST_NORMAL);
	nst_scope_exit(s);
	nst_allow_begin("the test wants it");
	ask_with(&a, NST_NORMAL);
	nst_allow_end();
	no_report("V13 another lock, other requests, scopes: nothing");
	ask_with(&a, NST_NORMAL);
	forget();
	/* First the request. */
	ask_with(&a, NST_NORETRY);
	in_thread(take_in_reclaim, NULL);
	one_report(NST_NL_RECLAIM, NST_LD_ERROR, "V13 and the other way round");
	/* b -> reclaim -> a -> b */
	ask_with(&b, NST_NORMAL);
	nst_lockdep_acquire(&a, 0);
	nst_lockdep_acquire(&b, 0);
	nst_lockdep_release(&b);
	nst_lockdep_release(&a);
	in_thread(take_in_reclaim, NULL);
	one_report(NST_NL_RECLAIM, NST_LD_POSSIBLE,
		   "V13 through another lock, by one thread: possible");
}

static void tags(void)
{
	nst_scope_t s;

	in_thread(take_in_reclaim, (void *)(uintptr_t)NST_RECLAIM_IO);
	ask_with(&a, NST_NORMAL | NST_NOIO);
	s = nst_scope_enter(NST_SCOPE_NOIO);
	ask_with(&a, NST_NORMAL);
	nst_scope_exit(s);
	no_report("V13 NOIO with a lock of reclaim that does input and output: nothing");
	in_thread(take_in_reclaim, (void *)(uintptr_t)NST_RECLAIM_IO);
	ask_with(&a, NST_NORMAL | NST_NOCLIENT);
	one_report(NST_NL_RECLAIM, NST_LD_ERROR, "V13 NOCLIENT with it: reported");
	in_thread(take_in_reclaim, (void *)(uintptr_t)(NST_RECLAIM_IO | NST_RECLAIM_CLIENT));
	ask_with(&a, NST_NORMAL | NST_NOIO);
	ask_with(&a, NST_NORMAL | NST_NOCLIENT);
	no_report("V13 either, with a lock of reclaim that does both: nothing");
	in_thread(take_in_reclaim, (void *)(uintptr_t)(NST_RECLAIM_IO | NST_RECLAIM_CLIENT));
	ask_with(&a, NST_NORMAL);
	one_report(NST_NL_RECLAIM, NST_LD_ERROR, "V13 neither: reported");
}

/* ---- the library enters it ---- */

static unsigned int nr_scans;

static size_t count(void *ctx)
{
	(void)ctx;
	return 1000;
}

static size_t scan(void *ctx, size_t nr)
{
	(void)nr;
	nst_lockdep_acquire(ctx, 0);
	nst_lockdep_release(ctx);
	nr_scans++;
	nst_free(nst_alloc(64, NST_NORMAL));
	return NST_SHRINK_STOP;
}

/* All there is, of the little there may be, until requests have asked a shrinker that takes @c: the runs it took. */
static unsigned int press_shrinker(void)
{
	struct nst_shrinker *s =
		nst_shrinker_register(count, scan, &c, NST_SHRINK_SEEKS, NST_SHRINKER_IO);
	unsigned int i, n = 0, before = __atomic_load_n(&nr_scans, __ATOMIC_RELAXED);
	static void *p[4096];

	if (!s)
		check_broken("nst_shrinker_register");
	while (__atomic_load_n(&nr_scans, __ATOMIC_RELAXED) == before && n < 4096 &&
	       (p[n] = nst_alloc(256u << 10, NST_NORETRY)) != NULL)
		n++;
	nst_free(nst_alloc(256u << 10, NST_NORMAL));
	for (i = 0; i < n; i++)
		nst_free(p[i]);
	nst_shrinker_unregister(s);
	return n;
}

static void shrinkers(void)
{
	unsigned int n = press_shrinker();

	check(nr_scans > 0, "V13 a shrinker was asked", "%u runs taken", n);
	no_report("V13 a shrinker that takes a lock and allocates: nothing");
}

static void shrinkers_lock(void)
{
	press_shrinker();
	ask_with(&c, NST_NORMAL | NST_NOIO);
	no_report("V13 the library says what its shrinkers may do: NOIO with their lock: nothing");
}

/* Now there is enough of it: the request that would have waited for its own lock is served. */
static void lock_around_request(void)
{
	nst_reclaiming_begin(NST_RECLAIM_IO);
	nst_might_lock(&c);
	nst_reclaiming_end();
	nst_lockdep_acquire(&c, 0);
	nst_free(nst_alloc(64, NST_NORMAL));
	nst_lockdep_release(&c);
	one_report(NST_NL_RECLAIM, NST_LD_ERROR,
		   "V13 a shrinker's lock around a request that is served");
}

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	check_deadline(100, "V13 it comes to an end");
	start_checking();
	inside();
	through_locks();
	tags();
	lock_around_request();
	shrinkers();
	shrinkers_lock();
	nst_lockdep_stop();
	return check_status();
}
