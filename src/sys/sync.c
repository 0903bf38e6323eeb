/* SPDX-License-Identifier: MIT */
/*
 * sync.c - waiting for a lock that may be held by somebody who wakes nobody; fences; futex; clock.
 *
 * Fork: membarrier registration survives in the child. Signal: only nst_trylock_raw() and nst_unlock_raw()
 * are legal in a handler.
 */
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <time.h>
#include "sys.h"
#include "syscall.h"

#define SPINS 64
#define NAP_US 100

/* A broken variant that the tests must catch. */
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 2
#define NST_FENCE_DROPPED 1
#else
#define NST_FENCE_DROPPED 0
#endif

struct nst_lock_counters nst_lock_counters[NST_NR_LOCKS];
int nst_sys_membarrier_ok;
int nst_sys_barrier_ok;

__extension__ typedef unsigned __int128 u128;

static u64 start_ticks, start_ns;

u64 nst_sys_now_ns(void)
{
	struct timespec ts = {0, 0};

	nst_syscall(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&ts, 0, 0, 0, 0);
	return nst_test_now((u64)ts.tv_sec * 1000000000u + (u64)ts.tv_nsec);
}

void nst_sys_clock_init(void)
{
	start_ticks = nst_ticks();
	start_ns = nst_sys_now_ns();
}

u64 nst_sys_start_ns(void)
{
	return start_ns;
}

struct nst_sys_ratio nst_sys_tick_ratio(void)
{
	return (struct nst_sys_ratio){nst_sys_now_ns() - start_ns, nst_ticks() - start_ticks};
}

u64 nst_sys_ticks_to_ns(struct nst_sys_ratio r, u64 ticks)
{
	if (!r.ticks)
		return 0;
	return (u64)((u128)ticks * r.ns / r.ticks);
}

void nst_sys_futex_wait(u32 *word, u32 old, u64 us)
{
	struct timespec ts = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};

	nst_syscall(SYS_futex, (long)word, FUTEX_WAIT_PRIVATE, (long)old, (long)&ts, 0, 0);
}

void nst_sys_futex_wake(u32 *word)
{
	if (nst_test_should_fail(NST_FAIL_WAKE))
		return;
	nst_syscall(SYS_futex, (long)word, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}

void nst_sys_futex_wake_all(u32 *word)
{
	if (nst_test_should_fail(NST_FAIL_WAKE))
		return;
	nst_syscall(SYS_futex, (long)word, FUTEX_WAKE_PRIVATE, INT32_MAX, 0, 0, 0);
}

static int spin_for(struct nst_lock *l)
{
	int i;

	for (i = 0; i < SPINS; i++) {
		if (!nst_load_relaxed(&l->owner) &&
		    nst_trylock_raw(l)) /* relaxed: the try acquires */
			return 1;
		nst_cpu_relax();
	}
	return 0;
}

/* The owner's low half: enough for the futex to see a change, and a nap ends by itself. */
static u32 *futex_word(struct nst_lock *l)
{
	return (u32 *)(void *)&l->owner;
}

int nst_lock_wait_us_raw(struct nst_lock *l, unsigned int us)
{
	unsigned int waited = 0;

	if (nst_trylock_raw(l) || spin_for(l))
		return 1;
	nst_add_relaxed(&nst_lock_counters[l->lock_class].waited, 1);
	while (waited < us) {
		uintptr_t owner = nst_load_relaxed(&l->owner);

		if (owner) {
			nst_sys_futex_wait(futex_word(l), (u32)owner, NAP_US);
			waited += NAP_US;
		}
		if (spin_for(l))
			return 1;
	}
	return 0;
}

static void (*let_go)(void);

void nst_lock_on_wait_in_fork(void (*fn)(void))
{
	let_go = fn;
}

void nst_lock_wait_raw(struct nst_lock *l)
{
	if (nst_unlikely(nst_thread.forking))
		let_go();
	/* It would wait for ever. */
	if (nst_lock_is_mine(l))
		nst_corrupt("a request waits for a lock that its own thread holds; allowed in a "
			    "signal handler: modes and entries that wait for nothing");
	while (!nst_lock_wait_us_raw(l, 1000000))
		;
}

static long membarrier(int cmd, unsigned int flags, int cpu)
{
	return nst_syscall(SYS_membarrier, cmd, (long)flags, cpu, 0, 0, 0);
}

void nst_sys_membarrier_init(void)
{
	nst_sys_membarrier_ok =
		membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0) == 0;
	nst_sys_barrier_ok = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

/* Running on a CPU means that what ran there was preempted, and restarts its sequence. */
static int visit(unsigned int cpu)
{
	unsigned long mask[NST_MAX_CPUS / 64] = {0};

	mask[cpu / 64] = 1ul << (cpu % 64);
	return (int)nst_syscall(SYS_sched_setaffinity, 0, sizeof(mask), (long)mask, 0, 0, 0);
}

/* Where membarrier is refused: visit the CPU (all of them if @cpu < 0), and come back. */
static int fence_by_visit(int cpu)
{
	unsigned long before[NST_MAX_CPUS / 64] = {0};
	unsigned int i = cpu < 0 ? 0 : (unsigned int)cpu;
	unsigned int last = cpu < 0 ? nst_sys_cpus.nr - 1 : (unsigned int)cpu;
	int err = 0;

	if (nst_syscall(SYS_sched_getaffinity, 0, sizeof(before), (long)before, 0, 0, 0) < 0)
		return -1;
	for (; i <= last && !err; i++)
		err = visit(i);
	nst_syscall(SYS_sched_setaffinity, 0, sizeof(before), (long)before, 0, 0, 0);
	return err;
}

int nst_sys_fence_process(void)
{
	if (nst_test_should_fail(NST_FAIL_BARRIER))
		return -38;
	if (nst_sys_barrier_ok && membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0)
		return 0;
	return fence_by_visit(-1);
}

int nst_sys_fence_cpu(int cpu)
{
	int one = cpu >= 0 && !nst_sys_rseq.by_cid;

	if (NST_FENCE_DROPPED)
		return 0;
	if (nst_test_should_fail(NST_FAIL_MEMBARRIER))
		return -1;
	if (!nst_sys_rseq.usable)
		return 0;
	if (!nst_sys_membarrier_ok)
		return fence_by_visit(one ? cpu : -1);
	return (int)membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ,
			       one ? MEMBARRIER_CMD_FLAG_CPU : 0, one ? cpu : 0);
}
