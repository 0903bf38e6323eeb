// SPDX-License-Identifier: MIT
/*
 * profiler_libc.c - the names of libc that the profiler stands before, beside pthread_create().
 *
 * Three reasons, three groups: a program must not block the clock's signal or take its handler
 * away; a program that leaves by _exit() runs no destructors; one that calls exec loses its memory.
 * Each does one thing more and then what libc does. posix_spawn() and vfork() need nothing: the
 * process that execs there is a child, and the tree is not its own (profiler.pid).
 */
#define _GNU_SOURCE
#include "profiler.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

/* The names, in the order of enum profiler_libc_name; found once, because dlsym() is not signal-safe. */
static void *next[PROFILER_NR_LIBC];

void *profiler_next(enum profiler_libc_name which)
{
	static const char *const names[PROFILER_NR_LIBC] = {
#define X(name) #name,
		PROFILER_LIBC(X)
#undef X
	};

	/* Before the constructor, one thread runs; after it, nothing is written here. */
	if (!next[which])
		next[which] = dlsym(RTLD_NEXT, names[which]);
	if (!next[which])
		abort(); /* a libc without it cannot have started this program */
	return next[which];
}

void profiler_libc_start(void)
{
	for (int i = 0; i < PROFILER_NR_LIBC; i++)
		profiler_next((enum profiler_libc_name)i);
}

static int watching(int signo)
{
	return signo == PROFILER_SIGNAL && atomic_load_explicit(&profiler.on, memory_order_relaxed);
}

/* The set without the clock's signal, where @how would block it. */
static const sigset_t *without_ours(int how, const sigset_t *set, sigset_t *copy)
{
	if (!set || how == SIG_UNBLOCK || !watching(PROFILER_SIGNAL) ||
	    !sigismember(set, PROFILER_SIGNAL))
		return set;
	*copy = *set;
	sigdelset(copy, PROFILER_SIGNAL);
	return copy;
}

typedef int mask_fn(int, const sigset_t *, sigset_t *);

PUBLIC int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	sigset_t copy;

	return ((mask_fn *)profiler_next(PROFILER_pthread_sigmask))(
		how, without_ours(how, set, &copy), old);
}

PUBLIC int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	sigset_t copy;

	return ((mask_fn *)profiler_next(PROFILER_sigprocmask))(how, without_ours(how, set, &copy),
								old);
}

/* For the clock's signal: accepted, and without effect; the old action reads as the default. */
PUBLIC int sigaction(int signo, const struct sigaction *act, struct sigaction *old)
{
	typedef int action_fn(int, const struct sigaction *, struct sigaction *);

	if (!watching(signo))
		return ((action_fn *)profiler_next(PROFILER_sigaction))(signo, act, old);
	if (old)
		memset(old, 0, sizeof(*old));
	return 0;
}

PUBLIC sighandler_t signal(int signo, sighandler_t handler)
{
	typedef sighandler_t signal_fn(int, sighandler_t);

	if (watching(signo))
		return SIG_DFL;
	return ((signal_fn *)profiler_next(PROFILER_signal))(signo, handler);
}

PUBLIC void _exit(int status)
{
	typedef void exit_fn(int);

	profiler_finish();
	((exit_fn *)profiler_next(PROFILER__exit))(status);
	__builtin_unreachable();
}

PUBLIC void _Exit(int status)
{
	_exit(status);
}

/* A program that execs goes on under the same pid; the profile of the new image has its own file. */
PUBLIC int execve(const char *path, char *const argv[], char *const envp[])
{
	typedef int exec_fn(const char *, char *const[], char *const[]);

	profiler_finish();
	return ((exec_fn *)profiler_next(PROFILER_execve))(path, argv, envp);
}

PUBLIC int execv(const char *path, char *const argv[])
{
	typedef int exec_fn(const char *, char *const[]);

	profiler_finish();
	return ((exec_fn *)profiler_next(PROFILER_execv))(path, argv);
}

PUBLIC int execvp(const char *file, char *const argv[])
{
	typedef int exec_fn(const char *, char *const[]);

	profiler_finish();
	return ((exec_fn *)profiler_next(PROFILER_execvp))(file, argv);
}
