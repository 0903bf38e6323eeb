/* SPDX-License-Identifier: MIT */
/*
 * root.h - a tree of files in the place of the kernel's, for tests that say what those contain.
 */
#ifndef TEST_ROOT_H
#define TEST_ROOT_H

/* The folder: what the test has made, and has set nst_test_root to. */
extern const char *root;
/* A path in it; the last four are kept. */
const char *root_path(const char *path);
/* A file of it contains @text alone, from here on. */
void root_put(const char *path, const char *text);

#endif
