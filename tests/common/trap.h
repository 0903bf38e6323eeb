/* SPDX-License-Identifier: MIT */
/*
 * trap.h - what turns a broken promise into a dead process: a thread that may make no system call.
 *
 * The filter is this thread's alone and stands until it dies: it reports by memory and then spins, or
 * naps, until the process is killed. A call that is not allowed kills the process with SIGSYS.
 */
#ifndef TEST_TRAP_H
#define TEST_TRAP_H

#include <stddef.h>
#include <sys/types.h>
#include <time.h>

enum trap_allow {
	TRAP_ALLOW_NONE,
	TRAP_ALLOW_SIGRETURN, /* for a thread that takes signals */
	TRAP_ALLOW_NAP,	      /* for one that waits for its next period: trap_nap() alone */
};

/* From here on a system call of this thread kills the process. */
void trap_syscalls(enum trap_allow allow);
/* Sleeps until @until of CLOCK_MONOTONIC. One thread at a time. */
void trap_nap(const struct timespec *until);

/* Zeroed memory that survives fork and, by number, exec. */
void *shared_memory(size_t bytes, int fd_number);
/* The memory that the parent made, in the program it executed. */
void *shared_memory_of(size_t bytes, int fd_number);

/* This program again, with these arguments. The caller waits with child_wait(). */
pid_t child_exec(const char *arg1, const char *arg2);
/* Waits until it ends or until @seconds are over, then kills it: 0 and *status, or -1. */
int child_wait(pid_t pid, unsigned int seconds, int *status);
/* A check: within @seconds it ends by itself with exit status @wanted. */
void check_child(pid_t pid, unsigned int seconds, int wanted, const char *name);
/* As child_wait(), but returns 1 as soon as *@done is not 0, the child still running. */
int child_wait_done(pid_t pid, unsigned int seconds, const int *done, int *status);
/* A status in words, in a static buffer. */
const char *child_status(int status);

/*
 * TEST_CONF("key:value,..."): options the test needs, appended to NOSTALL_CONF; or a function,
 * where they depend on the arguments. Read by a constructor that runs before the library's; with
 * the shared library that is too late, and conf_apply() starts the program anew, once.
 */
const char *test_conf(int argc, char **argv);
#define TEST_CONF(options)                                                                         \
	const char *test_conf(int argc, char **argv)                                               \
	{                                                                                          \
		(void)argc;                                                                        \
		(void)argv;                                                                        \
		return options;                                                                    \
	}
/* Behind a test's options: it counts what the validator, too, does when it sees something for the first time. */
#define CONF_UNCHECKED ",check:off"
/* For options known late, or no TEST_CONF: starts the program anew once, with them appended. */
void conf_need(char **argv, const char *options);
void conf_start_anew(char **argv);
/* Fails if the constructor was not linked: some function of this file must be called. */
void conf_demand(void);
#ifdef NST_TEST
#define conf_apply(argv) ((void)(argv), conf_demand())
#else
#define conf_apply(argv) conf_start_anew(argv)
#endif

/* This thread on this CPU only; back on all that the process started with: cpu -1. */
void run_on_cpu(pid_t tid, int cpu);
/* The n-th CPU that this process may run on, -1 when there are fewer. */
int cpu_nth(unsigned int n);

#endif
