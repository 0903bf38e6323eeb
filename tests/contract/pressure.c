/* SPDX-License-Identifier: MIT */
/*
 * pressure.c - C33: memory is short elsewhere, and what is idle here goes back: by each way to say so.
 *
 *	pressure		each below as a child of its own
 *	pressure LIFE ROOT	what the child does, with a tree in ROOT that looks like the kernel's
 *
 * The clock stands still, so that nothing is idle for long, and is put forward by less than the worker needs to find
 * anything idle by itself: what goes back goes for the pressure alone. The real ones: tests/contract/cgroup.c.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/check.h"
#include "common/root.h"
#include "common/trap.h"
#include "sys/sys.h"
#include <nostall/nostall.h>
#include <nostall/rcu.h>
#include <nostall/reclaim.h>

#define MIB ((size_t)1 << 20)
#define MS ((u64)1000000)
#define LOOK (60 * MS) /* more than from look to look, less than until something is idle */
#define REST (1000 * MS)
#define IDLE_BYTES (48 * MIB)
#define SIZE 512u

static struct nst_stats *stats(void)
{
	static struct nst_stats s;

	nst_stats_read(&s, sizeof(s));
	return &s;
}

static void forward(u64 ns)
{
	nst_store_relaxed(&nst_test_now_ns, nst_test_now_ns + ns);
}

/* ---- what is idle ---- */

static size_t kept_objects = 4000;

static size_t count(void *ctx)
{
	(void)ctx;
	return __atomic_load_n(&kept_objects, __ATOMIC_RELAXED);
}

static size_t scan(void *ctx, size_t nr)
{
	(void)ctx;
	__atomic_fetch_sub(&kept_objects, nr, __ATOMIC_RELAXED);
	return nr;
}

/* In lists of this CPU, in the barn, in slabs, in blocks; a mapping laid by; and something that was retired. */
static void lay_idle(void)
{
	static void *object[IDLE_BYTES / SIZE];

	for (size_t i = 0; i < IDLE_BYTES / SIZE; i++)
		object[i] = nst_alloc(SIZE, NST_NORMAL);
	for (size_t i = 0; i < IDLE_BYTES / SIZE; i++)
		nst_free(object[i]);
	object[0] = nst_alloc(8 * MIB, NST_NORMAL);
	memset(object[0], 1, 8 * MIB);
	nst_free(object[0]);
	for (size_t i = 0; i < 10000; i++)
		nst_free_rcu(nst_alloc(SIZE, NST_NORMAL));
}

/* Until the worker has done what it does of itself. */
static void settle(void)
{
	uint64_t since = 0;
	u64 before;

	while (!stats()->pressure.watched && check_patience(&since))
		;
	for (since = 0; stats()->retired.waiting_bytes && check_patience(&since);)
		;
	before = stats()->worker_wakeups;
	for (since = 0; stats()->worker_wakeups < before + 5 && check_patience(&since);)
		;
}

/* Passes of the worker. */
static void passes(unsigned int n)
{
	u64 before = stats()->worker_wakeups;
	uint64_t since = 0;

	while (stats()->worker_wakeups < before + n && check_patience(&since))
		;
}

static int begin(void)
{
	settle();
	lay_idle();
	settle();
	forward(LOOK);
	passes(3);
	check(stats()->resident_bytes > IDLE_BYTES && !stats()->pressure.given_back,
	      "C33 without pressure it stays", "%llu resident, %llu given back",
	      (unsigned long long)stats()->resident_bytes,
	      (unsigned long long)stats()->pressure.given_back);
	return check_status();
}

/* After @event was made. */
static void relieved(const char *name, const uint64_t *events)
{
	uint64_t since = 0;
	struct nst_pressure_stats p;

	forward(LOOK);
	while (stats()->pressure.given_back < IDLE_BYTES * 3 / 4 && check_patience(&since))
		;
	for (since = 0; stats()->resident_bytes > 8 * MIB && check_patience(&since);)
		;
	p = stats()->pressure;
	check(p.given_back >= IDLE_BYTES * 3 / 4 && p.reliefs == 1, name,
	      "%llu given back, %llu times", (unsigned long long)p.given_back,
	      (unsigned long long)p.reliefs);
	check(stats()->resident_bytes <= 8 * MIB, "C33 what is idle goes back", "%llu are resident",
	      (unsigned long long)stats()->resident_bytes);
	check(*events == 1, "C33 counted by who said so", "%llu", (unsigned long long)*events);
}

/* ---- lives ---- */

#define EVENTS(which) (&stats()->pressure.which##_events)

static int life_file(void)
{
	uint64_t since = 0;
	size_t left;

	nst_shrinker_register(count, scan, NULL, 2, 0);
	if (begin())
		return 1;
	root_put("/fifo", "x");
	relieved("C33 a file that was given", EVENTS(file));
	while ((left = count(NULL)) == 4000 && check_patience(&since))
		;
	check(left <= 3000 && left >= 1000, "C33 shrinkers are asked for a part",
	      "%zu of 4000 left", left);
	/* Once more, at once: it is counted, and done after a rest, when shrinkers are asked for more of theirs. */
	root_put("/fifo", "x");
	forward(LOOK);
	for (since = 0; stats()->pressure.file_events < 2 && check_patience(&since);)
		;
	check(stats()->pressure.file_events == 2 && stats()->pressure.reliefs == 1,
	      "C33 after a rest only", "%llu, %llu",
	      (unsigned long long)stats()->pressure.file_events,
	      (unsigned long long)stats()->pressure.reliefs);
	forward(REST);
	for (since = 0; count(NULL) == left && check_patience(&since);)
		;
	check(stats()->pressure.reliefs == 2 && count(NULL) < left,
	      "C33 nothing is lost, and it goes on", "%llu, %zu left",
	      (unsigned long long)stats()->pressure.reliefs, count(NULL));
	return check_status();
}

static int life_sampled(void)
{
	if (begin())
		return 1;
	root_put("/psi", "some avg10=9.00 avg60=9.00 avg300=9.00 total=200000\n");
	forward(2000 * MS); /* something may become idle */
	relieved("C33 a total that is read", EVENTS(file));
	return check_status();
}

static int life_stall(void)
{
	if (begin())
		return 1;
	root_put("/sys/fs/cgroup/a/b/memory.pressure", "x");
	relieved("C33 the group's own PSI", EVENTS(stall));
	return check_status();
}

static int life_events(void)
{
	struct nst_pressure_stats p = stats()->pressure;
	char text[600];

	nst_info("memory_limit", text, sizeof(text));
	check(p.limit_bytes == 128 * MIB && strstr(text, "134217728 of cgroup v2 "),
	      "C34 the limit of a group above", "%llu, '%s'", (unsigned long long)p.limit_bytes,
	      text);
	if (begin())
		return 1;
	root_put("/sys/fs/cgroup/a/memory.max", "max\n");
	root_put("/sys/fs/cgroup/a/b/memory.max", "67108864\n");
	root_put("/sys/fs/cgroup/a/memory.events", "low 0\nhigh 0\nmax 1\noom 0\n");
	relieved("C33 memory.events", EVENTS(group));
	p = stats()->pressure;
	check(p.limit_bytes == 64 * MIB, "C34 the limit is read again", "%llu",
	      (unsigned long long)p.limit_bytes);
	return check_status();
}

/* Version 2's limit, with what others have of it. Nobody counts what we use here: it is what nobody touched. */
static int life_limit(void)
{
	void *p[200];
	size_t n = 0;

	while (n < 200 && (p[n] = nst_alloc(5 * MIB, NST_NORMAL)) != NULL)
		n++;
	check(n >= 16 && n <= 20, "C34 of 128 MiB others have 20", "5 MiB were served %zu times",
	      n);
	check(stats()->null_reasons[NST_NULL_NOMEM] > 0, "C34 NULL has its reason", "-");
	nst_maintain();
	check(stats()->pressure.limit_events >= 1, "C33 who is refused says so", "%llu times",
	      (unsigned long long)stats()->pressure.limit_events);
	root_put("/sys/fs/cgroup/a/memory.max", "268435456\n");
	forward(REST);
	while (n < 200 && (p[n] = nst_alloc(5 * MIB, NST_NORMAL)) != NULL)
		n++;
	check(n >= 36 && n <= 46, "C34 a limit that is raised", "%zu times", n);
	while (n--)
		nst_free(p[n]);
	return check_status();
}

/* How many descriptors of the FIFO there are, and the last. */
static int descriptors(int *last)
{
	char name[64], to[400];
	int fd, n = 0;
	ssize_t len;

	for (fd = 3; fd < 256; fd++) {
		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		len = readlink(name, to, sizeof(to) - 1);
		if (len <= 0 || (to[len] = 0, !strstr(to, "/fifo")))
			continue;
		*last = fd;
		n++;
	}
	return n;
}

/* A child's is its own: what it does to it the parent does not see. */
static int life_fork(void)
{
	int fd = -1, status, n;
	uint64_t since = 0;
	pid_t pid;

	settle();
	n = descriptors(&fd);
	check(n == 1 && fd >= 60 && fcntl(fd, F_GETFD) & FD_CLOEXEC,
	      "C33 one descriptor, out of the way", "%d, the last %d", n, fd);
	pid = fork();
	if (!pid) {
		nst_free(nst_alloc(100000, NST_NORMAL));
		while (!stats()->pressure.watched && check_patience(&since))
			nst_maintain();
		n = descriptors(&fd);
		_exit(n == 1 && !fcntl(fd, F_SETFL, O_NONBLOCK | O_APPEND) ? 0 : 2 + n);
	}
	waitpid(pid, &status, 0);
	check(!status, "C33 a child has one", "%s", child_status(status));
	check(!(fcntl(fd, F_GETFL) & O_APPEND), "C33 of its own", "-");
	return check_status();
}

static int life_off(void)
{
	char text[100];
	int fd;

	nst_maintain();
	nst_info("pressure", text, sizeof(text));
	check(!strcmp(text, "off") && !descriptors(&fd) && !stats()->pressure.watched,
	      "C33 pressure:off opens nothing", "'%s'", text);
	nst_info("memory_limit", text, sizeof(text));
	check(!strcmp(text, "off"), "C34 cgroup:off", "'%s'", text);
	return check_status();
}

static const struct life {
	const char *name, *conf, *file; /* the latter in ROOT, behind the former */
	int (*run)(void);
} lives[] = {
	{"file", "cgroup:off,pressure:", "/fifo", life_file},
	{"sampled", "cgroup:off,pressure:", "/psi", life_sampled},
	{"stall", "", NULL, life_stall},
	{"events", "", NULL, life_events},
	{"limit", "worker:off", NULL, life_limit},
	{"fork", "cgroup:off,pressure:", "/fifo", life_fork},
	{"off", "cgroup:off,pressure:off", NULL, life_off},
};
#define NR_LIVES (sizeof(lives) / sizeof(lives[0]))

const char *test_conf(int argc, char **argv)
{
	static char conf[300];

	for (size_t i = 0; argc == 3 && i < NR_LIVES; i++) {
		if (strcmp(lives[i].name, argv[1]))
			continue;
		root = argv[2];
		nst_test_root = root;
		snprintf(conf, sizeof(conf), "%s%s%s", lives[i].conf, lives[i].file ? root : "",
			 lives[i].file ? lives[i].file : "");
		return conf;
	}
	return "";
}

/* ---- */

static void make_tree(void)
{
	static const char *const dirs[] = {"/proc",
					   "/proc/self",
					   "/sys",
					   "/sys/fs",
					   "/sys/fs/cgroup",
					   "/sys/fs/cgroup/a",
					   "/sys/fs/cgroup/a/b"};

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		mkdir(root_path(dirs[i]), 0755);
	root_put("/proc/self/cgroup", "0::/a/b\n");
	root_put("/sys/fs/cgroup/a/memory.max", "134217728\n");
	root_put("/sys/fs/cgroup/a/memory.current", "22020096\n");
	root_put("/sys/fs/cgroup/a/memory.stat",
		 "anon 20971520\ninactive_file 1000000\nactive_file 48576\n");
	root_put("/sys/fs/cgroup/a/memory.events", "low 0\nhigh 0\nmax 0\noom 0\n");
	root_put("/sys/fs/cgroup/a/b/memory.max", "max\n");
	root_put("/sys/fs/cgroup/a/b/memory.current", "1048576\n");
	root_put("/psi", "some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n");
	mkfifo(root_path("/fifo"), 0600);
	mkfifo(root_path("/sys/fs/cgroup/a/b/memory.pressure"), 0600);
}

static void run(const struct life *life)
{
	char made[] = "/tmp/nostall-pressure-XXXXXX", command[100];
	pid_t pid;

	if (!mkdtemp(made))
		check_broken(made);
	root = made;
	make_tree();
	fflush(stdout);
	unsetenv("TEST_CONF");
	pid = child_exec(life->name, made);
	check_child(pid, 50, 0, life->name);
	snprintf(command, sizeof(command), "rm -r %s", made);
	if (system(command))
		check_broken(command);
}

int main(int argc, char **argv)
{
	conf_apply(argv);
	if (argc == 3) {
		setvbuf(stdout, NULL, _IOLBF, 0);
		nst_test_now_ns = nst_sys_now_ns() + REST;
		for (size_t i = 0; i < NR_LIVES; i++)
			if (!strcmp(lives[i].name, argv[1]))
				return lives[i].run();
		return 99;
	}
	check_deadline(110, "C33 in time");
	for (size_t i = 0; i < NR_LIVES; i++)
		run(&lives[i]);
	return check_status();
}
