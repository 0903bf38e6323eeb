// SPDX-License-Identifier: MIT
/*
 * symbols.c - `nostall symbols`: a report of the validator, text or JSON, with functions and lines for its module+0xoffset.
 *
 *	text:	held since app+0x117d;			held since both (order.c:25);
 *	JSON:	"since":["app+0x117d"]			"since":["app+0x117d both (order.c:25)"]
 *
 * What is not known stays as it is. A file is found by what a JSON report says of it, else where programs and libraries
 * are looked for. Lines are passed on as they come.
 */
#define _GNU_SOURCE
#include "places.h"
#include "tool.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A file that reports name. */
struct module {
	struct module *next;
	char *name,
		*path; /* path: of which @object is; NULL: it was looked for, and is not there */
	struct object *object;
};

static struct module *modules;

/* Given on the command line: files by their names, and folders. */
struct given {
	struct given *next;
	const char *path;
	int is_dir;
};

static struct given *given;

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

/* ---- where a file is ---- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static char *there(const char *dir, size_t len, const char *name)
{
	char *path = must_print("%.*s/%s", (int)len, dir, name);

	if (!access(path, R_OK))
		return path;
	free(path);
	return NULL;
}

/* In folders with colons between. */
static char *search(const char *dirs, const char *name)
{
	char *path = NULL;

	while (dirs && *dirs && !path) {
		size_t len = strcspn(dirs, ":");

		if (len)
			path = there(dirs, len, name);
		dirs += len + (dirs[len] == ':');
	}
	return path;
}

static char *find(const char *name)
{
	static const char usual[] =
		"/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu:/lib/aarch64-linux-gnu:"
		"/usr/lib/aarch64-linux-gnu:/lib64:/usr/lib64:/usr/local/lib:/lib:/usr/lib";
	char *path = NULL;

	for (struct given *g = given; g && !path; g = g->next)
		if (g->is_dir)
			path = there(g->path, strlen(g->path), name);
		else if (!strcmp(base_name(g->path), name))
			path = must_print("%s", g->path);
	if (!path)
		path = search(getenv("LD_LIBRARY_PATH"), name);
	if (!path)
		path = search(usual, name);
	return path ? path : search(getenv("PATH"), name);
}

/* By its name; @path: as a report says, or NULL. */
static struct module *module_of(const char *name, size_t len, const char *path, size_t path_len)
{
	struct module *m;

	for (m = modules; m; m = m->next)
		if (strlen(m->name) == len && !memcmp(m->name, name, len))
			break;
	if (!m) {
		m = must_alloc(sizeof(*m));
		m->name = must_print("%.*s", (int)len, name);
		m->path = path ? must_print("%.*s", (int)path_len, path) : find(m->name);
		m->object = m->path ? object_open(m->path) : NULL;
		m->next = modules;
		modules = m;
	}
	return m;
}

/* ---- a line ---- */

/* "modules":{"name":"/path",...}: what is not plain text is left to find(). */
static void modules_of_json(const char *line)
{
	const char *s = strstr(line, "\"modules\":{");

	for (s = s ? s + strlen("\"modules\":{") : NULL; s && *s == '"';) {
		const char *name = s + 1, *path;
		size_t len = strcspn(name, "\"\\"), path_len;

		path = name + len;
		if (strncmp(path, "\":\"", 3))
			return;
		path += 3;
		path_len = strcspn(path, "\"\\");
		if (path[path_len] != '"')
			return;
		if (*path == '/')
			module_of(name, len, path, path_len);
		s = path + path_len + 1;
		s += *s == ',';
	}
}

static int is_name(char c)
{
	return c && !isspace((unsigned char)c) && !strchr("\"'(),;:<>[]{}", c);
}

static void put_escaped(const char *s, FILE *to)
{
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			putc('\\', to);
		putc(*s, to);
	}
}

/* The place at @s, behind "name+0x" that begins at @from; returns what is behind it. */
static const char *place(const char *from, const char *plus, int is_json)
{
	char *end, *text = NULL;
	unsigned long long offset = strtoull(plus + 3, &end, 16);
	struct module *m = module_of(from, (size_t)(plus - from), NULL, 0);

	if (m->object)
		text = object_place(m->object, offset);
	if (!text || is_json)
		fwrite(from, 1, (size_t)(end - from), stdout);
	if (text && is_json) {
		putchar(' ');
		put_escaped(text, stdout);
	} else if (text) {
		fputs(text, stdout);
	}
	free(text);
	return end;
}

/* Paths in "modules" have no places; what is before a place is what may be in its file's name. */
static void line_out(const char *line)
{
	const int is_json = *line == '{';
	const char *from = line, *s = line;

	if (is_json)
		modules_of_json(line);
	while (*s) {
		if (!is_name(*s)) {
			putchar(*s++);
			from = s;
		} else if (s > from && !strncmp(s, "+0x", 3) && isxdigit((unsigned char)s[3])) {
			s = place(from, s, is_json);
			from = s;
		} else {
			s++;
			if (!is_name(*s)) {
				fwrite(from, 1, (size_t)(s - from), stdout);
				from = s;
			}
		}
	}
}

static void pass(FILE *in)
{
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, in) > 0)
		line_out(line);
	free(line);
}

/* ---- the command line ---- */

static void give(const char *path, int is_dir)
{
	struct given *g = must_alloc(sizeof(*g)), **last = &given;

	while (*last)
		last = &(*last)->next;
	g->path = path;
	g->is_dir = is_dir;
	*last = g;
}

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
		give(optarg, c == 'd');
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
