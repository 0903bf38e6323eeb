// SPDX-License-Identifier: MIT
/*
 * summary.c - one table for the process that was started, one line for all the others.
 *
 * The library keeps each process's page in a file here (publish_dir), so its last state is there
 * however the process ended: at most 250 ms old, of the very end if it exited.
 */
#define _GNU_SOURCE
#include "summary.h"
#include "page.h"
#include "stats.h"
#include "stats_names.h"
#include "tool.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void add_other(struct summary *s, const struct nst_stats_page *p)
{
	s->others++;
	s->requests += stats_requests(&p->stats);
	s->nulls += stats_nulls(&p->stats);
	s->must_be_0 += stats_must_be_0(&p->stats);
	if (p->stats.resident_peak_bytes > s->most_resident)
		s->most_resident = p->stats.resident_peak_bytes;
}

/* exec keeps the PID and counts the images: the last is the program that was meant. */
static void add(struct summary *s, const char *dir, const char *name)
{
	char *path = must_print("%s/%s", dir, name);
	int pid, image, err;

	if (sscanf(name, NST_STATS_PAGE_NAME ".%d.%d", &pid, &image) != 2)
		err = -ENOENT;
	else
		err = page_load_file(path, &s->page);
	if (err) {
		/* Of a process that was killed while it made the file, if not of another version. */
		if (err == -EPROTO)
			page_versions(&s->page, s->foreign, sizeof(s->foreign));
	} else if (pid != s->pid || (s->has_main && image < s->image)) {
		add_other(s, &s->page);
	} else {
		if (s->has_main)
			add_other(s, &s->main);
		memcpy(&s->main, &s->page, sizeof(s->main));
		s->has_main = 1;
		s->image = image;
	}
	unlink(path);
	free(path);
}

size_t summary_read(struct summary *s, const char *dir, pid_t pid)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	memset(s, 0, sizeof(*s));
	s->pid = pid;
	while (d && (e = readdir(d)) != NULL)
		if (!strncmp(e->d_name, NST_STATS_PAGE_NAME ".", sizeof(NST_STATS_PAGE_NAME)))
			add(s, dir, e->d_name);
	if (d)
		closedir(d);
	return s->others + (size_t)s->has_main;
}

void summary_print(const struct summary *s, FILE *out, char *const *argv)
{
	struct shown shown = {.now = &s->main, .pid = s->pid};
	char program[sizeof(s->main.program)];

	stats_name(s->main.program, program, sizeof(program));
	shown.comm = program;
	fprintf(out, "summary of the library in");
	for (size_t i = 0; argv[i]; i++)
		fprintf(out, " %s", argv[i]);
	fputc('\n', out);
	if (s->has_main)
		stats_print(out, &shown);
	else
		fprintf(out, "process %d left no statistics\n", (int)s->pid);
	if (s->has_main && !s->main.ended)
		fprintf(out,
			"the process did not exit by itself: this is its state up to 0.25 s before "
			"its end\n");
	if (s->others)
		fprintf(out,
			"others: processes=%zu requests=%" PRIu64 " nulls=%" PRIu64
			" largest_resident_peak_bytes=%" PRIu64 " must_be_0=%" PRIu64 "\n",
			s->others, s->requests, s->nulls, s->most_resident, s->must_be_0);
}
