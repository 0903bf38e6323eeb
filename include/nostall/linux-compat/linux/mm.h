/* SPDX-License-Identifier: MIT */
/* mm.h - the kernel's spelling: linux/gfp.h and linux/slab.h; there is no other memory. */
#include <linux/gfp.h>
#include <linux/slab.h>
