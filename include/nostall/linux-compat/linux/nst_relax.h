/* SPDX-License-Identifier: MIT */
/*
 * nst_relax.h - to wait for what another thread does soon, if it has a CPU.
 */
#ifndef NST_COMPAT_RELAX_H
#define NST_COMPAT_RELAX_H

#include <time.h>
#include <linux/compiler.h>
#include <nostall/context.h>

#if defined(__x86_64__)
#define NST_COMPAT_PAUSE "pause"
#elif defined(__aarch64__)
#define NST_COMPAT_PAUSE "yield"
#else
#define NST_COMPAT_PAUSE ""
#endif

/* In the kernel whoever is waited for so has a CPU: nobody slept. */
static noinline void nst_compat_nap(void)
{
	static const struct timespec nap = {.tv_nsec = 50000};

	nst_allow_begin("waits for who has no CPU");
	nanosleep(&nap, NULL);
	nst_allow_end();
}

/* @turn: how often it was looked already. */
NST_COMPAT_INLINE void nst_compat_relax(unsigned int turn)
{
	__asm__ volatile(NST_COMPAT_PAUSE);
	if (turn > 200)
		nst_compat_nap();
}

#define cpu_relax() nst_compat_relax(0)

#endif
