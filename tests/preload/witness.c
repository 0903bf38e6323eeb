/* SPDX-License-Identifier: MIT */
/*
 * witness.c - loaded in front of the preload: counts what a program asks of malloc, and writes down, as
 * each process ends, what the library's statistics page says of the same time.
 *
 *	WITNESS=FILE, to which it appends; WITNESS_PAGES=DIR, the same as publish_dir
 *	born pid=N name=PROGRAM
 *	ended=HOW pid=N name=PROGRAM calls=N served=N exact=N foreign=N libc_bytes=N brk_bytes=N page=FILE
 *
 * calls: those that want an object, of this process since it was forked; a realloc() that leaves the object
 * where it is wants none. served: requests on the page, as far as they were made since then; exact: the
 * page counts each (stats:full). foreign: answers that are no objects of libnostall. libc_bytes: what
 * libc's own malloc has taken from the kernel, asked of itself; brk_bytes: how far the heap grew. These
 * two see what does not go by here as well.
 *
 * A process that _exit()s or executes another program runs no destructors: here it ends like any other.
 * Fork: the child counts anew, from its first call.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <nostall/nostall.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define PAGE_SECONDS 20

extern char **environ;

static struct {
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	void *(*memalign)(size_t, size_t);
	int (*posix_memalign)(void **, size_t, size_t);
	size_t (*usable)(const void *);
	int (*maintain)(void);
	int (*read_stats)(struct nst_stats *, size_t);
	int (*read_page)(const void *, size_t, struct nst_stats_page *);
	struct mallinfo2 (*libc)(void);
	char *brk;
	uint64_t calls, foreign;
	uint64_t before; /* requests that were made before the fork */
	int is_child;	 /* and has not called yet */
} w;

static void *find(void *where, const char *name)
{
	void *fn = dlsym(where, name);

	if (!fn)
		abort();
	return fn;
}

static uint64_t requests(const struct nst_stats *s)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < NST_NR_MODES; i++)
		n += s->requests[i];
	return n;
}

static uint64_t requests_now(void)
{
	static struct nst_stats s;

	return w.read_stats(&s, sizeof(s)) ? 0 : requests(&s);
}

/* ---- what the program asks ---- */

/* The library starts in the first malloc; before that nothing may be asked of it. */
static void begin(void)
{
	if (!w.malloc) {
		*(void **)&w.calloc = find(RTLD_NEXT, "calloc");
		*(void **)&w.realloc = find(RTLD_NEXT, "realloc");
		*(void **)&w.memalign = find(RTLD_NEXT, "memalign");
		*(void **)&w.posix_memalign = find(RTLD_NEXT, "posix_memalign");
		*(void **)&w.usable = find(RTLD_DEFAULT, "nst_usable_size");
		*(void **)&w.maintain = find(RTLD_DEFAULT, "nst_maintain");
		*(void **)&w.read_stats = find(RTLD_DEFAULT, "nst_stats_read");
		*(void **)&w.read_page = find(RTLD_DEFAULT, "nst_stats_page_read");
		*(void **)&w.malloc = find(RTLD_NEXT, "malloc");
	}
	/* Until it makes a thread the child has but one. */
	if (w.is_child) {
		w.is_child = 0;
		w.calls = w.foreign = 0;
		w.before = requests_now();
	}
}

static void *count(void *p)
{
	__atomic_fetch_add(&w.calls, 1, __ATOMIC_RELAXED);
	if (p && !w.usable(p))
		__atomic_fetch_add(&w.foreign, 1, __ATOMIC_RELAXED);
	return p;
}

EXPORT void *malloc(size_t size)
{
	begin();
	return count(w.malloc(size));
}

EXPORT void *calloc(size_t nr, size_t size)
{
	begin();
	return count(w.calloc(nr, size));
}

EXPORT void *realloc(void *ptr, size_t size)
{
	void *p;

	begin();
	p = w.realloc(ptr, size);
	return (ptr && !size) || (p && p == ptr) ? p : count(p);
}

/* aligned_alloc(), valloc() and reallocarray() are left alone: too few to matter, and the first calls memalign(). */
EXPORT void *memalign(size_t align, size_t size)
{
	begin();
	return count(w.memalign(align, size));
}

EXPORT int posix_memalign(void **out, size_t align, size_t size)
{
	int err;

	begin();
	err = w.posix_memalign(out, align, size);
	count(err ? NULL : *out);
	return err;
}

/* ---- what the page says ---- */

/* This image's page is the process's last: 1 with its name in @name and what it says in @out. */
static int page_read(char *name, size_t room, struct nst_stats_page *out)
{
	const char *dir = getenv("WITNESS_PAGES");
	void *map = MAP_FAILED;
	struct stat st = {0};
	char path[400];
	int image, fd, last = -1, ok;

	for (image = 0; image < 100; image++) {
		snprintf(path, sizeof(path), "%s/" NST_STATS_PAGE_NAME ".%d.%d", dir, getpid(),
			 image);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			break;
		if (last >= 0)
			close(last);
		last = fd;
	}
	if (last < 0)
		return 0;
	snprintf(name, room, NST_STATS_PAGE_NAME ".%d.%d", getpid(), image - 1);
	/* The worker may be making it just now. */
	if (fstat(last, &st) == 0 && (size_t)st.st_size >= sizeof(*out))
		map = mmap(NULL, sizeof(*out), PROT_READ, MAP_SHARED, last, 0);
	close(last);
	ok = map != MAP_FAILED && w.read_page(map, sizeof(*out), out) == 0;
	if (map != MAP_FAILED)
		munmap(map, sizeof(*out));
	return ok;
}

static time_t seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* Published anew, until it has all that was counted before. */
static int page_now(char *name, size_t room, struct nst_stats_page *out)
{
	uint64_t least = requests_now();
	time_t begin = seconds_now();

	/* A pass of the worker may be under way, and wait for a CPU. */
	do {
		w.maintain();
		if (page_read(name, room, out) && requests(&out->stats) >= least)
			return 1;
		usleep(1000);
	} while (seconds_now() - begin <= PAGE_SECONDS);
	return 0;
}

static void write_line(const char *line, int n)
{
	int fd = open(getenv("WITNESS"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, line, (size_t)n) != n)
		abort();
	close(fd);
}

static void testify(const char *how)
{
	static struct nst_stats_page page;
	struct mallinfo2 m = w.libc ? w.libc() : (struct mallinfo2){0};
	uint64_t calls = w.is_child ? 0 : w.calls, foreign = w.foreign, before = w.before;
	char line[500], name[64];
	int n, found;

	if (!w.libc)
		return;
	found = calls && page_now(name, sizeof(name), &page);
	n = snprintf(line, sizeof(line),
		     "ended=%s pid=%d name=%s calls=%lu served=%lu exact=%u foreign=%lu "
		     "libc_bytes=%zu brk_bytes=%td page=%s\n",
		     how, getpid(), program_invocation_short_name, calls,
		     found ? requests(&page.stats) - before : 0,
		     found ? page.stats.requests_exact : 0, foreign, m.arena + m.hblkhd,
		     (char *)sbrk(0) - w.brk, found ? name : "none");
	write_line(line, n);
}

/* ---- beginnings and ends ---- */

static void is_born(void)
{
	char line[100];

	write_line(line, snprintf(line, sizeof(line), "born pid=%d name=%s\n", getpid(),
				  program_invocation_short_name));
}

static void in_child(void)
{
	w.is_child = 1;
	is_born();
}

__attribute__((constructor(101))) static void open_eyes(void)
{
	void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);

	begin();
	w.brk = sbrk(0);
	*(void **)&w.libc = find(libc, "mallinfo2");
	if (pthread_atfork(NULL, NULL, in_child))
		abort();
	is_born();
}

__attribute__((destructor)) static void at_exit(void)
{
	testify("exit");
}

EXPORT void _exit(int code)
{
	void (*fn)(int);

	testify("_exit");
	*(void **)&fn = find(RTLD_NEXT, "_exit");
	fn(code);
	__builtin_unreachable();
}

EXPORT void _Exit(int code)
{
	_exit(code);
}

EXPORT int execve(const char *path, char *const argv[], char *const env[])
{
	int (*fn)(const char *, char *const[], char *const[]);

	testify("exec");
	*(void **)&fn = dlsym(RTLD_NEXT, "execve");
	return fn(path, argv, env);
}

EXPORT int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

EXPORT int execvp(const char *file, char *const argv[])
{
	int (*fn)(const char *, char *const[]);

	testify("exec");
	*(void **)&fn = dlsym(RTLD_NEXT, "execvp");
	return fn(file, argv);
}
