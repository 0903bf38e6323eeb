/* SPDX-License-Identifier: MIT */
/* hardirq.h - broken on purpose (67): an interrupt is a handler and no more. The tests must catch it. */
#include_next <linux/hardirq.h>
#ifndef TEST_BROKEN_HARDIRQ_H
#define TEST_BROKEN_HARDIRQ_H

#undef nst_compat_irq_enter
#undef nst_compat_irq_exit
#undef nst_compat_irq_enter_nothread
#undef nst_compat_irq_exit_nothread
#define nst_compat_irq_enter(signal) nst_handler_enter(signal)
#define nst_compat_irq_exit() nst_handler_exit()
#define nst_compat_irq_enter_nothread(signal) nst_handler_enter(signal)
#define nst_compat_irq_exit_nothread() nst_handler_exit()

#endif
