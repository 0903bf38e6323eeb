// SPDX-License-Identifier: MIT
/*
 * stat.c - `nostall stat`: the counters of a running process, which is neither stopped nor asked.
 *
 * With -p the tables of one process, once or at intervals; without, a line for each process whose
 * page may be read. Tables and JSON go to standard output, notes to standard error.
 */
#define _GNU_SOURCE
#include "page.h"
#include "stats.h"
#include "tool.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECONDS_LEAST 0.1
#define SECONDS_MOST 86400.0

struct stat_verb {
	const char *process;
	double seconds;	 /* between two; 0: once */
	long long count; /* 0: until the process ends */
	int json;
};

static int help(void)
{
	printf("usage: nostall stat [-p PID|NAME] [-i SECONDS] [-n COUNT] [-1] [--json]\n\n"
	       "  -p PID|NAME   the tables of this process; without, a line for each that has any\n"
	       "  -i SECONDS    again and again, with what was per second; %.1f to %.0f\n"
	       "  -n COUNT      so many times; default: until the process ends\n"
	       "  -1            once, the default\n"
	       "  --json        an object a line, \"schema\":1, instead of tables\n"
	       "\nA process publishes at most four times a second, and only what moved. Options of\n"
	       "NOSTALL_CONF: publish:off has no page, stats:full counts fast paths too.\n"
	       "\nExit code: 0; 1 what was read could not be written; 2 the command line is wrong;\n"
	       "%d no such process, or several of that name; %d it is another user's; %d it has no\n"
	       "statistics page (no library, publish:off); %d its page is of another version; %d it\n"
	       "ended, or executed another program, while it was watched.\n",
	       SECONDS_LEAST, SECONDS_MOST, PAGE_NO_PROCESS, PAGE_DENIED, PAGE_NONE,
	       PAGE_OTHER_VERSION, PAGE_ENDED);
	return TOOL_OK;
}

/* ---- options ---- */

static int seconds_into(double *to)
{
	char *end;

	errno = 0;
	*to = strtod(optarg, &end);
	if (*optarg && !*end && !errno && *to >= SECONDS_LEAST && *to <= SECONDS_MOST)
		return 0;
	return usage_error("stat", "-i: '%s' is not a number of seconds from %.1f to %.0f", optarg,
			   SECONDS_LEAST, SECONDS_MOST);
}

static int option_take(struct stat_verb *v, int c)
{
	switch (c) {
	case 'p':
		v->process = optarg;
		return *optarg ? 0 : usage_error("stat", "-p: '' is no PID and no name");
	case 'i':
		return seconds_into(&v->seconds);
	case 'n':
		v->count = number_arg("stat", "-n", optarg, 1, 1000000000);
		return v->count < 0 ? TOOL_USAGE : 0;
	case '1':
		v->count = 1;
		return 0;
	case 'j':
		v->json = 1;
		return 0;
	case ':':
		return usage_error("stat", "-%c needs a value", optopt);
	default:
		return usage_error("stat",
				   "'%s' is not an option; `nostall stat --help` names them",
				   optopt ? (char[]){'-', (char)optopt, 0} : "--");
	}
}

static int options_read(struct stat_verb *v, int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c, code;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":p:i:n:1h", options, NULL)) != -1) {
		if (c == 'h')
			exit(help());
		if (c == '?' && !optopt)
			return usage_error(
				"stat", "'%s' is not an option; `nostall stat --help` names them",
				argv[optind - 1]);
		code = option_take(v, c);
		if (code)
			return code;
	}
	if (optind < argc)
		return usage_error("stat", "'%s' is too much; a process is named by -p",
				   argv[optind]);
	if (!v->process && (v->seconds || v->count > 1))
		return usage_error("stat", "-i and -n watch one process; -p names it");
	if (v->count > 1 && !v->seconds)
		v->seconds = 1;
	return 0;
}

/* ---- one process ---- */

static int complain(int code, const struct why *why)
{
	fprintf(stderr, "nostall stat: %s\n", why->text);
	return code;
}

static void show(const struct stat_verb *v, const struct page *p, const struct nst_stats_page *now,
		 const struct nst_stats_page *before)
{
	struct shown s = {.now = now, .before = before, .comm = p->comm, .pid = p->pid};

	if (v->json)
		stats_print_json(stdout, &s);
	else
		stats_print(stdout, &s);
	fflush(stdout);
}

/* The program may have closed the descriptor, and the library made another page. */
static int follow(struct page *p, struct why *why)
{
	pid_t pid = p->pid;
	int code;

	if (page_is_current(p))
		return 0;
	page_close(p);
	code = page_open_soon(p, pid, why);
	if (!code)
		fprintf(stderr, "nostall stat: process %d (%s) has a new page\n", (int)pid,
			p->comm);
	return code;
}

/* After an interval: 0 with a fresh *now, or an exit code. */
static int next(struct page *p, struct nst_stats_page *now, struct why *why)
{
	int code;

	if (follow(p, why)) {
		snprintf(why->text, sizeof(why->text),
			 "process %d (%s) ended, or executed another program", (int)p->pid,
			 p->comm);
		return PAGE_ENDED;
	}
	code = page_load(p, now, why);
	return code;
}

/* The last state of a process that has ended is in the page for as long as it is open here. */
static int ended(const struct stat_verb *v, const struct page *p, struct nst_stats_page *now,
		 const struct nst_stats_page *before)
{
	struct why why;

	if (page_load(p, now, &why) == 0 && now->published_ns != before->published_ns)
		show(v, p, now, before);
	fprintf(stderr, "nostall stat: process %d (%s) has ended\n", (int)p->pid, p->comm);
	return PAGE_ENDED;
}

static int watch(const struct stat_verb *v, struct page *p, struct nst_stats_page *pages)
{
	struct nst_stats_page *now = &pages[0], *before = &pages[1];
	struct why why;

	for (long long i = 1; v->seconds && i != v->count; i++) {
		int code;

		memcpy(before, now, sizeof(*before));
		if (page_wait(p, (int)(v->seconds * 1000)))
			return ended(v, p, now, before);
		code = next(p, now, &why);
		if (code)
			return complain(code, &why);
		if (!v->json)
			putchar('\n');
		/* Of another page the counts began anew. */
		show(v, p, now, now->start_ns == before->start_ns ? before : NULL);
	}
	return TOOL_OK;
}

static int stat_process(const struct stat_verb *v)
{
	struct nst_stats_page *pages = must_alloc(2 * sizeof(*pages));
	struct why why;
	struct page p;
	pid_t pid;
	int code = page_process(v->process, &pid, &why);

	if (!code)
		code = page_open_soon(&p, pid, &why);
	if (code) {
		free(pages);
		return complain(code, &why);
	}
	code = page_load(&p, pages, &why);
	if (code) {
		complain(code, &why);
	} else {
		show(v, &p, pages, NULL);
		code = watch(v, &p, pages);
	}
	page_close(&p);
	free(pages);
	return code;
}

/* ---- all of them ---- */

struct list {
	const struct stat_verb *verb;
	struct nst_stats_page *page;
	size_t nr;
};

static void list_line(const struct page *p, const struct nst_stats_page *n)
{
	printf("%8d %-15s %-10s %10.1f %15" PRIu64 " %19" PRIu64 " %14" PRIu64 " %10" PRIu64
	       " %9" PRIu64 "\n",
	       (int)p->pid, p->comm, n->nostall, (double)(n->published_ns - n->start_ns) / 1e9,
	       n->stats.resident_bytes, n->stats.resident_peak_bytes, stats_requests(&n->stats),
	       stats_nulls(&n->stats), stats_must_be_0(&n->stats));
}

static int list_one(pid_t pid, void *arg)
{
	struct list *list = arg;
	struct page p;
	struct why why;

	if (pid == getpid() || page_open(&p, pid, &why))
		return 0;
	if (page_load(&p, list->page, &why) == 0) {
		if (!list->nr++ && !list->verb->json)
			printf("%8s %-15s %-10s %10s %15s %19s %14s %10s %9s\n", "pid", "comm",
			       "nostall", "age_s", "resident_bytes", "resident_peak_bytes",
			       "requests", "nulls", "must_be_0");
		if (list->verb->json)
			show(list->verb, &p, list->page, NULL);
		else
			list_line(&p, list->page);
	}
	page_close(&p);
	return 0;
}

static int stat_all(const struct stat_verb *v)
{
	struct list list = {.verb = v, .page = must_alloc(sizeof(struct nst_stats_page))};

	page_each_process(list_one, &list);
	free(list.page);
	if (list.nr)
		return TOOL_OK;
	fprintf(stderr, "nostall stat: no process whose statistics page may be read here\n");
	return PAGE_NONE;
}

int verb_stat(int argc, char **argv)
{
	struct stat_verb v = {.seconds = 0};
	int code = options_read(&v, argc, argv);

	if (code)
		return code;
	code = v.process ? stat_process(&v) : stat_all(&v);
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "nostall stat: standard output: %s\n", strerror(errno));
		return TOOL_NO;
	}
	return code;
}
