// SPDX-License-Identifier: MIT
/*
 * page.c - from a process to its statistics page: /proc/PID/fd, the link that bears its name.
 */
#define _GNU_SOURCE
#include "page.h"
#include "tool.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 100      /* of a page that is being written, a millisecond apart */
#define START_TRIES 10 /* of a process that has just started, 100 ms apart */

__attribute__((format(printf, 3, 4))) static int refuse(struct why *why, int code,
							const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why->text, sizeof(why->text), format, args);
	va_end(args);
	return code;
}

/* ---- what /proc says of a process ---- */

static FILE *proc_open(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return fopen(path, "re");
}

void page_comm(pid_t pid, char *comm, size_t len)
{
	FILE *file = proc_open(pid, "comm");

	comm[0] = '\0';
	if (!file)
		return;
	if (!fgets(comm, (int)len, file))
		comm[0] = '\0';
	fclose(file);
	comm[strcspn(comm, "\n")] = '\0';
	for (char *c = comm; *c; c++)
		if (!isprint((unsigned char)*c))
			*c = '?';
}

/* The last number of "NSpid: 4711 12" is the PID inside the process's own namespace. */
static uint64_t pid_inside(pid_t pid)
{
	FILE *file = proc_open(pid, "status");
	uint64_t inside = (uint64_t)pid;
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		char *last = strrchr(line, '\t');

		if (!strncmp(line, "NSpid:", 6) && last)
			inside = strtoull(last + 1, NULL, 10);
	}
	if (file)
		fclose(file);
	return inside;
}

/* Its parent has not asked for its status yet. */
static int is_dead(pid_t pid)
{
	FILE *file = proc_open(pid, "status");
	char line[256];
	int dead = 0;

	while (file && fgets(line, sizeof(line), file))
		dead |= !strncmp(line, "State:\tZ", 8) || !strncmp(line, "State:\tX", 8);
	if (file)
		fclose(file);
	return dead;
}

static int has_library(pid_t pid)
{
	FILE *file = proc_open(pid, "maps");
	char line[1024];
	int found = 0;

	while (file && !found && fgets(line, sizeof(line), file))
		found = strstr(line, "/libnostall.so") != NULL;
	if (file)
		fclose(file);
	return found;
}

int page_each_process(int (*fn)(pid_t pid, void *arg), void *arg)
{
	DIR *dir = opendir("/proc");
	struct dirent *e;
	int code = 0;

	while (dir && !code && (e = readdir(dir)) != NULL)
		if (isdigit((unsigned char)e->d_name[0]))
			code = fn((pid_t)atoi(e->d_name), arg);
	if (dir)
		closedir(dir);
	return code;
}

/* ---- the descriptor ---- */

/* A memfd of that name, or a file of the option publish_dir. */
static int is_name(const char *link)
{
	static const char memfd[] = "/memfd:" NST_STATS_PAGE_NAME;
	const char *base = strrchr(link, '/');

	if (!strncmp(link, memfd, sizeof(memfd) - 1))
		return link[sizeof(memfd) - 1] == '\0' || link[sizeof(memfd) - 1] == ' ';
	return base && !strncmp(base, "/" NST_STATS_PAGE_NAME ".", sizeof(NST_STATS_PAGE_NAME) + 1);
}

/* Who reads a page has it open, too, but not for writing. */
static int is_page(int dir, const char *name, struct stat *st)
{
	char link[512];
	ssize_t n = readlinkat(dir, name, link, sizeof(link) - 1);

	if (n <= 0)
		return 0;
	link[n] = '\0';
	return is_name(link) && fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       (st->st_mode & S_IWUSR) && fstatat(dir, name, st, 0) == 0 && S_ISREG(st->st_mode) &&
	       st->st_size >= (off_t)offsetof(struct nst_stats_page, published_ns);
}

static int descriptor_find(struct page *p, int dir_fd, DIR *dir)
{
	struct dirent *e;
	struct stat st;

	while ((e = readdir(dir)) != NULL) {
		if (!is_page(dir_fd, e->d_name, &st))
			continue;
		p->fd = openat(dir_fd, e->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		p->number = atoi(e->d_name);
		p->dev = st.st_dev;
		p->ino = st.st_ino;
		return p->fd < 0 ? -errno : 1;
	}
	return 0;
}

/* 1 found, 0 none, or -errno. */
static int descriptor_open(struct page *p)
{
	char path[64];
	DIR *dir;
	int rc;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)p->pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	rc = descriptor_find(p, dirfd(dir), dir);
	closedir(dir);
	return rc;
}

/* A page that nobody can cut short is mapped. */
static void map(struct page *p)
{
	int seals = fcntl(p->fd, F_GET_SEALS);
	struct stat st;
	void *addr;

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(p->fd, &st) ||
	    st.st_size < (off_t)sizeof(struct nst_stats_page))
		return;
	addr = mmap(NULL, sizeof(struct nst_stats_page), PROT_READ, MAP_SHARED, p->fd, 0);
	if (addr != MAP_FAILED)
		p->map = addr;
}

static int explain(const struct page *p, int err, struct why *why)
{
	int pid = (int)p->pid;

	if (err == -ENOENT || err == -ESRCH)
		return refuse(why, PAGE_NO_PROCESS, "no process has the PID %d", pid);
	if (is_dead(p->pid))
		return refuse(why, PAGE_NO_PROCESS,
			      "process %d (%s) has ended, and its parent does not know yet", pid,
			      p->comm);
	if (err == -EACCES || err == -EPERM)
		return refuse(why, PAGE_DENIED,
			      "process %d (%s) is another user's, or privileged: run as its owner "
			      "or root",
			      pid, p->comm);
	if (err)
		return refuse(why, PAGE_NONE, "process %d (%s): %s", pid, p->comm, strerror(-err));
	if (has_library(p->pid))
		return refuse(why, PAGE_NONE,
			      "process %d (%s) has the library and publishes nothing: publish:off, "
			      "or it may not make a memfd",
			      pid, p->comm);
	return refuse(why, PAGE_NONE,
		      "process %d (%s) runs without the library; `nostall run` starts a program "
		      "with it",
		      pid, p->comm);
}

static int finish(struct page *p, int rc, struct why *why)
{
	if (rc <= 0)
		return explain(p, rc, why);
	p->pid_inside = pid_inside(p->pid);
	p->pidfd = pidfd_open(p->pid, 0);
	map(p);
	return 0;
}

static int begin(struct page *p, pid_t pid)
{
	*p = (struct page){.pid = pid, .fd = -1, .pidfd = -1};
	page_comm(pid, p->comm, sizeof(p->comm));
	return descriptor_open(p);
}

int page_open(struct page *p, pid_t pid, struct why *why)
{
	return finish(p, begin(p, pid), why);
}

int page_open_soon(struct page *p, pid_t pid, struct why *why)
{
	int rc = begin(p, pid);

	for (int i = 0; rc == 0 && i < START_TRIES && has_library(pid); i++) {
		poll(NULL, 0, 100);
		rc = descriptor_open(p);
	}
	return finish(p, rc, why);
}

void page_close(struct page *p)
{
	if (p->map)
		munmap((void *)(uintptr_t)p->map, sizeof(struct nst_stats_page));
	if (p->fd >= 0)
		close(p->fd);
	if (p->pidfd >= 0)
		close(p->pidfd);
	p->map = NULL;
	p->fd = p->pidfd = -1;
}

/* ---- what it says ---- */

static int same_sequence(int fd, const struct nst_stats_page *copy)
{
	uint64_t sequence;

	return pread(fd, &sequence, sizeof(sequence), offsetof(struct nst_stats_page, sequence)) ==
		       sizeof(sequence) &&
	       sequence == copy->sequence;
}

/* Without a mapping: the sequence is read, then all, then the sequence again. */
static int read_unmapped(int fd, struct nst_stats_page *out)
{
	struct nst_stats_page *copy = must_alloc(sizeof(*copy));
	struct nst_stats_page head;
	ssize_t n;
	int rc;

	if (pread(fd, &head, offsetof(struct nst_stats_page, published_ns), 0) <= 0)
		head.sequence = 1;
	n = pread(fd, copy, sizeof(*copy), 0);
	rc = nst_stats_page_read(copy, n > 0 ? (size_t)n : 0, out);
	if (rc == 0 && (copy->sequence != head.sequence || !same_sequence(fd, copy)))
		rc = -EAGAIN;
	free(copy);
	return rc;
}

static int read_page(const struct page *p, struct nst_stats_page *out)
{
	int rc = -EAGAIN;

	for (int i = 0; i < TRIES && rc == -EAGAIN; i++) {
		if (i)
			poll(NULL, 0, 1);
		rc = p->map ? nst_stats_page_read(p->map, sizeof(*out), out)
			    : read_unmapped(p->fd, out);
	}
	return rc;
}

void page_versions(const struct nst_stats_page *head, char *text, size_t len)
{
	snprintf(text, len,
		 "nostall %s, whose page is of version %u (%u bytes); this is nostall %s, which "
		 "reads version %u (%zu bytes)",
		 head->nostall, head->version, head->bytes, nst_version(), NST_STATS_PAGE_VERSION,
		 sizeof(*head));
}

int page_load(const struct page *p, struct nst_stats_page *out, struct why *why)
{
	char versions[200];
	int rc = read_page(p, out);

	if (rc == -EPROTO) {
		page_versions(out, versions, sizeof(versions));
		return refuse(why, PAGE_OTHER_VERSION, "process %d (%s) has %s", (int)p->pid,
			      p->comm, versions);
	}
	if (rc == -EAGAIN)
		return refuse(
			why, PAGE_NONE,
			"process %d (%s) has published nothing whole: it was stopped while it "
			"did, or has just begun",
			(int)p->pid, p->comm);
	if (rc)
		return refuse(why, PAGE_NONE,
			      "process %d (%s): descriptor %d is no statistics page", (int)p->pid,
			      p->comm, p->number);
	if (out->pid != p->pid_inside)
		return refuse(why, PAGE_NONE,
			      "process %d (%s) has published nothing since it was forked from %llu",
			      (int)p->pid, p->comm, (unsigned long long)out->pid);
	return 0;
}

int page_load_file(const char *path, struct nst_stats_page *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc;

	if (fd < 0)
		return -errno;
	rc = read_unmapped(fd, out);
	close(fd);
	return rc;
}

/* ---- while it is watched ---- */

int page_wait(const struct page *p, int ms)
{
	struct pollfd ended = {.fd = p->pidfd, .events = POLLIN};

	if (p->pidfd >= 0)
		return poll(&ended, 1, ms) > 0;
	poll(NULL, 0, ms);
	return kill(p->pid, 0) && errno == ESRCH;
}

int page_is_current(const struct page *p)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)p->pid, p->number);
	return stat(path, &st) == 0 && st.st_dev == p->dev && st.st_ino == p->ino;
}

/* ---- by name ---- */

#define MOST_NAMED 8
#define COMM_MAX 15 /* the kernel cuts a name there */

struct named {
	const char *name;
	pid_t pid[MOST_NAMED], with_page[MOST_NAMED];
	size_t nr, nr_with_page;
};

static void named_add(pid_t *pids, size_t *nr, pid_t pid)
{
	if (*nr < MOST_NAMED)
		pids[*nr] = pid;
	++*nr;
}

static int named_look(pid_t pid, void *arg)
{
	struct page p = {.pid = pid, .fd = -1};
	struct named *n = arg;
	char comm[64];

	page_comm(pid, comm, sizeof(comm));
	if (strncmp(comm, n->name, COMM_MAX))
		return 0;
	named_add(n->pid, &n->nr, pid);
	if (descriptor_open(&p) == 1)
		named_add(n->with_page, &n->nr_with_page, pid);
	if (p.fd >= 0)
		close(p.fd);
	return 0;
}

static int several(const struct named *n, struct why *why)
{
	const pid_t *pids = n->nr_with_page ? n->with_page : n->pid;
	size_t nr = n->nr_with_page ? n->nr_with_page : n->nr, used = 0;
	char list[128] = "";

	for (size_t i = 0; i < nr && i < MOST_NAMED; i++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, " %d", (int)pids[i]);
	return refuse(why, PAGE_NO_PROCESS,
		      "%zu processes are named '%s':%s%s; say which by -p PID", nr, n->name, list,
		      nr > MOST_NAMED ? " ..." : "");
}

int page_process(const char *name, pid_t *pid, struct why *why)
{
	struct named n = {.name = name};
	char *end;
	long number = strtol(name, &end, 10);

	if (*name && !*end) {
		*pid = (pid_t)number;
		return number > 0 && number == *pid
			       ? 0
			       : refuse(why, PAGE_NO_PROCESS, "no process has the PID %s", name);
	}
	if (*name)
		page_each_process(named_look, &n);
	if (n.nr == 0)
		return refuse(why, PAGE_NO_PROCESS, "no process is named '%s'", name);
	if (n.nr_with_page != 1 && n.nr != 1)
		return several(&n, why);
	*pid = n.nr_with_page == 1 ? n.with_page[0] : n.pid[0];
	return 0;
}
