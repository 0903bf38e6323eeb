/* SPDX-License-Identifier: MIT */
/* gfp_types.h - the kernel's spelling: linux/gfp.h. */
#include <linux/gfp.h>
