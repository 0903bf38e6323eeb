/* SPDX-License-Identifier: MIT */
/*
 * rcu.c - K5: readers, cookies, deferred free by the kernel's names; also from handlers, and nested deeper than is kept.
 */
#include <linux/completion.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <pthread.h>
#include <signal.h>
#include "common/check.h"

struct object {
	char before[24];
	struct rcu_head rcu;
	unsigned long n;
};

static unsigned int called;

static void count(struct rcu_head *head)
{
	struct object *o = container_of(head, struct object, rcu);

	if (o->n == 0x5eed)
		__atomic_add_fetch(&called, 1, __ATOMIC_RELAXED);
	kfree(o);
}

static struct object *object(void)
{
	struct object *o = kzalloc(sizeof(*o), GFP_KERNEL);

	if (!o)
		check_broken("kzalloc");
	o->n = 0x5eed;
	return o;
}

static void calls(void)
{
	unsigned int i;

	for (i = 0; i < 100; i++)
		call_rcu(&object()->rcu, count);
	rcu_barrier();
	check(READ_ONCE(called) == 100, "K5 call_rcu(), rcu_barrier()", "%u", READ_ONCE(called));
}

static struct completion inside, leave;

static void *sit(void *arg)
{
	unsigned int i;

	for (i = 0; i < NST_COMPAT_RCU_DEEP + 8; i++)
		rcu_read_lock();
	for (i = 0; i < NST_COMPAT_RCU_DEEP + 7; i++)
		rcu_read_unlock();
	complete(&inside);
	wait_for_completion(&leave);
	rcu_read_unlock();
	return arg;
}

/* While a reader sits in its section, nothing that it could see is done with. */
static void cookies(void)
{
	unsigned long cookie, before = get_completed_synchronize_rcu();
	unsigned int i, early = 0;
	uint64_t since = 0;
	pthread_t thread;

	init_completion(&inside);
	init_completion(&leave);
	WRITE_ONCE(called, 0);
	if (pthread_create(&thread, NULL, sit, NULL))
		check_broken("pthread_create");
	wait_for_completion(&inside);
	cookie = start_poll_synchronize_rcu();
	call_rcu(&object()->rcu, count);
	for (i = 0; i < 20; i++) {
		nst_maintain();
		early += poll_state_synchronize_rcu(cookie) || READ_ONCE(called);
	}
	check(!early && poll_state_synchronize_rcu(before), "K5 a reader holds a period up",
	      "%u times it did not", early);
	complete(&leave);
	pthread_join(thread, NULL);
	cond_synchronize_rcu(cookie);
	check(poll_state_synchronize_rcu(cookie), "K5 cond_synchronize_rcu()", "not over");
	synchronize_rcu();
	while (!READ_ONCE(called) && check_patience(&since))
		nst_maintain();
	check(READ_ONCE(called) == 1, "K5 then it is called", "%u", READ_ONCE(called));
}

static DEFINE_RAW_SPINLOCK(raw);

static void frees(void)
{
	struct object *o = object();
	struct kmem_cache *c = KMEM_CACHE(object, 0);
	unsigned long flags;
	unsigned int i;

	raw_spin_lock_irqsave(&raw, flags);
	kfree_rcu(o, rcu);
	raw_spin_unlock_irqrestore(&raw, flags);
	o = NULL;
	kfree_rcu(o, rcu);
	kfree_rcu(o);
	kvfree_rcu(vmalloc(100000));
	kvfree_rcu((void *)__get_free_page(GFP_KERNEL));
	kvfree_rcu(kmalloc(0, GFP_KERNEL));
	kvfree_rcu_mightsleep(kmalloc(100, GFP_KERNEL));
	kfree_rcu_nolock(object(), rcu);
	for (i = 0; i < 1000; i++) {
		o = kmem_cache_alloc(c, GFP_KERNEL);
		kfree_rcu(o, rcu);
	}
	kvfree_rcu_barrier();
	check(nst_cache_destroy(nst_compat_cache(c)) == 0, "K5 kvfree_rcu_barrier() frees all",
	      "some are alive");
}

/* ---- one writer, readers on threads and in a handler of each ---- */

static struct object *shared;
static unsigned int bad, ended;
static unsigned long reads;

static void look(void)
{
	struct object *o;

	rcu_read_lock();
	o = rcu_dereference(shared);
	if (READ_ONCE(o->n) != 0x5eed)
		__atomic_add_fetch(&bad, 1, __ATOMIC_RELAXED);
	rcu_read_unlock();
}

static void handler(int sig)
{
	(void)sig;
	look();
}

static void *read_all(void *arg)
{
	while (!__atomic_load_n(&ended, __ATOMIC_RELAXED)) {
		look();
		if (__atomic_add_fetch(&reads, 1, __ATOMIC_RELAXED) % 16 == 0)
			raise(SIGUSR1);
	}
	return arg;
}

/* After its period an object is written over, here: kfree_rcu() by hand. */
static void spoil(struct rcu_head *head)
{
	struct object *o = container_of(head, struct object, rcu);

	WRITE_ONCE(o->n, 0xdead);
	kfree(o);
}

static void readers(void)
{
	pthread_t thread[3];
	struct object *old;
	uint64_t since = 0;
	unsigned int i;

	signal(SIGUSR1, handler);
	RCU_INIT_POINTER(shared, object());
	for (i = 0; i < 3; i++)
		if (pthread_create(&thread[i], NULL, read_all, NULL))
			check_broken("pthread_create");
	for (i = 0; i < 3000 ||
		    (__atomic_load_n(&reads, __ATOMIC_RELAXED) < 3000 && check_patience(&since));
	     i++) {
		old = rcu_replace_pointer(shared, object(), 1);
		call_rcu(&old->rcu, spoil);
		if (i % 64 == 0)
			nst_maintain();
	}
	__atomic_store_n(&ended, 1u, __ATOMIC_RELAXED);
	for (i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	kfree_rcu(shared, rcu);
	rcu_barrier();
	check(bad == 0 && nst_compat_rcu.depth == 0, "K5 readers and their handlers see live ones",
	      "%u did not, in %lu reads", bad, reads);
}

int main(void)
{
	calls();
	cookies();
	frees();
	readers();
	return check_status();
}
