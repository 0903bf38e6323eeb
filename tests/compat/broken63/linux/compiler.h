/* SPDX-License-Identifier: MIT */
/* compiler.h - broken on purpose (63): C++ is not refused. The tests must catch it. */
#ifndef __cplusplus
#include_next <linux/compiler.h>
#endif
