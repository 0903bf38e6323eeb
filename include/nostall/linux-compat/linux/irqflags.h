/* SPDX-License-Identifier: MIT */
/*
 * irqflags.h - the kernel's spelling: interrupts are this thread's signals.
 *
 * Off, none is delivered to the thread but those that its own faults raise. Nested by flags, as in the kernel; what the
 * thread itself had blocked before stays so.
 */
#ifndef NST_COMPAT_IRQFLAGS_H
#define NST_COMPAT_IRQFLAGS_H

#include <pthread.h>
#include <signal.h>
#include <linux/nst_section.h>
#include <linux/types.h>

struct nst_compat_irq {
	sigset_t before;
	unsigned long off;
	uint64_t told; /* to the validator */
};
NST_COMPAT_SHARED __thread struct nst_compat_irq nst_compat_irq;

/* For the validator: signals of @set as bits. */
static inline uint64_t nst_compat_signals(const sigset_t *set)
{
	uint64_t bits = 0;
	int i;

	for (i = 1; i <= 64; i++)
		bits |= sigismember(set, i) == 1 ? NST_SIGNAL(i) : 0;
	return bits;
}

static inline void local_irq_disable(void)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
	sigset_t all, before;
	unsigned int i;

	if (nst_compat_irq.off)
		return;
	sigfillset(&all);
	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&all, faults[i]);
	/* A handler that comes before the mask is set leaves everything as it found it. */
	pthread_sigmask(SIG_BLOCK, &all, &before);
	nst_compat_irq.before = before;
	nst_compat_irq.told = 0;
	if (NST_LOCKDEP_ON) {
		/* What was open, by the mask: a thread that is first seen here has all of it blocked. */
		nst_compat_irq.told = nst_compat_signals(&all) & ~nst_compat_signals(&before);
		nst_signals_block_on(nst_compat_irq.told);
	}
	nst_compat_irq.off = 1;
	nst_compat_section_begin();
}

static inline void local_irq_enable(void)
{
	const sigset_t before = nst_compat_irq.before;

	if (!nst_compat_irq.off)
		return;
	nst_compat_section_end();
	nst_compat_irq.off = 0;
	nst_signals_unblock(nst_compat_irq.told);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static inline bool irqs_disabled(void)
{
	return nst_compat_irq.off != 0;
}

#define local_irq_save(flags)                                                                      \
	do {                                                                                       \
		(flags) = nst_compat_irq.off;                                                      \
		local_irq_disable();                                                               \
	} while (0)
#define local_irq_restore(flags)                                                                   \
	do {                                                                                       \
		if (!(flags))                                                                      \
			local_irq_enable();                                                        \
	} while (0)

#endif
