/* SPDX-License-Identifier: MIT */
/*
 * peek.c - what reports need and may not be there: another frame of a stack, the file that an address lies in, a file.
 *
 * Nothing here faults, allocates or keeps a descriptor; the kernel copies, and says how much there was. Fork, signal:
 * legal everywhere.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/uio.h>
#include "sys.h"
#include "syscall.h"

size_t nst_sys_peek(const void *addr, void *to, size_t bytes)
{
	struct iovec local = {to, bytes}, remote = {(void *)(uintptr_t)addr, bytes};
	long n = nst_syscall(SYS_process_vm_readv, (long)nst_sys_pid(), (long)&local, 1,
			     (long)&remote, 1, 0);

	return n > 0 ? (size_t)n : 0;
}

/* ---- functions ---- */

/* glibc 2.35, which made it lock-free for unwinders. */
#ifdef DLFO_STRUCT_HAS_EH_DBASE
#pragma weak _dl_find_object

static const char *unwind_tables(uintptr_t pc)
{
	struct dl_find_object o;

	return _dl_find_object && !_dl_find_object((void *)pc, &o) ? o.dlfo_eh_frame : NULL;
}
#else
static const char *unwind_tables(uintptr_t pc)
{
	(void)pc;
	return NULL;
}
#endif

/* The sorted table of .eh_frame_hdr, in the only form that linkers write: (function, its data), 4 bytes each. */
uintptr_t nst_sys_function_start(uintptr_t pc)
{
	static const unsigned char usual[4] = {1, 0x1b, 0x03, 0x3b};
	const char *table = unwind_tables(pc);
	unsigned char head[12] = {0};
	u32 low = 0, high = 0, i;
	int entry = 0;

	if (!table || nst_sys_peek(table, head, sizeof(head)) != sizeof(head))
		return 0;
	for (i = 0; i < sizeof(usual); i++)
		if (head[i] != usual[i])
			return 0;
	__builtin_memcpy(&high, head + 8, sizeof(high));
	while (low < high) {
		const u32 middle = low + (high - low) / 2;

		if (nst_sys_peek(table + 12 + 8ul * middle, &entry, sizeof(entry)) != sizeof(entry))
			return 0;
		if ((uintptr_t)table + (uintptr_t)(intptr_t)entry <= pc)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low ||
	    nst_sys_peek(table + 12 + 8ul * (low - 1), &entry, sizeof(entry)) != sizeof(entry))
		return 0;
	return (uintptr_t)table + (uintptr_t)(intptr_t)entry;
}

/* ---- /proc/self/maps ---- */

const char *nst_sys_hex(const char *s, u64 *out)
{
	u64 v = 0;

	for (;; s++) {
		if (*s >= '0' && *s <= '9')
			v = v * 16 + (u64)(*s - '0');
		else if (*s >= 'a' && *s <= 'f')
			v = v * 16 + (u64)(*s - 'a' + 10);
		else
			break;
	}
	*out = v;
	return s;
}

/* A line: "start-end perms offset dev inode   path". */
struct line {
	u64 start, end, offset;
	const char *perms, *path; /* of no file: "" */
};

static struct line line_of(const char *text)
{
	struct line l;
	const char *s = nst_sys_hex(text, &l.start);
	int fields;

	l.perms = nst_sys_hex(s + 1, &l.end) + 1;
	s = nst_sys_hex(l.perms + 5, &l.offset);
	for (fields = 0; *s && fields < 3; s++)
		fields += *s == ' ' && s[1] != ' ';
	l.path = s;
	return l;
}

/* @fn is called with each, until it returns 1. */
static void each_line(int (*fn)(const struct line *l, void *arg), void *arg)
{
	/* Set, because an analyser does not see what a system call writes. */
	char text[1024] = "", line[512];
	size_t used = 0;
	struct line l;
	long fd, n, i;

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
			l = line_of(line);
			if (fn(&l, arg))
				goto out_close;
		}
	}
out_close:
	nst_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
}

const char *nst_sys_base_name(const char *path)
{
	const char *base = path;

	for (; *path; path++)
		if (*path == '/')
			base = path + 1;
	return base;
}

struct named {
	uintptr_t addr;
	char *buf;
	size_t len;
};

static int name_from_line(const struct line *l, void *arg)
{
	const struct named *n = arg;
	unsigned long long at = n->addr;
	const char *base;

	if (n->addr < l->start || n->addr >= l->end)
		return 0;
	base = nst_sys_base_name(l->path);
	nst_format(n->buf, n->len, "%s+0x%llx", *base ? base : "anonymous",
		   at - l->start + l->offset);
	return 1;
}

void nst_sys_code_name(const void *addr, char *buf, size_t len)
{
	struct named n = {(uintptr_t)addr, buf, len};

	nst_format(buf, len, "%p", addr);
	each_line(name_from_line, &n);
}

/* The end of a path that is too long is worth more than its beginning. */
static void path_into(char *to, const char *path)
{
	size_t len = 0;

	while (path[len])
		len++;
	nst_format(to, NST_MAPPING_PATH, "%s",
		   len < NST_MAPPING_PATH ? path : path + len - (NST_MAPPING_PATH - 1));
}

struct mappings {
	struct nst_sys_mapping *m;
	u32 nr, most;
};

/* What lies behind a file's writable data and has no file is the rest of it. */
static int is_rest_of(const struct nst_sys_mapping *last, u64 start, const char *path)
{
	return last && !last->is_code && last->end == start && !*path;
}

static int mapping_from_line(const struct line *l, void *arg)
{
	struct mappings *all = arg;
	struct nst_sys_mapping *last = all->nr ? &all->m[all->nr - 1] : NULL;

	if (is_rest_of(last, l->start, l->path)) {
		last->end = l->end;
		return 0;
	}
	if (*l->path != '/' || (l->perms[2] != 'x' && l->perms[1] != 'w') || all->nr == all->most)
		return 0;
	last = &all->m[all->nr++];
	last->start = l->start;
	last->end = l->end;
	last->offset = l->offset;
	last->is_code = l->perms[2] == 'x';
	path_into(last->path, l->path);
	return 0;
}

u32 nst_sys_mappings(struct nst_sys_mapping *m, u32 most)
{
	struct mappings all = {m, 0, most};

	each_line(mapping_from_line, &all);
	return all.nr;
}

/* ---- files ---- */

int nst_sys_append(const char *path, const char *text, size_t len)
{
	char name[NST_CHECK_PATH_MAX + 16];
	long fd;
	int err;

	nst_format(name, sizeof(name), "%s.%u", path, nst_sys_pid());
	fd = nst_syscall(SYS_openat, AT_FDCWD, (long)name,
			 O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600, 0, 0);
	if (fd < 0)
		return (int)fd;
	err = nst_sys_write_all((int)fd, text, len);
	nst_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
	return err;
}

long nst_sys_read_file(const char *path, char *text, size_t len)
{
	long fd = nst_syscall(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
	size_t used = 0;
	long n = 0;

	if (fd < 0)
		return fd;
	while (used < len && (n = nst_syscall(SYS_read, fd, (long)(text + used), (long)(len - used),
					      0, 0, 0)) > 0)
		used += (size_t)n;
	nst_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
	if (n < 0)
		return n;
	if (used == len)
		return -27;
	text[used] = 0;
	return (long)used;
}
