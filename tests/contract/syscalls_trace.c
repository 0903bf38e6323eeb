/* SPDX-License-Identifier: MIT */
/*
 * syscalls_trace.c - a tracer as small as the question: which system calls between two marks?
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/check.h"
#include "contract/syscalls.h"

/* What the library and libc make here; any other is named by its number, and then fails. */
static const struct {
	long nr;
	const char *name;
} known[] = {
#define CALL(name)                                                                                 \
	{                                                                                          \
		SYS_##name, #name                                                                  \
	}
	CALL(madvise),
	CALL(mprotect),
	CALL(mmap),
	CALL(munmap),
	CALL(mremap),
	CALL(mlock),
	CALL(munlock),
	CALL(mbind),
	CALL(brk),
	CALL(futex),
	CALL(membarrier),
	CALL(write),
	CALL(openat),
	CALL(read),
	CALL(close),
	CALL(clock_gettime),
	CALL(getrandom),
	CALL(sysinfo),
	CALL(prlimit64),
	CALL(get_robust_list),
	CALL(getrusage),
	CALL(process_vm_readv),
	CALL(getdents64),
	CALL(pread64),
	CALL(clone),
	CALL(clone3),
	CALL(rt_sigprocmask),
	CALL(rt_sigaction),
	CALL(rt_sigreturn),
	CALL(sched_getaffinity),
	CALL(rseq),
	CALL(getpid),
	CALL(gettid),
	CALL(tgkill),
	CALL(exit),
	CALL(exit_group),
	CALL(wait4),
	CALL(nanosleep),
	CALL(clock_nanosleep),
	CALL(set_tid_address),
	CALL(set_robust_list),
	CALL(sched_setaffinity),
	CALL(sched_getscheduler),
	CALL(eventfd2),
	CALL(ppoll),
	CALL(memfd_create),
	CALL(fcntl),
	CALL(fchmod),
	CALL(fallocate),
	CALL(fstat),
	CALL(unlink),
#undef CALL
};

static const char *call_name(long nr)
{
	static char text[32];

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].nr == nr)
			return known[i].name;
	snprintf(text, sizeof(text), "nr_%ld", nr);
	return text;
}

static struct traced *entry(struct trace *t, const char *mark)
{
	for (size_t i = 0; i < t->nr; i++)
		if (!strcmp(t->by[i].mark, mark))
			return &t->by[i];
	if (t->nr == MAX_NAMES)
		check_broken("too many marks");
	snprintf(t->by[t->nr].mark, NAME_BYTES, "%s", mark);
	return &t->by[t->nr++];
}

static void read_text(pid_t tid, unsigned long long addr, char *buf, size_t len)
{
	struct iovec to = {buf, len - 1}, from = {(void *)(uintptr_t)addr, len - 1};
	ssize_t n = process_vm_readv(tid, &to, 1, &from, 1, 0);

	buf[n > 0 ? n : 0] = 0;
}

/* Where the child is: between marks of @tid, or not (NULL). */
struct at {
	struct traced *where;
	pid_t tid;
};

static void entered(pid_t tid, const struct __ptrace_syscall_info *info, enum whose whose,
		    struct trace *out, struct at *at)
{
	char name[NAME_BYTES];

	if (info->entry.nr == MARK_NR) {
		at->where = NULL;
		at->tid = tid;
		if (!info->entry.args[0])
			return;
		read_text(tid, info->entry.args[0], name, sizeof(name));
		at->where = entry(out, name);
	} else if (at->where && (tid == at->tid) == (whose == WHOSE_MARKER)) {
		const char *call = call_name((long)info->entry.nr);

		names_add(&at->where->calls, call, strlen(call));
	}
}

/* What to hand on to a thread that stopped for this reason: a signal, or 0. */
static int stopped(pid_t tid, int status, enum whose whose, struct trace *out, struct at *at)
{
	struct __ptrace_syscall_info info;
	int sig = WSTOPSIG(status);

	if (sig == (SIGTRAP | 0x80)) {
		if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info) > 0 &&
		    info.op == PTRACE_SYSCALL_INFO_ENTRY)
			entered(tid, &info, whose, out, at);
		return 0;
	}
	/* Events, and the stop that every new thread begins with. */
	return status >> 16 || sig == SIGSTOP || sig == SIGTRAP ? 0 : sig;
}

static pid_t start(char *const *args)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		check_broken("fork");
	if (pid)
		return pid;
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(CHECK_SKIP);
	raise(SIGSTOP);
	execv("/proc/self/exe", args);
	_exit(98);
}

void trace_self(char *const *args, enum whose whose, struct trace *out)
{
	struct at at = {NULL, 0};
	pid_t pid = start(args), tid;
	int status;

	memset(out, 0, sizeof(*out));
	if (waitpid(pid, &status, 0) != pid)
		check_broken("waitpid");
	if (!WIFSTOPPED(status))
		check_skip("ptrace is refused here");
	if (ptrace(PTRACE_SETOPTIONS, pid, NULL,
		   PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE |
			   PTRACE_O_TRACEFORK | PTRACE_O_TRACEEXEC))
		check_skip("ptrace options are refused here: %s", strerror(errno));
	ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
	while ((tid = waitpid(-1, &status, __WALL)) > 0) {
		if (WIFSTOPPED(status))
			ptrace(PTRACE_SYSCALL, tid, NULL,
			       (long)stopped(tid, status, whose, out, &at));
		else if (tid == pid)
			out->status = status;
	}
}
