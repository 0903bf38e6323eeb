/* SPDX-License-Identifier: MIT */
/*
 * again.c - the program executed again, without this library among what is preloaded.
 *
 * Part of libnostall-malloc.so alone (preload/aside.c), and called before anything has started: what
 * libc exports may be a sanitizer's by now, whose runtime has not started either. So nothing is called
 * here but the kernel, not even strlen(), and the compiler is told to put no such call in
 * (src/meson.build).
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/mman.h>
#include <sys/uio.h>
#include "sys.h"
#include "syscall.h"

/* What the kernel lets arguments or environment have is less. */
#define TEXT_MAX ((size_t)8 << 20)
#define STRINGS_MAX (TEXT_MAX / 2)
#define OURS "libnostall-"
#define PRELOAD "LD_PRELOAD="

static size_t length(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

static int begins(const char *s, const char *with)
{
	while (*with && *s == *with) {
		s++;
		with++;
	}
	return !*with;
}

void nst_sys_say_early(const char *const *part, unsigned int nr)
{
	struct iovec v[8];
	unsigned int i;

	for (i = 0; i < nr && i < 8; i++) {
		v[i].iov_base = (void *)(uintptr_t)part[i];
		v[i].iov_len = length(part[i]);
	}
	nst_syscall(SYS_writev, 2, (long)v, (long)i, 0, 0, 0);
}

static size_t read_file(const char *path, char *text, size_t room)
{
	long fd = nst_syscall(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0), n;
	size_t have = 0;

	if (fd < 0)
		return 0;
	while ((n = nst_syscall(SYS_read, fd, (long)(text + have), (long)(room - have), 0, 0, 0)) >
	       0)
		have += (size_t)n;
	nst_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
	return n < 0 || have == room ? 0 : have;
}

unsigned long nst_sys_auxv_early(unsigned long type)
{
	static struct {
		unsigned long type, value;
	} auxv[64];
	static size_t nr;
	size_t i;

	if (!nr)
		nr = read_file("/proc/self/auxv", (char *)auxv, sizeof(auxv)) / sizeof(auxv[0]);
	for (i = 0; i < nr; i++)
		if (auxv[i].type == type)
			return auxv[i].value;
	return 0;
}

/* The strings of a file in /proc as a list that ends with NULL; or NULL. */
static char **strings_of(const char *path)
{
	long text = nst_syscall(SYS_mmap, 0, (long)(TEXT_MAX + STRINGS_MAX * sizeof(char *)),
				PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
				-1, 0);
	size_t have, nr = 0, i;
	char **list;

	if (text < 0 && text > -4096)
		return NULL;
	have = read_file(path, (char *)text, TEXT_MAX);
	list = (char **)(text + (long)TEXT_MAX);
	for (i = 0; i < have && nr < STRINGS_MAX - 1; i += length((char *)text + i) + 1)
		list[nr++] = (char *)text + i;
	return nr ? list : NULL;
}

/* Is the last part of a path of @len bytes one of our libraries? */
static int is_ours(const char *path, size_t len)
{
	size_t name = len;

	while (name && path[name - 1] != '/')
		name--;
	return len - name >= sizeof(OURS) - 1 && begins(path + name, OURS);
}

static size_t entry_length(const char *s)
{
	size_t n = 0;

	while (s[n] && s[n] != ':' && s[n] != ' ')
		n++;
	return n;
}

/* Ours out of "a:b c"; how many that were. */
static unsigned int cut_ours(char *value)
{
	char *out = value;
	unsigned int cut = 0;

	while (*value) {
		size_t len = entry_length(value), i, all = len + (value[len] != 0);

		if (is_ours(value, len)) {
			cut++;
		} else {
			for (i = 0; i < all; i++)
				*out++ = value[i];
		}
		value += all;
	}
	*out = 0;
	return cut;
}

/* Without the variable, if nothing is left in it. */
static unsigned int cut_from(char **env)
{
	unsigned int cut = 0, here;
	char **out = env;

	for (; *env; env++) {
		here = begins(*env, PRELOAD) ? cut_ours(*env + sizeof(PRELOAD) - 1) : 0;
		if (!here || (*env)[sizeof(PRELOAD) - 1])
			*out++ = *env;
		cut += here;
	}
	*out = NULL;
	return cut;
}

int nst_sys_again_prepare(struct nst_sys_again *a)
{
	long n = nst_syscall(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)a->path,
			     sizeof(a->path) - 1, 0, 0);

	a->argv = strings_of("/proc/self/cmdline");
	a->env = strings_of("/proc/self/environ");
	if (n <= 0 || !a->argv || !a->env)
		return -2;
	a->path[n] = 0;
	return cut_from(a->env) ? 0 : -22;
}

void nst_sys_again(const struct nst_sys_again *a)
{
	nst_syscall(SYS_execve, (long)a->path, (long)a->argv, (long)a->env, 0, 0, 0);
	/* Its file was moved since. */
	nst_syscall(SYS_execve, (long)"/proc/self/exe", (long)a->argv, (long)a->env, 0, 0, 0);
}
