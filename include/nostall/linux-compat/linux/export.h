/* SPDX-License-Identifier: MIT */
/* export.h - the kernel's spelling: functions of a program are seen by all of it. */
#ifndef NST_COMPAT_EXPORT_H
#define NST_COMPAT_EXPORT_H

#define EXPORT_SYMBOL(name) _Static_assert(1, #name)
#define EXPORT_SYMBOL_GPL(name) _Static_assert(1, #name)

#endif
