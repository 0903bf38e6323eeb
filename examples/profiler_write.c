// SPDX-License-Identifier: MIT
/*
 * profiler_write.c - what one process found, as text, for `nostall run` to read.
 *
 *	nostall-profile 1
 *	command=sort --parallel=2 file
 *	taken=812 ...			counters and settings, key=value
 *	node ADDRESS PARENT PC SAMPLES	hexadecimal but for the last; parents may come later
 *	maps				then /proc/self/maps, which names the files behind the addresses
 *	stats				then nst_stats_print()
 *
 * No symbol is looked up here: that needs memory and locks, and the tool has time for it. Nothing is
 * allocated either, since _exit() may be called in a fork child or a handler.
 */
#define _GNU_SOURCE
#include "profiler.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <nostall/nostall.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct out {
	int fd;
	size_t used;
	char buf[8192];
};

static void flush(struct out *o)
{
	for (size_t done = 0; done < o->used;) {
		ssize_t n = write(o->fd, o->buf + done, o->used - done);

		if (n < 0 && errno != EINTR)
			break; /* a full disk: the tool says that the file is cut */
		if (n > 0)
			done += (size_t)n;
	}
	o->used = 0;
}

__attribute__((format(printf, 2, 3))) static void put(struct out *o, const char *format, ...)
{
	va_list args;

	if (sizeof(o->buf) - o->used < 512)
		flush(o);
	va_start(args, format);
	o->used += (size_t)vsnprintf(o->buf + o->used, sizeof(o->buf) - o->used, format, args);
	va_end(args);
}

/* @nul: what stands for a zero byte, which separates the words of a command line. */
static void put_file(struct out *o, const char *path, char nul)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;

	flush(o);
	while (fd >= 0 && (n = read(fd, o->buf, sizeof(o->buf))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			if (!o->buf[i])
				o->buf[i] = nul;
		o->used = (size_t)n;
		flush(o);
	}
	if (fd >= 0)
		close(fd);
}

static void put_settings(struct out *o)
{
	static const char *const clocks[] = {"perf_cpu_clock", "perf_cpu_clock_user_only",
					     "monotonic_timer"};

	put(o, "pid=%d\nclock=%s\nperiod_us=%" PRIu64 "\nallocator=%s\n", (int)getpid(),
	    clocks[profiler.clock], profiler.period_ns / 1000,
	    profiler.with_malloc ? "malloc" : "nst_alloc_nolock");
	put(o, "nodes_stocked=%" PRIu64 "\nnode_bytes=%zu\n", profiler.stocked,
	    sizeof(struct profiler_node));
#define X(name)                                                                                    \
	put(o, #name "=%" PRIu64 "\n",                                                             \
	    atomic_load_explicit(&profiler.n.name, memory_order_relaxed));
	PROFILER_COUNTERS(X)
#undef X
}

static void put_nodes(struct out *o)
{
	for (size_t i = 0; i < profiler_tree_chains(); i++)
		for (struct profiler_node *n = profiler_tree_chain(i); n; n = n->next)
			put(o, "node %" PRIxPTR " %" PRIxPTR " %" PRIxPTR " %" PRIu64 "\n",
			    (uintptr_t)n, (uintptr_t)n->parent, n->pc,
			    atomic_load_explicit(&n->samples, memory_order_relaxed));
}

/* exec keeps the pid: each image takes the next number. */
static int file_open(void)
{
	char path[sizeof(profiler.dir) + 64];
	int fd = -1;

	for (int image = 0; image < 100 && fd < 0; image++) {
		snprintf(path, sizeof(path), "%s/profile.%d.%d", profiler.dir, (int)getpid(),
			 image);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0 && errno != EEXIST)
			break;
	}
	if (fd < 0)
		dprintf(STDERR_FILENO,
			"nostall-profile: %s: %s; the profile of process %d is lost\n", path,
			strerror(errno), (int)getpid());
	return fd;
}

/* A process that was never sampled, as the children of shells mostly are, leaves no file. */
void profiler_write(void)
{
	struct out o = {.fd = -1};

	if (!atomic_load_explicit(&profiler.n.taken, memory_order_relaxed) &&
	    !atomic_load_explicit(&profiler.n.dropped_no_memory, memory_order_relaxed))
		return;
	o.fd = file_open();
	if (o.fd < 0)
		return;
	put(&o, "nostall-profile 1\ncommand=");
	put_file(&o, "/proc/self/cmdline", ' ');
	put(&o, "\n");
	put_settings(&o);
	put_nodes(&o);
	put(&o, "maps\n");
	put_file(&o, "/proc/self/maps", ' ');
	put(&o, "stats\n");
	flush(&o);
	nst_stats_print(o.fd);
	put(&o, "end\n");
	flush(&o);
	close(o.fd);
}
