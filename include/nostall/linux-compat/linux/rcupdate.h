/* SPDX-License-Identifier: MIT */
/*
 * rcupdate.h - the kernel's spelling: readers, grace periods, deferred free, of the library's own domain.
 *
 * rcu_read_lock() hands out no token: each thread keeps its own, so that a section ends where it began. The validator
 * takes a section for what it is in the kernel: spinlocks may be taken in it, nothing in it may sleep, and
 * rcu_dereference() outside of one is reported. Deferred free is legal everywhere, and needs no memory and no rcu_head;
 * a field that is named is checked and not used.
 */
#ifndef NST_COMPAT_RCUPDATE_H
#define NST_COMPAT_RCUPDATE_H

#if defined(_URCU_POINTER_H) || defined(_URCU_FLAVOR_H) && defined(rcu_read_lock)
#error "liburcu and linux/rcupdate.h in one file: rcu_read_lock() would be of one, kfree_rcu() of the other"
#endif

#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/nst_section.h>

/* ---- readers ---- */

NST_COMPAT_SHARED __thread unsigned int nst_compat_rcu_held; /* rcu_read_lock(), as often */

NST_COMPAT_SHARED struct nst_lockdep_map rcu_lock_map = {
	.name = "rcu_read_lock", .outer = NST_WAIT_FREE, .inner = NST_WAIT_CONFIG};

NST_COMPAT_INLINE void rcu_read_lock(void)
{
	nst_compat_section_begin();
	nst_compat_rcu_held++;
	/* Nobody is waited for, so no order leads here. */
	nst_lockdep_acquire(&rcu_lock_map, NST_LD_READ | NST_LD_RECURSIVE | NST_LD_TRY);
}

NST_COMPAT_INLINE void rcu_read_unlock(void)
{
	nst_lockdep_release(&rcu_lock_map);
	nst_compat_rcu_held--;
	nst_compat_section_end();
}

NST_COMPAT_INLINE int rcu_read_lock_held(void)
{
	return nst_compat_rcu_held != 0;
}

/* Or a spinlock, or interrupts are off. */
NST_COMPAT_INLINE int rcu_read_lock_any_held(void)
{
	return nst_compat_rcu.depth != 0;
}

/* ---- pointers ---- */

/* Never held: it stands in reports of conditions that do not hold. */
NST_COMPAT_SHARED struct nst_lockdep_map nst_compat_condition =
	NST_LOCKDEP_MAP("what rcu_dereference_protected() names", NULL, NST_WAIT_NONE);

#define NST_COMPAT_RCU_CHECK(condition)                                                            \
	((void)(NST_LOCKDEP_ON && !(condition) ? nst_rcu_read_assert_on(0) : (void)0))

#define rcu_dereference_check(p, condition)                                                        \
	(NST_COMPAT_RCU_CHECK(rcu_read_lock_held() || (condition)), nst_rcu_dereference(p))
#define rcu_dereference(p) rcu_dereference_check(p, 0)
#define rcu_dereference_protected(p, condition)                                                    \
	((void)(NST_LOCKDEP_ON && !(condition) ? nst_assert_held(&nst_compat_condition)            \
					       : (void)0),                                         \
	 __atomic_load_n(&(p), __ATOMIC_RELAXED))
#define rcu_dereference_raw(p) nst_rcu_dereference(p)
#define rcu_access_pointer(p) __atomic_load_n(&(p), __ATOMIC_RELAXED)
#define rcu_assign_pointer(p, v) nst_rcu_assign(p, v)
#define RCU_INIT_POINTER(p, v) __atomic_store_n(&(p), v, __ATOMIC_RELAXED)
#define RCU_POINTER_INITIALIZER(p, v) .p = (v)
#define rcu_replace_pointer(p, v, condition)                                                       \
	({                                                                                         \
		__typeof__(p) nst_before = rcu_dereference_protected(p, condition);                \
		rcu_assign_pointer(p, v);                                                          \
		nst_before;                                                                        \
	})
#define rcu_pointer_handoff(p) (p)

/* ---- grace periods ---- */

/* In a section it would wait for itself: the validator says so, as a section may not sleep. */
NST_COMPAT_INLINE void synchronize_rcu(void)
{
	might_sleep();
	nst_synchronize_rcu();
}

#define synchronize_rcu_expedited() synchronize_rcu()

NST_COMPAT_INLINE unsigned long get_state_synchronize_rcu(void)
{
	return nst_gp_start();
}

#define start_poll_synchronize_rcu() get_state_synchronize_rcu()
#define get_completed_synchronize_rcu() 0ul

NST_COMPAT_INLINE bool poll_state_synchronize_rcu(unsigned long cookie)
{
	return nst_gp_done(cookie) == 1;
}

NST_COMPAT_INLINE void cond_synchronize_rcu(unsigned long cookie)
{
	might_sleep();
	nst_gp_wait(cookie);
}

/* ---- after one ---- */

static inline void nst_compat_rcu_call(struct nst_rcu_head *nst)
{
	struct rcu_head *head = container_of(nst, struct rcu_head, nst);

	head->func(head);
}

/* @func runs on a thread of the library's, and may sleep. */
NST_COMPAT_INLINE void call_rcu(struct rcu_head *head, rcu_callback_t func)
{
	head->func = func;
	nst_rcu_used();
	(nst_call_rcu)(&head->nst, nst_compat_rcu_call, 0);
}

#define call_rcu_hurry(head, func) call_rcu(head, func)
#define init_rcu_head(head) ((void)(head))
#define destroy_rcu_head(head) ((void)(head))

NST_COMPAT_INLINE void nst_compat_kfree_rcu(const void *p)
{
	nst_rcu_used();
	if ((uintptr_t)p > 16) /* ZERO_SIZE_PTR */
		(nst_free_rcu)((void *)(uintptr_t)p);
}

#define NST_COMPAT_THIRD(a, b, c, ...) c
#define NST_COMPAT_KFREE_RCU_1(p) (NST_CALLER, nst_compat_kfree_rcu(p))
#define NST_COMPAT_KFREE_RCU_2(p, field)                                                           \
	((void)_Generic(&(p)->field, struct rcu_head * : 0), NST_COMPAT_KFREE_RCU_1(p))

/* kfree_rcu(p, field), or kfree_rcu(p): any object of this library, from any context; p may be NULL. */
#define kfree_rcu(...)                                                                             \
	NST_COMPAT_THIRD(__VA_ARGS__, NST_COMPAT_KFREE_RCU_2, NST_COMPAT_KFREE_RCU_1, 0)           \
	(__VA_ARGS__)
#define kvfree_rcu(...) kfree_rcu(__VA_ARGS__)
#define kfree_rcu_nolock(...) kfree_rcu(__VA_ARGS__)
/* It never does sleep. That its callers may is checked, since theirs is code that may in the kernel. */
#define kfree_rcu_mightsleep(p) (nst_might_sleep(), NST_COMPAT_KFREE_RCU_1(p))
#define kvfree_rcu_mightsleep(p) kfree_rcu_mightsleep(p)

/* All that was retired and called for before is done. */
NST_COMPAT_INLINE void rcu_barrier(void)
{
	might_sleep();
	nst_rcu_barrier();
}

#define kvfree_rcu_barrier() rcu_barrier()

#endif
