/* SPDX-License-Identifier: MIT */
/*
 * pressure.c - the kernel says that memory is short: files that are polled, or read again and again.
 *
 *	stall	PSI: the group's memory.pressure (version 2), else /proc/pressure/memory, with a trigger; where none may be
 *		written (most containers) its total is read instead
 *	group	version 2: memory.events is read, counts of high, max and oom; version 1: an eventfd, told of usage
 *		above a mark and of reclaim in trouble (memory.pressure_level)
 *	file	what the option pressure names: PSI as above, or a FIFO, each write to which is an event
 *
 * memory.events is read, not polled or watched: whoever looks makes a call either way, and there are few inotify
 * instances to a user. Windows are of 2 s: others are refused to who is not privileged.
 *
 * The eventfd is known again by a flag that has no use there: all eventfds are one inode, and what is read from that of
 * a program, which closed ours and was given its number, would be lost to it.
 *
 * Fork: descriptors are shared with the parent, and who polls a trigger takes its event: a child forgets and opens its own.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include "sys.h"
#include "syscall.h"

#define WINDOW_US 2000000u
#define PATH_BYTES 440u
#define FD_LEAST 60 /* as in shared.c */
#define MARK (O_NONBLOCK | O_APPEND)

enum how { NONE, TRIGGER, SAMPLED, FIFO };

static struct {
	struct nst_sys_kept stall;
	enum how how;
	int given;	     /* by the option */
	u32 stall_us;	     /* of a window */
	u64 total_us, at_ns; /* SAMPLED: what it said, and when */
	struct nst_sys_kept events;
	u64 seen; /* of its counts, together */
	int eventfd;
	char from[PATH_BYTES];
	int err; /* of what could not be opened or written */
} p = {.stall = {.fd = -1}, .events = {.fd = -1}, .eventfd = -1};

/* ---- PSI ---- */

static u64 total_us(void)
{
	char text[256];
	const char *s = text;

	nst_sys_kept_read(&p.stall, text, sizeof(text));
	for (; *s && *s != '\n'; s++)
		if (s[0] == ' ' && s[1] == 't')
			return nst_sys_field(s + 1, "total=");
	return 0;
}

static int write_trigger(void)
{
	char text[64];
	size_t n = nst_format(text, sizeof(text), "some %u %u", p.stall_us, WINDOW_US);
	long ret = nst_syscall(SYS_write, p.stall.fd, (long)text, (long)n + 1, 0, 0, 0);

	return ret < 0 ? (int)ret : 0;
}

static int sample(const char *path)
{
	int err = nst_sys_keep(&p.stall, path, O_RDONLY);

	if (err)
		return err;
	p.how = SAMPLED;
	p.total_us = total_us();
	p.at_ns = nst_sys_now_ns();
	return 0;
}

/* Files of the kernel's have no length: what has one is written to by nobody here. */
static int watch(const char *path)
{
	int err = nst_sys_keep(&p.stall, path, O_RDWR | O_NONBLOCK);

	nst_format(p.from, sizeof(p.from), "%s", path);
	if (!err && S_ISFIFO(p.stall.mode)) {
		p.how = FIFO;
		return 0;
	}
	if (!err && !(S_ISREG(p.stall.mode) && p.stall.bytes))
		err = write_trigger();
	else if (!err)
		err = -1;
	if (!err) {
		p.how = TRIGGER;
		return 0;
	}
	nst_sys_kept_close(&p.stall);
	return sample(path) ? err : 0;
}

static int watch_stall(void)
{
	char path[PATH_BYTES];
	int err = -2;

	if (nst_sys_group_version() == 2) {
		nst_format(path, sizeof(path), "%s/memory.pressure", nst_sys_group_dir(0));
		err = watch(path);
	}
	if (err) {
		nst_format(path, sizeof(path), "%s/proc/pressure/memory", NST_TEST_ROOT);
		err = watch(path);
	}
	return err;
}

/* ---- the group ---- */

static u64 event_counts(void)
{
	char text[512];

	if (nst_sys_kept_read(&p.events, text, sizeof(text)) < 0)
		return 0;
	return nst_sys_field(text, "high ") + nst_sys_field(text, "max ") +
	       nst_sys_field(text, "oom ");
}

static int watch_events(const char *dir)
{
	char path[PATH_BYTES];
	int err;

	nst_format(path, sizeof(path), "%s/memory.events", dir);
	err = nst_sys_keep(&p.events, path, O_RDONLY);
	p.seen = err ? 0 : event_counts();
	return err;
}

/* The kernel keeps what it needs of @file and of event_control. */
static int tell(const char *dir, const char *file, u64 at)
{
	char path[PATH_BYTES], text[64];
	long fd, control, ret;
	size_t n;

	nst_format(path, sizeof(path), "%s/%s", dir, file);
	fd = nst_syscall(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
	if (fd < 0)
		return (int)fd;
	nst_format(path, sizeof(path), "%s/cgroup.event_control", dir);
	control = nst_syscall(SYS_openat, AT_FDCWD, (long)path, O_WRONLY | O_CLOEXEC, 0, 0, 0);
	ret = control;
	if (control >= 0) {
		n = at ? nst_format(text, sizeof(text), "%d %d %llu", p.eventfd, (int)fd,
				    (unsigned long long)at)
		       : nst_format(text, sizeof(text), "%d %d medium", p.eventfd, (int)fd);
		ret = nst_syscall(SYS_write, control, (long)text, (long)n, 0, 0, 0);
		nst_syscall(SYS_close, control, 0, 0, 0, 0, 0);
	}
	nst_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
	return ret < 0 ? (int)ret : 0;
}

static int make_eventfd(void)
{
	int fd = nst_sys_eventfd();
	long high;

	if (fd < 0)
		return fd;
	high = nst_syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, FD_LEAST, 0, 0, 0);
	if (high >= 0) {
		nst_sys_eventfd_close(fd);
		fd = (int)high;
	}
	nst_syscall(SYS_fcntl, fd, F_SETFL, MARK, 0, 0, 0);
	p.eventfd = fd;
	return 0;
}

/* Does the program not have its number now? */
static int eventfd_is_there(void)
{
	return p.eventfd >= 0 &&
	       (nst_syscall(SYS_fcntl, p.eventfd, F_GETFL, 0, 0, 0, 0) & MARK) == MARK;
}

static void close_eventfd(void)
{
	if (eventfd_is_there())
		nst_sys_eventfd_close(p.eventfd);
	p.eventfd = -1;
}

/* One of the two will do: kernels may lack the other. */
static int watch_usage(const char *dir, u64 at)
{
	int err = make_eventfd(), other;

	if (err)
		return err;
	err = at ? tell(dir, "memory.usage_in_bytes", at) : -2;
	other = tell(dir, "memory.pressure_level", 0);
	if (err && other)
		close_eventfd();
	return other ? err : 0;
}

static int watch_group(u64 at)
{
	const char *dir = nst_sys_group_dir(1);

	switch (nst_sys_group_version()) {
	case 1:
		return watch_usage(dir, at);
	case 2:
		return watch_events(dir);
	default:
		return -2;
	}
}

/* ---- all of them ---- */

unsigned int nst_sys_pressure_open(const char *path, u32 stall_us, u64 at)
{
	unsigned int what = 0;
	int err;

	p.stall_us = stall_us;
	p.given = *path != 0;
	p.from[0] = 0;
	p.how = NONE;
	err = p.given ? watch(path) : watch_stall();
	if (p.how)
		what |= 1u << (p.given ? NST_PRESSURE_FILE : NST_PRESSURE_STALL);
	p.err = p.how ? 0 : err;
	if (!p.given && watch_group(at) == 0)
		what |= 1u << NST_PRESSURE_GROUP;
	return what;
}

void nst_sys_pressure_close(void)
{
	nst_sys_kept_close(&p.stall);
	nst_sys_kept_close(&p.events);
	close_eventfd();
	p.how = NONE;
}

static int poll_both(short *stall, short *told)
{
	struct timespec at_once = {0, 0};
	struct pollfd fd[2] = {
		{.fd = p.how == TRIGGER || p.how == FIFO ? p.stall.fd : -1,
		 .events = p.how == FIFO ? POLLIN : POLLPRI},
		{.fd = p.eventfd, .events = POLLIN},
	};

	*stall = *told = 0;
	if (fd[0].fd < 0 && fd[1].fd < 0)
		return 0;
	if (nst_syscall(SYS_ppoll, (long)fd, 2, (long)&at_once, 0, 8, 0) <= 0)
		return 0;
	*stall = fd[0].revents;
	*told = fd[1].revents;
	return 1;
}

/* A FIFO is emptied; what is dead, or not ours any more, is polled no longer. */
static int stall_fired(short events)
{
	char text[256];

	if (!events)
		return 0;
	if (events & (POLLNVAL | POLLERR) || !nst_sys_kept_is_there(&p.stall)) {
		nst_sys_kept_close(&p.stall);
		nst_store_relaxed(&p.how, NONE); /* a state to show */
		return 0;
	}
	if (p.how == FIFO)
		while (nst_syscall(SYS_read, p.stall.fd, (long)text, sizeof(text), 0, 0, 0) ==
		       sizeof(text))
			;
	return 1;
}

static int usage_fired(short events)
{
	u64 n;

	if (!events)
		return 0;
	if (!eventfd_is_there()) {
		nst_store_relaxed(&p.eventfd, -1); /* a state to show */
		return 0;
	}
	return nst_syscall(SYS_read, p.eventfd, (long)&n, sizeof(n), 0, 0, 0) == sizeof(n);
}

static int sample_fired(u64 now)
{
	u64 total, before = p.total_us;

	if (p.how != SAMPLED || now - p.at_ns < WINDOW_US * 1000ull)
		return 0;
	total = total_us();
	p.total_us = total;
	p.at_ns = now;
	return total > before && total - before >= p.stall_us;
}

static int events_fired(void)
{
	u64 now, before = p.seen;

	if (p.events.fd < 0)
		return 0;
	now = event_counts();
	p.seen = nst_max(now, before);
	return now > before;
}

unsigned int nst_sys_pressure_poll(u64 now)
{
	unsigned int fired = 0, stall = p.given ? NST_PRESSURE_FILE : NST_PRESSURE_STALL;
	short events, told;

	if (poll_both(&events, &told)) {
		fired |= (unsigned int)stall_fired(events) << stall;
		fired |= (unsigned int)usage_fired(told) << NST_PRESSURE_GROUP;
	}
	fired |= (unsigned int)sample_fired(now) << stall;
	fired |= (unsigned int)events_fired() << NST_PRESSURE_GROUP;
	return fired;
}

int nst_sys_pressure_error(void)
{
	return p.err;
}

size_t nst_sys_pressure_text(char *buf, size_t len)
{
	static const char *const how[] = {"", "", " (read every 2 s)", " (FIFO)"};
	enum how is = nst_load_relaxed(&p.how); /* states to show */
	const char *group = nst_load_relaxed(&p.eventfd) >= 0 ? "memory.usage_in_bytes"
			    : p.events.fd >= 0		      ? "memory.events"
							      : "";

	if (!is && !*group)
		return nst_format(buf, len, "none: %s, error %d", p.from, -p.err);
	return nst_format(buf, len, "%s%s%s%s", is ? p.from : "", how[is], is && *group ? ", " : "",
			  group);
}
