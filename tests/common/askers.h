/* SPDX-License-Identifier: MIT */
/*
 * askers.h - the functions of the malloc family that are asked with a size and say NULL and errno.
 */
#ifndef TEST_COMMON_ASKERS_H
#define TEST_COMMON_ASKERS_H

#include <stddef.h>

enum { ASKER_MALLOC, ASKER_CALLOC, NR_ASKERS = 8 };
extern const char *const asker_name[NR_ASKERS];

void *asker_ask(unsigned int who, size_t size);

#endif
