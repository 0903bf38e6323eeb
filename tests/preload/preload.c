/* SPDX-License-Identifier: MIT */
/*
 * preload.c - whose malloc answers, and work for it to do.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "preload.h"

#define NR_SLOTS 48u

void demand_preload(void)
{
	void *p = dlsym(RTLD_DEFAULT, "malloc");
	Dl_info info = {0};

	if (p && dladdr(p, &info) && info.dli_fname && strstr(info.dli_fname, "libnostall-malloc"))
		return;
	check(0, "malloc is the preload's", "it is that of %s",
	      info.dli_fname ? info.dli_fname : "nobody");
	exit(1);
}

int is_ours(const void *ptr)
{
	size_t (*usable)(const void *) = NULL;

	*(void **)&usable = dlsym(RTLD_DEFAULT, "nst_usable_size");
	return usable && ptr && usable(ptr) != 0;
}

struct slot {
	unsigned char *obj;
	uint32_t size;
};

/* First and last bytes; all would be slow. */
static void mark(struct slot *s)
{
	uint32_t n = s->size < 64 ? s->size : 64;

	memset(s->obj, (int)(s->size & 0xff), n);
	memset(s->obj + s->size - n, (int)(s->size & 0xff), n);
}

static unsigned int marked(const struct slot *s)
{
	uint32_t n = s->size < 64 ? s->size : 64, i;

	for (i = 0; i < n; i++)
		if (s->obj[i] != (s->size & 0xff) || s->obj[s->size - 1 - i] != (s->size & 0xff))
			return 0;
	return 1;
}

static unsigned int take(struct slot *s, struct rng *rng)
{
	uint32_t i;

	s->size = rng_size(rng, 1, rng_below(rng, 100) ? 8192 : 300000);
	if (rng_below(rng, 4)) {
		s->obj = malloc(s->size);
	} else {
		s->obj = calloc(1, s->size);
		for (i = 0; s->obj && i < s->size; i++)
			if (s->obj[i])
				return 1;
	}
	if (s->obj)
		mark(s);
	return !s->obj;
}

static unsigned int resize(struct slot *s, struct rng *rng)
{
	uint32_t before = s->size, size = rng_size(rng, 1, 16384), n;
	unsigned char *obj = realloc(s->obj, size);

	if (!obj)
		return 1;
	n = before < size ? before : size;
	s->obj = obj;
	s->size = size;
	if (n > 64)
		n = 64;
	while (n)
		if (obj[--n] != (before & 0xff))
			return 1;
	mark(s);
	return 0;
}

static unsigned int drop(struct slot *s)
{
	unsigned int wrong = !marked(s);

	free(s->obj);
	s->obj = NULL;
	return wrong;
}

unsigned int churn(struct rng *rng, unsigned int steps)
{
	struct slot slots[NR_SLOTS] = {{0}};
	unsigned int wrong = 0, i;

	for (i = 0; i < steps; i++) {
		struct slot *s = &slots[rng_below(rng, NR_SLOTS)];

		if (!s->obj)
			wrong += take(s, rng);
		else if (rng_below(rng, 5) == 0)
			wrong += resize(s, rng);
		else
			wrong += drop(s);
	}
	for (i = 0; i < NR_SLOTS; i++)
		if (slots[i].obj)
			wrong += drop(&slots[i]);
	return wrong;
}

int goes_on(void)
{
	struct rng rng = {1};
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	int lines = 0;

	while (f && fgets(line, sizeof(line), f))
		lines++;
	if (f)
		fclose(f);
	return lines > 10 && churn(&rng, 5000) == 0;
}

size_t use_up(size_t size, size_t most, int *err)
{
	void **list = NULL, **p = NULL;
	size_t bytes = 0;

	errno = 0;
	while (bytes < most && (p = malloc(size)) != NULL) {
		*p = list;
		list = p;
		bytes += size;
	}
	*err = p ? 0 : errno;
	while ((p = list) != NULL) {
		list = *p;
		free(p);
	}
	return bytes;
}
