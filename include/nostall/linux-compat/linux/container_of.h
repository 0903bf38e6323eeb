/* SPDX-License-Identifier: MIT */
/* container_of.h - the kernel's spelling: from a member to what it is a member of. */
#ifndef NST_COMPAT_CONTAINER_OF_H
#define NST_COMPAT_CONTAINER_OF_H

#include <stddef.h>

#define container_of(ptr, type, member)                                                            \
	({                                                                                         \
		__typeof__(((type *)0)->member) const *nst_member = (ptr);                         \
		(type *)((unsigned long)nst_member - offsetof(type, member));                      \
	})

#endif
