/* SPDX-License-Identifier: MIT */
/*
 * asked.c - every function of the malloc family is asked: it serves, or says NULL and ENOMEM.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include "common/askers.h"
#include "common/pattern.h"
#include "asked.h"
#include "rounds.h"

#define KIB ASK_KIB
#define MIB ASK_MIB
#define NR(a) (sizeof(a) / sizeof((a)[0]))
#define ENDS ((size_t)2048)

/* Objects of a class, runs of pages, a block, a mapping. */
static const size_t sizes[] = {1, 700, 6000, 20 * KIB, 2 * MIB, 3 * MIB};

/* ---- who is asked ---- */

/* Those that say it by errno, and posix_memalign(). */
#define NR_ASKED (NR_ASKERS + 1u)

static void *ask_posix(size_t size)
{
	void *before = &before, *p = before;
	int err = posix_memalign(&p, 256, size);

	/* Its result says why, errno does not. */
	WANT(errno == 0 && (err == 0 || (err == ENOMEM && p == before)));
	errno = err;
	return err ? NULL : p;
}

static void *ask(unsigned int who, size_t size)
{
	return who < NR_ASKERS ? asker_ask(who, size) : ask_posix(size);
}

/* Both ends: all of it would be slow. */
static void mark(unsigned char *p, size_t size)
{
	size_t n = size < ENDS ? size : ENDS;

	memset(p, (int)(size % 251), n);
	memset(p + size - n, (int)(size % 251), n);
}

/* Of an object that was @size, its first @now bytes. */
static int is_marked(const unsigned char *p, size_t size, size_t now)
{
	size_t n = size < ENDS ? size : ENDS, i;

	for (i = 0; i < n; i++)
		if ((i < now && p[i] != size % 251) ||
		    (size - 1 - i < now && p[size - 1 - i] != size % 251))
			return 0;
	return 1;
}

/* An object that may be used to its end, or NULL and ENOMEM. */
static unsigned char *asked(unsigned int who, size_t size)
{
	unsigned char *p;

	errno = 0;
	p = ask(who, size);
	if (errno != (p ? 0 : ENOMEM) || (p && malloc_usable_size(p) < size))
		rounds_wrong(__LINE__, who < NR_ASKERS ? asker_name[who] : "posix_memalign");
	if (!p)
		return NULL;
	if (who == ASKER_CALLOC)
		WANT(pattern_zero(p, size < ENDS ? size : ENDS) == (size < ENDS ? size : ENDS));
	mark(p, size);
	return p;
}

static void returned(unsigned char *p, size_t size)
{
	if (!p)
		return;
	WANT(is_marked(p, size, size));
	errno = 77;
	free(p);
	WANT(errno == 77);
}

/* Much memory is asked for by few, or each round would take long. */
static unsigned int askers_of(size_t size)
{
	return size < MIB ? NR_ASKED : 2;
}

unsigned int ask_everybody(size_t most)
{
	unsigned char *p[NR(sizes)][NR_ASKED];
	unsigned int i, who, n = 0;

	for (i = 0; i < NR(sizes) && sizes[i] <= most; i++)
		for (who = 0; who < askers_of(sizes[i]); who++) {
			p[i][who] = asked(who, sizes[i]);
			n += p[i][who] != NULL;
		}
	while (i--)
		for (who = 0; who < askers_of(sizes[i]); who++)
			returned(p[i][who], sizes[i]);
	return n;
}

unsigned int ask_all_of(size_t most)
{
	unsigned int i, n = 0;

	for (i = 0; i < NR(sizes) && sizes[i] <= most; i++)
		n += askers_of(sizes[i]);
	return n;
}

/* ---- realloc ---- */

/* In place, to another class, a run, in place there, a mapping, in place there, moved by the kernel; and down. */
static const size_t steps[] = {40,	44,	 5000,	    20 * KIB, 22 * KIB, 70 * KIB, 3 * MIB,
			       3500000, 5 * MIB, 100 * KIB, 5000,     10 * KIB, 60};

void ask_resize(void)
{
	unsigned char *p = asked(ASKER_MALLOC, steps[0]), *to;
	size_t have = steps[0], i;

	for (i = 1; p && i < NR(steps); i++) {
		errno = 0;
		to = i % 2 ? realloc(p, steps[i]) : reallocarray(p, steps[i], 1);
		WANT(errno == (to ? 0 : ENOMEM));
		if (!to) {
			WANT(malloc_usable_size(p) >= have && is_marked(p, have, have));
			continue;
		}
		WANT(is_marked(to, have, steps[i]));
		p = to;
		have = steps[i];
		mark(p, have);
	}
	returned(p, have);
}
