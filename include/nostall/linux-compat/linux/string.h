/* SPDX-License-Identifier: MIT */
/* string.h - the kernel's spelling: libc's; what allocates is in linux/slab.h. */
#ifndef NST_COMPAT_STRING_H
#define NST_COMPAT_STRING_H

#include <string.h>
#include <linux/slab.h>

#endif
