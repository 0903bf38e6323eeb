// SPDX-License-Identifier: MIT
/*
 * index_text.c - the machine's own text: which files are text, what is a word, how often does it occur?
 *
 * A word is two to thirty-one letters. Everything here is one thread's, or constant once it was read.
 */
#define _GNU_SOURCE
#include "index_text.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORD_LEAST 2u
#define WORD_MOST 31u
#define OPEN_FOLDERS 32

static void *must(void *p)
{
	if (p)
		return p;
	fprintf(stderr, "rcu_index: no memory\n");
	exit(1);
}

/* ---- files ---- */

/* nftw() hands its function nothing of ours. */
static struct corpus *reading;
static size_t room;

static int is_text(const char *text, size_t bytes)
{
	return bytes > 64 && !memchr(text, '\0', bytes);
}

static void lower(char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (text[i] >= 'A' && text[i] <= 'Z')
			text[i] = (char)(text[i] - 'A' + 'a');
}

static void add(char *text, size_t bytes)
{
	struct corpus *c = reading;

	if (!(c->nr & (c->nr - 1))) /* as many again */
		c->document =
			must(realloc(c->document, (c->nr ? 2 * c->nr : 1) * sizeof(*c->document)));
	lower(text, bytes);
	c->document[c->nr++] = (struct document){text, bytes};
	c->bytes += bytes;
	room -= bytes;
}

static int read_file(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	char *text;
	ssize_t n;
	int fd;

	(void)where;
	if (kind != FTW_F || !S_ISREG(st->st_mode))
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	text = must(malloc(DOCUMENT_MOST));
	n = read(fd, text, DOCUMENT_MOST < room ? DOCUMENT_MOST : room);
	close(fd);
	if (n > 0 && is_text(text, (size_t)n))
		add(must(realloc(text, (size_t)n)), (size_t)n);
	else
		free(text);
	return room < WORD_MOST;
}

void corpus_read(struct corpus *c, size_t bytes, char *const *folders)
{
	reading = c;
	room = bytes;
	for (; *folders && room >= WORD_MOST; folders++)
		nftw(*folders, read_file, OPEN_FOLDERS, FTW_PHYS | FTW_MOUNT);
	if (c->nr)
		return;
	fprintf(stderr, "rcu_index: no text files there\n");
	exit(1);
}

/* ---- words ---- */

void tally_init(struct tally *t, unsigned int log2)
{
	t->mask = (1u << log2) - 1;
	t->nr = 0;
	t->slot = must(calloc((size_t)t->mask + 1, sizeof(*t->slot)));
	t->used = must(calloc((size_t)t->mask + 1, sizeof(*t->used)));
}

void tally_end(struct tally *t)
{
	free(t->slot);
	free(t->used);
}

void tally_clear(struct tally *t)
{
	while (t->nr)
		t->slot[t->used[--t->nr]].text = NULL;
}

static void count(struct tally *t, const struct word *w)
{
	uint32_t i = w->hash & t->mask;

	for (; t->slot[i].text; i = (i + 1) & t->mask) {
		struct word *s = &t->slot[i];

		if (s->hash == w->hash && s->len == w->len && !memcmp(s->text, w->text, w->len)) {
			s->count += w->count;
			return;
		}
	}
	if (t->nr > t->mask / 2) {
		fprintf(stderr, "rcu_index: more than %u words\n", t->nr);
		exit(1);
	}
	t->slot[i] = *w;
	t->used[t->nr++] = i;
}

void tally_add(struct tally *t, const struct document *d, uint64_t times)
{
	const char *at = d->text, *end = d->text + d->bytes;

	while (at < end) {
		struct word w = {.text = at, .hash = 2166136261u, .count = times}; /* FNV-1a */

		for (; at < end && *at >= 'a' && *at <= 'z'; at++)
			w.hash = (w.hash ^ (unsigned char)*at) * 16777619u;
		w.len = (uint32_t)(at - w.text);
		if (w.len >= WORD_LEAST && w.len <= WORD_MOST)
			count(t, &w);
		at++;
	}
}
