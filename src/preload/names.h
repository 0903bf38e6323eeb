/* SPDX-License-Identifier: MIT */
/*
 * names.h - libc's names: shown to everybody, and one function under two. The second not by attribute: gcc wants
 * all others repeated there.
 */
#ifndef NST_PRELOAD_NAMES_H
#define NST_PRELOAD_NAMES_H

#define EXPORT __attribute__((visibility("default")))
#define NST_ALSO(also, name)                                                                       \
	__asm__(".globl " #also "\n.type " #also ", %function\n.set " #also ", " #name "\n")

#endif
