/* SPDX-License-Identifier: MIT */
/*
 * publish_life.c - S7: the statistics page through fork, exit, and what programs do to descriptors.
 *
 * Each life is a child: it begins with a page of its own, made by nst_maintain(), and its exit code
 * says which step went wrong.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/check.h"
#include "common/page.h"
#include "common/trap.h"

#define NR 2000

static struct nst_stats_page page;

static void churn(size_t bytes)
{
	static void *p[NR];

	for (int i = 0; i < NR; i++)
		p[i] = nst_alloc(bytes, NST_NORMAL);
	for (int i = 0; i < NR; i++)
		nst_free(p[i]);
}

static int state_is(const char *wanted)
{
	char state[32];

	nst_info("publish", state, sizeof(state));
	return !strcmp(state, wanted);
}

static int is_mapped(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	int found = 0;

	while (maps && fgets(line, sizeof(line), maps))
		found |= strstr(line, NST_STATS_PAGE_NAME) != NULL;
	if (maps)
		fclose(maps);
	return found;
}

static pid_t pid_of_page(void)
{
	int fd = page_open(getpid());
	const void *map = fd < 0 ? NULL : page_map(fd);

	if (fd >= 0)
		close(fd);
	return map && page_read(map, &page) == 0 ? (pid_t)page.pid : -1;
}

/* ---- fork ---- */

static int child_of(pid_t parent)
{
	if (pid_of_page() != parent)
		return 10; /* the descriptor is inherited, as all are */
	churn(100);
	nst_maintain();
	if (pid_of_page() != getpid())
		return 11;
	return state_is("memfd") ? 0 : 12;
}

static uint64_t sequence_of(const void *map)
{
	return page_read(map, &page) ? 0 : page.sequence;
}

static int life_fork(pid_t (*how)(void))
{
	int fd = page_open(getpid()), status = 0;
	const void *map = page_map(fd);
	uint64_t before = sequence_of(map);
	pid_t parent = getpid(), pid = how();

	if (pid == 0)
		_exit(child_of(parent));
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		return 20 + WEXITSTATUS(status);
	if (sequence_of(map) != before || page.pid != (uint64_t)parent)
		return 1;
	nst_maintain();
	return sequence_of(map) > before && page_number(parent) >= 0 ? 0 : 2;
}

static int life_of_fork(void)
{
	return life_fork(fork);
}

static int life_of_underscore_fork(void)
{
	return life_fork(_Fork);
}

/* Not even by accident: the child does not have the memory. An emulator may not know of it. */
static int life_of_mapping(void)
{
	int status = 0;
	pid_t pid;

	if (!is_mapped())
		return 1;
	pid = fork();
	if (pid == 0)
		_exit(is_mapped() ? 2 : 0);
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

/* _Fork() in a handler that interrupts a publication: the child returns into it. */
static volatile sig_atomic_t forked_here;
static pid_t grandchild;

static void fork_here(int sig)
{
	(void)sig;
	grandchild = _Fork();
	forked_here = grandchild == 0 ? 2 : 1;
}

static int one_interrupted(pid_t parent)
{
	int status = 0;

	while (!forked_here)
		nst_maintain();
	if (forked_here == 2) {
		churn(100);
		nst_maintain();
		_exit(pid_of_page() == getpid() ? 0 : 1);
	}
	forked_here = 0;
	if (child_wait(grandchild, 40, &status) || status)
		return 3;
	return pid_of_page() == parent ? 0 : 4;
}

static int life_of_handler(void)
{
	struct sigaction sa = {.sa_handler = fork_here, .sa_flags = SA_RESTART};
	pid_t parent = getpid();

	sigaction(SIGALRM, &sa, NULL);
	for (int i = 0; i < 30; i++) {
		struct itimerval soon = {.it_value = {.tv_usec = 200 + i * 37}};
		int rc;

		setitimer(ITIMER_REAL, &soon, NULL);
		rc = one_interrupted(parent);
		if (rc)
			return rc;
	}
	return 0;
}

/* ---- what programs do to descriptors ---- */

static int life_closed(void)
{
	if (close(page_number(getpid())))
		return 1;
	nst_maintain();
	return pid_of_page() == getpid() ? 0 : 2;
}

/* The number is the program's own file now. */
static int life_reused(void)
{
	int number = page_number(getpid()), end[2];
	char c;

	if (pipe(end) || dup2(end[1], number) != number)
		return 1;
	nst_maintain();
	if (write(number, "x", 1) != 1 || read(end[0], &c, 1) != 1)
		return 2;
	return pid_of_page() == getpid() && page_number(getpid()) != number ? 0 : 3;
}

/* The same in a child, where the library has a descriptor of its parent's to close. */
static int life_reused_in_child(void)
{
	int number = page_number(getpid()), status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		int end[2];

		if (pipe(end) || dup2(end[1], number) != number)
			_exit(1);
		nst_maintain();
		_exit(write(number, "x", 1) == 1 && pid_of_page() == getpid() ? 0 : 2);
	}
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

/* ---- where it cannot be made ---- */

static int in_child_without_page(int (*prepare)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		int rc = prepare();

		for (int i = 0; i < 10 && !rc; i++) {
			churn(100);
			nst_maintain();
		}
		if (rc || !nst_alloc(100, NST_NORMAL))
			_exit(rc ? rc : 2);
		exit(state_is("refused") && pid_of_page() != getpid() ? 0 : 3);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 40;
}

static int refuse_memfd(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_create, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof(filter) / sizeof(filter[0]), filter};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog)) {
		printf("# no seccomp filter here\n");
		exit(0);
	}
	return 0;
}

static int life_memfd_refused(void)
{
	return in_child_without_page(refuse_memfd);
}

static int no_files(void)
{
	struct rlimit none = {0, 0};

	return setrlimit(RLIMIT_FSIZE, &none) ? 1 : 0;
}

static int life_no_file_size(void)
{
	return in_child_without_page(no_files);
}

static int no_descriptors(void)
{
	struct rlimit none = {0, 0};

	return setrlimit(RLIMIT_NOFILE, &none) ? 1 : 0;
}

static int life_no_descriptors(void)
{
	return in_child_without_page(no_descriptors);
}

/* ---- exit ---- */

/* Who watches has the last state when the process is gone. */
static int life_exit(void)
{
	int ready[2], go[2], status = 0;
	uint64_t refills;
	const void *map;
	pid_t pid;
	char c;

	if (pipe(ready) || pipe(go))
		return 1;
	pid = fork();
	if (pid == 0) {
		nst_maintain();
		if (write(ready[1], "x", 1) != 1 || read(go[0], &c, 1) != 1)
			_exit(2);
		churn(300);
		exit(0);
	}
	if (read(ready[0], &c, 1) != 1)
		return 3;
	map = page_wait(pid, 10);
	if (!map || page_read(map, &page) || page.ended)
		return 4;
	refills = page.stats.refills;
	if (write(go[1], "x", 1) != 1 || waitpid(pid, &status, 0) != pid || status)
		return 5;
	return page_read(map, &page) == 0 && page.ended && page.stats.refills > refills ? 0 : 6;
}

static void exit_here(int sig)
{
	(void)sig;
	exit(0);
}

/* exit() from a handler, which programs do though they should not: no lock of the library is waited for. */
static int life_exit_in_handler(void)
{
	for (int i = 0; i < 60; i++) {
		int status = 0;
		pid_t pid = fork();

		if (pid == 0) {
			struct itimerval soon = {.it_value = {.tv_usec = 500 + i * 61}};

			nst_maintain();
			signal(SIGALRM, exit_here);
			setitimer(ITIMER_REAL, &soon, NULL);
			for (;;) {
				nst_pages_free(nst_pages_alloc(4, NST_NORMAL));
				churn(3000);
			}
		}
		if (child_wait(pid, 40, &status) || status)
			return 1;
	}
	return 0;
}

/* ---- publish_dir ---- */

static int inside_dir(const char *dir)
{
	int fd;

	churn(100);
	nst_maintain();
	if (!state_is("file") || pid_of_page() != getpid())
		return 1;
	fd = page_open(getpid());
	if (fd < 0 || fcntl(fd, F_GETFD) < 0)
		return 2;
	if (fork() == 0) {
		churn(200);
		exit(0);
	}
	wait(NULL);
	(void)dir;
	return 0;
}

/* Files of the process and its child, each with its last state. */
static int judge_dir(const char *dir)
{
	struct dirent *e;
	DIR *d = opendir(dir);
	int found = 0, bad = 0;

	while (d && (e = readdir(d)) != NULL) {
		char path[400];
		struct stat st;
		int fd;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		bad |= strncmp(e->d_name, NST_STATS_PAGE_NAME ".", 14) != 0;
		bad |= fstat(fd, &st) || (st.st_mode & 07777) != 0600;
		bad |= page_read(page_map(fd), &page) || !page.ended;
		close(fd);
		unlink(path);
		found++;
	}
	if (d)
		closedir(d);
	return bad ? 10 : found == 2 ? 0 : 11;
}

static int life_dir(void)
{
	char dir[] = "/tmp/nostall-publish-XXXXXX", conf[256];
	const char *before = getenv("NOSTALL_CONF");
	int status = 0, rc;
	pid_t pid;

	if (!mkdtemp(dir))
		return 1;
	snprintf(conf, sizeof(conf), "%s,publish_dir:%s", before ? before : "", dir);
	setenv("NOSTALL_CONF", conf, 1);
	pid = child_exec("--inside", dir);
	rc = child_wait(pid, 40, &status);
	rc = rc || status ? 2 : judge_dir(dir);
	rmdir(dir);
	return rc;
}

/* ---- each in a child ---- */

static const struct {
	const char *what;
	int (*live)(void);
} lives[] = {
	{"S7 a fork child makes its own page", life_of_fork},
	{"S7 a child of _Fork, too", life_of_underscore_fork},
	{"S7 a child does not have its parent's memory", life_of_mapping},
	{"S7 a fork in a handler that interrupts a publication", life_of_handler},
	{"S7 a program closed the descriptor", life_closed},
	{"S7 and has its number now", life_reused},
	{"S7 or its child has", life_reused_in_child},
	{"S7 memfd_create() refused: none, and nothing said", life_memfd_refused},
	{"S7 no room for files: none", life_no_file_size},
	{"S7 no descriptors: none", life_no_descriptors},
	{"S7 the last state is that of the exit", life_exit},
	{"S7 exit() in a handler returns", life_exit_in_handler},
	{"S7 publish_dir keeps each process's", life_dir},
};

static void live(const char *what, int (*fn)(void))
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		nst_maintain();
		_exit(state_is("memfd") ? fn() : 99);
	}
	if (child_wait(pid, 60, &status))
		check(0, what, "hung, killed");
	else if (WIFEXITED(status) && WEXITSTATUS(status) == 99)
		check_skip("no memfd can be made or sealed here");
	else
		check(status == 0, what, "%s", child_status(status));
}

TEST_CONF("worker:off")

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "--inside"))
		return inside_dir(argv[2]);
	conf_apply(argv);
	check_deadline(110, "S7 in time");
	for (size_t i = 0; i < sizeof(lives) / sizeof(lives[0]); i++)
		live(lives[i].what, lives[i].live);
	return check_status();
}
