/* SPDX-License-Identifier: MIT */
/* spinlock.h - broken on purpose (42): raw locks that the validator takes for such as sleep. The tests must catch it. */
#include_next <linux/spinlock.h>
#ifndef TEST_BROKEN_SPINLOCK_H
#define TEST_BROKEN_SPINLOCK_H

#undef __RAW_SPIN_LOCK_UNLOCKED
#define __RAW_SPIN_LOCK_UNLOCKED(name)                                                             \
	{                                                                                          \
		.dep_map = NST_LOCKDEP_MAP(#name, NULL, NST_WAIT_SLEEP)                            \
	}

#endif
