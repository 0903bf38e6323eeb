// SPDX-License-Identifier: MIT
/*
 * run.c - `nostall run -- PROGRAM`: a program as it is, on this library's malloc; how it went, after.
 *
 * The program gets LD_PRELOAD and NOSTALL_CONF, with --profile NOSTALL_PROFILE too; everything else is
 * its own, its standard streams and exit code too. What the library counted is left in files by each
 * process (publish_dir), and so is the profile; the summary goes to standard error or to --output. So do the validator's
 * reports, if an option puts it on: with functions and lines, as they come (reports.c).
 */
#define _GNU_SOURCE
#include "preload.h"
#include "profile.h"
#include "reports.h"
#include "summary.h"
#include "target.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define DIR_MAX 150 /* publish_dir takes 200 */
#define PAGE_BYTES                                                                                 \
	(2 * sizeof(struct nst_stats_page)) /* what a process leaves in the folder, about */

struct run {
	int profile, with_malloc, keep_malloc, keep;
	int aside; /* the program is run as it is, and nothing reported */
	long long period_us, stock, top;
	const char *clock, *output, *folded, *profiler, *library;
	const char *profile_option; /* one that has no meaning without --profile */
	char *conf;		    /* key:value,... from the command line */
	char dir[PATH_MAX];	    /* where processes leave what is reported */
	char malloc_path[PATH_MAX], profiler_path[PATH_MAX]; /* "": not loaded */
	char *checked;					     /* reports_options() */
	FILE *out;   /* of reports and summary; NULL: not open yet */
	char **argv; /* of the program */
};

static int help(void)
{
	printf("usage: nostall run [OPTION...] -- PROGRAM [ARG...]\n\n"
	       "  --conf K:V,...     options of the library, after those in NOSTALL_CONF\n"
	       "  --output FILE      summary and reports go there, not to standard error\n"
	       "  --library FILE     libnostall-malloc.so, if it is not found beside the tool\n"
	       "  --profile          also sample every thread, about once a millisecond of CPU time\n"
	       "\nwith --profile:\n"
	       "  --period-us N      instead of 997; 20 to 1000000\n"
	       "  --top N            functions and paths to print; default 12\n"
	       "  --folded FILE      also every path on a line, for flame graphs\n"
	       "  --keep             leave the raw profiles and say where\n"
	       "  --stock N          tree nodes put on each CPU ahead; default 32\n"
	       "  --clock timer      do not use perf events even where they are granted\n"
	       "  --keep-malloc      the program keeps the malloc it has\n"
	       "  --malloc           the same, and malloc in the handler: expect a hang\n"
	       "                     (docs/profiler.md)\n"
	       "  --profiler FILE    the profiler's shared object, if it is not found beside the tool\n"
	       "\nExit code: the program's; 128 + the signal that killed it; 2 the command line or\n"
	       "--conf is wrong, 125 not run, 126 cannot be executed, 127 not found.\n");
	return TOOL_OK;
}

static int number_into(long long *to, const char *option, long long min, long long max)
{
	*to = number_arg("run", option, optarg, min, max);
	return *to < 0 ? TOOL_USAGE : 0;
}

/* Before the program starts: the library alone knows what it understands. */
static int conf_add(struct run *r)
{
	char why[512];
	char *text;

	if (nst_conf_check(optarg, why, sizeof(why)))
		return usage_error("run", "--conf: %s", why);
	text = must_print("%s%s%s", r->conf ? r->conf : "", r->conf ? "," : "", optarg);
	free(r->conf);
	r->conf = text;
	return 0;
}

static int clock_set(struct run *r)
{
	r->clock = optarg;
	if (!strcmp(optarg, "timer") || !strcmp(optarg, "auto"))
		return 0;
	return usage_error("run", "--clock: '%s' is not one of auto, timer", optarg);
}

/* Those that belong to --profile. */
static int profile_option_take(struct run *r, int c)
{
	switch (c) {
	case 'u':
		return number_into(&r->period_us, "--period-us", 20, 1000000);
	case 't':
		return number_into(&r->top, "--top", 1, 1000000);
	case 's':
		return number_into(&r->stock, "--stock", 0, 1048576);
	case 'f':
		r->folded = optarg;
		return 0;
	case 'k':
		r->keep = 1;
		return 0;
	case 'm':
		r->with_malloc = r->keep_malloc = 1;
		return 0;
	case 'K':
		r->keep_malloc = 1;
		return 0;
	case 'P':
		r->profiler = optarg;
		return 0;
	case 'c':
		return clock_set(r);
	default:
		return TOOL_USAGE;
	}
}

/* @name: of the option, without its dashes. */
static int option_take(struct run *r, int c, const char *name)
{
	switch (c) {
	case 'p':
		r->profile = 1;
		return 0;
	case 'C':
		return conf_add(r);
	case 'o':
		r->output = optarg;
		return 0;
	case 'l':
		r->library = optarg;
		return 0;
	default:
		r->profile_option = name;
		return profile_option_take(r, c);
	}
}

static int options_read(struct run *r, int argc, char **argv)
{
	static const struct option options[] = {
		{"profile", no_argument, NULL, 'p'},
		{"conf", required_argument, NULL, 'C'},
		{"library", required_argument, NULL, 'l'},
		{"keep-malloc", no_argument, NULL, 'K'},
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
	int c, index = 0;

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
		code = option_take(r, c, options[index].name);
		if (code)
			return code;
	}
	if (!r->profile && r->profile_option)
		return usage_error("run", "--%s is an option of --profile", r->profile_option);
	if (optind == argc)
		return usage_error("run", "no program; put it after `--`");
	r->argv = argv + optind;
	return 0;
}

/* ---- the program ---- */

static void env_set(const struct run *r)
{
	const char *conf = getenv("NOSTALL_CONF");
	char *text = must_print("%s%spublish_dir:%s", r->conf ? r->conf : "", r->conf ? "," : "",
				r->dir);

	/* What the program's own options say of its reports comes later, and counts. */
	if (*r->checked)
		env_join("NOSTALL_CONF", r->checked, ',', conf);
	env_join("NOSTALL_CONF", getenv("NOSTALL_CONF"), ',', text);
	free(text);
	env_join("LD_PRELOAD", r->profiler_path, ':', getenv("LD_PRELOAD"));
	env_join("LD_PRELOAD", r->malloc_path, ':', getenv("LD_PRELOAD"));
	if (!r->profile)
		return;
	text = must_print("dir:%s,period_us:%lld,stock:%lld,malloc:%d,clock:%s", r->dir,
			  r->period_us, r->stock, r->with_malloc, r->clock);
	setenv("NOSTALL_PROFILE", text, 1);
	free(text);
}

/* In the child: returns only if exec fails, by telling the parent errno through the pipe. */
static void child(const struct run *r, int pipe_fd)
{
	int err;

	if (!r->aside)
		env_set(r);
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

static int start(const struct run *r)
{
	int fds[2], err = 0;

	if (pipe2(fds, O_CLOEXEC))
		return errno;
	child_pid = fork();
	if (child_pid == 0)
		child(r, fds[1]);
	close(fds[1]);
	if (child_pid < 0)
		err = errno;
	else if (read(fds[0], &err, sizeof(err)) != sizeof(err))
		err = 0; /* the descriptor closed in exec */
	close(fds[0]);
	return err;
}

static void wake(int signo)
{
	(void)signo;
}

/* Tells of reports while the program runs. 0, or -1 as waitpid(). */
static int wait_and_tell(int *status, int reports_fd)
{
	struct pollfd fd = {.fd = reports_fd, .events = POLLIN};
	sigset_t child, before;
	pid_t pid;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, &before);
	sigdelset(&before, SIGCHLD);
	signal(SIGCHLD, wake);
	while ((pid = waitpid(child_pid, status, WNOHANG)) == 0) {
		ppoll(&fd, 1, NULL, &before);
		reports_pass();
	}
	reports_end();
	return pid < 0 ? -1 : 0;
}

static int wait_exit(int *status, int is_checked, int reports_fd)
{
	if (is_checked) {
		if (wait_and_tell(status, reports_fd))
			return TOOL_RUN;
	} else {
		while (waitpid(child_pid, status, 0) < 0)
			if (errno != EINTR)
				return TOOL_RUN;
	}
	return WIFEXITED(*status) ? WEXITSTATUS(*status) : 128 + WTERMSIG(*status);
}

/* ---- what is told of it ---- */

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

static void explain_no_summary(const struct summary *s)
{
	if (*s->foreign)
		fprintf(stderr, "nostall run: no summary: the program has %s\n", s->foreign);
	else
		fprintf(stderr,
			"nostall run: no summary: the program ended in its first moments without "
			"running its destructors, cleared its environment, may not write %zu KiB "
			"to a file, or has publish:off\n",
			PAGE_BYTES >> 10);
}

static FILE *output_open(const char *path)
{
	FILE *file = path ? fopen(path, "we") : stderr;

	if (!file)
		fprintf(stderr, "nostall run: %s: %s; the report goes here\n", path,
			strerror(errno));
	return file ? file : stderr;
}

/* Once; it stays open. */
static FILE *out_of(struct run *r)
{
	if (!r->out)
		r->out = output_open(r->output);
	return r->out;
}

static void print_report(struct run *r, struct profile *profile, const struct summary *summary)
{
	FILE *out = out_of(r);

	if (profile)
		profile_print(profile, out, (size_t)r->top);
	if (profile && summary)
		fputc('\n', out);
	if (summary)
		summary_print(summary, out, r->argv);
	if (fflush(out) || ferror(out))
		fprintf(stderr, "nostall run: the report could not be written in full\n");
	if (!profile || !r->folded)
		return;
	out = output_open(r->folded);
	profile_print_folded(profile, out);
	fflush(out);
}

static void report(struct run *r, int status)
{
	struct summary *summary = must_alloc(sizeof(*summary));
	struct profile profile;
	int has_profile = r->profile && profile_read(&profile, r->dir);
	int has_summary = summary_read(summary, r->dir, child_pid) > 0;

	if (r->profile && !has_profile)
		explain_nothing(status);
	if (!has_summary)
		explain_no_summary(summary);
	else if (has_profile)
		profile.stats = NULL; /* the summary says as much, and more */
	if (has_profile || has_summary)
		print_report(r, has_profile ? &profile : NULL, has_summary ? summary : NULL);
	free(summary);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

static int run(struct run *r)
{
	int status = 0, code, err, is_checked, reports_fd = -1;

	r->checked = reports_options(getenv("NOSTALL_CONF"), r->conf, r->dir);
	is_checked = *r->checked && !r->aside;
	if (is_checked)
		reports_fd = reports_begin(r->dir, out_of(r));
	err = start(r);
	if (err) {
		fprintf(stderr, "nostall run: %s: %s\n", r->argv[0], strerror(err));
		return err == ENOENT ? TOOL_NOTFOUND : TOOL_NOEXEC;
	}
	signals_set();
	code = wait_exit(&status, is_checked, reports_fd);
	if (!r->aside)
		report(r, status);
	return code;
}

/* 0, or why no process could leave its page there. */
static int room_check(const char *dir)
{
	char *path = must_print("%s/room", dir);
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), err = 0;
	struct rlimit limit = {0, 0};

	getrlimit(RLIMIT_FSIZE, &limit);
	if (fd < 0)
		err = errno;
	else if (limit.rlim_cur >= PAGE_BYTES && fallocate(fd, 0, 0, (off_t)PAGE_BYTES) &&
		 (errno == ENOSPC || errno == EDQUOT))
		err = errno;
	if (fd >= 0)
		close(fd);
	unlink(path);
	free(path);
	return err;
}

/* Its path goes into NOSTALL_CONF and NOSTALL_PROFILE, where commas and spaces have a meaning. */
static int dir_make(struct run *r)
{
	const char *tmp = getenv("TMPDIR");
	int err;

	if (!tmp || *tmp != '/' || strpbrk(tmp, ", \n") || strlen(tmp) > DIR_MAX)
		tmp = "/tmp";
	snprintf(r->dir, sizeof(r->dir), "%s/nostall.XXXXXX", tmp);
	err = mkdtemp(r->dir) ? room_check(r->dir) : errno;
	if (!err)
		return 0;
	rmdir(r->dir);
	fprintf(stderr,
		"nostall run: %s: %s; it needs %zu KiB a process, and TMPDIR names another "
		"folder\n",
		r->dir, strerror(err), PAGE_BYTES >> 10);
	return TOOL_RUN;
}

static int prepare(struct run *r)
{
	char path[PATH_MAX], why[2 * PATH_MAX];
	int code = target_find(r->argv[0], path, sizeof(path), why, sizeof(why));

	r->aside = code == TARGET_ASIDE;
	if (code)
		fprintf(stderr, "nostall run: %s%s\n", why,
			r->aside ? ": stepping aside, it runs without this library" : "");
	if (r->aside)
		return 0;
	if (!code && !r->keep_malloc)
		code = preload_find("libnostall-malloc.so", r->library, "--library", r->malloc_path,
				    sizeof(r->malloc_path));
	if (!code && r->profile)
		code = preload_find("libnostall-profile.so", r->profiler, "--profiler",
				    r->profiler_path, sizeof(r->profiler_path));
	return code ? code : dir_make(r);
}

int verb_run(int argc, char **argv)
{
	struct run r = {.period_us = 997, .stock = 32, .top = 12, .clock = "auto"};
	int code = options_read(&r, argc, argv);

	if (!code)
		code = prepare(&r);
	if (code)
		return code;
	code = run(&r);
	if (r.aside)
		return code;
	if (r.keep)
		fprintf(stderr, "nostall run: raw profiles in %s\n", r.dir);
	else
		nftw(r.dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return code;
}
