// SPDX-License-Identifier: MIT
/*
 * doctor.c - `nostall doctor`: how the library runs on this machine, and what could be better.
 *
 * One fact a line, key=value. Where a fact costs something, a line note.<key>=... below it says what
 * and what to do. A note is advice: only --prove measures, and only it can fail.
 */
#define _GNU_SOURCE
#include "tool.h"

#include <getopt.h>
#include <nostall/nostall.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE 27 /* since Linux 6.3; headers may be older than the kernel */
#endif

static void note(const char *key, const char *text)
{
	printf("note.%s=%s\n", key, text);
}

/* The first line of a file of the kernel's; NULL where there is none. */
static const char *file_line(const char *path)
{
	static char line[256];
	FILE *file = fopen(path, "re");

	line[0] = '\0';
	if (!file)
		return NULL;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	line[strcspn(line, "\n")] = '\0';
	return line;
}

/* Of "a [b] c" the word in brackets. */
static const char *bracketed(const char *line)
{
	static char word[64];
	const char *open = line ? strchr(line, '[') : NULL;

	snprintf(word, sizeof(word), "%.*s", open ? (int)strcspn(open + 1, "]") : 0,
		 open ? open + 1 : "");
	return word;
}

static const char *info(const char *key)
{
	static char value[512];

	if (nst_info(key, value, sizeof(value)) < 0)
		snprintf(value, sizeof(value), "unknown");
	return value;
}

static void show_library(void)
{
	static const char *const keys[] = {"sequences",	    "why_none",	     "membarrier",
					   "cpus_possible", "nodes",	     "worker",
					   "memory_locked", "reserve_bytes", "publish",
					   "pressure",	    "memory_limit",  "options"};

	nst_maintain(); /* opens what says that memory is short */
	printf("version=%s\n", nst_version());
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		printf("%s=%s\n", keys[i], info(keys[i]));
	if (!strcmp(info("sequences"), "none"))
		note("sequences",
		     "no restartable sequences: every list has a try-held byte, which costs "
		     "an atomic operation a call; why_none says what is missing");
	if (!strncmp(info("pressure"), "none", 4))
		note("pressure",
		     "nothing says that memory is short: idle memory goes back at its own pace. PSI is off in "
		     "this kernel, or its files are hidden here");
	else if (strstr(info("pressure"), "(read"))
		note("pressure", "no trigger may be written here: stalls are seen up to 2 s later");
	if (!strncmp(info("worker"), "off", 3))
		note("worker",
		     "nothing refills in the background: call nst_maintain() from a thread that "
		     "may sleep");
}

static void show_kernel(void)
{
	struct utsname name;

	if (uname(&name) == 0)
		printf("kernel=%s\nmachine=%s\n", name.release, name.machine);
	printf("cpus_online=%ld\n", sysconf(_SC_NPROCESSORS_ONLN));
	printf("rseq_registered_bytes=%u\n", __rseq_size);
	printf("rseq_kernel_bytes=%lu\n", getauxval(AT_RSEQ_FEATURE_SIZE));
	if (!__rseq_size)
		note("rseq_registered_bytes",
		     "libc registered no rseq area: kernel before 4.18, a seccomp "
		     "filter, valgrind, or GLIBC_TUNABLES=glibc.pthread.rseq=0");
}

static void show_limit(const char *key, int resource)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit))
		return;
	if (limit.rlim_cur == RLIM_INFINITY)
		printf("%s=unlimited\n", key);
	else
		printf("%s=%llu\n", key, (unsigned long long)limit.rlim_cur);
}

static void show_limits(void)
{
	struct rlimit memlock = {0}, rtprio = {0};

	getrlimit(RLIMIT_MEMLOCK, &memlock);
	getrlimit(RLIMIT_RTPRIO, &rtprio);
	show_limit("memlock_bytes", RLIMIT_MEMLOCK);
	if (memlock.rlim_cur != RLIM_INFINITY && memlock.rlim_cur < (64u << 20) && geteuid())
		note("memlock_bytes",
		     "lock:on can lock no more than this; raise it with `ulimit -l`, "
		     "limits.conf or LimitMEMLOCK=");
	show_limit("rtprio", RLIMIT_RTPRIO);
	if (!rtprio.rlim_cur && geteuid())
		note("rtprio", "threads cannot become SCHED_FIFO; `ulimit -r`, limits.conf or "
			       "LimitRTPRIO= allow it");
	show_limit("address_space_bytes", RLIMIT_AS);
}

static void show_memory(void)
{
	const char *line = file_line("/sys/kernel/mm/transparent_hugepage/enabled");

	printf("transparent_hugepages=%s\n", line ? bracketed(line) : "not_there");
	if (line && !strcmp(bracketed(line), "always"))
		note("transparent_hugepages",
		     "khugepaged may move ready pages: a thread that touches one "
		     "meanwhile waits for it; madvise or lock:on avoid it");
	line = file_line("/proc/sys/vm/overcommit_memory");
	printf("overcommit_memory=%s\n", line ? line : "unknown");
	if (line && !strcmp(line, "2"))
		note("overcommit_memory",
		     "address space counts as memory here: set reserve:BYTES to what "
		     "the program needs");
	line = file_line("/sys/fs/cgroup/memory.max");
	printf("cgroup_memory_max=%s\n", line ? line : "unlimited");
}

static void show_tools(void)
{
	const char *line = file_line("/proc/sys/kernel/perf_event_paranoid");

	printf("perf_event_paranoid=%s\n", line ? line : "not_there");
	if (geteuid() && (!line || atoi(line) > 2))
		note("perf_event_paranoid",
		     "`nostall run --profile` uses timers, which tick in sleeping "
		     "threads too; 2 or lower grants perf events");
	printf("fork=ready_pages_become_copy_on_write\n");
	note("fork",
	     "in parent and child the first write to a page faults again, until nst_maintain() or "
	     "the worker has been over it; fork_ready:on does it inside fork()");
}

static int help(void)
{
	printf("usage: nostall doctor [--prove]\n\n"
	       "  --prove   measure the contract of the no-lock calls here: page faults, system calls,\n"
	       "            waits for locks of a thread that does a million of them; exit code 1 unless "
	       "all are 0\n");
	return TOOL_OK;
}

int verb_doctor(int argc, char **argv)
{
	static const struct option options[] = {
		{"prove", no_argument, NULL, 'p'},
		{"prove-here", no_argument, NULL, 'P'}, /* the child of --prove */
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c, want_proof = 0;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h')
			return help();
		if (c == 'P')
			return prove_here();
		if (c != 'p')
			return usage_error("doctor",
					   "'%s' is not an option; there are --prove, --help",
					   argv[optind - 1]);
		want_proof = 1;
	}
	if (optind < argc)
		return usage_error("doctor", "'%s' is too much; it takes options only",
				   argv[optind]);
	show_library();
	show_kernel();
	show_limits();
	show_memory();
	show_tools();
	fflush(stdout);
	return want_proof ? prove() : TOOL_OK;
}
