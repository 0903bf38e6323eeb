/* SPDX-License-Identifier: MIT */
/* slab.h - broken on purpose (59): a product that does not fit is what is left of it. The tests must catch it. */
#include_next <linux/slab.h>
#ifndef TEST_BROKEN_SLAB_H
#define TEST_BROKEN_SLAB_H

#undef nst_compat_times
#define nst_compat_times(n, size) ((size_t)(n) * (size_t)(size))

#endif
