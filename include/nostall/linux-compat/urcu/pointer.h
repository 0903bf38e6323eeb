/* SPDX-License-Identifier: MIT */
/*
 * pointer.h - liburcu's, which every flavour of it includes, is refused beside the kernel's rcu_read_lock().
 *
 * Both have the same names for readers of different grace periods. Files of one program may use one or the other: a
 * flavour is a domain of this library (nostall/urcu.h).
 */
#ifdef NST_COMPAT_RCUPDATE_H
#error "liburcu and linux/rcupdate.h in one file: rcu_read_lock() would be of one, kfree_rcu() of the other"
#endif
#include_next <urcu/pointer.h>
