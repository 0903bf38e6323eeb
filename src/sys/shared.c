/* SPDX-License-Identifier: MIT */
/*
 * shared.c - memory that others may look at: a sealed memfd, or a file in a folder that was asked for.
 *
 *	made, all of its pages -> mapped writable, here alone -> sealed: no other size, no other writer
 *
 * The descriptor stays open: others find the memory through /proc/PID/fd. It is moved up, out of the
 * way of programs that count on the lowest number. A program that closes all of its descriptors
 * closes this one as well and may then own its number: before anything is done to it, it is looked at.
 *
 * Nothing here may end the process: the pages are allocated before they are mapped, so that no touch
 * fails (SIGBUS), and no larger than the program's limit of file sizes (SIGXFSZ).
 *
 * Fork: the mapping is not inherited, the descriptor is. Signal: none of it may be called there.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/memfd.h>
#include <linux/mman.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "sys.h"
#include "syscall.h"

/* The kernel's first table of descriptors has 64; a larger one takes 15 ms where threads share it. */
#define FD_LEAST 60
#define MOST_IMAGES 100u
#define PATH_BYTES 320u

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 16
#endif
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW)

static void close_fd(int fd)
{
	nst_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
}

static int fits_limit(size_t bytes)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

	nst_syscall(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long)&limit, 0, 0);
	return bytes <= limit.rlim_cur;
}

/* Kernels before 6.3 do not know MFD_NOEXEC_SEAL, some later ones insist on it. */
static long memfd_open(const char *name)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	long fd = nst_syscall(SYS_memfd_create, (long)name, flags | MFD_NOEXEC_SEAL, 0, 0, 0, 0);

	if (fd == -22)
		fd = nst_syscall(SYS_memfd_create, (long)name, flags, 0, 0, 0, 0);
	return fd;
}

/* exec keeps the PID: each image of a process has a file of its own. */
static long file_open(char *path, const char *dir, const char *name)
{
	unsigned int image;
	long fd = -17;

	for (image = 0; image < MOST_IMAGES && fd == -17; image++) {
		nst_format(path, PATH_BYTES, "%s/%s.%u.%u", dir, name, nst_sys_pid(), image);
		fd = nst_syscall(SYS_openat, AT_FDCWD, (long)path,
				 O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600, 0, 0);
	}
	return fd;
}

static int move_up(int fd)
{
	long high = nst_syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, FD_LEAST, 0, 0, 0);

	if (high < 0)
		return fd; /* a program with a small limit */
	close_fd(fd);
	return (int)high;
}

static int seal(int fd)
{
	long ret = nst_syscall(SYS_fcntl, fd, F_ADD_SEALS, SEALS | F_SEAL_FUTURE_WRITE, 0, 0, 0);

	if (ret == -22) /* before Linux 5.1 */
		ret = nst_syscall(SYS_fcntl, fd, F_ADD_SEALS, SEALS, 0, 0, 0);
	return (int)ret;
}

/* @s->fd as memory: 0 or -errno. A child that inherited the mapping would write its parent's page. */
static int map(struct nst_sys_shared *s)
{
	long ret = nst_syscall(SYS_fallocate, s->fd, 0, 0, (long)s->bytes, 0, 0);

	if (ret)
		return (int)ret;
	ret = nst_syscall(SYS_mmap, 0, (long)s->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd,
			  0);
	if (ret < 0 && ret > -4096)
		return (int)ret;
	s->addr = (void *)ret;
	ret = nst_syscall(SYS_madvise, (long)s->addr, (long)s->bytes, MADV_DONTFORK, 0, 0, 0);
	if (ret)
		nst_sys_release(s->addr, s->bytes);
	return (int)ret;
}

static long look(int fd, struct nst_sys_shared *s)
{
	struct stat st = {.st_ino = 0}; /* an analyser does not see what a system call writes */
	long ret = nst_syscall(SYS_fstat, fd, (long)&st, 0, 0, 0, 0);

	s->dev = st.st_dev;
	s->ino = st.st_ino;
	return ret;
}

static int finish(struct nst_sys_shared *s, int is_memfd)
{
	int err = is_memfd ? (int)nst_syscall(SYS_fchmod, s->fd, 0600, 0, 0, 0, 0) : 0;

	err = err ? err : map(s);
	if (err)
		return err;
	err = is_memfd ? seal(s->fd) : 0;
	err = err ? err : (int)look(s->fd, s);
	if (err)
		nst_sys_release(s->addr, s->bytes);
	return err;
}

int nst_sys_share(struct nst_sys_shared *s, const char *dir, const char *name, size_t bytes)
{
	struct nst_sys_shared new = {.bytes = bytes};
	char path[PATH_BYTES] = "";
	long fd;
	int err;

	if (!fits_limit(bytes))
		return -27;
	fd = *dir ? file_open(path, dir, name) : memfd_open(name);
	if (fd < 0)
		return (int)fd;
	new.fd = move_up((int)fd);
	err = finish(&new, !*dir);
	if (!err) {
		*s = new;
		return 0;
	}
	close_fd(new.fd);
	if (*dir)
		nst_syscall(SYS_unlinkat, AT_FDCWD, (long)path, 0, 0, 0, 0);
	return err;
}

int nst_sys_shared_is_there(const struct nst_sys_shared *s)
{
	struct nst_sys_shared now;

	return look(s->fd, &now) == 0 && now.dev == s->dev && now.ino == s->ino;
}

void nst_sys_shared_close(const struct nst_sys_shared *s)
{
	if (nst_sys_shared_is_there(s))
		close_fd(s->fd);
}
