/* SPDX-License-Identifier: MIT */
/* kernel.h - broken on purpose (64): sections that must not block are not seen. The tests must catch it. */
#include_next <linux/kernel.h>
#ifndef TEST_BROKEN_KERNEL_H
#define TEST_BROKEN_KERNEL_H

#undef non_block_start
#undef non_block_end
#define non_block_start() ((void)0)
#define non_block_end() ((void)0)

#endif
