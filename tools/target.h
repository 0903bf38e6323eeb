/* SPDX-License-Identifier: MIT */
/* target.h - the program that `run` is to start: where it is, and whether a preload reaches it. */
#ifndef TARGET_H
#define TARGET_H

#include <stddef.h>

/* It can be run, and must be left alone. */
#define TARGET_ASIDE (-1)

/*
 * Looks @name up as execvp() would and reads what it is, through one "#!" line if it is a script.
 * Returns 0 with @path filled; else TARGET_ASIDE or a tool exit code, and @why says what is so.
 */
int target_find(const char *name, char *path, size_t len, char *why, size_t why_len);

#endif
