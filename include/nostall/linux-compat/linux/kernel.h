/* SPDX-License-Identifier: MIT */
/*
 * kernel.h - the kernel's spelling: small arithmetic, and what code says of sleeping.
 *
 * might_sleep() and non_block_start() are the validator's annotations (nostall/context.h): reported where they are out
 * of place while it is on, a load and a compare while it is off.
 */
#include_next <linux/kernel.h>
#ifndef NST_COMPAT_KERNEL_H
#define NST_COMPAT_KERNEL_H

#ifndef __cplusplus

#include <limits.h>
#include <linux/align.h>
#include <linux/bitops.h>
#include <linux/bug.h>
#include <linux/cache.h>
#include <linux/container_of.h>
#include <linux/err.h>
#include <linux/kconfig.h>
#include <linux/log2.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/printk.h>
#include <linux/types.h>

#define might_sleep() nst_might_sleep()
#define might_sleep_if(condition)                                                                  \
	do {                                                                                       \
		if (condition)                                                                     \
			might_sleep();                                                             \
	} while (0)
#define non_block_start() nst_nonblock_begin()
#define non_block_end() nst_nonblock_end()

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
#endif
