// SPDX-License-Identifier: MIT
/*
 * bound.c - `nostall bound`: how much memory deferred free can take, and what is set aside, at most, here and on a large machine.
 *
 * The figures are the library's, for its own caches and the options that are given: of NOSTALL_CONF, and of --conf,
 * which are put behind them, and then the tool executes itself: options are read once.
 */
#define _GNU_SOURCE
#include "tool.h"

#include <getopt.h>
#include <inttypes.h>
#include <nostall/nostall.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LARGE_MACHINE 384
#define MOST_CPUS 65536
#define MOST_ROWS 32

struct bounds {
	struct nst_bound here[MOST_ROWS], large[MOST_ROWS];
	size_t nr;
	long long cpus;
};

static int help(void)
{
	printf("usage: nostall bound [--conf KEY:VALUE,...] [--cpus N] [--json]\n\n"
	       "  --conf K:V,...   options of the library, after those in NOSTALL_CONF\n"
	       "  --cpus N         the large machine's CPUs, 1 to %d; default %d\n"
	       "  --json           one object, \"schema\":1, instead of the table\n"
	       "\nFor the caches that every process has; each of a program's own adds about as much as one\n"
	       "of these. The rows are explained in nostall(1).\n"
	       "\nExit code: 0; 1 the library cannot start, or the output be written; 2 the command line or --conf is wrong.\n",
	       MOST_CPUS, LARGE_MACHINE);
	return TOOL_OK;
}

static uint64_t sum(const struct nst_bound *b, size_t nr)
{
	uint64_t all = 0;

	for (size_t i = 0; i < nr; i++)
		all += b[i].most_bytes;
	return all;
}

static void print(const struct bounds *b)
{
	char here[32], large[32];

	nst_info("cpus_possible", here, sizeof(here));
	strncat(here, "_cpus", sizeof(here) - strlen(here) - 1);
	snprintf(large, sizeof(large), "%lld_cpus", b->cpus);
	printf("bytes that deferred free and what is set aside take at most\n\n%-14s %16s %16s   %s\n",
	       "bound", here, large, "formula");
	for (size_t i = 0; i < b->nr; i++)
		printf("%-14s %16" PRIu64 " %16" PRIu64 "   %s\n", b->here[i].what,
		       b->here[i].most_bytes, b->large[i].most_bytes, b->here[i].formula);
	printf("%-14s %16" PRIu64 " %16" PRIu64 "\n", "together", sum(b->here, b->nr),
	       sum(b->large, b->nr));
	printf("\n%-14s %-8s %s\n", "bound", "promise",
	       "what holds it there; the promise falls if it is exceeded");
	for (size_t i = 0; i < b->nr; i++)
		printf("%-14s %-8s %s\n", b->here[i].what, b->here[i].promise, b->here[i].holds);
	printf("\nnot bounded: what callers say of heads (head_bytes), and what NST_NOFAIL allocates\n");
}

static void print_json(const struct bounds *b)
{
	printf("{\"schema\":1,\"cpus\":%lld,\"bounds\":{", b->cpus);
	for (size_t i = 0; i < b->nr; i++)
		printf("%s\"%s\":{\"here\":%" PRIu64 ",\"large\":%" PRIu64 ",\"now\":%" PRIu64
		       ",\"promise\":\"%s\",\"holds\":\"%s\"}",
		       i ? "," : "", b->here[i].what, b->here[i].most_bytes, b->large[i].most_bytes,
		       b->here[i].now_bytes, b->here[i].promise, b->here[i].holds);
	printf("}}\n");
}

static int bound(long long cpus, int json)
{
	static struct bounds b;

	b.cpus = cpus;
	b.nr = nst_bounds(0, b.here, MOST_ROWS, sizeof(*b.here));
	if (!b.nr || nst_bounds((unsigned int)cpus, b.large, MOST_ROWS, sizeof(*b.large)) != b.nr) {
		fprintf(stderr, "nostall bound: the library cannot start\n");
		return TOOL_NO;
	}
	if (json)
		print_json(&b);
	else
		print(&b);
	if (!fflush(stdout) && !ferror(stdout))
		return TOOL_OK;
	fprintf(stderr, "nostall bound: standard output: %m\n");
	return TOOL_NO;
}

/* The tool once more, with @conf among the options. Returns only if that is wrong. */
static int again(const char *conf, long long cpus, int json)
{
	const char *old = getenv("NOSTALL_CONF");
	char why[256], *text;

	if (nst_conf_check(conf, why, sizeof(why)))
		return usage_error("bound", "--conf: %s", why);
	setenv("NOSTALL_CONF", must_print("%s%s%s", old ? old : "", old ? "," : "", conf), 1);
	text = must_print("%lld", cpus);
	execl("/proc/self/exe", "nostall", "bound", "--cpus", text, json ? "--json" : NULL, NULL);
	perror("nostall bound: /proc/self/exe");
	return TOOL_NO;
}

int verb_bound(int argc, char **argv)
{
	static const struct option options[] = {
		{"conf", required_argument, NULL, 'C'},
		{"cpus", required_argument, NULL, 'c'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	long long cpus = LARGE_MACHINE;
	const char *conf = NULL;
	int c, json = 0;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (c == 'h')
			return help();
		if (c == ':')
			return usage_error("bound", "%s needs a value", argv[optind - 1]);
		if (c == '?')
			return usage_error(
				"bound",
				"'%s' is not an option; there are --conf, --cpus, --json, --help",
				argv[optind - 1]);
		if (c == 'C')
			conf = optarg;
		else if (c == 'j')
			json = 1;
		else if ((cpus = number_arg("bound", "--cpus", optarg, 1, MOST_CPUS)) < 0)
			return TOOL_USAGE;
	}
	if (optind < argc)
		return usage_error("bound", "'%s' is too much; it takes options only",
				   argv[optind]);
	return conf ? again(conf, cpus, json) : bound(cpus, json);
}
