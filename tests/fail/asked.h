/* SPDX-License-Identifier: MIT */
/*
 * asked.h - every function of the malloc family is asked: it serves, or says NULL and ENOMEM.
 *
 * What is otherwise is told to rounds.h.
 */
#ifndef TEST_FAIL_ASKED_H
#define TEST_FAIL_ASKED_H

#include <stddef.h>

#define ASK_KIB ((size_t)1 << 10)
#define ASK_MIB ((size_t)1 << 20)
/* The largest that is asked for. */
#define ASK_MOST (3 * ASK_MIB)

/* All for all sizes up to @most, and none is freed before all are had. How many were served. */
unsigned int ask_everybody(size_t most);
/* What that says when all is served. */
unsigned int ask_all_of(size_t most);
/* realloc() and reallocarray() through all kinds of memory: the object stays as it was where they fail. */
void ask_resize(void);

#endif
