/* SPDX-License-Identifier: MIT */
/* init.h - the kernel's spelling: code and data of the beginning stay. */
#ifndef NST_COMPAT_INIT_H
#define NST_COMPAT_INIT_H

#define __init
#define __exit
#define __initdata
#define __initconst

#endif
