/* SPDX-License-Identifier: MIT */
/*
 * said.h - what the library reports, for a test to look at: nst_bug_sink = listen.
 */
#ifndef TEST_SAID_H
#define TEST_SAID_H

#include <stdio.h>
#include "base/base.h"

static char said[1024]; /* the last line */
static int lines;

static void listen(const char *line, size_t len, int fatal)
{
	(void)fatal;
	snprintf(said, sizeof(said), "%.*s", (int)len, line);
	/* Pairs with: who waits for a line of another thread's. */
	__atomic_fetch_add(&lines, 1, __ATOMIC_RELEASE);
}

#endif
