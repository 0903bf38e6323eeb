/* SPDX-License-Identifier: MIT */
/*
 * also.h - one function, two names. Not by attribute: gcc wants all others repeated there.
 */
#ifndef NST_PRELOAD_ALSO_H
#define NST_PRELOAD_ALSO_H

#define NST_ALSO(also, name)                                                                       \
	__asm__(".globl " #also "\n.type " #also ", %function\n.set " #also ", " #name "\n")

#endif
