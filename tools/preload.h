/* SPDX-License-Identifier: MIT */
/* preload.h - the shared objects that `run` loads into programs: where they are, and how they are named to them. */
#ifndef PRELOAD_H
#define PRELOAD_H

#include <stddef.h>

/*
 * @name beside the tool, in a build tree or as installed, else where it was to be installed; @asked is
 * a path from the command line, or NULL. 0; else a tool exit code, and one line names @option.
 */
int preload_find(const char *name, const char *asked, const char *option, char *path, size_t len);

/* Sets an environment variable to both, joined; each may be empty or NULL. */
void env_join(const char *name, const char *first, char separator, const char *second);

#endif
