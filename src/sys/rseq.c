/* SPDX-License-Identifier: MIT */
/*
 * rseq.c - find this process's rseq areas, which libc registers; never register our own.
 *
 * glibc 2.35 and later registers each thread and exports __rseq_offset and __rseq_size. Where it
 * did not (musl, an old kernel, the tunable glibc.pthread.rseq=0, valgrind, seccomp), registering
 * would have to be done for every thread at once, from threads that may not enter the kernel: the
 * none form serves instead, for all of them.
 */
#include <sys/auxv.h>
#include "sys.h"

struct nst_sys_rseq nst_sys_rseq;

/* Weak, so that a libc without them links. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE 27
#endif

static const char *why_none = "the library has not started";

const char *nst_sys_rseq_why_none(void)
{
	return why_none;
}

static const char *find_reason(int want_none)
{
	const u32 *cpu;

	if (want_none)
		return "option sequences:none";
	if (!&__rseq_offset || !&__rseq_size)
		return "this libc does not register rseq";
	if (__rseq_size == 0)
		return "libc did not register rseq (tunable, kernel or seccomp)";
	cpu = (const u32 *)(nst_thread_pointer() + (uintptr_t)__rseq_offset + NST_RSEQ_CPU_ID);
	if ((int)nst_load_relaxed(cpu) < 0)
		return "the kernel refused rseq to this thread";
	return "";
}

static int has_cid(void)
{
	return getauxval(AT_RSEQ_FEATURE_SIZE) >= NST_RSEQ_MM_CID + 4;
}

/*
 * Pretended CPUs: the sequences read their number where they read 0 before the library has started, and where
 * the test has stored it. Nothing restarts them: the process may have one thread only.
 */
static int on_pretended_cpus(void)
{
	if (!NST_FAKE_CPUS)
		return 0;
	why_none = "";
	nst_sys_rseq.usable = 1;
	nst_sys_rseq.index = (intptr_t)((uintptr_t)nst_thread.no_rseq - nst_thread_pointer());
	nst_store_relaxed(&nst_rseq_offset, nst_sys_rseq.index); /* one thread */
	nst_sys_rseq.index += NST_RSEQ_CPU_ID;
	return 1;
}

void nst_sys_rseq_init(int want_none, int want_cid)
{
	if (on_pretended_cpus())
		return;
	why_none = find_reason(want_none);
	nst_sys_rseq.usable = !*why_none;
	if (!nst_sys_rseq.usable)
		return;
	nst_sys_rseq.by_cid = want_cid && has_cid();
	nst_sys_rseq.index =
		__rseq_offset + (nst_sys_rseq.by_cid ? NST_RSEQ_MM_CID : NST_RSEQ_CPU_ID);
	if (want_cid && !nst_sys_rseq.by_cid)
		nst_warn("option cid:on: this kernel has no concurrency ids; CPU numbers serve");
	/* Pairs with: nst_seq_pop() and its kin, which find tables that are ready. */
	nst_store_release(&nst_rseq_offset, (intptr_t)__rseq_offset);
}
