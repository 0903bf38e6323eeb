/* SPDX-License-Identifier: MIT */
/*
 * lockdep_model.h - what threads with locks and handlers can come to, by running them in every order there is.
 *
 * The validator is not asked. Each handler comes to each thread once, wherever that has it open and holds something (to one
 * that has nothing to do at any time), also while it waits, also into another handler. A scenario is words of a mode and
 * a lock, A to F, parts divided by '|':
 *
 *	w exclusive   r recursive reader   q reader behind waiting writers   t tried   T waited for a time   u let go
 *	h1 at the beginning: the part is what the handler of signal 1 does   b1 blocked   o1 open again   (so 2)
 *
 * A reader of mode q is held up by a writer that waits; so each lock read in that mode gets a writer of its own, which no
 * handler comes to.
 */
#ifndef TEST_LOCKDEP_MODEL_H
#define TEST_LOCKDEP_MODEL_H

#define PARTS 8
#define OPS 32
#define LOCKS 6
#define SIGNALS 2

struct op {
	char mode;
	int lock; /* for b and o: the signal */
};
struct part {
	struct op op[OPS];
	unsigned int nr;
	int handles; /* 0 or 1: the handler of that; -1: a thread */
};
struct scenario {
	struct part part[PARTS];
	unsigned int nr;
};
enum verdict { NONE, POSSIBLE, ERROR };

struct scenario scenario_of(const char *text);

/*
 * A thread for each part, or one for all:
 *
 *	ERROR		the threads can stand still
 *	POSSIBLE	they cannot, but could if each part were run by a thread of its own (by two, where there is but one
 *			beside the handler), and nobody took lock F, which stands for a gate
 *	NONE		neither
 */
enum verdict verdict_of(const struct scenario *s, int one_thread);

#endif
