// SPDX-License-Identifier: MIT
/*
 * symbols.c - `nostall symbols`: a report of the validator, text or JSON, with functions and lines for its module+0xoffset.
 *
 *	text:	held since app+0x117d;			held since both (order.c:25);
 *	JSON:	"since":["app+0x117d"]			"since":["app+0x117d both (order.c:25)"]
 *
 * Lines are passed on as they come. named.c finds what is where.
 */
#define _GNU_SOURCE
#include "named.h"
#include "tool.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int help(void)
{
	printf("usage: nostall symbols [OPTION...] [FILE...]\n\n"
	       "Reports of the validator, from files or standard input, with functions and lines.\n\n"
	       "  --program FILE     what a report calls by this file's name is this file\n"
	       "  --dir DIR          look for files there, before where libraries and programs are\n"
	       "\nExit code: 0; 1 a file cannot be read, or the output not written; 2 the command line\n"
	       "is wrong.\n");
	return TOOL_OK;
}

static void pass(FILE *in)
{
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, in) > 0)
		named_line(line, stdout);
	free(line);
}

/* ---- the command line ---- */

static int options_read(int argc, char **argv)
{
	static const struct option options[] = {
		{"program", required_argument, NULL, 'p'},
		{"dir", required_argument, NULL, 'd'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "+:h", options, NULL)) != -1) {
		if (c == '?')
			return usage_error("symbols",
					   "'%s' is not an option; there are --program, "
					   "--dir, --help",
					   argv[optind - 1]);
		if (c == ':')
			return usage_error("symbols", "%s needs a value", argv[optind - 1]);
		if (c == 'h')
			exit(help());
		named_give(optarg, c == 'd');
	}
	return TOOL_OK;
}

int verb_symbols(int argc, char **argv)
{
	int code = options_read(argc, argv);

	if (code)
		return code;
	if (optind == argc)
		pass(stdin);
	for (int i = optind; i < argc; i++) {
		FILE *in = fopen(argv[i], "r");

		if (!in) {
			fprintf(stderr, "nostall symbols: %s: %s\n", argv[i], strerror(errno));
			code = TOOL_NO;
			continue;
		}
		pass(in);
		fclose(in);
	}
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "nostall symbols: the output cannot be written\n");
		code = TOOL_NO;
	}
	return code;
}
