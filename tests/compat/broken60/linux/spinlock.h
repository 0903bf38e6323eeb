/* SPDX-License-Identifier: MIT */
/* spinlock.h - broken on purpose (60): a spinlock that is held can be had by a try. The tests must catch it. */
#include_next <linux/spinlock.h>
#ifndef TEST_BROKEN_SPINLOCK_H
#define TEST_BROKEN_SPINLOCK_H

#define spin_trylock(l) (spin_trylock(l), 1)

#endif
