/* SPDX-License-Identifier: MIT */
/*
 * limit.c - the limits of a process, for the malloc preload, which takes libc's names for them.
 *
 * Part of libnostall-malloc.so alone.
 */
#include "sys.h"
#include "syscall.h"

int nst_sys_prlimit(int pid, int resource, const void *new, void *old)
{
	return (int)nst_syscall(SYS_prlimit64, pid, resource, (long)new, (long)old, 0, 0);
}
