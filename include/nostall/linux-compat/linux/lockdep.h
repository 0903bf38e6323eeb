/* SPDX-License-Identifier: MIT */
/*
 * lockdep.h - the kernel's spelling of the validator's annotations (nostall/lockdep.h).
 *
 * Every lock of these headers has a dep_map, and knows who holds it, so that lockdep_is_held() is right with the
 * validator off, too: of locks with readers it says so if anybody reads.
 */
#ifndef NST_COMPAT_LOCKDEP_H
#define NST_COMPAT_LOCKDEP_H

#include <pthread.h>
#include <linux/bug.h>

#define lockdep_map nst_lockdep_map

struct lock_class_key {
	struct nst_lockdep_key nst;
};

enum lockdep_wait_type {
	LD_WAIT_INV = NST_WAIT_NONE,
	LD_WAIT_FREE = NST_WAIT_FREE,
	LD_WAIT_SPIN = NST_WAIT_SPIN,
	LD_WAIT_CONFIG = NST_WAIT_CONFIG,
	LD_WAIT_SLEEP = NST_WAIT_SLEEP,
	LD_WAIT_MAX
};

#define MAX_LOCKDEP_SUBCLASSES NST_LD_SUBCLASSES
#define SINGLE_DEPTH_NESTING 1

/* ---- who holds a lock ---- */

struct nst_compat_held {
	uintptr_t owner;      /* 0: nobody, or readers */
	unsigned int readers; /* 0 where there are none */
};

NST_COMPAT_INLINE void nst_compat_held_by(struct nst_compat_held *h, uintptr_t owner)
{
	__atomic_store_n(&h->owner, owner, __ATOMIC_RELAXED);
}

#define NST_COMPAT_SELF ((uintptr_t)pthread_self())

NST_COMPAT_INLINE bool nst_compat_is_held(const struct nst_compat_held *h)
{
	return __atomic_load_n(&h->owner, __ATOMIC_RELAXED) == NST_COMPAT_SELF ||
	       __atomic_load_n(&h->readers, __ATOMIC_RELAXED) != 0;
}

#define lockdep_is_held(lock) nst_compat_is_held(&(lock)->held)

/* ---- assertions ---- */

#define lockdep_assert(condition) ((void)WARN_ON(!(condition)))
#define lockdep_assert_once(condition) ((void)WARN_ON_ONCE(!(condition)))
#define lockdep_assert_held(lock) nst_assert_held(&(lock)->dep_map)
#define lockdep_assert_not_held(lock) nst_assert_not_held(&(lock)->dep_map)
#define lockdep_assert_held_write(lock) nst_assert_held_write(&(lock)->dep_map)
#define lockdep_assert_held_read(lock) nst_assert_held_read(&(lock)->dep_map)
#define lockdep_assert_none_held_once() nst_assert_none_held()
#define might_lock(lock) nst_might_lock(&(lock)->dep_map)
#define might_lock_read(lock) nst_might_lock_read(&(lock)->dep_map)

struct pin_cookie {
	unsigned int value;
};

NST_COMPAT_INLINE struct pin_cookie nst_compat_pin(const struct nst_lockdep_map *map)
{
	nst_lockdep_pin(map);
	return (struct pin_cookie){1};
}

#define lockdep_pin_lock(lock) nst_compat_pin(&(lock)->dep_map)
#define lockdep_unpin_lock(lock, cookie) ((void)(cookie), nst_lockdep_unpin(&(lock)->dep_map))

/* ---- classes ---- */

#define lockdep_set_class(lock, key) lockdep_set_class_and_name(lock, key, #key)
#define lockdep_set_class_and_name(lock, key, name)                                                \
	nst_lockdep_set_class(&(lock)->dep_map, name, &(key)->nst, 0)
#define lockdep_set_class_and_subclass(lock, key, sub)                                             \
	nst_lockdep_set_class(&(lock)->dep_map, #key, &(key)->nst, sub)
#define lockdep_set_subclass(lock, sub)                                                            \
	nst_lockdep_set_class(&(lock)->dep_map, NULL, (lock)->dep_map.key, sub)
/* A class is its address: nothing is to be said of one that comes or goes. */
#define lockdep_register_key(key) ((void)(key))
#define lockdep_unregister_key(key) ((void)(key))

/* ---- maps without a lock ---- */

#define STATIC_LOCKDEP_MAP_INIT(name_, key_) NST_LOCKDEP_MAP(name_, key_, NST_WAIT_NONE)
#define lockdep_init_map(map, name, key_, subclass)                                                \
	lockdep_init_map_wait(map, name, key_, subclass, LD_WAIT_INV)
#define lockdep_init_map_wait(map, name, key_, sub, inner)                                         \
	lockdep_init_map_waits(map, name, key_, sub, inner, LD_WAIT_INV)
/* @outer_type LD_WAIT_INV: as @inner_type. */
#define lockdep_init_map_waits(map, name, key_, sub, inner_type, outer_type)                       \
	nst_compat_map_init(map, name, &(key_)->nst, sub, inner_type, outer_type)

NST_COMPAT_INLINE void nst_compat_map_init(struct nst_lockdep_map *map, const char *name,
					   const struct nst_lockdep_key *key, unsigned int subclass,
					   unsigned int inner, unsigned int outer)
{
	nst_lockdep_map_init(map, name, key, (enum nst_wait_type)(outer ? outer : inner),
			     (enum nst_wait_type)inner);
	map->subclass = (uint8_t)(subclass % NST_LD_SUBCLASSES);
}

/* Held (lock_map_acquire_try()), what is waited for below is judged by @inner_ alone. */
#define DEFINE_WAIT_OVERRIDE_MAP(name_, inner_)                                                    \
	struct nst_lockdep_map name_ = {                                                           \
		.name = #name_, .outer = NST_WAIT_FREE, .inner = inner_, .flags = NST_LD_OVERRIDE}

#define lock_map_acquire(map) nst_lockdep_acquire(map, 0)
#define lock_map_acquire_try(map) nst_lockdep_acquire(map, NST_LD_TRY)
#define lock_map_acquire_read(map) nst_lockdep_acquire(map, NST_LD_READ | NST_LD_RECURSIVE)
#define lock_map_acquire_tryread(map)                                                              \
	nst_lockdep_acquire(map, NST_LD_READ | NST_LD_RECURSIVE | NST_LD_TRY)
#define lock_map_release(map) nst_lockdep_release(map)

/* @read: 1 a reader, 2 one that no waiting writer holds up. @nest: is held around it. @check 0 is not there: every order counts. */
NST_COMPAT_INLINE void lock_acquire(struct nst_lockdep_map *map, unsigned int subclass, int try,
				    int read, int check, const struct nst_lockdep_map *nest,
				    unsigned long ip)
{
	const uint32_t how = NST_LD_NESTED(subclass) | (try ? NST_LD_TRY : 0u) |
			     (read ? NST_LD_READ : 0u) | (read == 2 ? NST_LD_RECURSIVE : 0u);

	(void)check;
	(void)ip;
	if (nest)
		nst_lockdep_acquire_nest(map, how, nest);
	else
		nst_lockdep_acquire(map, how);
}

NST_COMPAT_INLINE void lock_release(struct nst_lockdep_map *map, unsigned long ip)
{
	(void)ip;
	nst_lockdep_release(map);
}

NST_COMPAT_INLINE void lock_contended(struct nst_lockdep_map *map, unsigned long ip)
{
	(void)ip;
	nst_lockdep_contended(map);
}

NST_COMPAT_INLINE void lock_acquired(struct nst_lockdep_map *map, unsigned long ip)
{
	(void)ip;
	nst_lockdep_acquired(map);
}

/* @try and @lock are called with @_lock. */
#define LOCK_CONTENDED(_lock, try, lock)                                                           \
	do {                                                                                       \
		if (!try(_lock)) {                                                                 \
			nst_lockdep_contended(&(_lock)->dep_map);                                  \
			lock(_lock);                                                               \
			nst_lockdep_acquired(&(_lock)->dep_map);                                   \
		}                                                                                  \
	} while (0)

/* For an initialiser of a lock: a class of each place where it stands. */
#define NST_COMPAT_MAP_INIT(map, name, type)                                                       \
	do {                                                                                       \
		static struct nst_lockdep_key nst_key;                                             \
		nst_lockdep_map_init(map, name, &nst_key, type, type);                             \
	} while (0)

#endif
