// SPDX-License-Identifier: MIT
/*
 * named.c - lines of the validator's reports, with functions and lines for the module+0xoffset in them.
 *
 * What is not known stays as it is. A file is found by what a JSON report says of it; else, if that is wanted, where programs
 * and libraries are looked for, which may have another of that name.
 */
#define _GNU_SOURCE
#include "named.h"
#include "places.h"
#include "tool.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A file that reports name. */
struct module {
	struct module *next;
	char *name,
		*path; /* path: of which @object is; NULL: it was looked for, and is not there */
	struct object *object;
	unsigned long told; /* the last report in JSON that named it; 0: it was looked for */
};

static struct module *modules;
static unsigned long nr_told;
static int only_told;

/* Given on the command line: files by their names, and folders. */
struct given {
	struct given *next;
	const char *path;
	int is_dir;
};

static struct given *given;

void named_give(const char *path, int is_dir)
{
	struct given *g = must_alloc(sizeof(*g)), **last = &given;

	while (*last)
		last = &(*last)->next;
	g->path = path;
	g->is_dir = is_dir;
	*last = g;
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

static int is_of(const struct module *m, const char *name, size_t len)
{
	return strlen(m->name) == len && !memcmp(m->name, name, len);
}

/* @path becomes the module's. */
static struct module *module_add(const char *name, size_t len, char *path)
{
	struct module *m = must_alloc(sizeof(*m));

	m->name = must_print("%.*s", (int)len, name);
	m->path = path;
	m->object = path ? object_open(path) : NULL;
	m->next = modules;
	modules = m;
	return m;
}

static void module_told(const char *name, size_t len, const char *path, size_t path_len)
{
	struct module *m;

	for (m = modules; m; m = m->next)
		if (is_of(m, name, len) && m->path && strlen(m->path) == path_len &&
		    !memcmp(m->path, path, path_len) && m->told)
			break;
	if (!m)
		m = module_add(name, len, must_print("%.*s", (int)path_len, path));
	m->told = nr_told;
}

/* The file that a name means; NULL: it is not known, or could be two. */
static struct object *object_of(const char *name, size_t len)
{
	struct module *told = NULL, *found = NULL;

	for (struct module *m = modules; m; m = m->next) {
		if (!is_of(m, name, len))
			continue;
		if (!m->told)
			found = m;
		else if (m->told == nr_told && told)
			return NULL;
		else if (m->told == nr_told)
			told = m;
	}
	if (!told && !found && !only_told) {
		found = module_add(name, len, NULL);
		found->path = find(found->name);
		found->object = found->path ? object_open(found->path) : NULL;
	}
	return told ? told->object : found ? found->object : NULL;
}

void named_only_told(void)
{
	only_told = 1;
}

/* ---- a line ---- */

/* "modules":{"name":"/path",...}: what is not plain text is left to find(). */
void named_files(const char *line)
{
	const char *s = strstr(line, "\"modules\":{");

	nr_told++;
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
			module_told(name, len, path, path_len);
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
static const char *place(const char *from, const char *plus, int is_json, FILE *to)
{
	char *end, *text = NULL;
	unsigned long long offset = strtoull(plus + 3, &end, 16);
	struct object *object = object_of(from, (size_t)(plus - from));

	if (object)
		text = object_place(object, offset);
	if (!text || is_json)
		fwrite(from, 1, (size_t)(end - from), to);
	if (text && is_json) {
		putc(' ', to);
		put_escaped(text, to);
	} else if (text) {
		fputs(text, to);
	}
	free(text);
	return end;
}

/* Paths in "modules" have no places; what is before a place is what may be in its file's name. */
void named_line(const char *line, FILE *to)
{
	const int is_json = *line == '{';
	const char *from = line, *s = line;

	if (is_json)
		named_files(line);
	while (*s) {
		if (!is_name(*s)) {
			putc(*s++, to);
			from = s;
		} else if (s > from && !strncmp(s, "+0x", 3) && isxdigit((unsigned char)s[3])) {
			s = place(from, s, is_json, to);
			from = s;
		} else {
			s++;
			if (!is_name(*s)) {
				fwrite(from, 1, (size_t)(s - from), to);
				from = s;
			}
		}
	}
}
