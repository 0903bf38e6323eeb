/* SPDX-License-Identifier: MIT */
/* rwlock.h - the kernel's spelling: linux/spinlock.h. */
#include <linux/spinlock.h>
