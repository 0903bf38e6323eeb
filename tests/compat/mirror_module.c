/* SPDX-License-Identifier: MIT */
/*
 * mirror_module.c - kernel C: a mirror of another's page table, as a device driver has one, kept true by notifiers.
 *
 * An entry is read without a lock, and put in under the mirror's mutex if no change came in between.
 */
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include "mirror.h"

static DEFINE_MUTEX(mirror_mutex);		 /* of entry[], and of the sequence */
static unsigned long mirror_entry[MIRROR_PAGES]; /* 0: none */
static const unsigned long *mirror_table;
static struct mmu_interval_notifier mirror_notifier;
static struct mmu_notifier mirror_watch;
unsigned long mirror_retries, mirror_started, mirror_ended, mirror_released;

static bool mirror_invalidate(struct mmu_interval_notifier *mni,
			      const struct mmu_notifier_range *range, unsigned long seq)
{
	unsigned long page;

	if (mmu_notifier_range_blockable(range))
		mutex_lock(&mirror_mutex);
	else if (!mutex_trylock(&mirror_mutex))
		return false;
	mmu_interval_set_seq(mni, seq);
	for (page = 0; page < MIRROR_PAGES; page++) {
		unsigned long at = MIRROR_BASE + page * PAGE_SIZE;

		if (at < range->end && at + PAGE_SIZE > range->start)
			mirror_entry[page] = 0;
	}
	mutex_unlock(&mirror_mutex);
	return true;
}

static const struct mmu_interval_notifier_ops mirror_ops = {
	.invalidate = mirror_invalidate,
};

unsigned long mirror_fault(unsigned int page)
{
	unsigned long seq, value;

	for (;;) {
		seq = mmu_interval_read_begin(&mirror_notifier);
		value = READ_ONCE(mirror_table[page]);
		mutex_lock(&mirror_mutex);
		if (!mmu_interval_read_retry(&mirror_notifier, seq))
			break;
		WRITE_ONCE(mirror_retries, mirror_retries + 1);
		mutex_unlock(&mirror_mutex);
	}
	mirror_entry[page] = value;
	mutex_unlock(&mirror_mutex);
	return value;
}

int mirror_stale(unsigned int page)
{
	int stale;

	mutex_lock(&mirror_mutex);
	stale = mirror_entry[page] && mirror_entry[page] != READ_ONCE(mirror_table[page]);
	mutex_unlock(&mirror_mutex);
	return stale;
}

void mirror_lock(void)
{
	mutex_lock(&mirror_mutex);
}

void mirror_unlock(void)
{
	mutex_unlock(&mirror_mutex);
}

/* ---- of the whole space ---- */

static int watch_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	(void)mn;
	WARN_ON_ONCE(range->start >= range->end);
	__atomic_add_fetch(&mirror_started, 1, __ATOMIC_RELAXED);
	return 0;
}

static void watch_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	(void)mn;
	(void)range;
	__atomic_add_fetch(&mirror_ended, 1, __ATOMIC_RELAXED);
}

static void watch_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	WARN_ON(mn->mm != mm);
	mirror_released++;
}

static const struct mmu_notifier_ops watch_ops = {
	.invalidate_range_start = watch_start,
	.invalidate_range_end = watch_end,
	.release = watch_release,
};

int mirror_start(struct mm_struct *mm, const unsigned long *table)
{
	int rc;

	mirror_table = table;
	mirror_watch.ops = &watch_ops;
	rc = mmu_notifier_register(&mirror_watch, mm);
	if (rc)
		return rc;
	rc = mmu_interval_notifier_insert(&mirror_notifier, mm, MIRROR_BASE,
					  MIRROR_PAGES * PAGE_SIZE, &mirror_ops);
	if (rc)
		mmu_notifier_unregister(&mirror_watch, mm);
	return rc;
}

void mirror_stop(void)
{
	mmu_interval_notifier_remove(&mirror_notifier);
	mmu_notifier_unregister(&mirror_watch, mirror_watch.mm);
}

static int __init mirror_init(void)
{
	return 0;
}

static void __exit mirror_exit(void)
{
}

module_init(mirror_init);
module_exit(mirror_exit);
MODULE_LICENSE("MIT");
MODULE_DESCRIPTION("a notifier user");
