/* SPDX-License-Identifier: MIT */
/*
 * publish_dir.c - S7: a folder for statistics pages that takes none. The program runs on as without,
 * leaves nothing there, and of a full folder one line is said.
 *
 * The full one is a tmpfs of its own, mounted where no other process sees it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <nostall/nostall.h>
#include "common/check.h"
#include "common/trap.h"

#define OWN_STATUS 7

/* What the program under the option does: 7 if all is as without it. */
static int inside(void)
{
	char state[32] = "";
	uint64_t since = 0;

	/* The worker may be in the middle of a pass: a call of ours does nothing then. */
	do {
		void *p = nst_alloc(100, NST_NORMAL);

		if (!p)
			return 1;
		nst_free(p);
		nst_maintain();
		nst_info("publish", state, sizeof(state));
	} while (strcmp(state, "refused") && check_patience(&since));
	return strcmp(state, "refused") ? 2 : OWN_STATUS;
}

static void become(const char *dir, int said_fd, rlim_t file_bytes)
{
	char conf[512];
	const char *before = getenv("NOSTALL_CONF");
	struct rlimit limit = {file_bytes, file_bytes};

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	snprintf(conf, sizeof(conf), "%s,publish_dir:%s", before ? before : "", dir);
	setenv("NOSTALL_CONF", conf, 1);
	if (dup2(said_fd, STDERR_FILENO) < 0 || setrlimit(RLIMIT_FSIZE, &limit))
		_exit(97);
	execl("/proc/self/exe", "publish_dir", "--inside", (char *)NULL);
	_exit(98);
}

/* Its status; all that it said in @said. */
static int run_with(const char *dir, rlim_t file_bytes, char *said, size_t len)
{
	int end[2], status = -1;
	ssize_t n;
	pid_t pid;

	if (pipe(end))
		check_broken("pipe");
	fflush(stdout);
	pid = fork();
	if (!pid)
		become(dir, end[1], file_bytes);
	close(end[1]);
	if (child_wait(pid, 40, &status))
		status = -1;
	n = read(end[0], said, len - 1);
	said[n < 0 ? 0 : n] = 0;
	close(end[0]);
	return status;
}

static int files_in(const char *dir)
{
	DIR *d = opendir(dir);
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n - 2;
}

static int is_one_line(const char *said, const char *line)
{
	return !strncmp(said, line, strlen(line)) && strchr(said, '\n') == said + strlen(said) - 1;
}

static void full(const char *dir)
{
	char said[600], line[200];
	int status;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", dir, "tmpfs", 0, "size=16k")) {
		printf("# no filesystem can be mounted here (%s): a full one is not tried\n",
		       strerror(errno));
		return;
	}
	status = run_with(dir, RLIM_INFINITY, said, sizeof(said));
	check(status == OWN_STATUS << 8, "S7 a full folder: the program is as without", "%s",
	      child_status(status));
	snprintf(line, sizeof(line),
		 "nostall: option publish_dir:%s: no statistics of this process (error 28); ", dir);
	check(is_one_line(said, line), "S7 one line says so", "'%s'", said);
	check(files_in(dir) == 0, "S7 and nothing stays there", "%d files", files_in(dir));
	umount(dir);
}

static void quiet(const char *name, const char *dir, rlim_t file_bytes)
{
	char said[600];
	int status = run_with(dir, file_bytes, said, sizeof(said));

	check(status == OWN_STATUS << 8 && !said[0], name, "%s; it says '%s'", child_status(status),
	      said);
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/nostall-dir-XXXXXX", missing[64];

	if (argc > 1 && !strcmp(argv[1], "--inside"))
		return inside();
	check_deadline(60, "S7 in time");
	if (!mkdtemp(dir))
		check_broken(dir);
	snprintf(missing, sizeof(missing), "%s/none", dir);
	quiet("S7 no such folder", missing, RLIM_INFINITY);
	quiet("S7 a limit of the program's on files", dir, 20000);
	check(files_in(dir) == 0, "S7 and nothing stays there", "%d files", files_in(dir));
	full(dir);
	rmdir(dir);
	return check_status();
}
