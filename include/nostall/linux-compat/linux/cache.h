/* SPDX-License-Identifier: MIT */
/* cache.h - the kernel's spelling: how long a cache line is. */
#ifndef NST_COMPAT_CACHE_H
#define NST_COMPAT_CACHE_H

#include <linux/compiler.h>

#define L1_CACHE_SHIFT 6
#define L1_CACHE_BYTES 64
#define SMP_CACHE_BYTES 64
#define L1_CACHE_ALIGN(x) (((x) + L1_CACHE_BYTES - 1) / L1_CACHE_BYTES * L1_CACHE_BYTES)

#endif
