/* SPDX-License-Identifier: MIT */
/*
 * mmu_notifier.h - the kernel's spelling: who is told of changes of a mapping (nostall/notify.h).
 *
 * Two kinds, as in the kernel: a notifier of a whole address space, and one of a range with a sequence, whose owner asks
 * after his own work whether a change came in between. Where a callback may not block the validator is in a section
 * that must not; in both, it holds mmu_notifier_invalidate_range_start, which every GFP_KERNEL request could take: a
 * lock that is taken in a callback and around such a request is found.
 *
 * There is no struct mm_struct to look into: its address names an address space, NULL this process's.
 */
#ifndef NST_COMPAT_MMU_NOTIFIER_H
#define NST_COMPAT_MMU_NOTIFIER_H

#include <linux/slab.h>
#include <linux/spinlock.h>
#include <nostall/notify.h>

struct mm_struct {
	unsigned long nothing;
};

/* Said by who changes; callbacks do not hear of it. */
enum mmu_notifier_event {
	MMU_NOTIFY_UNMAP,
	MMU_NOTIFY_CLEAR,
	MMU_NOTIFY_PROTECTION_VMA,
	MMU_NOTIFY_PROTECTION_PAGE
};

#define MMU_NOTIFIER_RANGE_BLOCKABLE NST_NOTIFY_BLOCKABLE

struct mmu_notifier_range {
	struct mm_struct *mm;
	unsigned long start, end;
	unsigned int flags;
	int begun;
	struct nst_notify_range nst;
};

struct mmu_notifier;

struct mmu_notifier_ops {
	/* The space goes, or the notifier does. */
	void (*release)(struct mmu_notifier *mn, struct mm_struct *mm);
	/* 0; where the range is not blockable, -EAGAIN. */
	int (*invalidate_range_start)(struct mmu_notifier *mn,
				      const struct mmu_notifier_range *range);
	void (*invalidate_range_end)(struct mmu_notifier *mn,
				     const struct mmu_notifier_range *range);
	/* Never waits; a signal handler may be where it is called. */
	void (*arch_invalidate_secondary_tlbs)(struct mmu_notifier *mn, struct mm_struct *mm,
					       unsigned long start, unsigned long end);
};

struct mmu_notifier {
	const struct mmu_notifier_ops *ops;
	struct mm_struct *mm;
	struct nst_notifier *nst;
};

static inline bool mmu_notifier_range_blockable(const struct mmu_notifier_range *range)
{
	return range->flags & MMU_NOTIFIER_RANGE_BLOCKABLE;
}

static inline struct mmu_notifier_range nst_compat_range(const struct nst_notify_range *r)
{
	return (struct mmu_notifier_range){.mm = (struct mm_struct *)(uintptr_t)r->space,
					   .start = r->start,
					   .end = r->start + r->length,
					   .flags = r->flags};
}

/* A callback begins: what the validator is told, and its end. */
static inline void nst_compat_notified(int blockable)
{
	if (!blockable)
		non_block_start();
	nst_lockdep_acquire(&nst_compat_notifiers, NST_LD_READ | NST_LD_RECURSIVE);
}

static inline void nst_compat_notified_end(int blockable)
{
	nst_lockdep_release(&nst_compat_notifiers);
	if (!blockable)
		non_block_end();
}

static inline int nst_compat_mn_begin(void *arg, const struct nst_notify_range *r)
{
	const struct mmu_notifier_range range = nst_compat_range(r);
	struct mmu_notifier *mn = arg;
	int rc = 0;

	if (!mn->ops->invalidate_range_start)
		return 0;
	nst_compat_notified(mmu_notifier_range_blockable(&range));
	rc = mn->ops->invalidate_range_start(mn, &range);
	nst_compat_notified_end(mmu_notifier_range_blockable(&range));
	return rc;
}

static inline void nst_compat_mn_end(void *arg, const struct nst_notify_range *r)
{
	const struct mmu_notifier_range range = nst_compat_range(r);
	struct mmu_notifier *mn = arg;

	if (!mn->ops->invalidate_range_end)
		return;
	nst_compat_notified(mmu_notifier_range_blockable(&range));
	mn->ops->invalidate_range_end(mn, &range);
	nst_compat_notified_end(mmu_notifier_range_blockable(&range));
}

static inline void nst_compat_mn_invalidate(void *arg, const struct nst_notify_range *r)
{
	struct mmu_notifier *mn = arg;

	if (mn->ops->arch_invalidate_secondary_tlbs)
		mn->ops->arch_invalidate_secondary_tlbs(mn, (struct mm_struct *)(uintptr_t)r->space,
							r->start, r->start + r->length);
}

/* 0; -ENOMEM: there are NST_NR_NOTIFIERS. */
static inline int mmu_notifier_register(struct mmu_notifier *mn, struct mm_struct *mm)
{
	static const struct nst_notifier_ops ops = {
		.begin = nst_compat_mn_begin,
		.end = nst_compat_mn_end,
		.invalidate = nst_compat_mn_invalidate,
	};

	might_sleep();
	mn->mm = mm;
	mn->nst = nst_notifier_register(mm, 0, SIZE_MAX, &ops, 0, mn);
	return mn->nst ? 0 : -ENOMEM;
}

/* None of its functions runs any more when it returns, but for release, which it calls. */
static inline void mmu_notifier_unregister(struct mmu_notifier *mn, struct mm_struct *mm)
{
	might_sleep();
	if (WARN_ON(nst_notifier_unregister(mn->nst)))
		return;
	if (mn->ops->release)
		mn->ops->release(mn, mm);
}

/* ---- who changes ---- */

static inline void mmu_notifier_range_init(struct mmu_notifier_range *range,
					   enum mmu_notifier_event event, unsigned int flags,
					   struct mm_struct *mm, unsigned long start,
					   unsigned long end)
{
	(void)event;
	(void)flags;
	*range = (struct mmu_notifier_range){.mm = mm, .start = start, .end = end};
}

static inline int nst_compat_change(struct mmu_notifier_range *range, unsigned int flags)
{
	int rc;

	range->flags = flags;
	rc = nst_notify_begin(&range->nst, range->mm, range->start, range->end - range->start,
			      flags);
	range->begun = !rc;
	return rc;
}

/* In a scope that excludes a notifier it does not begin, and that is said. */
static inline void mmu_notifier_invalidate_range_start(struct mmu_notifier_range *range)
{
	might_sleep();
	WARN_ON(nst_compat_change(range, MMU_NOTIFIER_RANGE_BLOCKABLE));
}

/* 0; -EAGAIN: nothing is changed, and no end is to be called. */
static inline int mmu_notifier_invalidate_range_start_nonblock(struct mmu_notifier_range *range)
{
	return nst_compat_change(range, 0);
}

static inline void mmu_notifier_invalidate_range_end(struct mmu_notifier_range *range)
{
	if (range->begun)
		nst_notify_end(&range->nst);
	range->begun = 0;
}

static inline void mmu_notifier_arch_invalidate_secondary_tlbs(struct mm_struct *mm,
							       unsigned long start,
							       unsigned long end)
{
	nst_notify_invalidate(mm, start, end - start);
}

/* ---- of a range, with a sequence ---- */

struct mmu_interval_notifier;

struct mmu_interval_notifier_ops {
	/* Under the lock that its owner also asks mmu_interval_read_retry() under: mmu_interval_set_seq(). */
	bool (*invalidate)(struct mmu_interval_notifier *mni,
			   const struct mmu_notifier_range *range, unsigned long seq);
};

struct mmu_interval_notifier {
	const struct mmu_interval_notifier_ops *ops;
	struct mm_struct *mm;
	unsigned long invalidate_seq; /* of the last change */
	unsigned long next_seq;	      /* odd */
	unsigned int changing;	      /* changes that have begun and not ended */
	struct nst_notifier *nst;
};

static inline void mmu_interval_set_seq(struct mmu_interval_notifier *mni, unsigned long seq)
{
	WRITE_ONCE(mni->invalidate_seq, seq);
}

/* Pairs with: mmu_interval_read_begin(), which sees the change before what it invalidates. */
static inline int nst_compat_mni_begin(void *arg, const struct nst_notify_range *r)
{
	const struct mmu_notifier_range range = nst_compat_range(r);
	struct mmu_interval_notifier *mni = arg;
	unsigned long seq;
	bool done;

	__atomic_add_fetch(&mni->changing, 1, __ATOMIC_SEQ_CST);
	seq = __atomic_add_fetch(&mni->next_seq, 2, __ATOMIC_SEQ_CST);
	nst_compat_notified(mmu_notifier_range_blockable(&range));
	done = mni->ops->invalidate(mni, &range, seq);
	nst_compat_notified_end(mmu_notifier_range_blockable(&range));
	if (done)
		return 0;
	__atomic_sub_fetch(&mni->changing, 1, __ATOMIC_RELEASE);
	return -EAGAIN;
}

static inline void nst_compat_mni_end(void *arg, const struct nst_notify_range *r)
{
	struct mmu_interval_notifier *mni = arg;

	(void)r;
	__atomic_sub_fetch(&mni->changing, 1, __ATOMIC_RELEASE);
}

static inline int mmu_interval_notifier_insert(struct mmu_interval_notifier *mni,
					       struct mm_struct *mm, unsigned long start,
					       unsigned long length,
					       const struct mmu_interval_notifier_ops *ops)
{
	static const struct nst_notifier_ops nst_ops = {
		.begin = nst_compat_mni_begin,
		.end = nst_compat_mni_end,
	};

	might_sleep();
	*mni = (struct mmu_interval_notifier){.ops = ops, .mm = mm, .next_seq = 1};
	if (!length || start + length < start)
		return -EOVERFLOW;
	mni->nst = nst_notifier_register(mm, start, length, &nst_ops, 0, mni);
	return mni->nst ? 0 : -ENOMEM;
}

static inline void mmu_interval_notifier_remove(struct mmu_interval_notifier *mni)
{
	might_sleep();
	WARN_ON(nst_notifier_unregister(mni->nst));
}

/* Waits until no change is under way. */
static inline unsigned long mmu_interval_read_begin(struct mmu_interval_notifier *mni)
{
	unsigned long seq;
	unsigned int turn;

	might_sleep();
	for (turn = 0;; turn++) {
		seq = smp_load_acquire(&mni->invalidate_seq);
		if (!__atomic_load_n(&mni->changing, __ATOMIC_SEQ_CST))
			return seq;
		nst_compat_relax(turn);
	}
}

/* Under the owner's lock: 1, a change came in between. */
static inline bool mmu_interval_read_retry(struct mmu_interval_notifier *mni, unsigned long seq)
{
	return READ_ONCE(mni->invalidate_seq) != seq;
}

#define mmu_interval_check_retry(mni, seq) mmu_interval_read_retry(mni, seq)

#endif
