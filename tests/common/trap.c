/* SPDX-License-Identifier: MIT */
/*
 * trap.c - the filter, children, shared memory, options and CPUs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "check.h"
#include "trap.h"

/* By the address of its argument a nap of ours is told from the sleep of anybody else. */
static struct timespec nap_until;

void trap_syscalls(enum trap_allow allow)
{
	uint32_t sigreturn =
		allow == TRAP_ALLOW_SIGRETURN ? SECCOMP_RET_ALLOW : SECCOMP_RET_KILL_PROCESS;
	uint32_t nap = allow == TRAP_ALLOW_NAP ? SECCOMP_RET_ALLOW : SECCOMP_RET_KILL_PROCESS;
	uint64_t until = (uintptr_t)&nap_until;
	uint32_t request = offsetof(struct seccomp_data, args[2]);
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, sigreturn),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_nanosleep, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, request),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)until, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, request + 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(until >> 32), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, nap),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog prog = {sizeof(filter) / sizeof(filter[0]), filter};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		check_skip("PR_SET_NO_NEW_PRIVS is refused: %s", strerror(errno));
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
		check_skip("seccomp filters are refused: %s", strerror(errno));
}

void trap_nap(const struct timespec *until)
{
	nap_until = *until;
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &nap_until, NULL);
}

void *shared_memory_of(size_t bytes, int fd_number)
{
	void *p =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_number, 0);

	if (p == MAP_FAILED)
		check_broken("shared memory");
	return p;
}

void *shared_memory(size_t bytes, int fd_number)
{
	int fd = memfd_create("report", 0);

	if (fd < 0 || ftruncate(fd, (off_t)bytes) || dup2(fd, fd_number) < 0)
		check_broken("shared memory");
	close(fd);
	return shared_memory_of(bytes, fd_number);
}

pid_t child_exec(const char *arg1, const char *arg2)
{
	char self[] = "/proc/self/exe";
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		check_broken("fork");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	execl(self, self, arg1, arg2, (char *)NULL);
	_exit(98);
}

static void nap(long ns)
{
	struct timespec ts = {0, ns};

	nanosleep(&ts, NULL);
}

static time_t seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

int child_wait_done(pid_t pid, unsigned int seconds, const int *done, int *status)
{
	time_t end = seconds_now() + (time_t)seconds;
	pid_t got;

	while ((got = waitpid(pid, status, WNOHANG)) == 0) {
		if (done && __atomic_load_n(done, __ATOMIC_ACQUIRE))
			return 1;
		if (seconds_now() > end) {
			kill(pid, SIGKILL);
			waitpid(pid, status, 0);
			return -1;
		}
		nap(500000);
	}
	return got == pid ? 0 : -1;
}

int child_wait(pid_t pid, unsigned int seconds, int *status)
{
	return child_wait_done(pid, seconds, NULL, status);
}

const char *child_status(int status)
{
	static char text[64];

	if (WIFEXITED(status))
		snprintf(text, sizeof(text), "exit %d", WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(text, sizeof(text), "status %x", (unsigned int)status);
	return text;
}

void check_child(pid_t pid, unsigned int seconds, int wanted, const char *name)
{
	int status = -1;
	int waited = pid > 0 ? child_wait(pid, seconds, &status) : -1;

	check(waited == 0 && WIFEXITED(status) && WEXITSTATUS(status) == wanted, name, "%s%s",
	      waited ? "killed after its time was up: " : "", child_status(status));
}

/* A test that needs no options defines none. */
#pragma weak test_conf

static void conf_append(const char *options, const char *state)
{
	const char *already = getenv("NOSTALL_CONF");
	char conf[512];

	snprintf(conf, sizeof(conf), "%s%s%s", already ? already : "",
		 already && *already ? "," : "", options);
	setenv("NOSTALL_CONF", conf, 1);
	setenv("TEST_CONF", state, 1);
}

/* 101 as the library's: of equal ones the first linked runs first, and it is linked last. */
__attribute__((constructor(101))) static void conf_early(int argc, char **argv)
{
	const char *options = test_conf ? test_conf(argc, argv) : NULL;

	if (options && !getenv("TEST_CONF"))
		conf_append(options, "appended");
}

void conf_demand(void)
{
	if (!getenv("TEST_CONF"))
		check_broken("TEST_CONF");
}

void conf_start_anew(char **argv)
{
	const char *state = getenv("TEST_CONF");

	if (!state || strcmp(state, "appended"))
		return;
	setenv("TEST_CONF", "started", 1);
	execv("/proc/self/exe", argv);
	check_broken("exec self");
}

void conf_need(char **argv, const char *options)
{
	if (getenv("TEST_CONF"))
		return;
	conf_append(options, "appended");
	conf_start_anew(argv);
}

static cpu_set_t *first_set(void)
{
	static cpu_set_t set;

	if (!CPU_COUNT(&set))
		sched_getaffinity(getpid(), sizeof(set), &set);
	return &set;
}

int cpu_nth(unsigned int n)
{
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, first_set()) && n-- == 0)
			return cpu;
	return -1;
}

void run_on_cpu(pid_t tid, int cpu)
{
	cpu_set_t one = *first_set();

	if (cpu >= 0) {
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
	}
	if (sched_setaffinity(tid, sizeof(one), &one))
		check_broken("sched_setaffinity");
}
