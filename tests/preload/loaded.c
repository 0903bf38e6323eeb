/* SPDX-License-Identifier: MIT */
/*
 * loaded.c - a second library in LD_PRELOAD, which allocates in its constructor and starts a thread there.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

char *loaded_text, *loaded_by_thread;

static void *body(void *arg)
{
	loaded_by_thread = strdup("by a thread");
	return arg;
}

__attribute__((constructor)) static void load(void)
{
	pthread_t t;

	loaded_text = calloc(1, 100);
	if (loaded_text)
		strcpy(loaded_text, "by a constructor");
	if (pthread_create(&t, NULL, body, NULL) == 0)
		pthread_join(t, NULL);
}

__attribute__((destructor)) static void unload(void)
{
	free(loaded_text);
	free(loaded_by_thread);
}
