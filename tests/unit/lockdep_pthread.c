/* SPDX-License-Identifier: MIT */
/*
 * lockdep_pthread.c - V17: libc's locks through <nostall/pthread.h>: programs that should be reported, and programs that
 * should not.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <nostall/pthread.h>
#include "unit/lockdep.h"

static struct nst_pthread_mutex a = NST_PTHREAD_MUTEX("a"), b = NST_PTHREAD_MUTEX("b"),
				gate = NST_PTHREAD_MUTEX("gate");
static struct nst_pthread_rwlock r = NST_PTHREAD_RWLOCK("r"), q = NST_PTHREAD_RWLOCK("q");
static struct nst_pthread_spin spin;

static struct timespec soon(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += 1000000;
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	return ts;
}

struct pair {
	struct nst_pthread_mutex *first, *then;
};

static void *both(void *arg)
{
	struct pair *p = arg;

	nst_pthread_mutex_lock(p->first);
	nst_pthread_mutex_lock(p->then);
	nst_pthread_mutex_unlock(p->then);
	nst_pthread_mutex_unlock(p->first);
	return NULL;
}

static void *both_gated(void *arg)
{
	nst_pthread_mutex_lock(&gate);
	both(arg);
	nst_pthread_mutex_unlock(&gate);
	return NULL;
}

static void *then_tried(void *arg)
{
	struct pair *p = arg;
	struct timespec ts = soon();

	nst_pthread_mutex_lock(p->first);
	if (!nst_pthread_mutex_trylock(p->then))
		nst_pthread_mutex_unlock(p->then);
	if (!nst_pthread_mutex_timedlock(p->then, &ts))
		nst_pthread_mutex_unlock(p->then);
	nst_pthread_mutex_unlock(p->first);
	return NULL;
}

static struct pair ab = {&a, &b}, ba = {&b, &a};

static void orders(void)
{
	static struct nst_lockdep_key one, other;
	struct nst_pthread_mutex m[4];
	struct pair p = {&m[0], &m[1]}, back = {&m[3], &m[2]};
	unsigned int i;

	in_thread(both, &ab);
	in_thread(both, &ba);
	one_report(NST_NL_ORDER, NST_LD_ERROR, "V17 A, B and B, A by two threads");
	both(&ab);
	both(&ba);
	one_report(NST_NL_ORDER, NST_LD_POSSIBLE, "V17 by one thread: possible");
	in_thread(both_gated, &ab);
	in_thread(both_gated, &ba);
	one_report(NST_NL_ORDER, NST_LD_POSSIBLE, "V17 with a gate: possible");
	in_thread(both, &ab);
	in_thread(then_tried, &ba);
	no_report("V17 tried, or waited for for a time: nothing");
	for (i = 0; i < 4; i++)
		nst_pthread_mutex_init(&m[i], "m", i % 2 ? &one : &other, NULL);
	in_thread(both, &p);
	in_thread(both, &back);
	one_report(NST_NL_ORDER, NST_LD_POSSIBLE, "V17 by class, never met: possible");
	for (i = 0; i < 4; i++)
		nst_pthread_mutex_destroy(&m[i]);
}

static void *read_both(void *arg)
{
	struct nst_pthread_rwlock **l = arg;

	nst_pthread_rwlock_rdlock(l[0]);
	nst_pthread_rwlock_rdlock(l[1]);
	nst_pthread_rwlock_unlock(l[1]);
	nst_pthread_rwlock_unlock(l[0]);
	return NULL;
}

static void readers(void)
{
	struct nst_pthread_rwlock *rq[] = {&r, &q}, *qr[] = {&q, &r};
	pthread_rwlockattr_t attr;
	struct timespec ts = soon();

	in_thread(read_both, rq);
	in_thread(read_both, qr);
	nst_pthread_rwlock_rdlock(&r);
	nst_pthread_rwlock_rdlock(&r);
	nst_pthread_rwlock_unlock(&r);
	nst_pthread_rwlock_unlock(&r);
	check(!nst_pthread_rwlock_tryrdlock(&r) && nst_pthread_rwlock_trywrlock(&r) == EBUSY &&
		      nst_pthread_rwlock_timedwrlock(&r, &ts) == ETIMEDOUT,
	      "V17 tries say what libc says", "they do not");
	nst_pthread_rwlock_unlock(&r);
	no_report("V17 readers in both orders, one twice: nothing");
	nst_pthread_rwlock_wrlock(&q);
	check(nst_pthread_rwlock_timedrdlock(&q, &ts) != 0, "V17 a writer holds it", "it is had");
	nst_pthread_rwlock_unlock(&q);
	nst_assert_none_held();
	no_report("V17 what was not had is not held");
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	nst_pthread_rwlock_init(&r, "r", NULL, &attr);
	nst_pthread_rwlock_init(&q, "q", NULL, &attr);
	in_thread(read_both, rq);
	in_thread(read_both, qr);
	one_report(NST_NL_ORDER, NST_LD_ERROR, "V17 readers behind waiting writers, both orders");
	nst_pthread_rwlock_destroy(&r);
	nst_pthread_rwlock_destroy(&q);
}

static void misuse(void)
{
	struct nst_pthread_mutex m;
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
	nst_pthread_mutex_init(&m, "m", NULL, &attr);
	nst_pthread_mutex_lock(&m);
	check(nst_pthread_mutex_lock(&m) == EDEADLK, "V17 libc refuses", "it does not");
	one_report(NST_NL_SELF, NST_LD_ERROR, "V17 locked again");
	nst_assert_held(&m.map);
	nst_pthread_mutex_unlock(&m);
	check(nst_pthread_mutex_unlock(&m) == EPERM, "V17 libc refuses that, too", "it does not");
	one_report(NST_NL_UNLOCK, NST_LD_ERROR, "V17 unlocked again");
	nst_pthread_mutex_destroy(&m);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	nst_pthread_mutex_init(&m, "m", NULL, &attr);
	nst_pthread_mutex_lock(&m);
	nst_pthread_mutex_lock(&m);
	nst_pthread_mutex_unlock(&m);
	nst_pthread_mutex_unlock(&m);
	no_report("V17 a recursive mutex: nothing");
	nst_pthread_mutex_destroy(&m);
	nst_pthread_spin_lock(&spin);
	nst_pthread_mutex_lock(&a);
	nst_pthread_mutex_unlock(&a);
	one_report(NST_NL_WAIT, NST_LD_ERROR, "V17 a mutex under a spinlock");
	nst_free(nst_alloc(64, NST_NORMAL));
	nst_might_alloc(NST_NORMAL);
	nst_pthread_spin_unlock(&spin);
	check(nr_reports > 0 && last.code == NST_NL_WAIT, "V17 a request under a spinlock",
	      "%u reports", nr_reports);
	forget();
	check(!nst_pthread_spin_trylock(&spin) && nst_pthread_spin_trylock(&spin) == EBUSY,
	      "V17 a spinlock is tried", "it is not");
	nst_pthread_spin_unlock(&spin);
	nst_assert_none_held();
	no_report("V17 nothing is held");
}

static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int ready;

static void *makes_ready(void *arg)
{
	nst_pthread_mutex_lock(&a);
	ready = 1;
	pthread_cond_signal(&cond);
	nst_pthread_mutex_unlock(&a);
	return arg;
}

static void conditions(void)
{
	struct timespec ts = soon();
	pthread_t t;

	/* b is held over the wait: taken again, a is no order behind it. */
	in_thread(both, &ab);
	nst_pthread_mutex_lock(&a);
	nst_pthread_mutex_lock(&b);
	check(nst_pthread_cond_timedwait(&cond, &a, &ts) == ETIMEDOUT, "V17 the time is over",
	      "it is not");
	nst_assert_held(&a.map);
	nst_pthread_mutex_unlock(&b);
	if (pthread_create(&t, NULL, makes_ready, NULL))
		check_broken("pthread_create");
	while (!ready)
		nst_pthread_cond_wait(&cond, &a);
	nst_assert_held(&a.map);
	nst_pthread_mutex_unlock(&a);
	pthread_join(t, NULL);
	no_report("V17 a mutex taken again after a condition: nothing");
	nst_pthread_spin_lock(&spin);
	nst_pthread_mutex_trylock(&a);
	ts = soon();
	nst_pthread_cond_timedwait(&cond, &a, &ts);
	nst_pthread_mutex_unlock(&a);
	nst_pthread_spin_unlock(&spin);
	one_report(NST_NL_WAIT, NST_LD_ERROR, "V17 a condition waited for with a spinlock held");
}

static void signals(void)
{
	sigset_t set, before;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	nst_handler_enter(SIGUSR1);
	nst_pthread_mutex_lock(&b);
	nst_pthread_mutex_unlock(&b);
	nst_handler_exit();
	nst_pthread_sigmask(SIG_BLOCK, &set, &before);
	nst_pthread_mutex_lock(&b);
	nst_pthread_mutex_unlock(&b);
	check(nr_reports == 0, "V17 blocked: nothing", "%u reports", nr_reports);
	nst_pthread_sigmask(SIG_SETMASK, &before, NULL);
	nst_pthread_mutex_lock(&b);
	nst_pthread_mutex_unlock(&b);
	one_report(NST_NL_SIGNAL, NST_LD_ERROR, "V17 open again: reported");
}

static void many(void)
{
	static struct nst_pthread_mutex m[100];
	unsigned int i;

	for (i = 0; i < 100; i++)
		nst_pthread_mutex_init(&m[i], "m", NULL, NULL);
	for (i = 0; i < 100; i++)
		nst_pthread_mutex_lock(&m[i]);
	for (i = 0; i < 100; i++)
		nst_pthread_mutex_unlock(&m[i]);
	no_report("V17 100 in each other: nothing");
}

int main(void)
{
	check_deadline(100, "V17 it comes to an end");
	nst_pthread_spin_init(&spin, "spin", NULL, PTHREAD_PROCESS_PRIVATE);
	start_checking();
	orders();
	readers();
	misuse();
	conditions();
	signals();
	many();
	nst_pthread_spin_destroy(&spin);
	nst_lockdep_stop();
	return check_status();
}
