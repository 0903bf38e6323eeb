/* SPDX-License-Identifier: MIT */
/*
 * console.c - lines to standard error, and the name of a code address, without allocating.
 */
#include <fcntl.h>
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

static const char *hex(const char *s, uintptr_t *out)
{
	uintptr_t v = 0;

	for (;; s++) {
		if (*s >= '0' && *s <= '9')
			v = v * 16 + (uintptr_t)(*s - '0');
		else if (*s >= 'a' && *s <= 'f')
			v = v * 16 + (uintptr_t)(*s - 'a' + 10);
		else
			break;
	}
	*out = v;
	return s;
}

/* "start-end perms offset dev inode   path": 1 if @addr lies in it and @buf is written. */
static int name_from_line(const char *line, uintptr_t addr, char *buf, size_t len)
{
	uintptr_t start, end, offset;
	const char *s = hex(line, &start), *base;
	int fields;

	s = hex(s + 1, &end);
	if (addr < start || addr >= end)
		return 0;
	for (s++; *s && *s != ' '; s++)
		;
	s = hex(s + 1, &offset);
	for (fields = 0; *s && fields < 3; s++)
		fields += *s == ' ' && s[1] != ' ';
	for (base = s; *s; s++)
		if (*s == '/')
			base = s + 1;
	nst_format(buf, len, "%s+0x%lx", *base ? base : "anonymous", addr - start + offset);
	return 1;
}

void nst_sys_code_name(const void *addr, char *buf, size_t len)
{
	/* Set, because an analyser does not see what a system call writes. */
	char text[1024] = "", line[512];
	size_t used = 0;
	long fd, n, i;

	nst_format(buf, len, "%p", addr);
	fd = nst_syscall(SYS_openat, AT_FDCWD, (long)"/proc/self/maps", O_RDONLY | O_CLOEXEC, 0, 0,
			 0);
	if (fd < 0)
		return;
	while ((n = nst_syscall(SYS_read, fd, (long)text, sizeof(text), 0, 0, 0)) > 0) {
		for (i = 0; i < n; i++) {
			if (text[i] != '\n') {
				if (used < sizeof(line) - 1)
					line[used++] = text[i];
				continue;
			}
			line[used] = 0;
			used = 0;
			if (name_from_line(line, (uintptr_t)addr, buf, len))
				goto out_close;
		}
	}
out_close:
	nst_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
}
