/* SPDX-License-Identifier: MIT */
/* sched.h - the kernel's spelling: to let others run. There is no task_struct, and no current. */
#include_next <linux/sched.h>
#ifndef NST_COMPAT_SCHED_H
#define NST_COMPAT_SCHED_H

#ifndef __cplusplus

#include <sched.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>

#define cond_resched() (nst_might_sleep(), sched_yield())

#endif
#endif
