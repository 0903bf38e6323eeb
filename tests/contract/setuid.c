/* SPDX-License-Identifier: MIT */
/*
 * setuid.c - S5: a setuid program takes no options from its environment.
 *
 * Needs root: makes a copy of itself setuid, and lets another user run it with options set.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/check.h"
#include "common/trap.h"
#include <nostall/nostall.h>

#define NOBODY 65534
#define OPTIONS "debug:2,misuse:continue,no_such_option:1,worker:off"

/* What the copy says of itself: 10 not secure, 11 options were taken, 0 none were. */
static int inside(void)
{
	char text[256] = "";

	if (!getauxval(AT_SECURE))
		return 10;
	nst_free(nst_alloc(100, NST_NORMAL));
	nst_info("options", text, sizeof(text));
	return text[0] ? 11 : 0;
}

static void copy_self(const char *to)
{
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	struct stat st;

	if (from < 0 || out < 0 || fstat(from, &st))
		check_broken(to);
	for (off_t left = st.st_size; left > 0;) {
		ssize_t n = sendfile(out, from, NULL, (size_t)left);
		if (n <= 0)
			check_broken("copy");
		left -= n;
	}
	if (fchmod(out, 04755))
		check_broken("chmod");
	close(from);
	close(out);
}

static int run_as_nobody(const char *path, char *text, size_t len)
{
	int end[2], status = 0;
	ssize_t n, used = 0;

	if (pipe(end))
		check_broken("pipe");
	pid_t pid = fork();
	if (pid == 0) {
		dup2(end[1], STDERR_FILENO);
		setenv("NOSTALL_CONF", OPTIONS, 1);
		if (setgid(NOBODY) || setuid(NOBODY))
			_exit(12);
		execl(path, path, "--inside", (char *)NULL);
		_exit(13);
	}
	close(end[1]);
	while ((n = read(end[0], text + used, len - 1 - (size_t)used)) > 0)
		used += n;
	text[used] = 0;
	waitpid(pid, &status, 0);
	close(end[0]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/nostall-setuid-XXXXXX", path[64], text[1024] = "";
	struct statvfs fs;
	int rc;

	if (argc > 1 && !strcmp(argv[1], "--inside"))
		return inside();
	check_deadline(60, "S5 in time");
	if (geteuid() != 0)
		check_skip("needs root to make a setuid copy");
	if (!mkdtemp(dir) || chmod(dir, 0755))
		check_broken(dir);
	if (statvfs(dir, &fs) == 0 && (fs.f_flag & (ST_NOSUID | ST_NOEXEC))) {
		rmdir(dir);
		check_skip("%s does not honour setuid", dir);
	}
	snprintf(path, sizeof(path), "%s/copy", dir);
	copy_self(path);
	rc = run_as_nobody(path, text, sizeof(text));
	unlink(path);
	rmdir(dir);
	if (rc == 12 || rc == 13)
		check_skip("user %d cannot run %s", NOBODY, path);
	check(rc != 10, "S5 the copy is secure", "AT_SECURE is 0");
	check(rc == 0, "S5 it takes no options", "exit %d", rc);
	check(!strstr(text, "nostall:"), "S5 and does not read them", "it says: %s", text);
	return check_status();
}
