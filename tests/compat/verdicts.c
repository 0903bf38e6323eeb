/* SPDX-License-Identifier: MIT */
/*
 * verdicts.c - K4, K11: what the validator says of the kernel's calls, as the kernel's own does. NOSTALL_CONF has check:on, so
 * each request is judged even if this CPU has stock.
 *
 * A library of annotations without those of raw spinlocks must be caught (42), and so must headers in which an interrupt
 * is a handler and no more (67).
 */
#include <linux/completion.h>
#include <linux/mempool.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/rculist.h>
#include <linux/rtmutex.h>
#include <linux/rwsem.h>
#include <linux/sched/mm.h>
#include <linux/seqlock.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "common/check.h"

static unsigned int others;
static char text[4096];

static void keep(const struct nst_lockdep_report *r, void *arg)
{
	(void)arg;
	others += r->level == NST_LD_ERROR;
	snprintf(text, sizeof(text), "%.*s", (int)r->len, r->text);
}

/* @fn gives one report of @code and none else; with NST_NR_LOCKDEP_CODES, none. */
static void gives(enum nst_lockdep_code code, void (*fn)(void), const char *name)
{
	uint64_t n;

	nst_lockdep_reset();
	others = 0;
	text[0] = 0;
	nst_lockdep_expect(code);
	fn();
	n = nst_lockdep_expected();
	check(n == (code != NST_NR_LOCKDEP_CODES) && !others, name, "%u of it, %u others\n%s",
	      (unsigned int)n, others, text);
}

#define SILENT NST_NR_LOCKDEP_CODES

static DEFINE_RAW_SPINLOCK(raw);
static DEFINE_RAW_SPINLOCK(raw2);
static DEFINE_SPINLOCK(spin);
static DEFINE_MUTEX(mutex);
static DECLARE_RWSEM(rwsem);
static DEFINE_RWLOCK(rwlock);
static DEFINE_SEQLOCK(seq);
static struct kmem_cache *cache;

struct object {
	struct rcu_head rcu;
	struct list_head on;
	int n;
};

/* ---- memory under locks ---- */

static void request(gfp_t gfp)
{
	kmem_cache_free(cache, kmem_cache_alloc(cache, gfp));
}

/* Freed outside: a free takes short locks of its own. */
static void under_raw(gfp_t gfp)
{
	void *p;

	raw_spin_lock(&raw);
	p = kmem_cache_alloc(cache, gfp);
	raw_spin_unlock(&raw);
	kmem_cache_free(cache, p);
}

static void raw_nolock(void)
{
	struct object *o = kmalloc(sizeof(*o), GFP_KERNEL);

	raw_spin_lock(&raw);
	kfree_rcu(o, rcu);
	kfree_nolock(kmalloc_nolock(64, 0, NUMA_NO_NODE));
	free_pages_nolock(alloc_pages_nolock(0, NUMA_NO_NODE, 0), 0);
	raw_spin_unlock(&raw);
	under_raw(__GFP_NO_LOCKS);
	under_raw(__GFP_FAST_TRY);
}

static void raw_kfree(void)
{
	void *p = kmalloc(64, GFP_KERNEL);

	raw_spin_lock(&raw);
	kfree(p);
	raw_spin_unlock(&raw);
}

static void raw_free_page(void)
{
	unsigned long page = __get_free_page(GFP_KERNEL);

	raw_spin_lock(&raw);
	free_page(page);
	raw_spin_unlock(&raw);
}

static void raw_scoped(void)
{
	void *p = kmem_cache_alloc(cache, GFP_KERNEL);
	nst_scope_t scope = nst_scope_enter(NST_SCOPE_NOLOCK);

	raw_spin_lock(&raw);
	kmem_cache_free(cache, p);
	raw_spin_unlock(&raw);
	nst_scope_exit(scope);
}

static void raw_nowait(void)
{
	under_raw(GFP_NOWAIT);
}

static void raw_atomic(void)
{
	under_raw(GFP_ATOMIC);
}

static void raw_nolockdep(void)
{
	under_raw(GFP_ATOMIC | __GFP_NOLOCKDEP);
}

static void spin_kernel(void)
{
	spin_lock(&spin);
	request(GFP_KERNEL);
	spin_unlock(&spin);
}

static void spin_atomic(void)
{
	spin_lock(&spin);
	request(GFP_ATOMIC);
	request(GFP_NOWAIT);
	spin_unlock(&spin);
}

static void reader_kernel(void)
{
	rcu_read_lock();
	request(GFP_KERNEL);
	rcu_read_unlock();
}

static void reader_atomic(void)
{
	rcu_read_lock();
	rcu_read_lock();
	request(GFP_ATOMIC);
	spin_lock(&spin);
	spin_unlock(&spin);
	rcu_read_unlock();
	rcu_read_unlock();
}

static void spin_noreclaim(void)
{
	unsigned int flags = memalloc_noreclaim_save();

	spin_lock(&spin);
	might_alloc(GFP_KERNEL);
	spin_unlock(&spin);
	memalloc_noreclaim_restore(flags);
}

static void spin_might_alloc(void)
{
	spin_lock(&spin);
	might_alloc(GFP_NOFS);
	spin_unlock(&spin);
}

/* ---- locks under locks ---- */

static void raw_spin(void)
{
	raw_spin_lock(&raw);
	spin_lock(&spin);
	spin_unlock(&spin);
	raw_spin_unlock(&raw);
}

static void raw_raw(void)
{
	raw_spin_lock(&raw);
	raw_spin_lock(&raw2);
	raw_spin_unlock(&raw2);
	raw_spin_unlock(&raw);
}

static void raw_trylock(void)
{
	raw_spin_lock(&raw);
	if (spin_trylock(&spin))
		spin_unlock(&spin);
	raw_spin_unlock(&raw);
}

static void spin_mutex(void)
{
	spin_lock(&spin);
	mutex_lock(&mutex);
	mutex_unlock(&mutex);
	spin_unlock(&spin);
}

static void seq_rwsem(void)
{
	write_seqlock(&seq);
	down_read(&rwsem);
	up_read(&rwsem);
	write_sequnlock(&seq);
}

static void rwlock_completion(void)
{
	DECLARE_COMPLETION_ONSTACK(done);

	complete(&done);
	read_lock(&rwlock);
	wait_for_completion(&done);
	read_unlock(&rwlock);
}

static void all_legal(void)
{
	mutex_lock(&mutex);
	down_write(&rwsem);
	downgrade_write(&rwsem);
	write_lock(&rwlock);
	spin_lock(&spin);
	raw_spin_lock(&raw);
	lockdep_assert_held(&mutex);
	lockdep_assert_held_read(&rwsem);
	lockdep_assert_held_write(&rwlock);
	lockdep_assert_not_held(&raw2);
	raw_spin_unlock(&raw);
	spin_unlock(&spin);
	write_unlock(&rwlock);
	up_read(&rwsem);
	mutex_unlock(&mutex);
	might_sleep();
	mempool_destroy(mempool_create_slab_pool(1, cache));
}

static void same_twice(void)
{
	mutex_lock(&mutex);
	might_lock(&mutex);
	mutex_unlock(&mutex);
}

static void not_held(void)
{
	lockdep_assert_held(&spin);
}

static void *on_thread(void *arg)
{
	((void (*)(void))(uintptr_t)arg)();
	return NULL;
}

static void by_another(void (*fn)(void))
{
	pthread_t t;

	if (pthread_create(&t, NULL, on_thread, (void *)(uintptr_t)fn))
		check_broken("pthread_create");
	pthread_join(t, NULL);
}

static void mutex_then_rwsem(void)
{
	mutex_lock(&mutex);
	down_read(&rwsem);
	up_read(&rwsem);
	mutex_unlock(&mutex);
}

static void rwsem_then_mutex(void)
{
	down_write(&rwsem);
	mutex_lock(&mutex);
	mutex_unlock(&mutex);
	up_write(&rwsem);
}

static void inversion(void)
{
	by_another(mutex_then_rwsem);
	by_another(rwsem_then_mutex);
}

static void overridden(void)
{
	static DEFINE_WAIT_OVERRIDE_MAP(map, LD_WAIT_CONFIG);

	raw_spin_lock(&raw);
	lock_map_acquire_try(&map);
	spin_lock(&spin);
	spin_unlock(&spin);
	lock_map_release(&map);
	raw_spin_unlock(&raw);
}

/* ---- signals are interrupts ---- */

static DEFINE_RAW_SPINLOCK(of_handler);
static DEFINE_RAW_SPINLOCK(of_handler2);

static void in_handler(raw_spinlock_t *l)
{
	nst_handler_enter(SIGUSR1);
	raw_spin_lock(l);
	raw_spin_unlock(l);
	nst_handler_exit();
}

static void handler_irqsave(void)
{
	unsigned long flags;

	in_handler(&of_handler);
	raw_spin_lock_irqsave(&of_handler, flags);
	raw_spin_unlock_irqrestore(&of_handler, flags);
	raw_spin_lock_irq(&of_handler);
	raw_spin_unlock_irq(&of_handler);
}

static void handler_open(void)
{
	in_handler(&of_handler2);
	raw_spin_lock(&of_handler2);
	raw_spin_unlock(&of_handler2);
}

/* What code of interrupts does, in one. */
static void in_interrupt_do(void (*fn)(void))
{
	nst_compat_irq_enter(SIGUSR1);
	check_quiet(in_interrupt() && in_hardirq() && !in_task(), "K11 in_interrupt()",
		    "it is not");
	fn();
	nst_compat_irq_exit();
	check_quiet(in_task() && !in_interrupt(), "K11 in_task()", "it is not");
}

static void take_spin(void)
{
	spin_lock(&spin);
	spin_unlock(&spin);
}

static void take_mutex_once(void)
{
	mutex_lock(&mutex);
	mutex_unlock(&mutex);
}

static void take_raw(void)
{
	raw_spin_lock(&raw2);
	raw_spin_unlock(&raw2);
	if (spin_trylock(&spin))
		spin_unlock(&spin);
	kfree_nolock(kmalloc_nolock(64, 0, NUMA_NO_NODE));
}

static void do_might_sleep(void)
{
	might_sleep();
}

static void interrupt_raw(void)
{
	in_interrupt_do(take_raw);
}

static void interrupt_spin(void)
{
	in_interrupt_do(take_spin);
}

static void interrupt_mutex(void)
{
	in_interrupt_do(take_mutex_once);
}

static void interrupt_sleep(void)
{
	in_interrupt_do(do_might_sleep);
}

static void nothread_spin(void)
{
	nst_compat_irq_enter_nothread(SIGUSR1);
	take_spin();
	nst_compat_irq_exit_nothread();
}

static void rt_mutex_under_spin(void)
{
	static DEFINE_RT_MUTEX(rt);

	spin_lock(&spin);
	rt_mutex_lock(&rt);
	rt_mutex_unlock(&rt);
	spin_unlock(&spin);
}

/* Several of a class, under one lock that everybody takes first, or is said to. */
static struct mutex several_mutex[2];
static spinlock_t several_spin[2];
static struct rw_semaphore several_sem[2];

static void take_several(int nest)
{
	int i;

	for (i = 0; i < 2; i++) {
		if (nest)
			down_write_nest_lock(&several_sem[i], &mutex);
		else
			down_write(&several_sem[i]);
	}
	for (i = 0; i < 2; i++) {
		if (nest)
			mutex_lock_nest_lock(&several_mutex[i], &mutex);
		else
			mutex_lock(&several_mutex[i]);
	}
	for (i = 0; i < 2; i++) {
		if (nest)
			spin_lock_nest_lock(&several_spin[i], &mutex);
		else
			spin_lock(&several_spin[i]);
	}
	for (i = 0; i < 2; i++) {
		spin_unlock(&several_spin[i]);
		mutex_unlock(&several_mutex[i]);
		up_write(&several_sem[i]);
	}
}

static void of_a_class(void)
{
	uint64_t n;
	int i;

	for (i = 0; i < 2; i++) {
		mutex_init(&several_mutex[i]);
		spin_lock_init(&several_spin[i]);
		init_rwsem(&several_sem[i]);
	}
	nst_lockdep_reset();
	nst_lockdep_expect(NST_NL_NEST);
	take_several(0);
	n = nst_lockdep_expected();
	check(n == 3, "K4 two of a class: possible", "%u", (unsigned int)n);
	nst_lockdep_reset();
	nst_lockdep_expect(NST_NL_NEST);
	mutex_lock(&mutex);
	take_several(1);
	mutex_unlock(&mutex);
	n = nst_lockdep_expected();
	check(n == 0, "K4 _nest_lock(), with the lock held: nothing", "%u", (unsigned int)n);
}

static void nest_not_held(void)
{
	mutex_lock_nest_lock(&several_mutex[0], &mutex);
	mutex_unlock(&several_mutex[0]);
}

static void conditional_sleep(void)
{
	spin_lock(&spin);
	might_sleep_if(nr_cpu_ids == 0);
	might_sleep_if(nr_cpu_ids != 0);
	spin_unlock(&spin);
}

/* ---- sections, reclaim ---- */

static void section_kernel(void)
{
	non_block_start();
	request(GFP_KERNEL);
	non_block_end();
}

static void section_atomic(void)
{
	non_block_start();
	request(GFP_ATOMIC);
	request(__GFP_NO_LOCKS);
	non_block_end();
}

static void section_sleep(void)
{
	non_block_start();
	might_sleep();
	non_block_end();
}

static void section_alone(void)
{
	non_block_end();
}

/* Sleeping is right in reclaim; a lock may be waited for. */
static void reclaim_sleep(void)
{
	fs_reclaim_acquire(GFP_KERNEL);
	might_sleep();
	mutex_lock(&mutex);
	mutex_unlock(&mutex);
	request(GFP_NOFS);
	request(GFP_ATOMIC);
	fs_reclaim_release(GFP_KERNEL);
}

static void reclaim_kernel(void)
{
	fs_reclaim_acquire(GFP_KERNEL);
	request(GFP_KERNEL);
	fs_reclaim_release(GFP_KERNEL);
}

static void reclaim_scoped(void)
{
	unsigned int flags;

	fs_reclaim_acquire(GFP_KERNEL);
	flags = memalloc_nofs_save();
	request(GFP_KERNEL);
	memalloc_nofs_restore(flags);
	fs_reclaim_release(GFP_KERNEL);
	fs_reclaim_acquire(GFP_NOFS);
	request(GFP_KERNEL);
	fs_reclaim_release(GFP_NOFS);
}

static void around_request(void)
{
	mutex_lock(&mutex);
	request(GFP_KERNEL);
	mutex_unlock(&mutex);
}

static void in_reclaim(void)
{
	fs_reclaim_acquire(GFP_KERNEL);
	mutex_lock(&mutex);
	mutex_unlock(&mutex);
	fs_reclaim_release(GFP_KERNEL);
}

static void through_a_lock(void)
{
	by_another(around_request);
	by_another(in_reclaim);
}

/* ---- notifiers ---- */

static int take_mutex(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	(void)mn;
	if (mmu_notifier_range_blockable(range))
		mutex_lock(&mutex);
	else if (!mutex_trylock(&mutex))
		return -EAGAIN;
	mutex_unlock(&mutex);
	return 0;
}

static int sleep_always(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	(void)mn;
	(void)range;
	might_sleep();
	return 0;
}

static void notified(int (*start)(struct mmu_notifier *, const struct mmu_notifier_range *),
		     int blockable)
{
	const struct mmu_notifier_ops ops = {.invalidate_range_start = start};
	struct mmu_notifier mn = {.ops = &ops};
	struct mmu_notifier_range range;
	struct mm_struct mm;

	if (mmu_notifier_register(&mn, &mm))
		check_broken("mmu_notifier_register");
	mmu_notifier_range_init(&range, MMU_NOTIFY_UNMAP, 0, &mm, 4096, 8192);
	if (blockable)
		mmu_notifier_invalidate_range_start(&range);
	else if (mmu_notifier_invalidate_range_start_nonblock(&range))
		check_broken("mmu_notifier_invalidate_range_start_nonblock");
	mmu_notifier_invalidate_range_end(&range);
	mmu_notifier_unregister(&mn, &mm);
}

static void blockable_sleeps(void)
{
	notified(sleep_always, 1);
}

static void nonblock_sleeps(void)
{
	notified(sleep_always, 0);
}

static void nonblock_tries(void)
{
	notified(take_mutex, 0);
}

static void blockable_mutex(void)
{
	notified(take_mutex, 1);
}

static void notifier_through_a_lock(void)
{
	by_another(around_request);
	by_another(blockable_mutex);
}

/* ---- RCU ---- */

static struct object *shared;
static LIST_HEAD(list);

static void dereference_inside(void)
{
	struct object *o;

	rcu_read_lock();
	(void)rcu_dereference(shared);
	list_for_each_entry_rcu(o, &list, on)(void) o;
	rcu_read_unlock();
	mutex_lock(&mutex);
	(void)rcu_dereference_check(shared, lockdep_is_held(&mutex));
	(void)rcu_dereference_protected(shared, lockdep_is_held(&mutex));
	list_for_each_entry_rcu(o, &list, on, lockdep_is_held(&mutex))(void) o;
	mutex_unlock(&mutex);
	(void)rcu_access_pointer(shared);
}

static void dereference_outside(void)
{
	(void)rcu_dereference(shared);
}

static void protected_by_nothing(void)
{
	(void)rcu_dereference_protected(shared, lockdep_is_held(&mutex));
}

static void walk_outside(void)
{
	struct object *o;

	list_for_each_entry_rcu(o, &list, on)(void) o;
}

/* As a question: to do it would wait for itself. */
static void mightsleep_inside(void)
{
	rcu_read_lock();
	kvfree_rcu_mightsleep(kmalloc(64, GFP_ATOMIC));
	rcu_read_unlock();
}

static void mutex_inside(void)
{
	rcu_read_lock();
	mutex_lock(&mutex);
	mutex_unlock(&mutex);
	rcu_read_unlock();
}

static const struct {
	const char *name;
	void (*fn)(void);
	enum nst_lockdep_code code;
} cases[] = {
	{"K4 raw lock: kfree_rcu(), no-lock requests", raw_nolock, SILENT},
	{"K4 raw lock: GFP_NOWAIT", raw_nowait, NST_NL_WAIT},
	{"K4 raw lock: GFP_ATOMIC", raw_atomic, NST_NL_WAIT},
	{"K4 raw lock: __GFP_NOLOCKDEP", raw_nolockdep, SILENT},
	{"K4 raw lock: kfree()", raw_kfree, NST_NL_WAIT},
	{"K4 raw lock: free_page()", raw_free_page, NST_NL_WAIT},
	{"K4 raw lock: a free in a no-lock scope", raw_scoped, SILENT},
	{"K4 spinlock: GFP_KERNEL", spin_kernel, NST_NL_WAIT},
	{"K4 spinlock: GFP_ATOMIC", spin_atomic, SILENT},
	{"K4 spinlock: might_alloc(GFP_NOFS)", spin_might_alloc, NST_NL_WAIT},
	{"K4 spinlock: might_alloc() in a scope that does not reclaim", spin_noreclaim, SILENT},
	{"K4 reader: GFP_KERNEL", reader_kernel, NST_NL_WAIT},
	{"K4 reader: GFP_ATOMIC, a spinlock", reader_atomic, SILENT},
	{"K4 raw lock: spinlock", raw_spin, NST_NL_WAIT},
	{"K4 raw lock: raw lock", raw_raw, SILENT},
	{"K4 raw lock: spin_trylock()", raw_trylock, SILENT},
	{"K4 spinlock: mutex", spin_mutex, NST_NL_WAIT},
	{"K4 seqlock: rwsem", seq_rwsem, NST_NL_WAIT},
	{"K4 rwlock: wait_for_completion()", rwlock_completion, NST_NL_WAIT},
	{"K4 each in its place", all_legal, SILENT},
	{"K4 might_lock() of what is held", same_twice, NST_NL_SELF},
	{"K4 lockdep_assert_held()", not_held, NST_NL_HELD},
	{"K4 an inversion of a mutex and a reader", inversion, NST_NL_ORDER},
	{"K4 a limit lifted", overridden, SILENT},
	{"K4 a handler's lock, _irqsave and _irq", handler_irqsave, SILENT},
	{"K4 a handler's lock, signals open", handler_open, NST_NL_SIGNAL},
	{"K11 a handler: raw locks, tries, no-lock requests", interrupt_raw, SILENT},
	{"K11 a handler: a spinlock", interrupt_spin, NST_COMPAT_RT ? NST_NL_WAIT : SILENT},
	{"K11 a handler: a mutex", interrupt_mutex, NST_NL_WAIT},
	{"K11 a handler: might_sleep()", interrupt_sleep, NST_NL_WAIT},
	{"K11 a handler that stays one: a spinlock", nothread_spin, NST_NL_WAIT},
	{"K4 spinlock: rt_mutex", rt_mutex_under_spin, NST_NL_WAIT},
	{"K4 mutex_lock_nest_lock(), and it is not held", nest_not_held, NST_NL_HELD},
	{"K4 spinlock: might_sleep_if()", conditional_sleep, NST_NL_WAIT},
	{"K4 non_block_start(): GFP_KERNEL", section_kernel, NST_NL_BLOCK},
	{"K4 non_block_start(): GFP_ATOMIC, NO_LOCKS", section_atomic, SILENT},
	{"K4 non_block_start(): might_sleep()", section_sleep, NST_NL_BLOCK},
	{"K4 non_block_end() alone", section_alone, NST_NL_SECTION},
	{"K4 reclaim: sleeping, a mutex, GFP_NOFS", reclaim_sleep, SILENT},
	{"K4 reclaim: GFP_KERNEL", reclaim_kernel, NST_NL_RECLAIM},
	{"K4 reclaim: GFP_KERNEL in a scope; not of clients", reclaim_scoped, SILENT},
	{"K4 reclaim through a lock", through_a_lock, NST_NL_RECLAIM},
	{"K4 blockable notifier: sleeps", blockable_sleeps, SILENT},
	{"K4 notifier that may not block: sleeps", nonblock_sleeps, NST_NL_BLOCK},
	{"K4 notifier that may not block: tries", nonblock_tries, SILENT},
	{"K4 notifier through a lock", notifier_through_a_lock, NST_NL_ORDER},
	{"K4 rcu_dereference() where it is legal", dereference_inside, SILENT},
	{"K4 rcu_dereference() outside", dereference_outside, NST_NL_RCU},
	{"K4 rcu_dereference_protected() by nothing", protected_by_nothing, NST_NL_HELD},
	{"K4 list_for_each_entry_rcu() outside", walk_outside, NST_NL_RCU},
	{"K4 reader: kvfree_rcu_mightsleep()", mightsleep_inside, NST_NL_WAIT},
	{"K4 reader: mutex", mutex_inside, NST_NL_WAIT},
};

int main(void)
{
	unsigned int i;

	cache = KMEM_CACHE(object, SLAB_PANIC);
	nst_lockdep_on_report(keep, NULL);
	/* Full sheaves hide nothing. */
	if (nst_stock(nst_compat_cache(cache), 64, NST_CPU_ALL))
		check_broken("nst_stock");
	of_a_class();
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		gives(cases[i].code, cases[i].fn, cases[i].name);
	kmem_cache_destroy(cache);
	return check_status();
}
