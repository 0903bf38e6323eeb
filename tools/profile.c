// SPDX-License-Identifier: MIT
/*
 * profile.c - reads the files of profiler_write.c and merges their trees by function.
 *
 * In the file a node is an address reached through a parent, and the parent is the address that the
 * node had in that process. Here it becomes a path of functions, so that two processes, or two calls
 * in one function, meet.
 */
#define _GNU_SOURCE
#include "profile.h"
#include "tool.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct raw_node {
	uint64_t address, parent, pc, samples;
	struct path *path; /* once resolved */
};

struct raw {
	struct raw_node *nodes;
	size_t nr, room;
	uint64_t taken;
	struct symbols *symbols;
};

static struct path *path_child(struct profile *p, struct path *parent, struct function *function)
{
	struct path *c;

	for (c = parent->child; c; c = c->sibling)
		if (c->function == function)
			return c;
	c = must_alloc(sizeof(*c));
	c->function = function;
	c->parent = parent;
	c->sibling = parent->child;
	parent->child = c;
	c->next = p->all;
	p->all = c;
	p->nr_paths++;
	return c;
}

static int by_address(const void *a, const void *b)
{
	const struct raw_node *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

static struct raw_node *raw_find(struct raw *raw, uint64_t address)
{
	struct raw_node key = {.address = address};

	return bsearch(&key, raw->nodes, raw->nr, sizeof(key), by_address);
}

/* Recursion is as deep as the stack that was sampled: 192 frames at most. */
static struct path *path_of(struct profile *p, struct raw *raw, struct raw_node *node)
{
	struct raw_node *parent;

	if (!node)
		return &p->root;
	if (node->path)
		return node->path;
	parent = node->parent ? raw_find(raw, node->parent) : NULL;
	node->path = path_child(p, path_of(p, raw, parent), symbols_find(raw->symbols, node->pc));
	return node->path;
}

static void raw_add(struct raw *raw, const struct raw_node *node)
{
	if (raw->nr == raw->room) {
		struct raw_node *more;

		raw->room = raw->room ? raw->room * 2 : 1024;
		more = must_alloc(raw->room * sizeof(*more));
		if (raw->nr)
			memcpy(more, raw->nodes, raw->nr * sizeof(*more));
		free(raw->nodes);
		raw->nodes = more;
	}
	raw->nodes[raw->nr++] = *node;
}

/* Counters of several processes are added; settings are those of the last. */
static void read_value(struct profile *p, struct raw *raw, const char *line)
{
	static const struct {
		const char *key;
		size_t offset;
		int adds;
	} numbers[] = {
#define SUM(name) {#name, offsetof(struct profile, name), 1}
#define SET(name)                                                                                  \
	{                                                                                          \
#name, offsetof(struct profile, name), 0                                           \
	}
		SUM(due),
		SUM(taken),
		SUM(dropped_no_memory),
		SUM(dropped_nested),
		SUM(dropped_untracked),
		SUM(signals),
		SUM(idle),
		SUM(cut_deep),
		SUM(cut_leaf),
		SUM(threads),
		SUM(threads_failed),
		SUM(nodes),
		SUM(nodes_stocked),
		SET(node_bytes),
		SET(period_us),
	};
	size_t len = strcspn(line, "=");
	const char *value = line + len + 1;
	int n = (int)strcspn(value, "\n");

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		uint64_t *to = (uint64_t *)(void *)((char *)p + numbers[i].offset);

		if (strlen(numbers[i].key) != len || strncmp(line, numbers[i].key, len))
			continue;
		*to = strtoull(value, NULL, 10) + (numbers[i].adds ? *to : 0);
	}
	if (!strncmp(line, "taken=", 6))
		raw->taken = strtoull(value, NULL, 10);
	else if (!strncmp(line, "clock=", 6))
		snprintf(p->clock, sizeof(p->clock), "%.*s", n, value);
	else if (!strncmp(line, "allocator=", 10))
		snprintf(p->allocator, sizeof(p->allocator), "%.*s", n, value);
}

static void read_lines(struct profile *p, struct raw *raw, const char *text, const char *end)
{
	for (const char *line = text; line < end; line = strchr(line, '\n') + 1) {
		struct raw_node node = {0};

		if (!strncmp(line, "node ", 5)) {
			if (sscanf(line, "node %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNu64,
				   &node.address, &node.parent, &node.pc, &node.samples) == 4)
				raw_add(raw, &node);
		} else if (strncmp(line, "command=", 8)) {
			read_value(p, raw, line);
		}
	}
}

/* The program that `run` was asked for is the one with the most samples, not its helpers. */
static void keep_main(struct profile *p, const struct raw *raw, const char *text, const char *stats)
{
	const char *command = strstr(text, "\ncommand=") + strlen("\ncommand=");

	if (p->stats && raw->taken <= p->command_taken)
		return;
	free(p->command);
	free(p->stats);
	p->command_taken = raw->taken;
	p->command = must_print("%.*s", (int)strcspn(command, "\n"), command);
	p->stats = must_print("%s", stats);
}

static int read_text(struct profile *p, char *text)
{
	char *maps = strstr(text, "\nmaps\n"), *stats = strstr(text, "\nstats\n");
	char *end = stats ? strstr(stats, "\nend\n") : NULL;
	struct raw raw = {0};

	if (strncmp(text, "nostall-profile 1\ncommand=", 26) || !maps || maps > stats || !end)
		return 0;
	read_lines(p, &raw, text + strlen("nostall-profile 1\n"), maps + 1);
	if (raw.nr)
		qsort(raw.nodes, raw.nr, sizeof(*raw.nodes), by_address);
	stats[1] = '\0';
	end[1] = '\0';
	raw.symbols = symbols_open(maps + strlen("\nmaps\n"));
	for (size_t i = 0; i < raw.nr; i++)
		if (raw.nodes[i].samples)
			path_of(p, &raw, &raw.nodes[i])->samples += raw.nodes[i].samples;
	symbols_close(raw.symbols);
	keep_main(p, &raw, text, stats + strlen("\nstats\n"));
	free(raw.nodes);
	return 1;
}

static int read_file(struct profile *p, const char *path)
{
	char *text = file_text(path);
	int ok = text && read_text(p, text);

	if (!ok)
		fprintf(stderr, "nostall run: %s is cut short or not a profile; left out\n", path);
	free(text);
	return ok;
}

size_t profile_read(struct profile *p, const char *dir)
{
	struct dirent **names;
	int nr = scandir(dir, &names, NULL, alphasort);

	memset(p, 0, sizeof(*p));
	for (int i = 0; i < nr; i++) {
		if (!strncmp(names[i]->d_name, "profile.", 8)) {
			char *path = must_print("%s/%s", dir, names[i]->d_name);

			p->nr_processes += (size_t)read_file(p, path);
			free(path);
		}
		free(names[i]);
	}
	if (nr >= 0)
		free(names);
	return p->nr_processes;
}
