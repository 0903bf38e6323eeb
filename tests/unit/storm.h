/* SPDX-License-Identifier: MIT */
/*
 * storm.h - signals that come to this thread between any two instructions of what it does.
 */
#ifndef TEST_UNIT_STORM_H
#define TEST_UNIT_STORM_H

#include <pthread.h>
#include <signal.h>
#include "common/check.h"

#define STORM_SIGNALS 2000u

static struct {
	pthread_t whom;
	const int *signals; /* up to a 0 */
	unsigned int handled;
	int ends;
} storm;

/* For handlers: one has run. */
static inline void storm_handled(void)
{
	__atomic_fetch_add(&storm.handled, 1, __ATOMIC_RELAXED);
}

static void *storm_sends(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&storm.ends, __ATOMIC_RELAXED))
		for (const int *s = storm.signals; *s; s++)
			pthread_kill(storm.whom, *s);
	return NULL;
}

/* @round again and again, until enough handlers have run, or patience has. How many did. */
static inline unsigned int in_storm(const int *signals, void (*round)(void))
{
	uint64_t since = 0;
	pthread_t t;

	storm.whom = pthread_self();
	storm.signals = signals;
	if (pthread_create(&t, NULL, storm_sends, NULL))
		check_broken("pthread_create");
	do {
		for (unsigned int i = 0; i < 200; i++)
			round();
	} while (__atomic_load_n(&storm.handled, __ATOMIC_RELAXED) < STORM_SIGNALS &&
		 check_patience(&since));
	__atomic_store_n(&storm.ends, 1, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	return __atomic_load_n(&storm.handled, __ATOMIC_RELAXED);
}

#endif
