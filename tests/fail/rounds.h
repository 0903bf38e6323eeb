/* SPDX-License-Identifier: MIT */
/*
 * rounds.h - a scenario again and again, each time in a new process in which something else fails.
 *
 *	for each kind of failure: n = 1, 2, 3 ...: the n-th of its kind fails, from the library's first
 *	instruction on, or from where the scenario says; and, if asked for, all that come after it;
 *	done when the n-th is not reached
 *	then: a process in which all of that kind fail, always
 */
#ifndef TEST_FAIL_ROUNDS_H
#define TEST_FAIL_ROUNDS_H

#include <stddef.h>
#include "mm/mm.h"

/* One way to run the scenario. */
struct rounds_way {
	const char *name;
	void (*scenario)(void);
	int late;	  /* nothing fails until the scenario calls rounds_arm() */
	const char *conf; /* options beside the test's, or NULL */
};

struct rounds {
	const struct rounds_way *ways; /* up to one without a name */
	void (*after)(void);	       /* when the failures are over */
	int and_on;		       /* also with all from the n-th on */
	/* NST_FAIL_TRYLOCK and _PAGE are not among those that always fail: who waits would wait for ever. */
};

/* For main(): the rounds of the kind that argv[1] names, or of all; or, in a new process, one. */
int rounds_main(const struct rounds *rounds, int argc, char **argv);

/* ---- in the process of a round ---- */

void rounds_arm(void);
/* No longer; later calls of rounds_arm() do nothing. */
void rounds_disarm(void);
/* A pass of our own: nst_maintain() does nothing while the worker has it, however long it waits for a CPU. */
void rounds_maintain(void);
/* Is it this kind that fails here? */
int rounds_fails(enum nst_fail kind);
/* Something is not as it should be: the first is told. */
void rounds_wrong(int line, const char *what);
int rounds_is_wrong(void);
/* What was written to standard error since the process began. */
size_t rounds_said(char *buf, size_t len);

#define WANT(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			rounds_wrong(__LINE__, #condition);                                        \
	} while (0)

#endif
