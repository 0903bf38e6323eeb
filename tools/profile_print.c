// SPDX-License-Identifier: MIT
/* profile_print.c - the merged profile for people: totals, functions, hottest paths, the summary. */
#include "profile.h"
#include "tool.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static double percent(uint64_t part, uint64_t of)
{
	return of ? 100.0 * (double)part / (double)of : 0;
}

/* A function counts once for each path it is on, however often it recurs there. */
static void count_functions(const struct profile *p)
{
	uint64_t stamp = 0;

	for (const struct path *path = p->all; path; path = path->next) {
		if (!path->samples)
			continue;
		path->function->self += path->samples;
		stamp++;
		for (const struct path *up = path; up->function; up = up->parent) {
			if (up->function->stamp == stamp)
				continue;
			up->function->stamp = stamp;
			up->function->total += path->samples;
		}
	}
}

static int by_self(const void *a, const void *b)
{
	const struct function *x = *(struct function *const *)a, *y = *(struct function *const *)b;

	if (x->self != y->self)
		return x->self < y->self ? 1 : -1;
	return strcmp(x->name, y->name);
}

static int by_samples(const void *a, const void *b)
{
	const struct path *x = *(struct path *const *)a, *y = *(struct path *const *)b;

	if (x->samples != y->samples)
		return x->samples < y->samples ? 1 : -1;
	return strcmp(x->function->name, y->function->name);
}

static void print_functions(const struct profile *p, FILE *out, size_t top)
{
	struct function **sorted;
	size_t nr = 0, i = 0;

	for (struct function *f = functions_all(); f; f = f->next)
		nr++;
	sorted = must_alloc(nr * sizeof(struct function *));
	for (struct function *f = functions_all(); f; f = f->next)
		sorted[i++] = f;
	qsort(sorted, nr, sizeof(*sorted), by_self);
	fprintf(out, "\nhottest functions\n   self   below  function (file)\n");
	for (i = 0; i < nr && i < top && sorted[i]->self; i++)
		fprintf(out, " %5.1f%%  %5.1f%%  %s (%s)\n", percent(sorted[i]->self, p->taken),
			percent(sorted[i]->total, p->taken), sorted[i]->name, sorted[i]->file);
	free(sorted);
}

/* Innermost first; a function that calls itself is one line. */
static void print_path(const struct path *path, FILE *out)
{
	while (path->function) {
		unsigned int times = 1;

		for (; path->parent->function == path->function; path = path->parent)
			times++;
		fprintf(out, "          %s (%s)", path->function->name, path->function->file);
		if (times > 1)
			fprintf(out, " x%u", times);
		fputc('\n', out);
		path = path->parent;
	}
}

static void print_paths(const struct profile *p, FILE *out, size_t top)
{
	struct path **sorted = must_alloc(p->nr_paths * sizeof(struct path *));
	size_t nr = 0;

	for (struct path *path = p->all; path; path = path->next)
		sorted[nr++] = path;
	qsort(sorted, nr, sizeof(*sorted), by_samples);
	fprintf(out, "\nhottest call paths, innermost function first\n");
	for (size_t i = 0; i < nr && i < top && sorted[i]->samples; i++) {
		fprintf(out, " %5.1f%%  %" PRIu64 " samples\n",
			percent(sorted[i]->samples, p->taken), sorted[i]->samples);
		print_path(sorted[i], out);
	}
	free(sorted);
}

static void print_totals(const struct profile *p, FILE *out)
{
	fprintf(out, "profile of %s\n", p->command);
	fprintf(out, "processes=%zu threads=%" PRIu64 " threads_without_clock=%" PRIu64 "\n",
		p->nr_processes, p->threads, p->threads_failed);
	fprintf(out, "clock=%s period_us=%" PRIu64 " allocator_in_handler=%s\n", p->clock,
		p->period_us, p->allocator);
	fprintf(out, "samples_due=%" PRIu64 " samples_taken=%" PRIu64 " signals=%" PRIu64 "\n",
		p->due, p->taken, p->signals);
	fprintf(out,
		"samples_dropped=%" PRIu64 " no_memory=%" PRIu64 " nested=%" PRIu64
		" untracked_thread=%" PRIu64 "\n",
		p->dropped_no_memory + p->dropped_nested + p->dropped_untracked,
		p->dropped_no_memory, p->dropped_nested, p->dropped_untracked);
	fprintf(out, "stacks_cut_deep=%" PRIu64 " stacks_cut_leaf=%" PRIu64 "\n", p->cut_deep,
		p->cut_leaf);
	fprintf(out, "tree_nodes=%" PRIu64 " nodes_stocked_at_start=%" PRIu64, p->nodes,
		p->nodes_stocked);
	if (p->nodes_stocked)
		fprintf(out, " outgrown_times=%.1f", (double)p->nodes / (double)p->nodes_stocked);
	fprintf(out, " tree_bytes=%" PRIu64 "\n", p->nodes * p->node_bytes);
	fprintf(out, "page_faults_while_allocating=%" PRIu64 "\n", p->faults);
}

void profile_print(struct profile *p, FILE *out, size_t top)
{
	count_functions(p);
	print_totals(p, out);
	print_functions(p, out, top);
	print_paths(p, out, top);
	if (p->stats)
		fprintf(out, "\nsummary of the library in %s\n%s", p->command, p->stats);
}

static void print_folded_path(const struct path *path, FILE *out)
{
	if (path->parent->function) {
		print_folded_path(path->parent, out);
		fputc(';', out);
	}
	fputs(path->function->name, out);
}

void profile_print_folded(const struct profile *p, FILE *out)
{
	for (const struct path *path = p->all; path; path = path->next) {
		if (!path->samples)
			continue;
		print_folded_path(path, out);
		fprintf(out, " %" PRIu64 "\n", path->samples);
	}
}
