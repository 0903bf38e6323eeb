/* SPDX-License-Identifier: MIT */
/* places.h - offsets in a file become functions, variables and lines. */
#ifndef PLACES_H
#define PLACES_H

#include <stdint.h>

/* One file; it stays open. */
struct object;

/* NULL: it is none, or not there. */
struct object *object_open(const char *path);
/*
 * What lies at an offset, as a report has it: behind a call, if it is code. "function (file.c:12)", "function" or
 * "variable"; the caller frees it. NULL: nothing is known.
 */
char *object_place(struct object *o, uint64_t offset);

#endif
