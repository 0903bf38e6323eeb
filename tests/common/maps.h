/* SPDX-License-Identifier: MIT */
/*
 * maps.h - the mappings of this process: what a test that counts faults must make resident before.
 */
#ifndef TEST_MAPS_H
#define TEST_MAPS_H

#include <stddef.h>

/* @name: a path, "[stack]" and the like, or "". */
void maps_each(void (*visit)(char *from, size_t bytes, const char *perms, const char *name));
/* Text, the program's data, the C library's and the stack; the writable data of this library must be so by itself. */
void maps_make_resident(void);
/* This thread's, as deep as a test goes. */
void stack_make_resident(void);

#endif
