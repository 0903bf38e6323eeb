/* SPDX-License-Identifier: MIT */
/* step.h - the trap flag: from here on a SIGTRAP after each instruction of this thread, until it is off. x86-64 alone. */
#ifndef TEST_STEP_H
#define TEST_STEP_H

#if defined(__x86_64__)
static inline __attribute__((always_inline)) void step_on(void)
{
	__asm__ volatile(
		"subq $128, %%rsp\n pushfq\n orq $0x100, (%%rsp)\n popfq\n addq $128, %%rsp" ::
			: "memory", "cc");
}

static inline __attribute__((always_inline)) void step_off(void)
{
	__asm__ volatile(
		"subq $128, %%rsp\n pushfq\n andq $~0x100, (%%rsp)\n popfq\n addq $128, %%rsp" ::
			: "memory", "cc");
}
#endif

#endif
