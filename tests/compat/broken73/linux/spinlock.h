/* SPDX-License-Identifier: MIT */
/* spinlock.h - broken on purpose (73): who holds a spinlock is no reader. The tests must catch it. */
#ifndef TEST_BROKEN_SPINLOCK_H
#define TEST_BROKEN_SPINLOCK_H

#include <linux/irqflags.h>
#include <linux/nst_section.h>
#define nst_compat_section_begin() ((void)0)
#define nst_compat_section_end() ((void)0)
#include_next <linux/spinlock.h>
#undef nst_compat_section_begin
#undef nst_compat_section_end

#endif
