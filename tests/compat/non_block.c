/* SPDX-License-Identifier: MIT */
/*
 * non_block.c - K9, the fourth thread's examples: a callback in which nothing may block, and what it may not depend on.
 *
 * Both sides of that argument are here: non_block_start() finds any sleep, fs_reclaim a dependence on memory, directly
 * and through a lock, with no memory pressure at all.
 */
#include <linux/kernel.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <pthread.h>
#include "common/check.h"

static DEFINE_MUTEX(driver_lock);
static int (*driver)(void);

/* As out-of-memory paths call a notifier. */
static int oom_reap(void)
{
	int rc;

	non_block_start();
	rc = driver();
	non_block_end();
	return rc;
}

static int no_interest(void)
{
	return 0;
}

static int tries(void)
{
	if (!mutex_trylock(&driver_lock))
		return -EAGAIN;
	mutex_unlock(&driver_lock);
	return 0;
}

static int waits(void)
{
	mutex_lock(&driver_lock);
	mutex_unlock(&driver_lock);
	return 0;
}

static int allocates(void)
{
	void *p = kmalloc(64, GFP_KERNEL);

	kfree(p);
	return 0;
}

static void reaped(int (*fn)(void), unsigned int reports, const char *name)
{
	uint64_t n;

	driver = fn;
	nst_lockdep_reset();
	nst_lockdep_expect(NST_NL_BLOCK);
	check_quiet(!oom_reap(), name, "refused");
	n = nst_lockdep_expected();
	check(n == reports, name, "%u reports", (unsigned int)n);
}

static void recursion(void)
{
	void *p;

	nst_lockdep_reset();
	nst_lockdep_expect(NST_NL_RECLAIM);
	fs_reclaim_acquire(GFP_KERNEL);
	p = kmalloc(64, GFP_KERNEL); /* the assertion */
	fs_reclaim_release(GFP_KERNEL);
	check(nst_lockdep_expected() == 1, "K9 recursion into the allocator", "not found");
	kfree(p);
}

static void *cpu0(void *arg)
{
	mutex_lock(&driver_lock);
	kfree(kmalloc(64, GFP_KERNEL));
	mutex_unlock(&driver_lock);
	return arg;
}

static void *cpu1(void *arg)
{
	fs_reclaim_acquire(GFP_KERNEL);
	mutex_lock(&driver_lock); /* the assertion */
	mutex_unlock(&driver_lock);
	fs_reclaim_release(GFP_KERNEL);
	return arg;
}

static void through_a_lock(void)
{
	void *(*const cpus[])(void *) = {cpu0, cpu1};
	pthread_t thread;
	unsigned int i;

	nst_lockdep_reset();
	nst_lockdep_expect(NST_NL_RECLAIM);
	for (i = 0; i < 2; i++) {
		if (pthread_create(&thread, NULL, cpus[i], NULL))
			check_broken("pthread_create");
		pthread_join(thread, NULL);
	}
	check(nst_lockdep_expected() == 1, "K9 indirectly, through a mutex", "not found");
}

/* What the thread ends with: callbacks that are safe in reclaim, and no other. */
static void made_safe(void)
{
	unsigned int flags;
	uint64_t errors;
	struct nst_lockdep_stats s;

	nst_lockdep_reset();
	nst_lockdep_read(&s, sizeof(s));
	errors = s.errors;
	fs_reclaim_acquire(GFP_KERNEL);
	might_sleep();
	flags = memalloc_nofs_save();
	kfree(kmalloc(64, GFP_KERNEL));
	memalloc_nofs_restore(flags);
	fs_reclaim_release(GFP_KERNEL);
	nst_lockdep_read(&s, sizeof(s));
	check(s.errors == errors, "K9 sleeping there is right, and GFP_NOFS by a scope",
	      "reported");
}

int main(void)
{
	reaped(no_interest, 0, "K9 no interest in the range");
	reaped(tries, 0, "K9 a try");
	reaped(waits, 1, "K9 a mutex in a section that must not block");
	reaped(allocates, 1, "K9 GFP_KERNEL in it");
	recursion();
	through_a_lock();
	made_safe();
	return check_status();
}
