/* SPDX-License-Identifier: MIT */
/*
 * limit.c - libc's names for setting a limit: one on address space (RLIMIT_AS) is of use only if what the
 * library has reserved and does not use goes back.
 *
 * Without that a program that limits itself could map nothing more, and malloc() would know no limit.
 */
#define _GNU_SOURCE
#undef _FILE_OFFSET_BITS /* it makes one name of two */
#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>
#include "../sys/sys.h"
#define NST_NO_MACROS
#include <nostall/nostall.h>
#include "names.h"

nst_static_assert(sizeof(struct rlimit) == sizeof(struct rlimit64), "one form serves both names");

static int set(pid_t pid, int resource, const void *new, void *old)
{
	int before = errno, err = nst_sys_prlimit(pid, resource, new, old);

	if (err) {
		errno = -err;
		return -1;
	}
	if (new &&resource == RLIMIT_AS && (!pid || pid == getpid()) &&
	    nst_mode_may_wait(NST_NORMAL))
		nst_span_fit();
	errno = before;
	return 0;
}

EXPORT int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
	return set(0, (int)resource, limit, NULL);
}

EXPORT int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *limit)
{
	return set(0, (int)resource, limit, NULL);
}

EXPORT int prlimit(pid_t pid, enum __rlimit_resource resource, const struct rlimit *new,
		   struct rlimit *old)
{
	return set(pid, (int)resource, new, old);
}

EXPORT int prlimit64(pid_t pid, enum __rlimit_resource resource, const struct rlimit64 *new,
		     struct rlimit64 *old)
{
	return set(pid, (int)resource, new, old);
}
