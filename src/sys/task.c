/* SPDX-License-Identifier: MIT */
/*
 * task.c - the threads of this process, and what lies in the thread-local block of each: for reports.
 *
 *	/proc/self/task -> tid -> robust list head, as the kernel knows it -> thread pointer -> nst_thread, a copy
 *
 * No thread registers for this, or pays. libc tells the kernel where each thread's list of robust locks begins, which
 * is as far from one thread's pointer as from another's; our block is, too. It is read through /proc/self/mem, where a
 * thread that has gone meanwhile is an error and no fault. What libc did not start, or a libc that tells the kernel
 * nothing (musl), is passed over.
 *
 * Fork: the child has the threads it has. Signal: none of it may be called there.
 */
#include <fcntl.h>
#include "sys.h"
#include "syscall.h"

struct robust_list_head;

/* As the kernel fills it. */
struct entry {
	u64 ino, off;
	u16 bytes;
	u8 type;
	char name[];
};

static long open_read(const char *path, int flags)
{
	return nst_syscall(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC | flags, 0, 0, 0);
}

/* 0: not known. */
static uintptr_t robust_head(u32 tid)
{
	struct robust_list_head *head = NULL;
	size_t bytes = 0;

	if (nst_syscall(SYS_get_robust_list, tid, (long)&head, (long)&bytes, 0, 0, 0))
		return 0;
	return (uintptr_t)head;
}

/* ".", ".." or a number: 0 if it is none. */
static u32 number(const char *s)
{
	u32 n = 0;

	for (; *s >= '0' && *s <= '9'; s++)
		n = n * 10 + (u32)(*s - '0');
	return n;
}

/* A name without what would break a line of key=value. @name is "". */
static void read_name(const char *path, char name[16])
{
	long fd = open_read(path, 0), n;
	size_t i;

	if (fd < 0)
		return;
	n = nst_syscall(SYS_read, fd, (long)name, 15, 0, 0, 0);
	nst_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
	for (i = 0; n > 0 && i < (size_t)n && name[i] != '\n'; i++)
		if (name[i] <= ' ' || name[i] > '~' || name[i] == '\'')
			name[i] = '_';
	name[i] = 0;
}

void nst_sys_thread_name(char name[16])
{
	name[0] = 0;
	read_name("/proc/thread-self/comm", name);
}

static void look_at(u32 tid, long mem, uintptr_t own_head,
		    void (*fn)(struct nst_sys_task *, void *), void *arg)
{
	struct nst_sys_task t = {.tid = tid};
	char path[48];
	uintptr_t head = robust_head(tid), at = (uintptr_t)&nst_thread + (head - own_head);

	if (!head || nst_syscall(SYS_pread64, mem, (long)&t.block, sizeof(t.block), (long)at, 0,
				 0) != sizeof(t.block))
		return;
	nst_format(path, sizeof(path), "/proc/self/task/%u/comm", tid);
	read_name(path, t.name);
	fn(&t, arg);
}

void nst_sys_for_each_task(void (*fn)(struct nst_sys_task *t, void *arg), void *arg)
{
	long dir = open_read("/proc/self/task", O_DIRECTORY), mem = open_read("/proc/self/mem", 0);
	uintptr_t own = robust_head(0);
	u64 text[128];
	long n = 0, at;

	while (own && dir >= 0 && mem >= 0 &&
	       (n = nst_syscall(SYS_getdents64, dir, (long)text, sizeof(text), 0, 0, 0)) > 0) {
		for (at = 0; at < n; at += ((struct entry *)(void *)((char *)text + at))->bytes) {
			u32 tid = number(((struct entry *)(void *)((char *)text + at))->name);

			if (tid)
				look_at(tid, mem, own, fn, arg);
		}
	}
	if (mem >= 0)
		nst_syscall(SYS_close, mem, 0, 0, 0, 0, 0);
	if (dir >= 0)
		nst_syscall(SYS_close, dir, 0, 0, 0, 0, 0);
}
