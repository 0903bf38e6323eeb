// SPDX-License-Identifier: MIT
/*
 * reports.c - what the validator reports in a program that `nostall run` runs, told with functions and lines as it comes.
 *
 *	program, its children: check_log:DIR/report, check_json:both -> DIR/report.PID, a file a process
 *	a report as text, then the same in JSON, a line: it is whole -> the text, with the files that the JSON names
 *
 * The program's standard error is not touched. A process that cannot write to DIR says so, and tells its reports there, as
 * it does without the tool; so do those that outlive the program, since DIR is gone then.
 */
#define _GNU_SOURCE
#include "reports.h"
#include "named.h"
#include "tool.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define PREFIX "report."
#define SEPARATORS ", \n"

/* Of one process. */
struct report_file {
	struct report_file *next;
	char *name;
	int fd;
	off_t taken;
	char *line; /* not ended yet */
	char *text; /* lines of a report that is not whole */
	size_t line_len, text_len;
};

static struct {
	char *dir;
	FILE *to;
	int watch;
	struct report_file *files;
} reports = {.watch = -1};

/* ---- is the validator on? ---- */

/* Is @word key:value? Then that is its value. */
static const char *value_of(const char *word, const char *key)
{
	const size_t len = strlen(key);

	return strncmp(word, key, len) || word[len] != ':' ? NULL : word + len + 1;
}

/*
 * The last value of a key in key:value,... texts, or NULL; @files: also in files that conf_file: names there, which the
 * library reads but once. What cannot be read it says itself. @before is freed, or returned; the caller frees what is.
 */
static char *last_of(const char *conf, const char *key, int files, char *before)
{
	for (conf = conf ? conf : ""; *conf; conf += strcspn(conf, SEPARATORS)) {
		conf += strspn(conf, SEPARATORS);

		const char *value = value_of(conf, key);
		const char *file = files ? value_of(conf, "conf_file") : NULL;

		if (value) {
			free(before);
			before = must_print("%.*s", (int)strcspn(value, SEPARATORS), value);
		} else if (file) {
			char *name = must_print("%.*s", (int)strcspn(file, SEPARATORS), file);
			char *text = file_text(name);

			before = last_of(text, key, 0, before);
			free(name);
			free(text);
		}
	}
	return before;
}

static int is_checked(const char *environment, const char *added)
{
	char *check = last_of(added, "check", 1, last_of(environment, "check", 1, NULL));
	char *log = last_of(added, "check_log", 1, last_of(environment, "check_log", 1, NULL));
	const int is = check && (!strcmp(check, "on") || !strcmp(check, "possible")) && !log;

	free(check);
	free(log);
	return is;
}

char *reports_options(const char *environment, const char *added, const char *dir)
{
	if (!is_checked(environment, added))
		return must_print("%s", "");
	return must_print("check_log:%s/report,check_json:both", dir);
}

/* ---- files ---- */

static void append(char **to, size_t *len, const char *text, size_t more)
{
	char *grown = realloc(*to, *len + more + 1);

	if (!grown) {
		fprintf(stderr, "nostall run: no memory for a report\n");
		exit(TOOL_RUN);
	}
	memcpy(grown + *len, text, more);
	*len += more;
	grown[*len] = 0;
	*to = grown;
}

static void tell(struct report_file *f)
{
	char *s = f->text, *end;

	for (; s && *s; s = end + 1) {
		end = strchr(s, '\n');
		*end = 0;
		named_line(s, reports.to);
		putc('\n', reports.to);
	}
	fflush(reports.to);
	free(f->text);
	f->text = NULL;
	f->text_len = 0;
}

/* The JSON behind a text ends it. One without a text was asked for. */
static void take_line(struct report_file *f)
{
	if (strncmp(f->line, "{\"nostall\":\"report\"", 19)) {
		append(&f->text, &f->text_len, f->line, f->line_len);
		return;
	}
	if (f->text)
		named_files(f->line);
	else
		append(&f->text, &f->text_len, f->line, f->line_len);
	tell(f);
}

static void take(struct report_file *f, const char *text, size_t len)
{
	while (len) {
		const char *end = memchr(text, '\n', len);
		const size_t n = end ? (size_t)(end - text) + 1 : len;

		append(&f->line, &f->line_len, text, n);
		if (end) {
			take_line(f);
			f->line_len = 0;
		}
		text += n;
		len -= n;
	}
}

static struct report_file *file_of(const char *name)
{
	struct report_file *f;
	char *path;

	for (f = reports.files; f; f = f->next)
		if (!strcmp(f->name, name))
			return f;
	f = must_alloc(sizeof(*f));
	f->name = must_print("%s", name);
	path = must_print("%s/%s", reports.dir, name);
	f->fd = open(path, O_RDONLY | O_CLOEXEC);
	free(path);
	f->next = reports.files;
	reports.files = f;
	return f;
}

static void read_on(struct report_file *f)
{
	char text[16384];
	ssize_t n;

	while (f->fd >= 0 && (n = pread(f->fd, text, sizeof(text), f->taken)) > 0) {
		f->taken += n;
		take(f, text, (size_t)n);
	}
}

static void read_all(void)
{
	DIR *dir = opendir(reports.dir);
	struct dirent *e;

	while (dir && (e = readdir(dir)) != NULL)
		if (!strncmp(e->d_name, PREFIX, strlen(PREFIX)))
			read_on(file_of(e->d_name));
	if (dir)
		closedir(dir);
}

/* ---- the run ---- */

int reports_begin(const char *dir, FILE *to)
{
	named_only_told();
	reports.dir = must_print("%s", dir);
	reports.to = to;
	reports.watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (reports.watch >= 0 && inotify_add_watch(reports.watch, dir, IN_CLOSE_WRITE) < 0) {
		close(reports.watch);
		reports.watch = -1;
	}
	return reports.watch;
}

void reports_pass(void)
{
	char events[4096] __attribute__((aligned(8)));

	while (reports.watch >= 0 && read(reports.watch, events, sizeof(events)) > 0)
		;
	read_all();
}

void reports_end(void)
{
	reports_pass();
	for (struct report_file *f = reports.files; f; f = f->next) {
		if (f->line_len) {
			append(&f->line, &f->line_len, "\n", 1);
			take_line(f);
		}
		named_files(""); /* it does not say what its names mean */
		tell(f);
	}
}
