/* SPDX-License-Identifier: MIT */
/*
 * preload.h - what the programs of this folder share: whose malloc answers, and work for it to do.
 *
 * They are programs that know nothing of the library: started with it in LD_PRELOAD, never linked to
 * the static form. Compiled with -fno-builtin, or the compiler would leave calls out.
 */
#ifndef TEST_PRELOAD_H
#define TEST_PRELOAD_H

#include <stddef.h>
#include "common/check.h"

/* The end, unless malloc is that of libnostall-malloc.so. */
void demand_preload(void);
/* Does the library that answers malloc know @ptr for one of its objects? */
int is_ours(const void *ptr);

/*
 * @steps times malloc, calloc, realloc or free, with a pattern in every object, all freed at the end.
 * The number of objects in which the pattern was not found, or that could not be had.
 */
unsigned int churn(struct rng *rng, unsigned int steps);

/* Allocates objects of @size until NULL, or @most bytes; frees them. How many bytes; *@err as of the NULL. */
size_t use_up(size_t size, size_t most, int *err);
/* What a program does when it has heard ENOMEM and freed some: 1 if it can. */
int goes_on(void);

#endif
