/* SPDX-License-Identifier: MIT */
/*
 * nst_sleeping.h - what spinlock_t and rwlock_t are with NST_COMPAT_RT: locks that sleep, as on a real-time kernel.
 */
#ifndef NST_COMPAT_SLEEPING_H
#define NST_COMPAT_SLEEPING_H

#include <linux/nst_pimutex.h>
#include <linux/nst_rwsleep.h>

#define nst_compat_config nst_compat_pimutex
#define nst_compat_config_wait nst_compat_pimutex_wait
#define nst_compat_config_try nst_compat_pimutex_try
#define nst_compat_config_done nst_compat_pimutex_done

/* Signals stay on: a handler may not take such a lock, as no interrupt may there. */
#define nst_compat_config_irq_save(flags) ((void)((flags) = 0))
#define nst_compat_config_irq_restore(flags) ((void)(flags))
#define nst_compat_config_irq_disable() ((void)0)
#define nst_compat_config_irq_enable() ((void)0)

#define nst_compat_rwconfig nst_compat_rwsleep
#define nst_compat_rwconfig_begin_read(l) nst_compat_rwsleep_take(l, 0, 0)
#define nst_compat_rwconfig_read(l) nst_compat_rwsleep_take(l, 0, 1)
#define nst_compat_rwconfig_try_read(l) nst_compat_rwsleep_take(l, 0, 0)
#define nst_compat_rwconfig_read_done(l) nst_compat_rwsleep_give(l, 0, 0)
#define nst_compat_rwconfig_write(l) nst_compat_rwsleep_take(l, 1, 1)
#define nst_compat_rwconfig_try_write(l) nst_compat_rwsleep_take(l, 1, 0)
#define nst_compat_rwconfig_write_done(l) nst_compat_rwsleep_give(l, 1, 0)

#endif
