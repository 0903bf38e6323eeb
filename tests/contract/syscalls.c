/* SPDX-License-Identifier: MIT */
/*
 * syscalls.c - C1 and its surroundings: the tables of docs/syscalls.md are what really happens.
 *
 *	syscalls PATH-OF-docs/syscalls.md	compare
 *	syscalls --print			say what each step did
 *
 * A step's row names exactly the calls that were seen in it. A function's row names the steps that
 * its calls may take: of thousands of calls, none may make a system call that is in no step of its row.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include "common/check.h"
#include "contract/syscalls.h"
#include "common/trap.h"

/* A row: what it is about (one step, or some functions), and what it names. */
struct row {
	struct names keys, values;
};
struct table {
	struct row row[MAX_NAMES];
	size_t nr;
};

void names_add(struct names *set, const char *name, size_t len)
{
	char text[NAME_BYTES];

	snprintf(text, sizeof(text), "%.*s", (int)len, name);
	if (names_have(set, text))
		return;
	if (set->nr == MAX_NAMES)
		check_broken("too many names");
	memcpy(set->name[set->nr++], text, sizeof(text));
}

int names_have(const struct names *set, const char *name)
{
	for (size_t i = 0; i < set->nr; i++)
		if (!strcmp(set->name[i], name))
			return 1;
	return 0;
}

const char *names_text(const struct names *set)
{
	static char text[4][MAX_NAMES * NAME_BYTES];
	static unsigned int next;
	char *t = text[next++ % 4];
	size_t n = 0;

	t[0] = 0;
	for (size_t i = 0; i < set->nr; i++)
		n += (size_t)snprintf(t + n, sizeof(text[0]) - n, "%s%s", i ? " " : "",
				      set->name[i]);
	return set->nr ? t : "none";
}

/* Every name of @a in @b? */
static int within(const struct names *a, const struct names *b)
{
	for (size_t i = 0; i < a->nr; i++)
		if (!names_have(b, a->name[i]))
			return 0;
	return 1;
}

/* ---- the document ---- */

/* Words in `backticks` of one cell, "()" left out. */
static void read_cell(const char *s, const char *end, struct names *out)
{
	const char *a = NULL;

	for (; s < end; s++) {
		if (*s != '`')
			continue;
		if (a)
			names_add(out, a, strcspn(a, "`("));
		a = a ? NULL : s + 1;
	}
}

/* "| keys | text | values |", or with two cells "| keys | values |". */
static void read_row(const char *line, struct table *t)
{
	const char *last = strrchr(line, '|'), *first = strchr(line + 1, '|'), *value;

	if (!last || !first || last == first || line[2] != '`')
		return;
	for (value = last - 1; *value != '|'; value--)
		;
	if (t->nr == MAX_NAMES)
		check_broken("too many rows");
	read_cell(line, first, &t->row[t->nr].keys);
	read_cell(value, last, &t->row[t->nr].values);
	t->nr++;
}

static void read_document(const char *path, struct table *steps, struct table *functions)
{
	struct table *into = NULL;
	char line[1024];
	FILE *f = fopen(path, "r");

	if (!f)
		check_broken(path);
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "## ", 3))
			into = !strncmp(line, "## Steps", 8)	    ? steps
			       : !strncmp(line, "## Functions", 12) ? functions
								    : NULL;
		else if (into && line[0] == '|')
			read_row(line, into);
	}
	fclose(f);
}

static const struct row *row_of(const struct table *t, const char *key)
{
	for (size_t i = 0; i < t->nr; i++)
		if (names_have(&t->row[i].keys, key))
			return &t->row[i];
	return NULL;
}

/* ---- what happens ---- */

/* What @p really did, without what stands around it. */
static struct names observe(const struct path *p)
{
	char step[NAME_BYTES], conf[200];
	char *args[] = {"syscalls", step, NULL};
	struct names calls = {.nr = 0}, own = {.nr = 0};
	struct trace t;
	const char *s;

	snprintf(step, sizeof(step), "%s", p->step);
	/* What this machine has of either would change the steps. */
	snprintf(conf, sizeof(conf), "%s%s", p->conf,
		 strstr(p->conf, "cgroup:") ? "" : ",pressure:off,cgroup:off");
	setenv("NOSTALL_CONF", conf, 1);
	trace_self(args, p->whose, &t);
	check(WIFEXITED(t.status) && WEXITSTATUS(t.status) == 0, p->step, "the step ended by %s",
	      child_status(t.status));
	for (s = p->less ? p->less : ""; *s; s += strcspn(s, " "), s += *s == ' ')
		names_add(&own, s, strcspn(s, " "));
	for (size_t i = 0; t.nr && i < t.by[0].calls.nr; i++)
		if (!names_have(&own, t.by[0].calls.name[i]))
			names_add(&calls, t.by[0].calls.name[i], NAME_BYTES);
	check(t.nr == 1, p->step, "%zu kinds of marks", t.nr);
	return calls;
}

static void compare_steps(const struct table *steps)
{
	for (size_t i = 0; i < nr_paths; i++) {
		struct names calls = observe(&paths[i]);
		const struct row *row = row_of(steps, paths[i].step);

		check(row && within(&calls, &row->values) && within(&row->values, &calls),
		      paths[i].step, "made %s; the document says %s", names_text(&calls),
		      row ? names_text(&row->values) : "nothing");
	}
	for (size_t i = 0; i < steps->nr; i++) {
		size_t k = 0;

		while (k < nr_paths && strcmp(paths[k].step, steps->row[i].keys.name[0]))
			k++;
		check_quiet(k < nr_paths, steps->row[i].keys.name[0], "no path takes this step");
	}
}

/* The calls of all steps that a function's row names. */
static struct names allowed(const struct table *steps, const struct row *function)
{
	struct names all = {.nr = 0};

	for (size_t i = 0; i < function->values.nr; i++) {
		const struct row *step = row_of(steps, function->values.name[i]);

		check_quiet(step != NULL, function->values.name[i], "is no step");
		for (size_t k = 0; step && k < step->values.nr; k++)
			names_add(&all, step->values.name[k], NAME_BYTES);
	}
	return all;
}

static void compare_functions(const struct table *steps, const struct table *functions,
			      uint64_t seed)
{
	char text[32];
	char *args[] = {"syscalls", "mix", text, NULL};
	struct trace t;

	snprintf(text, sizeof(text), "%llu", (unsigned long long)seed);
	setenv("NOSTALL_CONF", "", 1);
	trace_self(args, WHOSE_MARKER, &t);
	check(WIFEXITED(t.status) && WEXITSTATUS(t.status) == 0, "mix", "ended by %s",
	      child_status(t.status));
	for (size_t i = 0; i < t.nr; i++) {
		const struct row *row = row_of(functions, t.by[i].mark);
		struct names may = {.nr = 0};

		if (row)
			may = allowed(steps, row);
		check(row && within(&t.by[i].calls, &may), t.by[i].mark,
		      "made %s; the document allows %s", names_text(&t.by[i].calls),
		      row ? names_text(&may) : "nothing: no row");
	}
	for (size_t i = 0; i < functions->nr; i++) {
		for (size_t k = 0; k < functions->row[i].keys.nr; k++) {
			const char *name = functions->row[i].keys.name[k];
			size_t m = 0;

			while (m < t.nr && strcmp(t.by[m].mark, name))
				m++;
			check_quiet(m < t.nr, name, "is never called by this test");
		}
	}
}

static void print_steps(void)
{
	for (size_t i = 0; i < nr_paths; i++) {
		struct names calls = observe(&paths[i]);

		printf("%s: %s\n", paths[i].step, names_text(&calls));
	}
}

int main(int argc, char **argv)
{
	static struct table steps, functions;
	size_t i;

	if (argc == 3 && !strcmp(argv[1], "mix")) {
		paths_mix(strtoull(argv[2], NULL, 0));
		return 0;
	}
	for (i = 0; argc == 2 && i < nr_paths; i++) {
		if (!strcmp(argv[1], paths[i].step)) {
			/* On another CPU the first use of a cache would begin anew. */
			if (strncmp(paths[i].step, "start", 5))
				run_on_cpu(0, cpu_nth(0));
			paths[i].run();
			_Exit(0);
		}
	}
	if (argc == 2 && !strcmp(argv[1], "--print")) {
		print_steps();
		return 0;
	}
	if (argc < 2)
		check_broken("usage: syscalls docs/syscalls.md");
	read_document(argv[1], &steps, &functions);
	compare_steps(&steps);
	compare_functions(&steps, &functions, seed_of(argc - 1, argv + 1));
	return check_status();
}
