/* SPDX-License-Identifier: MIT */
/*
 * hardirq.h - the kernel's spelling: code that a handler of a signal runs as an interrupt's does.
 *
 *	static void handler(int number)
 *	{
 *		nst_compat_irq_enter(number);
 *		tick();					in_interrupt() is true; nothing may sleep
 *		nst_compat_irq_exit();
 *	}
 *
 * nst_handler_enter() (nostall/context.h) says whom it may interrupt; this says in addition what the kernel says of
 * interrupts: raw locks and spinlocks may be taken. With NST_COMPAT_RT the latter sleep, and a handler is no thread, so raw
 * ones alone. A handler that stays one on a real-time kernel, too (IRQF_NO_THREAD), is judged so both ways.
 */
#ifndef NST_COMPAT_HARDIRQ_H
#define NST_COMPAT_HARDIRQ_H

#include <linux/lockdep.h>

/* Handlers that run on this thread, one within the other. */
NST_COMPAT_SHARED __thread unsigned int nst_compat_irqs;

NST_COMPAT_SHARED struct nst_lockdep_map nst_compat_irq_map = {
	.name = "interrupt",
	.outer = NST_WAIT_FREE,
	.inner = NST_COMPAT_RT ? NST_WAIT_SPIN : NST_WAIT_CONFIG};
NST_COMPAT_SHARED struct nst_lockdep_map nst_compat_irq_nothread_map = {
	.name = "interrupt without a thread", .outer = NST_WAIT_FREE, .inner = NST_WAIT_SPIN};

/* Nobody is waited for, so no order leads here. */
NST_COMPAT_INLINE void nst_compat_irq_begin(int signal, struct nst_lockdep_map *map)
{
	nst_handler_enter(signal);
	nst_lockdep_acquire(map, NST_LD_READ | NST_LD_RECURSIVE | NST_LD_TRY);
	nst_compat_irqs++;
}

NST_COMPAT_INLINE void nst_compat_irq_end(struct nst_lockdep_map *map)
{
	nst_compat_irqs--;
	nst_lockdep_release(map);
	nst_handler_exit();
}

#define nst_compat_irq_enter(signal) nst_compat_irq_begin(signal, &nst_compat_irq_map)
#define nst_compat_irq_exit() nst_compat_irq_end(&nst_compat_irq_map)
#define nst_compat_irq_enter_nothread(signal)                                                      \
	nst_compat_irq_begin(signal, &nst_compat_irq_nothread_map)
#define nst_compat_irq_exit_nothread() nst_compat_irq_end(&nst_compat_irq_nothread_map)

#define in_hardirq() (nst_compat_irqs != 0)
#define in_interrupt() in_hardirq()
#define in_task() (!in_interrupt())

#endif
