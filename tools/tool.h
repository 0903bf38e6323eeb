/* SPDX-License-Identifier: MIT */
/*
 * tool.h - what the verbs of the tool share. One file a verb; of the library they see the public API.
 *
 * Exit codes: 0; 1 what was asked about is not so; 2 the command line is wrong. `run` gives the
 * program's own, and 125 to 127 for its own troubles, as env and timeout do.
 */
#ifndef TOOL_H
#define TOOL_H

#include <stddef.h>
#include <stdint.h>

enum tool_exit { TOOL_OK, TOOL_NO, TOOL_USAGE, TOOL_RUN = 125, TOOL_NOEXEC, TOOL_NOTFOUND };

/* argv[0] is the verb. */
int verb_run(int argc, char **argv);
int verb_stat(int argc, char **argv);
int verb_doctor(int argc, char **argv);
int verb_bound(int argc, char **argv);
int verb_torture(int argc, char **argv);
int verb_explain(int argc, char **argv);
int verb_symbols(int argc, char **argv);

/* "nostall <verb>: <text>" on standard error; returns TOOL_USAGE. */
int usage_error(const char *verb, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * A number out of a command line, from @min to @max. On anything else one line names what is
 * allowed, and the result is -1.
 */
long long number_arg(const char *verb, const char *option, const char *text, long long min,
		     long long max);

/* Memory or a message and exit(1): the tool itself may stall, and has nothing to fall back on. */
void *must_alloc(size_t bytes);
char *must_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A regular file up to its first zero byte; NULL: there is none, it is empty, or it cannot be read. The caller frees it. */
char *file_text(const char *path);

/* doctor --prove, in prove.c: starts a child that measures the contract, and what the child does. */
int prove(void);
int prove_here(void);

#endif
