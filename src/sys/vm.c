/* SPDX-License-Identifier: MIT */
/*
 * vm.c - reserve, commit, make ready, purge and release address space.
 *
 *	reserved (PROT_NONE) --commit--> writable --populate--> ready --purge--> writable --uncommit--> reserved
 *
 * Fork: ready pages become copy-on-write on both sides; populate makes them ready again.
 */
#define _GNU_SOURCE
#include <linux/mman.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include "sys.h"
#include "syscall.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

/* As far from what is mapped now, and from the lowest addresses. */
#define CLAIM_DISTANCE ((size_t)64 << 30)

static long map(size_t bytes)
{
	return nst_syscall(SYS_mmap, 0, (long)bytes, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

static int failed(long ret)
{
	return ret < 0 && ret > -4096;
}

int nst_sys_release(void *addr, size_t bytes)
{
	if (nst_test_should_fail(NST_FAIL_RELEASE))
		return -12;
	return (int)nst_syscall(SYS_munmap, (long)addr, (long)bytes, 0, 0, 0, 0);
}

void *nst_sys_reserve(size_t bytes, size_t align)
{
	uintptr_t start, base;
	long ret;

	if (nst_test_should_fail(NST_FAIL_RESERVE) || bytes + align < bytes)
		return NULL;
	ret = map(bytes + align);
	if (failed(ret))
		return NULL;
	start = (uintptr_t)ret;
	base = nst_round_up(start, align);
	if (base > start)
		nst_sys_release((void *)start, base - start);
	if (start + align > base)
		nst_sys_release((void *)(base + bytes), start + align - base);
	return (void *)base;
}

int nst_sys_reserve_at(void *addr, size_t bytes)
{
	long ret;

	if (nst_test_should_fail(NST_FAIL_RESERVE))
		return -12;
	ret = nst_syscall(SYS_mmap, (long)addr, (long)bytes, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	if (failed(ret))
		return (int)ret;
	if (ret == (long)addr)
		return 0;
	/* Linux before 4.17 knows no such flag. */
	nst_sys_release((void *)ret, bytes);
	return -17;
}

/* Below what the kernel maps next, and far enough that it does not come there soon. */
void *nst_sys_claim(size_t bytes, size_t align)
{
	long at = map(NST_PAGE_BYTES);

	if (failed(at))
		return NULL;
	nst_sys_release((void *)at, NST_PAGE_BYTES);
	if ((size_t)at < bytes + 2 * CLAIM_DISTANCE)
		return NULL;
	return (void *)nst_round_down((uintptr_t)at - bytes - CLAIM_DISTANCE, align);
}

static long advise(const void *addr, size_t bytes, int advice)
{
	return nst_syscall(SYS_madvise, (long)addr, (long)bytes, advice, 0, 0, 0);
}

int nst_sys_commit(void *addr, size_t bytes)
{
	if (nst_test_should_fail(NST_FAIL_COMMIT))
		return -12;
	return (int)nst_syscall(SYS_mprotect, (long)addr, (long)bytes, PROT_READ | PROT_WRITE, 0, 0,
				0);
}

/* RLIMIT_DATA, when the library started. It counts what is writable, resident or not. */
static u32 data_is_limited;

int nst_sys_data_is_limited(void)
{
	return (int)data_is_limited;
}

void nst_sys_uncommit(void *addr, size_t bytes)
{
	if (data_is_limited)
		nst_syscall(SYS_mprotect, (long)addr, (long)bytes, PROT_NONE, 0, 0, 0);
}

/* Kernels before 5.14 have no MADV_POPULATE_WRITE: touch each page, by a write that changes nothing. */
static void touch(char *addr, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes; i += NST_PAGE_BYTES)
		nst_cas_relaxed(&addr[i], (char)0, (char)0); /* a write, whatever it holds */
}

/* A limit on locked memory costs the lock, not the memory. */
static void lock_pages(void *addr, size_t bytes)
{
	static u32 warned;
	long ret = nst_syscall(SYS_mlock, (long)addr, (long)bytes, 0, 0, 0, 0);

	if (ret && !nst_exchange_relaxed(&warned, 1u)) /* once */
		nst_warn(
			"option lock:on: mlock failed (error %d), memory stays unlocked; allowed: a "
			"larger RLIMIT_MEMLOCK, or lock:off",
			(int)-ret);
}

int nst_sys_populate(void *addr, size_t bytes)
{
	long ret;

	if (nst_test_should_fail(NST_FAIL_POPULATE))
		return -12;
	ret = advise(addr, bytes, MADV_POPULATE_WRITE);
	if (ret == -22) {
		touch(addr, bytes);
		ret = 0;
	}
	if (ret == 0 && nst_option(NST_OPT_lock))
		lock_pages(addr, bytes);
	return (int)ret;
}

int nst_sys_populate_read(const void *addr, size_t bytes)
{
	return (int)advise(addr, bytes, MADV_POPULATE_READ);
}

/*
 * The program has locked it, by mlockall(): that refuses the plain advice. Kernels before 5.18 know no
 * other, so there it is no longer locked afterwards.
 */
static long purge_locked(void *addr, size_t bytes)
{
	long ret = advise(addr, bytes, MADV_DONTNEED_LOCKED);

	if (ret == -22) {
		nst_syscall(SYS_munlock, (long)addr, (long)bytes, 0, 0, 0, 0);
		ret = advise(addr, bytes, MADV_DONTNEED);
	}
	return ret;
}

int nst_sys_purge(void *addr, size_t bytes)
{
	long ret;

	if (nst_test_should_fail(NST_FAIL_PURGE))
		return -12;
	if (nst_option(NST_OPT_lock))
		nst_syscall(SYS_munlock, (long)addr, (long)bytes, 0, 0, 0, 0);
	ret = advise(addr, bytes, MADV_DONTNEED);
	return (int)(ret == -22 ? purge_locked(addr, bytes) : ret);
}

int nst_sys_move(void *from, void *to, size_t bytes)
{
	long at;

	if (nst_test_should_fail(NST_FAIL_MOVE))
		return -14;
	at = nst_syscall(SYS_mremap, (long)from, (long)bytes, (long)bytes,
			 MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, (long)to, 0);

	return at == (long)to ? 0 : -14;
}

int nst_sys_wipe_on_fork(void *addr, size_t bytes)
{
	return (int)advise(addr, bytes, MADV_WIPEONFORK);
}

int nst_sys_bind_node(void *addr, size_t bytes, unsigned int node)
{
	unsigned long mask = 1ul << node;

	return (int)nst_syscall(SYS_mbind, (long)addr, (long)bytes, MPOL_PREFERRED, (long)&mask, 64,
				0);
}

/* SIZE_MAX: there is none. */
static size_t limit_of(int resource)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

	nst_syscall(SYS_prlimit64, 0, resource, 0, (long)&limit, 0, 0);
	return (size_t)limit.rlim_cur;
}

size_t nst_sys_limit_bytes(void)
{
	return limit_of(RLIMIT_AS);
}

/* The map of an arena is writable and 1/1024 of its size: under RLIMIT_DATA it must not be all there is. */
size_t nst_sys_reserve_default(unsigned int ram_multiple)
{
	struct sysinfo info = {0};
	size_t bytes = (size_t)1 << 36, data = limit_of(RLIMIT_DATA);

	data_is_limited = data != SIZE_MAX;
	if (nst_syscall(SYS_sysinfo, (long)&info, 0, 0, 0, 0, 0) == 0)
		bytes = (size_t)info.totalram * info.mem_unit * ram_multiple;
	return nst_min(bytes, data);
}
