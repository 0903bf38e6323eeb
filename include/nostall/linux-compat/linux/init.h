/* SPDX-License-Identifier: MIT */
/* init.h - the kernel's spelling: linux/module.h. */
#include <linux/module.h>
