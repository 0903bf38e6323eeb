/* SPDX-License-Identifier: MIT */
/*
 * notify.c - C31: what those that make changes, and those that are told, can rely on among threads.
 *
 *	trapped		changes that may not wait and invalidate, by a thread that the kernel kills at its first system call
 *	busy		a client's lock is held: "not now", and the ends of those that had begun run; who may wait, waits
 *	elsewhere	a begin that waits holds up nobody who changes another range
 *	unregister	waits for what runs, and is then told no more
 *	recursion	a request of one that is told, with no memory left, neither reclaims nor waits
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include "common/check.h"
#include "common/trap.h"
#include <nostall/nostall.h>

#define NR_PAGES 65536u

TEST_CONF("worker:off,max:64M,high:4M")

static struct client {
	pthread_mutex_t lock;
	unsigned int begins, ends, invalidates;
	void *got;
} first, second;

static int begin(void *arg, const struct nst_notify_range *r)
{
	struct client *c = arg;

	if (!(r->flags & NST_NOTIFY_BLOCKABLE) && pthread_mutex_trylock(&c->lock))
		return -EAGAIN;
	__atomic_add_fetch(&c->begins, 1, __ATOMIC_SEQ_CST);
	if (r->flags & NST_NOTIFY_BLOCKABLE)
		pthread_mutex_lock(&c->lock);
	pthread_mutex_unlock(&c->lock);
	return 0;
}

static void end(void *arg, const struct nst_notify_range *r)
{
	struct client *c = arg;

	(void)r;
	__atomic_add_fetch(&c->ends, 1, __ATOMIC_SEQ_CST);
}

static void invalidate(void *arg, const struct nst_notify_range *r)
{
	struct client *c = arg;

	(void)r;
	c->invalidates++;
}

static const struct nst_notifier_ops ops = {begin, end, invalidate};

static int change(uintptr_t start, uint32_t flags)
{
	struct nst_notify_range r;
	int err = nst_notify_begin(&r, &ops, start, 10, flags);

	if (!err)
		nst_notify_end(&r);
	return err;
}

static unsigned int get(const unsigned int *n)
{
	return __atomic_load_n(n, __ATOMIC_SEQ_CST);
}

static struct nst_notifier *add(struct client *c, uintptr_t start)
{
	struct nst_notifier *n = nst_notifier_register(&ops, start, 100, &ops, 0, c);

	if (!n)
		check_broken("a notifier");
	return n;
}

/* ---- trapped ---- */

static int done;

static void *trapped(void *arg)
{
	(void)arg;
	trap_syscalls(TRAP_ALLOW_NONE);
	for (unsigned int i = 0; i < 20000; i++) {
		change(i % 120, 0);
		nst_notify_invalidate(&ops, i % 120, 10);
	}
	__atomic_store_n(&done, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&done, __ATOMIC_RELAXED)) /* until the process ends */
		;
	return NULL;
}

static int trapped_child(void)
{
	pthread_t thread;

	add(&first, 0);
	if (pthread_create(&thread, NULL, trapped, NULL))
		return 1;
	for (uint64_t since = 0;
	     !__atomic_load_n(&done, __ATOMIC_ACQUIRE) && check_patience(&since);)
		;
	return done && first.begins == first.ends && first.invalidates ? 0 : 2;
}

/* ---- busy, elsewhere, unregister ---- */

static void *change_first(void *err)
{
	*(int *)err = change(0, NST_NOTIFY_BLOCKABLE);
	return NULL;
}

static struct nst_notifier *leaving;
static int left;

static void *unregister(void *arg)
{
	(void)arg;
	check_quiet(nst_notifier_unregister(leaving) == 0, "C31 unregistered", "not");
	__atomic_store_n(&left, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void wait_for(const unsigned int *n, unsigned int value)
{
	for (uint64_t since = 0; get(n) < value && check_patience(&since);)
		;
}

static void check_busy(void)
{
	struct nst_notifier *a = add(&second, 0), *b = add(&first, 0), *c = add(&second, 1000);
	pthread_t changer, leaver;
	int err = 1, is_left;

	pthread_mutex_lock(&first.lock);
	check(change(0, 0) == -EAGAIN && get(&second.begins) == 1 && get(&second.ends) == 1 &&
		      !get(&first.begins),
	      "C31 a client's lock is held: not now, and nothing is half done", "it is");
	if (pthread_create(&changer, NULL, change_first, &err))
		check_broken("a thread");
	wait_for(&first.begins, 1);
	check(change(1000, NST_NOTIFY_BLOCKABLE) == 0 && get(&second.ends) == 2,
	      "C31 one that waits holds up nobody elsewhere", "it does");
	leaving = b;
	if (pthread_create(&leaver, NULL, unregister, NULL))
		check_broken("a thread");
	usleep(20000);
	is_left = __atomic_load_n(&left, __ATOMIC_SEQ_CST);
	check(!is_left && get(&first.ends) == 0, "C31 unregister waits for what runs",
	      "it does not");
	pthread_mutex_unlock(&first.lock);
	pthread_join(leaver, NULL);
	pthread_join(changer, NULL);
	check(err == 0 && get(&second.begins) == get(&second.ends),
	      "C31 who may wait waits, and the change takes place", "error %d", err);
	check(change(0, 0) == 0 && get(&first.begins) == 1, "C31 it is told no more", "it is");
	nst_notifier_unregister(a);
	nst_notifier_unregister(c);
}

/* ---- recursion ---- */

static unsigned int nr, oom_calls;

static size_t oom(void *arg, const struct nst_oom *o)
{
	(void)arg;
	(void)o;
	oom_calls++;
	return 0;
}

static int begin_that_allocates(void *arg, const struct nst_notify_range *r)
{
	struct client *c = arg;

	(void)r;
	c->begins++;
	c->got = nst_pages_alloc(0, NST_NORMAL);
	return 0;
}

static void check_recursion(void)
{
	static const struct nst_notifier_ops allocates = {begin_that_allocates, end, NULL};
	static struct client c;
	static void *page[NR_PAGES];
	struct nst_oom_notifier *last;
	struct nst_notifier *n;

	while (nr < NR_PAGES && (page[nr] = nst_pages_alloc(0, NST_NORMAL)))
		nr++;
	last = nst_oom_register(oom, 0, NULL);
	n = nst_notifier_register(&ops, 0, 100, &allocates, 0, &c);
	check(n && last && change(0, 0) == 0 && change(0, NST_NOTIFY_BLOCKABLE) == 0 &&
		      c.begins == 2,
	      "C31 told, with no memory left", "not");
	check(!c.got && !oom_calls, "C31 its requests get NULL, and reclaim nothing", "%u calls",
	      oom_calls);
	check(!nst_pages_alloc(0, NST_NORMAL) && oom_calls, "C31 others' do", "%u calls",
	      oom_calls);
	nst_notifier_unregister(n);
	nst_oom_unregister(last);
	while (nr)
		nst_pages_free(page[--nr]);
}

/* TSan makes system calls of its own, in any thread. */
#if defined(__SANITIZE_THREAD__)
#define TRAPS 0
#else
#define TRAPS 1
#endif

int main(int argc, char **argv)
{
	pthread_mutex_init(&first.lock, NULL);
	pthread_mutex_init(&second.lock, NULL);
	conf_apply(argv);
	if (argc > 1)
		return trapped_child();
	check_deadline(60, "C31 in time");
	if (TRAPS)
		check_child(child_exec("trapped", NULL), 40, 0,
			    "C31 what may not wait makes no system call");
	check_busy();
	check_recursion();
	return check_status();
}
