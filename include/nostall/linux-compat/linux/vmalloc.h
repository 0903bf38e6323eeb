/* SPDX-License-Identifier: MIT */
/* vmalloc.h - the kernel's spelling: linux/slab.h. */
#include <linux/slab.h>
