/* SPDX-License-Identifier: MIT */
/*
 * context.h - what this thread may do now: sections in which it must not block or allocate, and code that says what it does.
 *
 *	nst_nonblock_begin();
 *	callback();			whatever may sleep in it is reported, with where the section began
 *	nst_nonblock_end();
 *
 *	void my_wait(void) { nst_might_sleep(); ... }	said at the entry, so that seldom ways are found
 *
 * All of it is checked while the validator is on (lockdep.h), else a load and a compare; nothing with NST_NO_LOCKDEP.
 * Sections nest. Fork: the child's thread stays in its sections. Signal: legal; a handler is in the sections of the
 * thread it interrupts.
 */
#ifndef NOSTALL_CONTEXT_H
#define NOSTALL_CONTEXT_H

#include <nostall/lockdep.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- sections ---- */

/* What a thread can be inside of. */
enum nst_section {
	NST_SECTION_NONBLOCK, /* nothing that may sleep */
	NST_SECTION_NOALLOC,  /* no request but NST_NOLOCK and NST_FASTTRY */
	NST_SECTION_ALLOW,    /* it is known to be right here: a reason is given */
	NST_SECTION_NOFAULT,  /* no page fault */
	NST_NR_SECTIONS
};

/* What a callback that gives memory back may do: bits of nst_reclaiming_begin(), those of a shrinker. */
enum nst_reclaim_bits {
	NST_RECLAIM_IO = 1 << 0,    /* input and output: no request with NST_NOIO comes to it */
	NST_RECLAIM_CLIENT = 1 << 1 /* takes locks of clients: none with NST_NOCLIENT */
};

/**
 * nst_section_begin_on() - nst_nonblock_begin(), nst_noalloc_begin(), nst_allow_begin() while the validator is on
 * @section: which
 * @reason: for NST_SECTION_ALLOW why; static text
 *
 * Context: any.  Waits: never.  Syscalls: none, or mmap.  Locks: none.
 */
NST_API void nst_section_begin_on(enum nst_section section, const char *reason);

/**
 * nst_section_end_on() - nst_nonblock_end(), nst_noalloc_end(), nst_allow_end() while the validator is on
 * @section: which
 *
 * Context: any.  Waits: short lock.  Syscalls: none, or those of a report.  Locks: none.
 */
NST_API void nst_section_end_on(enum nst_section section);

/**
 * nst_might_sleep_on() - nst_might_sleep() while the validator is on
 *
 * Context: any.  Waits: short lock.  Syscalls: none, or those of a report.  Locks: none.
 */
NST_API void nst_might_sleep_on(void);

/**
 * nst_might_alloc_on() - nst_might_alloc() while the validator is on
 * @mode: as for nst_alloc()
 *
 * Context: any.  Waits: short lock.  Syscalls: none, or those of a report.  Locks: none.
 */
NST_API void nst_might_alloc_on(nst_mode_t mode);

/**
 * nst_cant_sleep_on() - nst_cant_sleep() while the validator is on
 *
 * Context: any.  Waits: short lock.  Syscalls: none, or those of a report.  Locks: none.
 */
NST_API void nst_cant_sleep_on(void);

/**
 * nst_section_assert_on() - nst_assert_section() while the validator is on
 * @section: which; not NST_NR_SECTIONS
 *
 * Context: any.  Waits: short lock.  Syscalls: none, or those of a report.  Locks: none.
 */
NST_API void nst_section_assert_on(enum nst_section section);

/**
 * nst_handler_assert_on() - nst_assert_handler() while the validator is on
 *
 * Context: any.  Waits: short lock.  Syscalls: none, or those of a report.  Locks: none.
 */
NST_API void nst_handler_assert_on(void);

NST_LOCKDEP_INLINE void nst_nonblock_begin(void)
{
	if (NST_LOCKDEP_ON)
		nst_section_begin_on(NST_SECTION_NONBLOCK, NULL);
}

NST_LOCKDEP_INLINE void nst_nonblock_end(void)
{
	if (NST_LOCKDEP_ON)
		nst_section_end_on(NST_SECTION_NONBLOCK);
}

NST_LOCKDEP_INLINE void nst_noalloc_begin(void)
{
	if (NST_LOCKDEP_ON)
		nst_section_begin_on(NST_SECTION_NOALLOC, NULL);
}

NST_LOCKDEP_INLINE void nst_noalloc_end(void)
{
	if (NST_LOCKDEP_ON)
		nst_section_end_on(NST_SECTION_NOALLOC);
}

/* What page faults there were is looked at where it ends; the validator's own do not count. */
NST_LOCKDEP_INLINE void nst_nofault_begin(void)
{
	if (NST_LOCKDEP_ON)
		nst_section_begin_on(NST_SECTION_NOFAULT, NULL);
}

NST_LOCKDEP_INLINE void nst_nofault_end(void)
{
	if (NST_LOCKDEP_ON)
		nst_section_end_on(NST_SECTION_NOFAULT);
}

/* Inside, neither what waits nor what allocates is reported; orders are. @reason: static text, not empty. */
NST_LOCKDEP_INLINE void nst_allow_begin(const char *reason)
{
	if (NST_LOCKDEP_ON)
		nst_section_begin_on(NST_SECTION_ALLOW, reason);
}

NST_LOCKDEP_INLINE void nst_allow_end(void)
{
	if (NST_LOCKDEP_ON)
		nst_section_end_on(NST_SECTION_ALLOW);
}

/*
 * From here on this thread is a real-time one: as in both of these sections, but for what nst_allow_begin() lets be, as the wait
 * for its next period. The option check_realtime says so of threads by their policy or name, as they are first seen.
 */
NST_LOCKDEP_INLINE void nst_realtime_begin(void)
{
	nst_nonblock_begin();
	nst_noalloc_begin();
}

NST_LOCKDEP_INLINE void nst_realtime_end(void)
{
	nst_noalloc_end();
	nst_nonblock_end();
}

/* ---- read sections ---- */

/**
 * nst_rcu_read_assert_on() - nst_rcu_read_assert() while the validator is on
 * @otherwise: not 0: what is read is held otherwise
 *
 * Context: any.  Waits: short lock.  Syscalls: none, or those of a report.  Locks: none.
 */
NST_API void nst_rcu_read_assert_on(int otherwise);

/* This thread is in a read section of ours, or @otherwise is so: a lock held, a section begun by another thread. */
NST_LOCKDEP_INLINE void nst_rcu_read_assert(int otherwise)
{
	if (NST_LOCKDEP_ON)
		nst_rcu_read_assert_on(otherwise);
}

/* nst_rcu_dereference() (rcu.h), and that. */
#define nst_rcu_dereference_check(p, otherwise)                                                    \
	(nst_rcu_read_assert(otherwise), nst_rcu_dereference(p))

/* ---- reclaim ---- */

/**
 * nst_reclaiming_begin_on() - nst_reclaiming_begin() while the validator is on
 * @what: enum nst_reclaim_bits
 *
 * Context: any.  Waits: never.  Syscalls: none, or mmap.  Locks: none.
 */
NST_API void nst_reclaiming_begin_on(uint32_t what);

/**
 * nst_reclaiming_end_on() - nst_reclaiming_end() while the validator is on
 *
 * Context: any.  Waits: short lock.  Syscalls: none, or those of a report.  Locks: none.
 */
NST_API void nst_reclaiming_end_on(void);

/*
 * What follows gives memory back to who asks for it, and asks for none that way: it may sleep, and take locks that nobody
 * holds around a request that would come here. The library says so itself around shrinkers and out-of-memory notifiers. To
 * have a lock of a shrinker known before memory was ever short: begin, nst_might_lock(), end, once.
 */
NST_LOCKDEP_INLINE void nst_reclaiming_begin(uint32_t what)
{
	if (NST_LOCKDEP_ON)
		nst_reclaiming_begin_on(what);
}

NST_LOCKDEP_INLINE void nst_reclaiming_end(void)
{
	if (NST_LOCKDEP_ON)
		nst_reclaiming_end_on();
}

/* ---- handlers and signals ---- */

/* In a set of signals, @signal. */
#define NST_SIGNAL(signal) (1ull << ((signal)-1))

/**
 * nst_handler_installed_on() - nst_handler_installed() while the validator is on
 * @signal: 1 to 64
 *
 * Context: any.  Waits: short lock.  Syscalls: none, or those of a new order and of a report.  Locks: none.
 */
NST_API void nst_handler_installed_on(int signal);

/**
 * nst_handler_enter_on() - nst_handler_enter() while the validator is on
 * @signal: 1 to 64
 *
 * Context: any.  Waits: short lock.  Syscalls: none, or those of a new order and of a report.  Locks: none.
 */
NST_API void nst_handler_enter_on(int signal);

/**
 * nst_handler_exit_on() - nst_handler_exit() while the validator is on
 *
 * Context: any.  Waits: short lock.  Syscalls: none, or those of a report.  Locks: none.
 */
NST_API void nst_handler_exit_on(void);

/**
 * nst_signals_block_on() - nst_signals_block() while the validator is on
 * @set: of NST_SIGNAL()
 *
 * Context: any.  Waits: never.  Syscalls: none, or mmap.  Locks: none.
 * Return: those that were not blocked before.
 */
NST_API uint64_t nst_signals_block_on(uint64_t set);

/**
 * nst_signals_unblock_on() - nst_signals_unblock() while the validator is on
 * @set: of NST_SIGNAL()
 *
 * Context: any.  Waits: short lock.  Syscalls: none, or those of a new order and of a report.  Locks: none.
 */
NST_API void nst_signals_unblock_on(uint64_t set);

/*
 * @signal has a handler from here on: told beside sigaction(). Locks that are taken where it is not blocked must not be
 * waited for in the handler, nor anything that waits for them.
 */
NST_LOCKDEP_INLINE void nst_handler_installed(int signal)
{
	if (NST_LOCKDEP_ON)
		nst_handler_installed_on(signal);
}

/*
 * What follows is done in a handler of @signal: its first line; of a dispatcher's callback, too, that may come at any time.
 * Requests are NST_NOLOCK in it.
 */
NST_LOCKDEP_INLINE void nst_handler_enter(int signal)
{
	if (NST_LOCKDEP_ON)
		nst_handler_enter_on(signal);
}

/* Its last line, on every way out. */
NST_LOCKDEP_INLINE void nst_handler_exit(void)
{
	if (NST_LOCKDEP_ON)
		nst_handler_exit_on();
}

/* This thread has blocked the signals of @set: told after pthread_sigmask(). What is to be unblocked again. */
NST_LOCKDEP_INLINE uint64_t nst_signals_block(uint64_t set)
{
	return NST_LOCKDEP_ON ? nst_signals_block_on(set) : 0;
}

/* It is about to unblock them. */
NST_LOCKDEP_INLINE void nst_signals_unblock(uint64_t set)
{
	if (NST_LOCKDEP_ON)
		nst_signals_unblock_on(set);
}

/* ---- what code does ---- */

/* This may sleep: reported where that is forbidden, whether it sleeps now or not. */
NST_LOCKDEP_INLINE void nst_might_sleep(void)
{
	if (NST_LOCKDEP_ON)
		nst_might_sleep_on();
}

/* It may if @condition is so. */
NST_LOCKDEP_INLINE void nst_might_sleep_if(int condition)
{
	if (NST_LOCKDEP_ON && condition)
		nst_might_sleep_on();
}

/* This must not be able to sleep: a lock that spins is held, a section that must not block is open, or a handler runs. */
NST_LOCKDEP_INLINE void nst_cant_sleep(void)
{
	if (NST_LOCKDEP_ON)
		nst_cant_sleep_on();
}

/* This is only done in a section of that kind, whoever began it. It may have begun before the validator: then it is possible. */
NST_LOCKDEP_INLINE void nst_assert_section(enum nst_section section)
{
	if (NST_LOCKDEP_ON)
		nst_section_assert_on(section);
}

/* This is only done in a handler, or in a callback that is one: behind nst_handler_enter(). */
NST_LOCKDEP_INLINE void nst_assert_handler(void)
{
	if (NST_LOCKDEP_ON)
		nst_handler_assert_on();
}

/* This may make a request with @mode. */
NST_LOCKDEP_INLINE void nst_might_alloc(nst_mode_t mode)
{
	if (NST_LOCKDEP_ON)
		nst_might_alloc_on(mode);
}

#ifdef __cplusplus
}
#endif
#endif
