/* SPDX-License-Identifier: MIT */
/*
 * eventfd.c - a descriptor that tells who polls that something happened.
 */
#include <sys/eventfd.h>
#include "syscall.h"
#include "sys.h"

int nst_sys_eventfd(void)
{
	return (int)nst_syscall(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK, 0, 0, 0, 0);
}

/* Full, or closed by the program: nobody is told. */
void nst_sys_eventfd_add(int fd)
{
	u64 one = 1;

	nst_syscall(SYS_write, fd, (long)&one, sizeof(one), 0, 0, 0);
}

void nst_sys_eventfd_close(int fd)
{
	nst_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
}
