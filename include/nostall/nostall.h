/* SPDX-License-Identifier: MIT */
/*
 * nostall.h - memory for code that must not stall. Includes the rest of the public API.
 *
 * Start with alloc.h: a mode says what the caller can endure, and NST_NOLOCK endures nothing: no
 * lock waited for, no sleep, no page fault, no system call. It takes what is there, or says NULL.
 */
#ifndef NOSTALL_NOSTALL_H
#define NOSTALL_NOSTALL_H

#define NST_VERSION_MAJOR 0
#define NST_VERSION_MINOR 1
#define NST_VERSION_PATCH 0

#include <nostall/alloc.h>
#include <nostall/pages.h>
#include <nostall/stats.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * nst_version() - the version of the library that is loaded
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 * Return: a static string, "major.minor.patch".
 */
NST_API const char *nst_version(void);

#ifdef __cplusplus
}
#endif
#endif
