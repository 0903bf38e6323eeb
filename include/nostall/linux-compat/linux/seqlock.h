/* SPDX-License-Identifier: MIT */
/*
 * seqlock.h - the kernel's spelling: readers that look again if a writer came in between.
 *
 * A reader that finds a writer at work waits by naps, since the writer may have been preempted. What is read and
 * written in between is so by READ_ONCE() and WRITE_ONCE().
 */
#ifndef NST_COMPAT_SEQLOCK_H
#define NST_COMPAT_SEQLOCK_H

#include <linux/spinlock.h>

typedef struct seqcount {
	unsigned int sequence; /* odd while a writer is at work */
} seqcount_t;

#define SEQCNT_ZERO(name)                                                                          \
	{                                                                                          \
		0                                                                                  \
	}

NST_COMPAT_INLINE void seqcount_init(seqcount_t *s)
{
	s->sequence = 0;
}

/* Pairs with: write_seqcount_end(). */
NST_COMPAT_INLINE unsigned int read_seqcount_begin(const seqcount_t *s)
{
	unsigned int turn, seq;

	for (turn = 0; (seq = smp_load_acquire(&s->sequence)) & 1; turn++)
		nst_compat_relax(turn);
	return seq;
}

/* Pairs with: write_seqcount_begin(). */
NST_COMPAT_INLINE int read_seqcount_retry(const seqcount_t *s, unsigned int seq)
{
	smp_rmb();
	return unlikely(READ_ONCE(s->sequence) != seq);
}

/* One writer at a time: the caller's lock. */
NST_COMPAT_INLINE void write_seqcount_begin(seqcount_t *s)
{
	WRITE_ONCE(s->sequence, s->sequence + 1);
	smp_wmb();
}

NST_COMPAT_INLINE void write_seqcount_end(seqcount_t *s)
{
	smp_store_release(&s->sequence, s->sequence + 1);
}

typedef struct {
	seqcount_t seqcount;
	spinlock_t lock;
} seqlock_t;

#define __SEQLOCK_UNLOCKED(name)                                                                   \
	{                                                                                          \
		.lock = __SPIN_LOCK_UNLOCKED(name)                                                 \
	}
#define DEFINE_SEQLOCK(name) seqlock_t name = __SEQLOCK_UNLOCKED(name)
#define seqlock_init(s)                                                                            \
	do {                                                                                       \
		seqcount_init(&(s)->seqcount);                                                     \
		spin_lock_init(&(s)->lock);                                                        \
	} while (0)

NST_COMPAT_INLINE unsigned int read_seqbegin(const seqlock_t *s)
{
	return read_seqcount_begin(&s->seqcount);
}

NST_COMPAT_INLINE unsigned int read_seqretry(const seqlock_t *s, unsigned int seq)
{
	return (unsigned int)read_seqcount_retry(&s->seqcount, seq);
}

NST_COMPAT_INLINE void write_seqlock(seqlock_t *s)
{
	spin_lock(&s->lock);
	write_seqcount_begin(&s->seqcount);
}

NST_COMPAT_INLINE void write_sequnlock(seqlock_t *s)
{
	write_seqcount_end(&s->seqcount);
	spin_unlock(&s->lock);
}

#define write_seqlock_irqsave(s, flags)                                                            \
	do {                                                                                       \
		spin_lock_irqsave(&(s)->lock, flags);                                              \
		write_seqcount_begin(&(s)->seqcount);                                              \
	} while (0)
#define write_sequnlock_irqrestore(s, flags)                                                       \
	do {                                                                                       \
		write_seqcount_end(&(s)->seqcount);                                                \
		spin_unlock_irqrestore(&(s)->lock, flags);                                         \
	} while (0)

/* A reader that keeps writers out. */
NST_COMPAT_INLINE void read_seqlock_excl(seqlock_t *s)
{
	spin_lock(&s->lock);
}

NST_COMPAT_INLINE void read_sequnlock_excl(seqlock_t *s)
{
	spin_unlock(&s->lock);
}

#endif
