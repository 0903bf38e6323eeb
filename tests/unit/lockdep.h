/* SPDX-License-Identifier: MIT */
/*
 * lockdep.h - what tests of the validator share: reports are kept, not printed.
 */
#ifndef TEST_UNIT_LOCKDEP_H
#define TEST_UNIT_LOCKDEP_H

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <nostall/nostall.h>
#include "common/check.h"

static struct nst_lockdep_report last;
static char last_text[8192];
static unsigned int nr_reports;

static void keep(const struct nst_lockdep_report *r, void *arg)
{
	(void)arg;
#ifndef TEST_MEASURES
	/* A page may have to be waited for, behind another thread's change of the memory map: true, and no matter here. */
	if (r->code == NST_NL_SLEPT)
		return;
#endif
	last = *r;
	nr_reports++;
	snprintf(last_text, sizeof(last_text), "%.*s", (int)r->len, r->text);
}

static inline void start_checking(void)
{
	nst_lockdep_on_report(keep, NULL);
	if (nst_lockdep_start(NST_LD_POSSIBLE))
		check_broken("nst_lockdep_start");
}

static inline void forget(void)
{
	nst_lockdep_reset();
	nr_reports = 0;
	last_text[0] = 0;
}

/* Since forget() one report came, and it is this one. */
static inline void one_report(enum nst_lockdep_code code, enum nst_lockdep_level level,
			      const char *name)
{
	nst_allow_begin("a line is printed, which may wait");
	check(nr_reports == 1 && last.code == code && last.level == level, name,
	      "%u reports, the last: code %u level %u\n%s", nr_reports, (unsigned int)last.code,
	      (unsigned int)last.level, last_text);
	forget();
	nst_allow_end();
}

static inline void no_report(const char *name)
{
	nst_allow_begin("a line is printed, which may wait");
	check(nr_reports == 0, name, "%u reports, the last:\n%s", nr_reports, last_text);
	forget();
	nst_allow_end();
}

/* Locks of a class each, which nobody has taken yet. */
static inline void make_locks(struct nst_lockdep_map *m, const char *const *names, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		nst_lockdep_map_init(&m[i], names[i], NULL, NST_WAIT_SLEEP, NST_WAIT_SLEEP);
}

/* One within the other, and let go. */
static inline void take_both(struct nst_lockdep_map *outer, struct nst_lockdep_map *inner)
{
	nst_lockdep_acquire(outer, 0);
	nst_lockdep_acquire(inner, 0);
	nst_lockdep_release(inner);
	nst_lockdep_release(outer);
}

static inline void in_thread(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	if (pthread_create(&t, NULL, fn, arg))
		check_broken("pthread_create");
	pthread_join(t, NULL);
}

#endif
