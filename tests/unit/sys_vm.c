/* SPDX-License-Identifier: MIT */
/*
 * sys_vm.c - address space: reserved, writable, resident, given back, each as it says.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include "sys/sys.h"
#include "common/check.h"

#define BYTES ((size_t)1 << 20)
#define DATA_BYTES ((size_t)64 << 20)
#define PAGES (BYTES / 4096)

static sigjmp_buf after;

static void fault(int sig)
{
	(void)sig;
	siglongjmp(after, 1);
}

static int writable(volatile char *p)
{
	if (sigsetjmp(after, 1))
		return 0;
	*p = 1;
	return 1;
}

static unsigned int resident(void *p)
{
	unsigned char in_core[PAGES];
	unsigned int n = 0;

	if (mincore(p, BYTES, in_core))
		return 0;
	for (unsigned int i = 0; i < PAGES; i++)
		n += in_core[i] & 1;
	return n;
}

/* Where RLIMIT_DATA counts what is writable. */
static void uncommitted(char *p)
{
	struct rlimit before, data;

	getrlimit(RLIMIT_DATA, &before);
	data = before;
	if (data.rlim_cur == RLIM_INFINITY) {
		nst_sys_uncommit(p, BYTES);
		check(writable(p), "without RLIMIT_DATA it stays writable", "it does not");
	}
	data.rlim_cur = DATA_BYTES;
	setrlimit(RLIMIT_DATA, &data);
	check(nst_sys_reserve_default(4) <= DATA_BYTES, "no more is reserved than RLIMIT_DATA",
	      "%zu bytes", nst_sys_reserve_default(4));
	setrlimit(RLIMIT_DATA, &before);
	nst_sys_uncommit(p, BYTES);
	check(!writable(p), "and what is uncommitted is not writable", "it is");
	check(nst_sys_commit(p, BYTES) == 0 && writable(p), "until it is committed again",
	      "it is not");
}

int main(void)
{
	struct sigaction sa = {.sa_handler = fault, .sa_flags = SA_NODEFER};
	const size_t align = (size_t)2 << 20;
	char *p = nst_sys_reserve(BYTES, align);

	sigaction(SIGSEGV, &sa, NULL);
	check(p && ((uintptr_t)p & (align - 1)) == 0, "reserved, aligned", "%p", (void *)p);
	check(!writable(p), "reserved is not writable", "it is");
	check(nst_sys_commit(p, BYTES) == 0 && resident(p) == 0, "committed is not resident",
	      "%u pages", resident(p));
	check(writable(p + 5 * 4096) && resident(p) >= 1, "committed is writable", "it is not");
	check(nst_sys_populate(p, BYTES) == 0 && resident(p) == PAGES, "populated is resident",
	      "%u of %zu pages", resident(p), PAGES);
	check(p[5 * 4096] == 1, "populating keeps what was written", "it does not");
	check(nst_sys_purge(p, BYTES) == 0 && resident(p) == 0, "purged is not resident",
	      "%u pages", resident(p));
	check(p[5 * 4096] == 0, "purged reads 0", "%d", p[5 * 4096]);
	if (mlock(p, BYTES) == 0) {
		p[5 * 4096] = 1;
		check(nst_sys_purge(p, BYTES) == 0 && p[5 * 4096] == 0,
		      "what the program has locked is purged too", "%d", p[5 * 4096]);
	}
	uncommitted(p);
	check(nst_sys_release(p, BYTES) == 0 && !writable(p), "released is gone", "it is not");

	errno = 77;
	check(!nst_sys_reserve((size_t)1 << 62, 4096) && errno == 77,
	      "too much: NULL, errno untouched", "errno %d", errno);
	check(nst_sys_reserve_default(4) > BYTES, "a default there is", "%zu",
	      nst_sys_reserve_default(4));
	return check_status();
}
