/* SPDX-License-Identifier: MIT */
/*
 * module.h - the kernel's spelling: a module is a file of a program, which calls init_module() and cleanup_module().
 */
#include_next <linux/module.h>
#ifndef NST_COMPAT_MODULE_H
#define NST_COMPAT_MODULE_H

#ifndef __cplusplus

#include <linux/export.h>
#include <linux/init.h>
#include <linux/kernel.h>

#define MODULE_LICENSE(text) _Static_assert(1, text)
#define MODULE_AUTHOR(text) _Static_assert(1, text)
#define MODULE_DESCRIPTION(text) _Static_assert(1, text)

/* One of each in a program, as in a module. */
int init_module(void);
void cleanup_module(void);
#define module_init(fn)                                                                            \
	int init_module(void)                                                                      \
	{                                                                                          \
		return fn();                                                                       \
	}                                                                                          \
	_Static_assert(1, "")
#define module_exit(fn)                                                                            \
	void cleanup_module(void)                                                                  \
	{                                                                                          \
		fn();                                                                              \
	}                                                                                          \
	_Static_assert(1, "")

#endif
#endif
