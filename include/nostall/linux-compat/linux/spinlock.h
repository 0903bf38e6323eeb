/* SPDX-License-Identifier: MIT */
/*
 * spinlock.h - the kernel's spelling: raw_spinlock_t, spinlock_t, rwlock_t.
 *
 *			waits by				wait type	NST_COMPAT_RT=1
 *	raw_spinlock_t	spinning, then naps			spin		the same
 *	spinlock_t	the same				config		a mutex that inherits priority
 *	rwlock_t	the same				config		readers and writers that sleep
 *
 * Nobody can keep a holder from being preempted here, so who waits spins for a moment, then naps for 50 us and looks
 * again: the unlock is one store and wakes nobody. Whoever has to wait says so first, reader or writer, so that the watchdog
 * knows (LOCK_CONTENDED(), linux/lockdep.h). Who holds one, or reads under one, is a reader of RCU (linux/nst_section.h).
 * The _irq forms block this thread's signals (linux/irqflags.h); with NST_COMPAT_RT only those of raw locks do, as in a
 * real-time kernel. All files of a program say the same of NST_COMPAT_RT.
 */
#ifndef NST_COMPAT_SPINLOCK_H
#define NST_COMPAT_SPINLOCK_H

#include <linux/hardirq.h>
#include <linux/irqflags.h>
#include <linux/lockdep.h>
#include <linux/nst_relax.h>
#include <linux/nst_section.h>

/* ---- waiting ---- */

struct nst_compat_spin {
	unsigned int taken;
};

NST_COMPAT_INLINE int nst_compat_spin_try(struct nst_compat_spin *l)
{
	return !__atomic_load_n(&l->taken, __ATOMIC_RELAXED) &&
	       !__atomic_exchange_n(&l->taken, 1u, __ATOMIC_ACQUIRE);
}

NST_COMPAT_INLINE void nst_compat_spin_wait(struct nst_compat_spin *l)
{
	unsigned int turn;

	for (turn = 0; !nst_compat_spin_try(l); turn++)
		nst_compat_relax(turn);
}

NST_COMPAT_INLINE void nst_compat_spin_done(struct nst_compat_spin *l)
{
	__atomic_store_n(&l->taken, 0u, __ATOMIC_RELEASE);
}

/* Readers are counted in units of 2; 1: a writer has it. A writer that waits lets new readers in after a while, those of handlers at once. */
struct nst_compat_rwspin {
	unsigned int word, writers_waiting;
};

NST_COMPAT_INLINE int nst_compat_rwspin_try_read(struct nst_compat_rwspin *l)
{
	if (!(__atomic_add_fetch(&l->word, 2u, __ATOMIC_ACQUIRE) & 1))
		return 1;
	__atomic_sub_fetch(&l->word, 2u, __ATOMIC_RELAXED);
	return 0;
}

/* Writers that wait go first, for 100 looks and no longer: whoever still has to wait does so for a writer that has it. */
NST_COMPAT_INLINE int nst_compat_rwspin_begin_read(struct nst_compat_rwspin *l)
{
	unsigned int turn;

	for (turn = 0;
	     turn < 100 && in_task() && __atomic_load_n(&l->writers_waiting, __ATOMIC_RELAXED);
	     turn++)
		nst_compat_relax(turn);
	return nst_compat_rwspin_try_read(l);
}

NST_COMPAT_INLINE void nst_compat_rwspin_read(struct nst_compat_rwspin *l)
{
	unsigned int turn;

	for (turn = 0; !nst_compat_rwspin_try_read(l); turn++)
		nst_compat_relax(turn);
}

NST_COMPAT_INLINE void nst_compat_rwspin_read_done(struct nst_compat_rwspin *l)
{
	__atomic_sub_fetch(&l->word, 2u, __ATOMIC_RELEASE);
}

NST_COMPAT_INLINE int nst_compat_rwspin_try_write(struct nst_compat_rwspin *l)
{
	unsigned int none = 0;

	return __atomic_compare_exchange_n(&l->word, &none, 1u, 0, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

NST_COMPAT_INLINE void nst_compat_rwspin_write(struct nst_compat_rwspin *l)
{
	unsigned int turn;

	__atomic_add_fetch(&l->writers_waiting, 1, __ATOMIC_RELAXED);
	for (turn = 0; !nst_compat_rwspin_try_write(l); turn++)
		nst_compat_relax(turn);
	__atomic_sub_fetch(&l->writers_waiting, 1, __ATOMIC_RELAXED);
}

/* Readers may have counted themselves for a moment: they stay. */
NST_COMPAT_INLINE void nst_compat_rwspin_write_done(struct nst_compat_rwspin *l)
{
	__atomic_sub_fetch(&l->word, 1u, __ATOMIC_RELEASE);
}

/* ---- raw_spinlock_t ---- */

typedef struct raw_spinlock {
	struct nst_compat_spin lock;
	struct nst_compat_held held;
	struct nst_lockdep_map dep_map;
} raw_spinlock_t;

#define __RAW_SPIN_LOCK_UNLOCKED(name)                                                             \
	{                                                                                          \
		.dep_map = NST_LOCKDEP_MAP(#name, NULL, NST_WAIT_SPIN)                             \
	}
#define DEFINE_RAW_SPINLOCK(name) raw_spinlock_t name = __RAW_SPIN_LOCK_UNLOCKED(name)
#define raw_spin_lock_init(l)                                                                      \
	do {                                                                                       \
		(l)->lock = (struct nst_compat_spin){0};                                           \
		(l)->held = (struct nst_compat_held){0};                                           \
		NST_COMPAT_MAP_INIT(&(l)->dep_map, #l, NST_WAIT_SPIN);                             \
	} while (0)

NST_COMPAT_INLINE int nst_compat_raw_try(raw_spinlock_t *l)
{
	return nst_compat_spin_try(&l->lock);
}

NST_COMPAT_INLINE void nst_compat_raw_wait(raw_spinlock_t *l)
{
	nst_compat_spin_wait(&l->lock);
}

NST_COMPAT_INLINE void raw_spin_lock_nested(raw_spinlock_t *l, unsigned int subclass)
{
	nst_lockdep_acquire(&l->dep_map, NST_LD_NESTED(subclass));
	LOCK_CONTENDED(l, nst_compat_raw_try, nst_compat_raw_wait);
	nst_compat_held_by(&l->held, NST_COMPAT_SELF);
	nst_compat_section_begin();
}

NST_COMPAT_INLINE void raw_spin_lock(raw_spinlock_t *l)
{
	raw_spin_lock_nested(l, 0);
}

NST_COMPAT_INLINE int raw_spin_trylock(raw_spinlock_t *l)
{
	if (!nst_compat_spin_try(&l->lock))
		return 0;
	nst_lockdep_acquire(&l->dep_map, NST_LD_TRY);
	nst_compat_held_by(&l->held, NST_COMPAT_SELF);
	nst_compat_section_begin();
	return 1;
}

NST_COMPAT_INLINE void raw_spin_unlock(raw_spinlock_t *l)
{
	nst_compat_section_end();
	nst_lockdep_release(&l->dep_map);
	nst_compat_held_by(&l->held, 0);
	nst_compat_spin_done(&l->lock);
}

NST_COMPAT_INLINE int raw_spin_is_locked(const raw_spinlock_t *l)
{
	return READ_ONCE(l->lock.taken) != 0;
}

#define raw_spin_lock_irqsave(l, flags)                                                            \
	do {                                                                                       \
		local_irq_save(flags);                                                             \
		raw_spin_lock(l);                                                                  \
	} while (0)
#define raw_spin_unlock_irqrestore(l, flags)                                                       \
	do {                                                                                       \
		raw_spin_unlock(l);                                                                \
		local_irq_restore(flags);                                                          \
	} while (0)
#define raw_spin_lock_irq(l)                                                                       \
	do {                                                                                       \
		local_irq_disable();                                                               \
		raw_spin_lock(l);                                                                  \
	} while (0)
#define raw_spin_unlock_irq(l)                                                                     \
	do {                                                                                       \
		raw_spin_unlock(l);                                                                \
		local_irq_enable();                                                                \
	} while (0)

/* ---- what spinlock_t and rwlock_t wait by ---- */

#if NST_COMPAT_RT
#include <linux/nst_sleeping.h>
#else
#define nst_compat_config nst_compat_spin
#define nst_compat_config_wait nst_compat_spin_wait
#define nst_compat_config_try nst_compat_spin_try
#define nst_compat_config_done nst_compat_spin_done
#define nst_compat_config_irq_save(flags) local_irq_save(flags)
#define nst_compat_config_irq_restore(flags) local_irq_restore(flags)
#define nst_compat_config_irq_disable() local_irq_disable()
#define nst_compat_config_irq_enable() local_irq_enable()
#define nst_compat_rwconfig nst_compat_rwspin
#define nst_compat_rwconfig_begin_read nst_compat_rwspin_begin_read
#define nst_compat_rwconfig_read nst_compat_rwspin_read
#define nst_compat_rwconfig_try_read nst_compat_rwspin_try_read
#define nst_compat_rwconfig_read_done nst_compat_rwspin_read_done
#define nst_compat_rwconfig_write nst_compat_rwspin_write
#define nst_compat_rwconfig_try_write nst_compat_rwspin_try_write
#define nst_compat_rwconfig_write_done nst_compat_rwspin_write_done
#endif

/* ---- spinlock_t ---- */

typedef struct spinlock {
	struct nst_compat_config lock;
	struct nst_compat_held held;
	struct nst_lockdep_map dep_map;
} spinlock_t;

#define __SPIN_LOCK_UNLOCKED(name)                                                                 \
	{                                                                                          \
		.dep_map = NST_LOCKDEP_MAP(#name, NULL, NST_WAIT_CONFIG)                           \
	}
#define DEFINE_SPINLOCK(name) spinlock_t name = __SPIN_LOCK_UNLOCKED(name)
#define spin_lock_init(l)                                                                          \
	do {                                                                                       \
		__builtin_memset(&(l)->lock, 0, sizeof((l)->lock));                                \
		(l)->held = (struct nst_compat_held){0};                                           \
		NST_COMPAT_MAP_INIT(&(l)->dep_map, #l, NST_WAIT_CONFIG);                           \
	} while (0)

NST_COMPAT_INLINE int nst_compat_spinlock_try(spinlock_t *l)
{
	return nst_compat_config_try(&l->lock);
}

NST_COMPAT_INLINE void nst_compat_spinlock_wait(spinlock_t *l)
{
	nst_compat_config_wait(&l->lock);
}

NST_COMPAT_INLINE void spin_lock_nested(spinlock_t *l, unsigned int subclass)
{
	nst_lockdep_acquire(&l->dep_map, NST_LD_NESTED(subclass));
	LOCK_CONTENDED(l, nst_compat_spinlock_try, nst_compat_spinlock_wait);
	nst_compat_held_by(&l->held, NST_COMPAT_SELF);
	nst_compat_section_begin();
}

NST_COMPAT_INLINE void spin_lock(spinlock_t *l)
{
	spin_lock_nested(l, 0);
}

/* As mutex_lock_nest_lock(). */
#define spin_lock_nest_lock(l, nest) nst_compat_spin_lock_nest(l, &(nest)->dep_map)

NST_COMPAT_INLINE void nst_compat_spin_lock_nest(spinlock_t *l, const struct nst_lockdep_map *nest)
{
	nst_lockdep_acquire_nest(&l->dep_map, 0, nest);
	LOCK_CONTENDED(l, nst_compat_spinlock_try, nst_compat_spinlock_wait);
	nst_compat_held_by(&l->held, NST_COMPAT_SELF);
	nst_compat_section_begin();
}

NST_COMPAT_INLINE int spin_trylock(spinlock_t *l)
{
	if (!nst_compat_config_try(&l->lock))
		return 0;
	nst_lockdep_acquire(&l->dep_map, NST_LD_TRY);
	nst_compat_held_by(&l->held, NST_COMPAT_SELF);
	nst_compat_section_begin();
	return 1;
}

NST_COMPAT_INLINE void spin_unlock(spinlock_t *l)
{
	nst_compat_section_end();
	nst_lockdep_release(&l->dep_map);
	nst_compat_held_by(&l->held, 0);
	nst_compat_config_done(&l->lock);
}

NST_COMPAT_INLINE int spin_is_locked(const spinlock_t *l)
{
	return READ_ONCE(l->held.owner) != 0;
}

#define assert_spin_locked(l) lockdep_assert_held(l)
#define spin_lock_irqsave(l, flags)                                                                \
	do {                                                                                       \
		nst_compat_config_irq_save(flags);                                                 \
		spin_lock(l);                                                                      \
	} while (0)
#define spin_unlock_irqrestore(l, flags)                                                           \
	do {                                                                                       \
		spin_unlock(l);                                                                    \
		nst_compat_config_irq_restore(flags);                                              \
	} while (0)
#define spin_lock_irq(l)                                                                           \
	do {                                                                                       \
		nst_compat_config_irq_disable();                                                   \
		spin_lock(l);                                                                      \
	} while (0)
#define spin_unlock_irq(l)                                                                         \
	do {                                                                                       \
		spin_unlock(l);                                                                    \
		nst_compat_config_irq_enable();                                                    \
	} while (0)

/* ---- rwlock_t ---- */

typedef struct {
	struct nst_compat_rwconfig lock;
	struct nst_compat_held held;
	struct nst_lockdep_map dep_map;
} rwlock_t;

#define __RW_LOCK_UNLOCKED(name)                                                                   \
	{                                                                                          \
		.dep_map = NST_LOCKDEP_MAP(#name, NULL, NST_WAIT_CONFIG)                           \
	}
#define DEFINE_RWLOCK(name) rwlock_t name = __RW_LOCK_UNLOCKED(name)
#define rwlock_init(l)                                                                             \
	do {                                                                                       \
		__builtin_memset(&(l)->lock, 0, sizeof((l)->lock));                                \
		(l)->held = (struct nst_compat_held){0};                                           \
		NST_COMPAT_MAP_INIT(&(l)->dep_map, #l, NST_WAIT_CONFIG);                           \
	} while (0)

NST_COMPAT_INLINE int nst_compat_read_try(rwlock_t *l)
{
	return nst_compat_rwconfig_begin_read(&l->lock);
}

NST_COMPAT_INLINE void nst_compat_read_wait(rwlock_t *l)
{
	nst_compat_rwconfig_read(&l->lock);
}

NST_COMPAT_INLINE int nst_compat_write_try(rwlock_t *l)
{
	return nst_compat_rwconfig_try_write(&l->lock);
}

NST_COMPAT_INLINE void nst_compat_write_wait(rwlock_t *l)
{
	nst_compat_rwconfig_write(&l->lock);
}

/* As in the kernel a reader that reads again can meet a writer in between, which is reported; but not in a handler. */
NST_COMPAT_INLINE void read_lock(rwlock_t *l)
{
	nst_lockdep_acquire(&l->dep_map, !NST_COMPAT_RT && in_interrupt()
						 ? NST_LD_READ | NST_LD_RECURSIVE
						 : NST_LD_READ);
	LOCK_CONTENDED(l, nst_compat_read_try, nst_compat_read_wait);
	__atomic_add_fetch(&l->held.readers, 1, __ATOMIC_RELAXED);
	nst_compat_section_begin();
}

NST_COMPAT_INLINE int read_trylock(rwlock_t *l)
{
	if (!nst_compat_rwconfig_try_read(&l->lock))
		return 0;
	nst_lockdep_acquire(&l->dep_map, NST_LD_READ | NST_LD_TRY);
	__atomic_add_fetch(&l->held.readers, 1, __ATOMIC_RELAXED);
	nst_compat_section_begin();
	return 1;
}

NST_COMPAT_INLINE void read_unlock(rwlock_t *l)
{
	nst_compat_section_end();
	nst_lockdep_release(&l->dep_map);
	__atomic_sub_fetch(&l->held.readers, 1, __ATOMIC_RELAXED);
	nst_compat_rwconfig_read_done(&l->lock);
}

NST_COMPAT_INLINE void write_lock(rwlock_t *l)
{
	nst_lockdep_acquire(&l->dep_map, 0);
	LOCK_CONTENDED(l, nst_compat_write_try, nst_compat_write_wait);
	nst_compat_held_by(&l->held, NST_COMPAT_SELF);
	nst_compat_section_begin();
}

NST_COMPAT_INLINE int write_trylock(rwlock_t *l)
{
	if (!nst_compat_rwconfig_try_write(&l->lock))
		return 0;
	nst_lockdep_acquire(&l->dep_map, NST_LD_TRY);
	nst_compat_held_by(&l->held, NST_COMPAT_SELF);
	nst_compat_section_begin();
	return 1;
}

NST_COMPAT_INLINE void write_unlock(rwlock_t *l)
{
	nst_compat_section_end();
	nst_lockdep_release(&l->dep_map);
	nst_compat_held_by(&l->held, 0);
	nst_compat_rwconfig_write_done(&l->lock);
}

#define read_lock_irqsave(l, flags)                                                                \
	do {                                                                                       \
		nst_compat_config_irq_save(flags);                                                 \
		read_lock(l);                                                                      \
	} while (0)
#define read_unlock_irqrestore(l, flags)                                                           \
	do {                                                                                       \
		read_unlock(l);                                                                    \
		nst_compat_config_irq_restore(flags);                                              \
	} while (0)
#define write_lock_irqsave(l, flags)                                                               \
	do {                                                                                       \
		nst_compat_config_irq_save(flags);                                                 \
		write_lock(l);                                                                     \
	} while (0)
#define write_unlock_irqrestore(l, flags)                                                          \
	do {                                                                                       \
		write_unlock(l);                                                                   \
		nst_compat_config_irq_restore(flags);                                              \
	} while (0)

#endif
