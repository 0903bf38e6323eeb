/* SPDX-License-Identifier: MIT */
/*
 * cgroup.c - the control group of this process: how much memory it may have, and how much of that is taken.
 *
 *	/proc/self/cgroup	which group, and whether its memory is version 1's or 2's
 *	its folder and those above	a limit each; the one with the least room left is kept open
 *
 * Groups are looked for where they are mounted by convention. A container may see its own group as the root of the
 * mount, or a path that it cannot open: then the root of the mount is taken for it.
 *
 * What is taken is what the kernel could not have back at once: without files' pages, which it drops first.
 *
 * Files are opened once, moved up out of the way, and looked at before they are read: a program may close all of its
 * descriptors and then own their numbers. Fork: the child may read them as well, but for its own statm.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>
#include "sys.h"
#include "syscall.h"

#define FD_LEAST 60 /* as in shared.c */
#define MOST_LEVELS 16u
#define PATH_BYTES 400u
#define TEXT_BYTES 3072u
#define NO_LIMIT ((u64)1 << 60) /* version 1 says it by a large number */

struct names {
	const char *mount, *limit, *used, *file, *more_file;
};
static const struct names names_of[] = {
	[1] = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
	       "total_inactive_file ", "total_active_file "},
	[2] = {"/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file ", "active_file "},
};

static struct {
	struct nst_sys_kept limit, used, stat, statm;
	int version;	       /* 0: not known */
	char own[PATH_BYTES];  /* folder of its group, "" if there is none */
	char kept[PATH_BYTES]; /* of the one whose limit is kept open, "" if none has any */
} group = {.limit = {.fd = -1}, .used = {.fd = -1}, .stat = {.fd = -1}, .statm = {.fd = -1}};

/* ---- files that stay open ---- */

static long look(int fd, struct nst_sys_kept *k)
{
	struct stat st = {.st_ino = 0};
	long ret = nst_syscall(SYS_fstat, fd, (long)&st, 0, 0, 0, 0);

	k->dev = st.st_dev;
	k->ino = st.st_ino;
	k->mode = st.st_mode;
	k->bytes = (u64)st.st_size;
	return ret;
}

int nst_sys_keep(struct nst_sys_kept *k, const char *path, int flags)
{
	long fd = nst_syscall(SYS_openat, AT_FDCWD, (long)path, flags | O_CLOEXEC, 0, 0, 0), high;

	k->fd = -1;
	if (fd < 0)
		return (int)fd;
	high = nst_syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, FD_LEAST, 0, 0, 0);
	if (high >= 0) {
		nst_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
		fd = high;
	}
	k->fd = (int)fd;
	return (int)look(k->fd, k);
}

int nst_sys_kept_is_there(const struct nst_sys_kept *k)
{
	struct nst_sys_kept now;

	return k->fd >= 0 && look(k->fd, &now) == 0 && now.dev == k->dev && now.ino == k->ino;
}

void nst_sys_kept_close(struct nst_sys_kept *k)
{
	if (nst_sys_kept_is_there(k))
		nst_syscall(SYS_close, k->fd, 0, 0, 0, 0, 0);
	k->fd = -1;
}

long nst_sys_kept_read(const struct nst_sys_kept *k, char *buf, size_t len)
{
	long n = -9;

	if (nst_sys_kept_is_there(k))
		n = nst_syscall(SYS_pread64, k->fd, (long)buf, (long)len - 1, 0, 0, 0);
	buf[n < 0 ? 0 : n] = 0;
	return n;
}

/* ---- texts ---- */

static const char *after(const char *text, const char *word)
{
	size_t i;

	for (i = 0; word[i]; i++)
		if (text[i] != word[i])
			return NULL;
	return text + i;
}

/* What follows @word, which begins a line or, with @within, is anywhere in the first. */
static const char *find(const char *text, const char *word)
{
	for (; *text; text++) {
		const char *s = after(text, word);

		if (s)
			return s;
		while (*text && *text != '\n')
			text++;
		if (!*text)
			break;
	}
	return NULL;
}

/* "max", and what is no number: none. */
static u64 number(const char *s)
{
	u64 v = 0;

	if (*s < '0' || *s > '9')
		return NO_LIMIT;
	for (; *s >= '0' && *s <= '9'; s++)
		v = v < NO_LIMIT ? v * 10 + (u64)(*s - '0') : v;
	return nst_min(v, NO_LIMIT);
}

u64 nst_sys_field(const char *text, const char *name)
{
	const char *s = find(text, name);

	return s ? number(s) % NO_LIMIT : 0;
}

/* ---- which group ---- */

static long read_once(const char *path, char *buf, size_t len)
{
	long fd = nst_syscall(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
	long n = fd;

	if (fd >= 0) {
		n = nst_syscall(SYS_read, fd, (long)buf, (long)len - 1, 0, 0, 0);
		nst_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
	}
	buf[n < 0 ? 0 : n] = 0;
	return n;
}

/* "4:memory:/a/b" or "4:cpu,memory:/a/b": the path; NULL: another controller's line. */
static const char *path_of_memory(const char *line)
{
	const char *s;

	while (*line && *line != ':' && *line != '\n')
		line++;
	while (*line == ':' || *line == ',') {
		s = after(line + 1, "memory");
		if (s && (*s == ',' || *s == ':')) {
			while (*s && *s != ':')
				s++;
			return s + 1;
		}
		for (line++; *line && *line != ',' && *line != ':' && *line != '\n';)
			line++;
		if (*line == ':')
			break;
	}
	return NULL;
}

/* The version, and the path in its mount. */
static int find_path(const char *text, char *path, size_t len)
{
	const char *line = text, *s = NULL;
	int version = 1;
	size_t n;

	while (*line && !s) {
		s = path_of_memory(line);
		while (*line && *line++ != '\n')
			;
	}
	if (!s) {
		s = find(text, "0::");
		version = 2;
	}
	if (!s)
		return 0;
	for (n = 0; n + 1 < len && s[n] && s[n] != '\n'; n++)
		path[n] = s[n];
	path[n] = 0;
	if (n == 1)
		path[0] = 0;
	return version;
}

/* Of @dir: its limit, or NO_LIMIT. */
static u64 limit_of(const char *dir)
{
	char path[PATH_BYTES + 40], text[64];

	nst_format(path, sizeof(path), "%s/%s", dir, names_of[group.version].limit);
	return read_once(path, text, sizeof(text)) > 0 ? number(text) : NO_LIMIT;
}

static int exists(const char *dir)
{
	long fd = nst_syscall(SYS_openat, AT_FDCWD, (long)dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC,
			      0, 0, 0);

	if (fd >= 0)
		nst_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
	return fd >= 0;
}

static void find_own(void)
{
	char text[2048], path[PATH_BYTES - 80];

	nst_format(path, sizeof(path), "%s/proc/self/cgroup", NST_TEST_ROOT);
	read_once(path, text, sizeof(text));
	group.version = find_path(text, path, sizeof(path));
	group.own[0] = 0;
	if (!group.version)
		return;
	nst_format(group.own, sizeof(group.own), "%s%s%s", NST_TEST_ROOT,
		   names_of[group.version].mount, path);
	if (!exists(group.own))
		nst_format(group.own, sizeof(group.own), "%s%s", NST_TEST_ROOT,
			   names_of[group.version].mount);
}

/* ---- the limit with the least room ---- */

static void close_limit(void)
{
	nst_sys_kept_close(&group.limit);
	nst_sys_kept_close(&group.used);
	nst_sys_kept_close(&group.stat);
	group.kept[0] = 0;
}

static int keep_limit(const char *dir)
{
	const struct names *n = &names_of[group.version];
	char path[PATH_BYTES + 40];
	int err;

	close_limit();
	nst_format(path, sizeof(path), "%s/%s", dir, n->limit);
	err = nst_sys_keep(&group.limit, path, O_RDONLY);
	nst_format(path, sizeof(path), "%s/%s", dir, n->used);
	err = err ? err : nst_sys_keep(&group.used, path, O_RDONLY);
	nst_format(path, sizeof(path), "%s/memory.stat", dir);
	if (!err)
		nst_sys_keep(&group.stat, path, O_RDONLY); /* without: all that is used is taken */
	nst_format(group.kept, sizeof(group.kept), "%s", dir);
	return err;
}

/* Room in @dir: its limit less what is used. */
static u64 room_of(const char *dir, u64 limit)
{
	char path[PATH_BYTES + 40], text[64];
	u64 used;

	nst_format(path, sizeof(path), "%s/%s", dir, names_of[group.version].used);
	used = read_once(path, text, sizeof(text)) > 0 ? number(text) : 0;
	return limit - nst_min(limit, used);
}

int nst_sys_group_find(void)
{
	size_t least, n;
	char dir[PATH_BYTES], tight[PATH_BYTES] = "";
	u64 room = ~0ull;
	unsigned int level;

	find_own();
	if (!group.version) {
		close_limit();
		return 0;
	}
	nst_format(dir, sizeof(dir), "%s", group.own);
	least = nst_format(NULL, 0, "%s%s", NST_TEST_ROOT, names_of[group.version].mount);
	for (level = 0; level < MOST_LEVELS; level++) {
		u64 limit = limit_of(dir), here = limit < NO_LIMIT ? room_of(dir, limit) : ~0ull;

		if (here < room) {
			room = here;
			nst_format(tight, sizeof(tight), "%s", dir);
		}
		for (n = 0; dir[n]; n++)
			;
		if (n <= least)
			break;
		while (n > least && dir[n - 1] != '/')
			n--;
		dir[n > least ? n - 1 : least] = 0;
	}
	if (!tight[0] || keep_limit(tight))
		close_limit();
	return group.version;
}

const char *nst_sys_group_dir(int limited)
{
	return limited && group.kept[0] ? group.kept : group.own;
}

int nst_sys_group_version(void)
{
	return group.version;
}

/* Anonymous pages of this process: those that are resident and no file's. */
static u64 anonymous_bytes(void)
{
	char text[128];
	const char *s = text;
	u64 value[3] = {0, 0, 0};
	unsigned int i;

	if (nst_sys_kept_read(&group.statm, text, sizeof(text)) <= 0) {
		nst_sys_keep(&group.statm, "/proc/self/statm", O_RDONLY);
		nst_sys_kept_read(&group.statm, text, sizeof(text));
	}
	for (i = 0; i < 3 && *s; i++) {
		value[i] = number(s);
		while (*s && *s != ' ')
			s++;
		s += *s == ' ';
	}
	return (value[1] - nst_min(value[1], value[2])) * NST_PAGE_BYTES;
}

int nst_sys_group_read(struct nst_sys_group *g)
{
	char text[TEXT_BYTES];
	u64 files;

	*g = (struct nst_sys_group){.limit = 0};
	if (!group.kept[0] || nst_sys_kept_read(&group.limit, text, sizeof(text)) <= 0)
		return -2;
	g->limit = number(text);
	if (g->limit == NO_LIMIT || nst_sys_kept_read(&group.used, text, sizeof(text)) <= 0)
		return -2;
	g->used = number(text);
	nst_sys_kept_read(&group.stat, text, sizeof(text));
	files = nst_sys_field(text, names_of[group.version].file) +
		nst_sys_field(text, names_of[group.version].more_file);
	g->used -= nst_min(g->used, files);
	g->anonymous = anonymous_bytes();
	return 0;
}

/* That of the parent is not this process's. */
void nst_sys_group_after_fork(void)
{
	nst_sys_kept_close(&group.statm);
}
