/* SPDX-License-Identifier: MIT */
/* hardirq.h - broken on purpose (55): readers in handlers wait as those of threads do. The tests must catch it. */
#include_next <linux/hardirq.h>
#ifndef TEST_BROKEN_HARDIRQ_H
#define TEST_BROKEN_HARDIRQ_H

#undef in_interrupt
#define in_interrupt() 0

#endif
