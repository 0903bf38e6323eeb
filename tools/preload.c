// SPDX-License-Identifier: MIT
/*
 * preload.c - finds the libraries of `run`. An installed tree can be moved: they are looked for from
 * the tool first.
 */
#define _GNU_SOURCE
#include "preload.h"
#include "tool.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* From the folder of the tool: a build tree's own, the installed two, a build tree's library. */
static const char *const folders[] = {".", NOSTALL_BINDIR_TO_LIBDIR, NOSTALL_BINDIR_TO_LIBDIR "/..",
				      "../src"};
static const char *const installed[] = {NOSTALL_LIBDIR, NOSTALL_LIBDIR "/.."};

static int is_there(const char *folder, const char *below, const char *name, char *path, size_t len)
{
	char *text = must_print("%s/%s/%s", folder, below, name), *real = realpath(text, NULL);
	int there = real && !access(real, R_OK) && snprintf(path, len, "%s", real) < (int)len;

	free(real);
	free(text);
	return there;
}

static int look(const char *name, char *path, size_t len)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0) {
		self[n] = '\0';
		*strrchr(self, '/') = '\0';
		for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
			if (is_there(self, folders[i], name, path, len))
				return 1;
	}
	for (size_t i = 0; i < sizeof(installed) / sizeof(*installed); i++)
		if (is_there(installed[i], ".", name, path, len))
			return 1;
	return 0;
}

int preload_find(const char *name, const char *asked, const char *option, char *path, size_t len)
{
	char *real = asked ? realpath(asked, NULL) : NULL;
	int found =
		asked ? real && !access(real, R_OK) && snprintf(path, len, "%s", real) < (int)len
		      : look(name, path, len);

	free(real);
	if (!found) {
		fprintf(stderr,
			"nostall run: %s is not found beside the tool or in %s; %s FILE names it\n",
			asked ? asked : name, NOSTALL_LIBDIR, option);
		return TOOL_RUN;
	}
	if (!strpbrk(path, ": "))
		return 0;
	fprintf(stderr, "nostall run: %s: LD_PRELOAD takes no path with a colon or space in it\n",
		path);
	return TOOL_RUN;
}

void env_join(const char *name, const char *first, char separator, const char *second)
{
	int both = first && *first && second && *second;
	char *text =
		must_print("%s%.*s%s", first ? first : "", both, &separator, second ? second : "");

	setenv(name, text, 1);
	free(text);
}
