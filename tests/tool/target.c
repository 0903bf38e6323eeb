// SPDX-License-Identifier: MIT
/*
 * target.c - a program to be profiled that does what profilers trip over, one thing a run.
 *
 *	target <what> [milliseconds of CPU time] [exit code]
 *
 * what: plain, threads, blocked (threads that block all signals), handlers (takes the clock's signal
 * for itself), underscore (leaves by _exit), forks, vforks, execs, many (short threads), killed,
 * sleeps (must sleep its whole time).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long ms = 200;
static int code;
static char *self;

static long clock_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

__attribute__((noinline)) void busy(long for_ms);
void busy(long for_ms)
{
	static _Thread_local void *slot[64];
	long until = clock_ms(CLOCK_THREAD_CPUTIME_ID) + for_ms;

	for (unsigned int i = 0; i % 256 || clock_ms(CLOCK_THREAD_CPUTIME_ID) < until; i++) {
		free(slot[i % 64]);
		slot[i % 64] = malloc(16 + i % 512);
	}
}

static void *busy_thread(void *arg)
{
	busy(*(long *)arg);
	return NULL;
}

static void threads(int nr, long for_ms)
{
	pthread_t thread[16];

	for (int i = 0; i < nr; i++)
		if (pthread_create(&thread[i], NULL, busy_thread, &for_ms))
			exit(90);
	for (int i = 0; i < nr; i++)
		pthread_join(thread[i], NULL);
}

static void many(void)
{
	for (int i = 0; i < 20; i++)
		threads(10, ms / 100);
}

static void blocked(void)
{
	sigset_t all, now;

	sigfillset(&all);
	if (pthread_sigmask(SIG_SETMASK, &all, NULL))
		exit(90);
	threads(2, ms / 2);
	if (pthread_sigmask(SIG_SETMASK, NULL, &now) || !sigismember(&now, SIGTERM))
		exit(91); /* what the program asked for, it has */
}

static void on_urgent(int signo)
{
	(void)signo;
	_exit(92);
}

static void handlers(void)
{
	struct sigaction action = {.sa_handler = on_urgent}, old;

	if (sigaction(SIGURG, &action, &old) || signal(SIGURG, SIG_IGN) == SIG_ERR)
		exit(90);
	busy(ms);
}

/* 0 of a child is its success. */
static void wait_for(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			exit(93);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		exit(94);
}

static void forks(void)
{
	for (int i = 0; i < 4; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			busy(ms / 4);
			if (i % 2)
				_exit(0);
			exit(0);
		}
		wait_for(pid);
	}
}

static void vforks(void)
{
	for (int i = 0; i < 20; i++) {
		pid_t pid = vfork();

		if (pid == 0) {
			execl("/bin/true", "true", (char *)NULL);
			_exit(95);
		}
		wait_for(pid);
		busy(ms / 20);
	}
}

static void execs(void)
{
	char text[2][32];

	busy(ms / 2);
	snprintf(text[0], sizeof(text[0]), "%ld", ms / 2);
	snprintf(text[1], sizeof(text[1]), "%d", code);
	execv(self, (char *[]){self, "plain", text[0], text[1], NULL});
	exit(96);
}

/* nanosleep() that returns early would be a change that the profiler made. */
static void sleeps(void)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	busy(20);
	if (nanosleep(&t, NULL))
		exit(97);
}

static const struct {
	const char *name;
	void (*run)(void);
} whats[] = {
	{"many", many},	    {"blocked", blocked}, {"handlers", handlers}, {"forks", forks},
	{"vforks", vforks}, {"execs", execs},	  {"sleeps", sleeps},
};

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "plain";

	self = "/proc/self/exe";
	ms = argc > 2 ? atol(argv[2]) : ms;
	code = argc > 3 ? atoi(argv[3]) : 0;
	for (size_t i = 0; i < sizeof(whats) / sizeof(*whats); i++)
		if (!strcmp(what, whats[i].name)) {
			whats[i].run();
			return code;
		}
	if (!strcmp(what, "threads"))
		threads(4, ms / 4);
	else
		busy(ms);
	if (!strcmp(what, "underscore"))
		_exit(code);
	if (!strcmp(what, "killed"))
		raise(SIGKILL);
	return code;
}
