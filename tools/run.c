// SPDX-License-Identifier: MIT
/*
 * run.c - `nostall run --profile -- PROGRAM`: the signal profiler inside, the report after.
 *
 * The program gets LD_PRELOAD, NOSTALL_PROFILE (where to leave its profile) and NOSTALL_CONF with
 * exact statistics; everything else is its own, its standard streams and exit code too. The report
 * goes to standard error or to --output, after the program has ended.
 */
#define _GNU_SOURCE
#include "profile.h"
#include "target.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct run {
	int profile, with_malloc, keep;
	long long period_us, stock, top;
	const char *clock, *output, *folded, *profiler;
	char dir[PATH_MAX]; /* where profiles are left */
	char **argv;	    /* of the program */
};

static int help(void)
{
	printf("usage: nostall run --profile [OPTION...] -- PROGRAM [ARG...]\n\n"
	       "  --profile          sample every thread, about once a millisecond of CPU time\n"
	       "  --period-us N      instead of 997; 20 to 1000000\n"
	       "  --top N            functions and paths to print; default 12\n"
	       "  --output FILE      the report goes there, not to standard error\n"
	       "  --folded FILE      also every path on a line, for flame graphs\n"
	       "  --keep             leave the raw profiles and say where\n"
	       "  --stock N          tree nodes put on each CPU ahead; default 32\n"
	       "  --clock timer      do not use perf events even where they are granted\n"
	       "  --malloc           malloc in the handler: expect a hang (docs/profiler.md)\n"
	       "  --profiler FILE    the profiler's shared object, if it is not found beside the tool\n"
	       "\nExit code: the program's; 128 + the signal that killed it; 125 not run, 126 cannot\n"
	       "be executed, 127 not found.\n");
	return TOOL_OK;
}

static int number_into(long long *to, const char *option, long long min, long long max)
{
	*to = number_arg("run", option, optarg, min, max);
	return *to < 0 ? TOOL_USAGE : 0;
}

/* Returns 0, or an exit code plus one where the work is already done (--help). */
static int option_take(struct run *r, int c)
{
	switch (c) {
	case 'p':
		r->profile = 1;
		return 0;
	case 'u':
		return number_into(&r->period_us, "--period-us", 20, 1000000);
	case 't':
		return number_into(&r->top, "--top", 1, 1000000);
	case 's':
		return number_into(&r->stock, "--stock", 0, 1048576);
	case 'o':
		r->output = optarg;
		return 0;
	case 'f':
		r->folded = optarg;
		return 0;
	case 'k':
		r->keep = 1;
		return 0;
	case 'm':
		r->with_malloc = 1;
		return 0;
	case 'P':
		r->profiler = optarg;
		return 0;
	case 'c':
		r->clock = optarg;
		if (!strcmp(optarg, "timer") || !strcmp(optarg, "auto"))
			return 0;
		return usage_error("run", "--clock: '%s' is not one of auto, timer", optarg);
	default:
		return TOOL_USAGE; /* getopt has named it */
	}
}

static int options_read(struct run *r, int argc, char **argv)
{
	static const struct option options[] = {
		{"profile", no_argument, NULL, 'p'},
		{"period-us", required_argument, NULL, 'u'},
		{"top", required_argument, NULL, 't'},
		{"output", required_argument, NULL, 'o'},
		{"folded", required_argument, NULL, 'f'},
		{"keep", no_argument, NULL, 'k'},
		{"stock", required_argument, NULL, 's'},
		{"clock", required_argument, NULL, 'c'},
		{"malloc", no_argument, NULL, 'm'},
		{"profiler", required_argument, NULL, 'P'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c, index;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "+:h", options, &index)) != -1) {
		int code;

		if (c == '?')
			return usage_error("run",
					   "'%s' is not an option; `nostall run --help` names them",
					   argv[optind - 1]);
		if (c == ':')
			return usage_error("run", "%s needs a value", argv[optind - 1]);
		if (c == 'h')
			exit(help());
		code = option_take(r, c);
		if (code)
			return code;
	}
	if (!r->profile)
		return usage_error("run", "say what for: --profile");
	if (optind == argc)
		return usage_error("run", "no program; put it after `--`");
	r->argv = argv + optind;
	return 0;
}

/* Installed in NOSTALL_LIBDIR; in a build tree, in the same folder as the tool. */
static int profiler_find(const struct run *r, char *path, size_t len)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (r->profiler)
		return realpath(r->profiler, self) && !access(self, R_OK) &&
		       snprintf(path, len, "%s", self) < (int)len;
	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		*slash = '\0';
		if (snprintf(path, len, "%s/libnostall-profile.so", self) < (int)len &&
		    !access(path, R_OK))
			return 1;
		if (snprintf(path, len, "%s/%s/libnostall-profile.so", self,
			     NOSTALL_BINDIR_TO_LIBDIR) < (int)len &&
		    !access(path, R_OK))
			return 1;
	}
	return snprintf(path, len, "%s/libnostall-profile.so", NOSTALL_LIBDIR) < (int)len &&
	       !access(path, R_OK);
}

/* Before the variable's own value, or after it. */
static void env_join(const char *name, const char *first, char separator, const char *second)
{
	char *text;

	if (!first || !*first || !second || !*second)
		text = must_print("%s", first && *first ? first : second);
	else
		text = must_print("%s%c%s", first, separator, second);
	setenv(name, text, 1);
	free(text);
}

static void env_set(const struct run *r, const char *profiler)
{
	const char *conf = getenv("NOSTALL_CONF");
	char *options = must_print("dir:%s,period_us:%lld,stock:%lld,malloc:%d,clock:%s", r->dir,
				   r->period_us, r->stock, r->with_malloc, r->clock);

	setenv("NOSTALL_PROFILE", options, 1);
	free(options);
	env_join("LD_PRELOAD", profiler, ':', getenv("LD_PRELOAD"));
	if (!conf || !strstr(conf, "stats:"))
		env_join("NOSTALL_CONF", conf, ',', "stats:full");
}

/* In the child: returns only if exec fails, by telling the parent errno through the pipe. */
static void child(const struct run *r, const char *profiler, int pipe_fd)
{
	int err;

	env_set(r, profiler);
	execvp(r->argv[0], r->argv);
	err = errno;
	if (write(pipe_fd, &err, sizeof(err)) < 0)
		_exit(TOOL_RUN);
	_exit(TOOL_NOEXEC);
}

static pid_t child_pid;

static void pass_on(int signo)
{
	kill(child_pid, signo);
}

/* Terminal signals reach the program by themselves; others are passed on; the tool stays for the report. */
static void signals_set(void)
{
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGTERM, pass_on);
	signal(SIGHUP, pass_on);
}

static int start(const struct run *r, const char *profiler)
{
	int fds[2], err = 0;

	if (pipe2(fds, O_CLOEXEC))
		return errno;
	child_pid = fork();
	if (child_pid == 0)
		child(r, profiler, fds[1]);
	close(fds[1]);
	if (child_pid < 0)
		err = errno;
	else if (read(fds[0], &err, sizeof(err)) != sizeof(err))
		err = 0; /* the descriptor closed in exec */
	close(fds[0]);
	return err;
}

static int wait_exit(int *status)
{
	while (waitpid(child_pid, status, 0) < 0)
		if (errno != EINTR)
			return TOOL_RUN;
	return WIFEXITED(*status) ? WEXITSTATUS(*status) : 128 + WTERMSIG(*status);
}

static void explain_nothing(int status)
{
	if (WIFSIGNALED(status))
		fprintf(stderr,
			"nostall run: no profile: signal %d (%s) ended the program; a profile "
			"is written when it exits\n",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		fprintf(stderr, "nostall run: no profile: the program used less CPU time than one "
				"period, or left without running its destructors\n");
}

static FILE *output_open(const char *path)
{
	FILE *file = path ? fopen(path, "we") : stderr;

	if (!file)
		fprintf(stderr, "nostall run: %s: %s; the report goes here\n", path,
			strerror(errno));
	return file ? file : stderr;
}

static void report(const struct run *r, int status)
{
	struct profile profile;
	FILE *out;

	if (!profile_read(&profile, r->dir)) {
		explain_nothing(status);
		return;
	}
	out = output_open(r->output);
	profile_print(&profile, out, (size_t)r->top);
	if (fflush(out) || ferror(out))
		fprintf(stderr, "nostall run: the report could not be written in full\n");
	if (r->folded) {
		out = output_open(r->folded);
		profile_print_folded(&profile, out);
		fflush(out);
	}
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

static int run(struct run *r, const char *profiler)
{
	int status = 0, code, err = start(r, profiler);

	if (err) {
		fprintf(stderr, "nostall run: %s: %s\n", r->argv[0], strerror(err));
		return err == ENOENT ? TOOL_NOTFOUND : TOOL_NOEXEC;
	}
	signals_set();
	code = wait_exit(&status);
	report(r, status);
	return code;
}

int verb_run(int argc, char **argv)
{
	struct run r = {.period_us = 997, .stock = 32, .top = 12, .clock = "auto"};
	char path[PATH_MAX], profiler[PATH_MAX], why[2 * PATH_MAX];
	const char *tmp = getenv("TMPDIR");
	int code = options_read(&r, argc, argv);

	if (code)
		return code;
	code = target_find(r.argv[0], path, sizeof(path), why, sizeof(why));
	if (code) {
		fprintf(stderr, "nostall run: %s\n", why);
		return code;
	}
	if (!profiler_find(&r, profiler, sizeof(profiler))) {
		fprintf(stderr,
			"nostall run: libnostall-profile.so is not found beside the tool or in "
			"%s; --profiler FILE names it\n",
			NOSTALL_LIBDIR);
		return TOOL_RUN;
	}
	snprintf(r.dir, sizeof(r.dir), "%s/nostall.XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp");
	if (!mkdtemp(r.dir)) {
		fprintf(stderr, "nostall run: %s: %s\n", r.dir, strerror(errno));
		return TOOL_RUN;
	}
	code = run(&r, profiler);
	if (r.keep)
		fprintf(stderr, "nostall run: raw profiles in %s\n", r.dir);
	else
		nftw(r.dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return code;
}
