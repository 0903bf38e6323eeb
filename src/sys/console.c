/* SPDX-License-Identifier: MIT */
/*
 * console.c - lines to standard error, without allocating.
 */
#include <stdlib.h>
#include "sys.h"
#include "syscall.h"

int nst_sys_write_all(int fd, const char *text, size_t len)
{
	while (len) {
		long n = nst_syscall(SYS_write, fd, (long)text, (long)len, 0, 0, 0);

		if (n == -4)
			continue;
		if (n <= 0)
			return n ? (int)n : -5;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

void nst_sys_console(const char *line, size_t len, int fatal)
{
	if (fatal || nst_option(NST_OPT_warn))
		nst_sys_write_all(2, line, len);
	if (fatal)
		abort();
}
