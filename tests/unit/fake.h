/* SPDX-License-Identifier: MIT */
/*
 * fake.h - a domain whose readers are a number that a test sets: what its vector does beside waiting for them.
 */
#ifndef TEST_FAKE_H
#define TEST_FAKE_H

#include <signal.h>

struct fake {
	int readers, calls, inside;
	int online, offline, ongoing; /* counts, and what read_ongoing says */
	sigset_t blocked;
};

static inline int fake_ongoing(void *ctx)
{
	return ((struct fake *)ctx)->ongoing;
}

static inline void fake_online(void *ctx)
{
	((struct fake *)ctx)->online++;
	((struct fake *)ctx)->ongoing = 1;
}

static inline void fake_offline(void *ctx)
{
	((struct fake *)ctx)->offline++;
	((struct fake *)ctx)->ongoing = 0;
}

#endif
