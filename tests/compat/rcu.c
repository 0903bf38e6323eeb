/* SPDX-License-Identifier: MIT */
/*
 * rcu.c - K5, K12: readers, cookies, deferred free by the kernel's names; also from handlers, and nested deeper than is
 * kept; who holds a spinlock is a reader.
 */
#include <linux/completion.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
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

static DEFINE_RAW_SPINLOCK(raw);
static DEFINE_SPINLOCK(spin);
static DEFINE_RWLOCK(rw);

static void enter(unsigned int kind)
{
	unsigned int i;

	switch (kind) {
	case 0:
		for (i = 0; i < NST_COMPAT_RCU_DEEP + 8; i++)
			rcu_read_lock();
		for (i = 0; i < NST_COMPAT_RCU_DEEP + 7; i++)
			rcu_read_unlock();
		return;
	case 1:
		raw_spin_lock(&raw);
		return;
	case 2:
		if (!raw_spin_trylock(&raw))
			check_broken("raw_spin_trylock");
		return;
	case 3:
		spin_lock(&spin);
		return;
	case 4:
		/* Which ends first does not matter. */
		rcu_read_lock();
		if (!spin_trylock(&spin))
			check_broken("spin_trylock");
		rcu_read_unlock();
		return;
	case 5:
		read_lock(&rw);
		return;
	case 6:
		write_lock(&rw);
		return;
	default:
		local_irq_disable();
		return;
	}
}

static void leave_it(unsigned int kind)
{
	switch (kind) {
	case 0:
		rcu_read_unlock();
		return;
	case 1:
	case 2:
		raw_spin_unlock(&raw);
		return;
	case 3:
	case 4:
		spin_unlock(&spin);
		return;
	case 5:
		read_unlock(&rw);
		return;
	case 6:
		write_unlock(&rw);
		return;
	default:
		local_irq_enable();
		return;
	}
}

static const char *const kinds[] = {
	"K5 a reader",	    "K12 raw_spin_lock()",    "K12 raw_spin_trylock()",
	"K12 spin_lock()",  "K12 spin_trylock()",     "K12 read_lock()",
	"K12 write_lock()", "K12 local_irq_disable()"};

static void *sit(void *arg)
{
	const unsigned int kind = (unsigned int)(uintptr_t)arg;

	enter(kind);
	if (!rcu_read_lock_any_held() || rcu_read_lock_held() != (kind == 0))
		WRITE_ONCE(called, 99);
	complete(&inside);
	while (!completion_done(&leave))
		usleep(100);
	leave_it(kind);
	if (rcu_read_lock_any_held())
		WRITE_ONCE(called, 99);
	return NULL;
}

/* While a reader sits in its section, nothing that it could see is done with. */
static void holds_up(unsigned int kind)
{
	unsigned long cookie, before = get_completed_synchronize_rcu();
	unsigned int i, early = 0;
	uint64_t since = 0;
	pthread_t thread;

	init_completion(&inside);
	init_completion(&leave);
	WRITE_ONCE(called, 0);
	if (pthread_create(&thread, NULL, sit, (void *)(uintptr_t)kind))
		check_broken("pthread_create");
	wait_for_completion(&inside);
	cookie = start_poll_synchronize_rcu();
	call_rcu(&object()->rcu, count);
	for (i = 0; i < 20; i++) {
		nst_maintain();
		early += poll_state_synchronize_rcu(cookie) || READ_ONCE(called);
	}
	check(!early && poll_state_synchronize_rcu(before), kinds[kind],
	      "holds no period up, %u times", early);
	complete(&leave);
	pthread_join(thread, NULL);
	cond_synchronize_rcu(cookie);
	check(poll_state_synchronize_rcu(cookie), "K5 cond_synchronize_rcu()", "not over");
	synchronize_rcu();
	while (!READ_ONCE(called) && check_patience(&since))
		nst_maintain();
	check(READ_ONCE(called) == 1, "K5 then it is called", "%u", READ_ONCE(called));
}

static void cookies(void)
{
	unsigned int kind;

	for (kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++)
		holds_up(kind);
}

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
