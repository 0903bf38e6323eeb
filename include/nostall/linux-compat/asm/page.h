/* SPDX-License-Identifier: MIT */
/* page.h - the kernel's spelling: how large a page is. */
#ifndef NST_COMPAT_ASM_PAGE_H
#define NST_COMPAT_ASM_PAGE_H

#ifndef PAGE_SHIFT
#define PAGE_SHIFT 12
#endif
#ifndef PAGE_SIZE
#define PAGE_SIZE (1ul << PAGE_SHIFT)
#endif
#ifndef PAGE_MASK
#define PAGE_MASK (~(PAGE_SIZE - 1))
#endif

#endif
