/* SPDX-License-Identifier: MIT */
/* rcupdate.h - broken on purpose (41): a section that the grace periods do not know of. The tests must catch it. */
#include_next <linux/rcupdate.h>
#ifndef TEST_BROKEN_RCUPDATE_H
#define TEST_BROKEN_RCUPDATE_H

#define rcu_read_lock() ((void)nst_compat_rcu_held++)
#define rcu_read_unlock() ((void)nst_compat_rcu_held--)

#endif
