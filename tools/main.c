// SPDX-License-Identifier: MIT
/* main.c - finds the verb; help, version, and what all verbs use to refuse a command line. */
#define _GNU_SOURCE
#include "tool.h"

#include <errno.h>
#include <nostall/nostall.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct verb {
	const char *name, *args, *what;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{"run", "[--profile] [OPTION...] -- PROGRAM [ARG...]",
	 "run an unmodified program on this malloc, with --profile under the signal profiler",
	 verb_run},
	{"stat", "[-p PID|NAME] [-i SECONDS] [-n COUNT] [-1] [--json]",
	 "the counters of running processes, which are neither stopped nor asked", verb_stat},
	{"doctor", "[--prove]", "how the library runs here, and what could be better", verb_doctor},
	{"bound", "[--conf KEY:VALUE,...] [--cpus N]",
	 "how much memory deferred free can take, here and on a large machine", verb_bound},
	{"torture", "nolock|rcu [--seconds N] [--seed S] [--threads N]",
	 "allocate in a storm of signals, forks and migrations, and check every object",
	 verb_torture},
	{"explain", "[CODE | --all]",
	 "what a report of the validator means, and how to fix what it found", verb_explain},
	{"symbols", "[--program FILE] [--dir DIR] [FILE...]",
	 "functions and lines for the places in reports of the validator", verb_symbols},
};

#define NR_VERBS (sizeof(verbs) / sizeof(*verbs))

int usage_error(const char *verb, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "nostall%s%s: ", *verb ? " " : "", verb);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return TOOL_USAGE;
}

long long number_arg(const char *verb, const char *option, const char *text, long long min,
		     long long max)
{
	char *end = NULL;
	long long n;

	errno = 0;
	n = text ? strtoll(text, &end, 10) : 0;
	if (text && *text && !*end && !errno && n >= min && n <= max)
		return n;
	usage_error(verb, "%s: '%s' is not a number from %lld to %lld", option, text ? text : "",
		    min, max);
	return -1;
}

void *must_alloc(size_t bytes)
{
	void *p = calloc(1, bytes ? bytes : 1);

	if (p)
		return p;
	fprintf(stderr, "nostall: no memory for %zu bytes\n", bytes);
	exit(TOOL_NO);
}

char *must_print(const char *format, ...)
{
	va_list args;
	char *text = NULL;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n >= 0)
		return text;
	fprintf(stderr, "nostall: no memory for text\n");
	exit(TOOL_NO);
}

char *file_text(const char *path)
{
	char *text = NULL;
	size_t room = 0;
	struct stat st;
	FILE *file = !stat(path, &st) && S_ISREG(st.st_mode) ? fopen(path, "re") : NULL;

	if (!file)
		return NULL;
	if (getdelim(&text, &room, '\0', file) <= 0) {
		free(text);
		text = NULL;
	}
	fclose(file);
	return text;
}

static int help(void)
{
	printf("nostall - memory for code that must not stall\n\n");
	for (size_t i = 0; i < NR_VERBS; i++)
		printf("  nostall %s %s\n      %s\n", verbs[i].name, verbs[i].args, verbs[i].what);
	printf("  nostall --help | --version\n\n"
	       "`nostall VERB --help` names the options of a verb; nostall(1) is the manual.\n");
	return TOOL_OK;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (!strcmp(name, "--help") || !strcmp(name, "-h"))
		return help();
	if (!strcmp(name, "--version")) {
		printf("nostall %s\n", nst_version());
		return TOOL_OK;
	}
	for (size_t i = 0; i < NR_VERBS; i++)
		if (!strcmp(name, verbs[i].name))
			return verbs[i].run(argc - 1, argv + 1);
	return usage_error(
		"",
		"'%s' is not a verb; there are run, stat, doctor, bound, torture, explain, symbols, --help, --version",
		name);
}
