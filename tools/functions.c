// SPDX-License-Identifier: MIT
/* functions.c - the functions seen so far, each once, and the maps that give nameless code a place. */
#include "symbols.h"
#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BUCKETS 4096

static struct {
	struct function *all;
	struct function *bucket[BUCKETS];
} functions;

static size_t bucket_of(const char *name, const char *file)
{
	uint64_t h = 14695981039346656037u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 1099511628211u;
	for (; *file; file++)
		h = (h ^ (unsigned char)*file) * 1099511628211u;
	return (size_t)(h % BUCKETS);
}

struct function *functions_all(void)
{
	return functions.all;
}

struct function *function_of(const char *name, const char *file)
{
	struct function **bucket = &functions.bucket[bucket_of(name, file)], *f;

	for (f = *bucket; f; f = f->chain)
		if (!strcmp(f->name, name) && !strcmp(f->file, file))
			return f;
	f = must_alloc(sizeof(*f));
	f->name = must_print("%s", name);
	f->file = must_print("%s", file);
	f->chain = *bucket;
	*bucket = f;
	f->next = functions.all;
	functions.all = f;
	return f;
}

/* The map that holds @pc: its file's last part in @file, the offset in that file as the result. */
static uint64_t map_find(const char *maps, uint64_t pc, char *file, size_t len)
{
	for (const char *line = maps; line && *line; line = strchr(line, '\n')) {
		uint64_t start, end, offset;
		int path = 0;
		const char *base;

		line += *line == '\n';
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %*s %*s %n", &start, &end,
			   &offset, &path) < 3 ||
		    pc < start || pc >= end)
			continue;
		base = path ? line + path : "";
		for (const char *p = base; *p && *p != '\n' && *p != ' '; p++)
			if (*p == '/')
				base = p + 1;
		snprintf(file, len, "%.*s", (int)strcspn(base, " \n"), base);
		return pc - start + offset;
	}
	*file = '\0';
	return pc;
}

struct function *function_nameless(const char *maps, uint64_t pc)
{
	char file[256], name[300];
	uint64_t offset = map_find(maps, pc, file, sizeof(file));

	snprintf(name, sizeof(name), "%s+0x%" PRIx64, *file ? file : "unmapped", offset);
	return function_of(name, *file ? file : "unmapped");
}
