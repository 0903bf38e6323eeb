/* SPDX-License-Identifier: MIT */
/* export.h - the kernel's spelling: linux/module.h. */
#include <linux/module.h>
