/* SPDX-License-Identifier: MIT */
/* named.h - places in reports become functions and lines. */
#ifndef NAMED_H
#define NAMED_H

#include <stdio.h>

/* A file that reports may name, or a folder to look in; it stays the caller's. */
void named_give(const char *path, int is_dir);
/* What no JSON report has told of is not looked for. */
void named_only_told(void);
/* The files that a report in JSON names: those and no others are what their names mean from here on. */
void named_files(const char *json);
/* One line, its end with it if it has one. */
void named_line(const char *line, FILE *to);

#endif
