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

#include <nostall/account.h>
#include <nostall/alloc.h>
#include <nostall/notify.h>
#include <nostall/context.h>
#include <nostall/lockdep.h>
#include <nostall/pages.h>
#include <nostall/rcu.h>
#include <nostall/reclaim.h>
#include <nostall/reserve.h>
#include <nostall/speculate.h>
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

/**
 * nst_conf_check() - would NOSTALL_CONF take this?
 * @conf: "key:value,key:value"
 * @why: receives one line about the first word that is not understood, terminated; "" if there is none
 * @len: bytes in @why
 *
 * For who sets the variable for another program. It takes no option, and reads no file that conf_file
 * names.
 *
 * Context: any.  Waits: never.  Syscalls: none.  Locks: none.
 * Return: 0 if all of it is understood; -EINVAL if not, or if @conf is NULL.
 */
NST_API int nst_conf_check(const char *conf, char *why, size_t len);

#ifdef __cplusplus
}
#endif
#endif
