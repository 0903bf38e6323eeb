/* SPDX-License-Identifier: MIT */
/* reports.h - what the validator reports in a program that `nostall run` runs. */
#ifndef REPORTS_H
#define REPORTS_H

#include <stdio.h>

/*
 * Of the options that a program is to get: "" unless the validator is on, and reports go nowhere else yet; else what is to
 * stand before them, so that its reports go to a file in @dir. The caller frees it.
 */
char *reports_options(const char *environment, const char *added, const char *dir);
/* Files in @dir from here on; what is whole of them is told to @to as it comes. A descriptor that polls; -1: there is none. */
int reports_begin(const char *dir, FILE *to);
/* What has come. */
void reports_pass(void);
/* And what has not come whole. */
void reports_end(void);

#endif
