/* SPDX-License-Identifier: MIT */
/* bug.h - the kernel's spelling: linux/bug.h. */
#include <linux/bug.h>
