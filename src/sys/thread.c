/* SPDX-License-Identifier: MIT */
/*
 * thread.c - the background thread, and libc's fork hooks; who this process and thread are.
 *
 * The thread blocks all signals: a program's handlers never run on it. Fork: a child has no such
 * thread; mm starts it anew.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include "sys.h"
#include "syscall.h"

int nst_sys_thread_start(void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;
	sigset_t all, before;
	pthread_t t;
	int err;

	if (nst_test_should_fail(NST_FAIL_THREAD))
		return -11;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, (size_t)256 << 10);
	err = pthread_create(&t, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}

/* Made at the start, so that most destructors of others come after it. */
static pthread_key_t end_key;
static u32 end_key_is_made;
static void (*last)(void);

/* Who holds something has another round: destructors of others may give it back. */
static void at_end(void *unused)
{
	(void)unused;
	if (nst_thread.end == 1 && nst_thread.reserve)
		pthread_setspecific(end_key, &end_key);
	else
		last();
	nst_thread.end = 2;
}

void nst_sys_end_init(void (*fn)(void))
{
	last = fn;
	end_key_is_made = !pthread_key_create(&end_key, at_end);
}

void nst_sys_end_watch(void)
{
	if (nst_thread.end || !end_key_is_made)
		return;
	nst_thread.end = 1;
	pthread_setspecific(end_key, &end_key);
}

void nst_sys_trap_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
	if (pthread_atfork(prepare, parent, child))
		nst_warn("pthread_atfork failed: a fork child may lose free memory");
}

#define KEYS_INLINE 32u /* glibc allocates for those above */

void nst_sys_thread_on_exit(void (*fn)(void *arg), void *arg)
{
	/* state: 0 not asked for yet, 1 somebody is at it, 2 there, 3 not to be had */
	static u32 state, made;
	pthread_key_t key;

	/* Pairs with: nst_store_release() in nst_sys_thread_on_exit(). */
	if (nst_cas_acquire(&state, 0u, 1u)) {
		int ok = pthread_key_create(&key, fn) == 0;

		if (ok && (u32)key >= KEYS_INLINE) {
			pthread_key_delete(key);
			ok = 0;
		}
		made = (u32)key;
		/* Pairs with: nst_load_acquire() in nst_sys_thread_on_exit(). */
		nst_store_release(&state, ok ? 2u : 3u);
	}
	/* Pairs with: nst_store_release() in nst_sys_thread_on_exit(). */
	if (nst_load_acquire(&state) == 2)
		pthread_setspecific((pthread_key_t)made, arg);
}

u32 nst_sys_pid(void)
{
	return (u32)nst_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

const char *nst_sys_program(void)
{
	const char *path = (const char *)getauxval(AT_EXECFN), *base = path;

	for (; path && *path; path++)
		if (*path == '/')
			base = path + 1;
	return base ? base : "";
}

/* The kernel's set of 64 signals, libc's own among them. */
u64 nst_sys_signals_block(void)
{
	u64 all = ~0ull, before = 0;

	nst_syscall(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all, (long)&before, sizeof(all), 0, 0);
	return before;
}

void nst_sys_signals_restore(u64 before)
{
	nst_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, sizeof(before), 0, 0);
}

int nst_sys_is_setuid(void)
{
	return getauxval(AT_SECURE) != 0;
}

size_t nst_sys_page_bytes(void)
{
	return getauxval(AT_PAGESZ);
}

u64 nst_sys_random(void)
{
	u64 v = nst_mix64(nst_ticks() ^ (u64)(uintptr_t)&v);
	const u64 *seed = (const u64 *)getauxval(AT_RANDOM);
	u64 fresh = 0;

	if (nst_syscall(SYS_getrandom, (long)&fresh, sizeof(fresh), 0, 0, 0, 0) == sizeof(fresh))
		return fresh;
	return seed ? nst_mix64(v ^ seed[0]) : v;
}

void nst_sys_usage(struct nst_sys_usage *u)
{
	struct rusage r = {.ru_nvcsw = 0};

	*u = (struct nst_sys_usage){0};
	if (nst_syscall(SYS_getrusage, RUSAGE_THREAD, (long)&r, 0, 0, 0, 0))
		return;
	u->switches = (u64)r.ru_nvcsw;
	u->faults = (u64)(r.ru_minflt + r.ru_majflt);
}

int nst_sys_is_realtime(void)
{
	const long asked = nst_syscall(SYS_sched_getscheduler, 0, 0, 0, 0, 0, 0);
	const long policy = asked < 0 ? SCHED_OTHER : asked & ~SCHED_RESET_ON_FORK;

	return policy != SCHED_OTHER && policy != SCHED_BATCH && policy != SCHED_IDLE;
}
