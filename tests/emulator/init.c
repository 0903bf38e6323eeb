/* SPDX-License-Identifier: MIT */
/*
 * init.c - the first and only service of an emulated machine: runs the tests it is given, then off.
 *
 *	/tests, one test a line:  name \t seconds \t pass|fail \t NAME=value;NAME=value \t program \t arg ...
 *
 * Prints what each test prints, then one verdict line a test, then the sum. A test that takes longer
 * than its seconds is killed with all its children. "fail": the test runs on a library that is
 * broken on purpose, and must notice.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORDS_MAX 32
#define SKIP 77
#define TIMED_OUT 1000

static struct {
	int passed, failed, skipped;
} sum;

/* /tmp is part of the archive's own memory: this tree may lie in it. */
static void mount_all(void)
{
	static const char *const kinds[][2] = {{"proc", "/proc"},
					       {"sysfs", "/sys"},
					       {"devtmpfs", "/dev"},
					       {"tmpfs", "/dev/shm"},
					       {"cgroup2", "/sys/fs/cgroup"}};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		mkdir(kinds[i][1], 0755);
		if (mount(kinds[i][0], kinds[i][1], kinds[i][0], 0, NULL) && errno != EBUSY)
			perror(kinds[i][1]);
	}
	mkdir("/tmp", 01777);
}

static void console_open(void)
{
	int fd = open("/dev/console", O_RDWR);

	if (fd < 0)
		return;
	dup2(fd, 0);
	dup2(fd, 1);
	dup2(fd, 2);
	if (fd > 2)
		close(fd);
	setvbuf(stdout, NULL, _IOLBF, 0);
}

/* Cuts @line at each @mark; the last word is NULL. */
static int words_of(char *line, const char *mark, char **words)
{
	int n = 0;

	for (char *w; n < WORDS_MAX - 1 && (w = strsep(&line, mark));)
		words[n++] = w;
	words[n] = NULL;
	return n;
}

static void become(char **argv, char *environment)
{
	char *pairs[WORDS_MAX];

	setpgid(0, 0);
	words_of(environment, ";", pairs);
	for (int i = 0; pairs[i]; i++)
		if (*pairs[i])
			putenv(pairs[i]);
	if (chdir("/tmp") == 0)
		execv(argv[0], argv);
	perror(argv[0]);
	_exit(127);
}

static int pid_1_reaps(pid_t pid, int *status)
{
	pid_t ended = waitpid(-1, status, WNOHANG);

	if (ended < 0)
		*status = TIMED_OUT;
	return ended < 0 || ended == pid;
}

/* An exit status; 128 + a signal; TIMED_OUT. */
static int run(char **argv, char *environment, time_t seconds)
{
	time_t end = time(NULL) + seconds;
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		become(argv, environment);
	while (!pid_1_reaps(pid, &status)) {
		if (time(NULL) >= end) {
			kill(-pid, SIGKILL);
			waitpid(pid, NULL, 0);
			return TIMED_OUT;
		}
		usleep(20000);
	}
	kill(-pid, SIGKILL);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void verdict(const char *name, const char *want, int got)
{
	int must_fail = strcmp(want, "fail") == 0;

	if (got == SKIP) {
		sum.skipped++;
		printf("SKIP %s\n", name);
	} else if (got == 127 || (must_fail ? got == 0 : got != 0)) {
		sum.failed++;
		if (got == TIMED_OUT)
			printf("FAIL %s: did not end in time\n", name);
		else
			printf("FAIL %s: exit %d%s\n", name, got,
			       must_fail && !got ? " on a broken library" : "");
	} else {
		sum.passed++;
		printf("PASS %s%s\n", name, must_fail ? " (noticed)" : "");
	}
}

static void run_line(char *line)
{
	char *words[WORDS_MAX];
	time_t start = time(NULL);

	line[strcspn(line, "\n")] = 0;
	if (words_of(line, "\t", words) < 5)
		return;
	printf("== %s\n", words[0]);
	fflush(stdout);
	verdict(words[0], words[2], run(words + 4, words[3], atol(words[1])));
	printf("-- %ld s\n", (long)(time(NULL) - start));
}

int main(void)
{
	char line[4096];
	struct utsname u;
	FILE *tests;

	mount_all();
	console_open();
	uname(&u);
	printf("emulator: Linux %s %s %s, %ld CPUs\n", u.release, u.version, u.machine,
	       sysconf(_SC_NPROCESSORS_ONLN));
	setenv("PATH", "/usr/bin:/bin", 1);
	tests = fopen("/tests", "r");
	while (tests && fgets(line, sizeof(line), tests))
		run_line(line);
	printf("emulator: %d passed, %d failed, %d skipped\n", sum.passed, sum.failed, sum.skipped);
	fflush(stdout);
	sync();
	reboot(RB_POWER_OFF);
	return 1;
}
