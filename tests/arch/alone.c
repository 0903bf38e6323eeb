/* SPDX-License-Identifier: MIT */
/*
 * alone.c - libc's rseq areas, fences, and stacks from calloc.
 */
#define _GNU_SOURCE
#include <linux/membarrier.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "alone.h"
#include "common/check.h"

#define MAX_KEPT 32u

intptr_t nst_rseq_offset;
u32 nst_test_delay[NST_NR_ALL_SEQS][NST_SEQ_POINTS];
u64 nst_test_restarts[NST_NR_ALL_SEQS];

extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

void alone_before(void)
{
#if defined(__x86_64__)
	static __thread u8 area[64] __attribute__((aligned(32)));

	nst_rseq_offset = (intptr_t)((uintptr_t)area - nst_thread_pointer());
#endif
}

const char *alone_start(void)
{
	if (!&__rseq_offset || !&__rseq_size || !__rseq_size)
		return "libc did not register rseq";
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0))
		return "no membarrier that restarts sequences";
	nst_rseq_offset = __rseq_offset;
	return NULL;
}

intptr_t alone_cpu_id(void)
{
	return nst_rseq_offset + NST_RSEQ_CPU_ID;
}

int alone_fence(int cpu)
{
#if defined(NST_BUSTED) && NST_BUSTED == 2
	return 0; /* the fence is dropped */
#endif
	return (int)syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ,
			    MEMBARRIER_CMD_FLAG_CPU, cpu);
}

unsigned int alone_nr_cpus(void)
{
	return (unsigned int)sysconf(_SC_NPROCESSORS_CONF);
}

/* To the end: a table is used after whoever made it has returned. */
static void *volatile kept[MAX_KEPT];
static unsigned int nr_kept;

static void *zeroed(size_t bytes)
{
	void *p = calloc(1, bytes);

	if (!p || nr_kept == MAX_KEPT)
		check_broken("calloc");
	kept[nr_kept++] = p;
	return p;
}

struct nst_pcs **alone_table(struct nst_pcs *s)
{
	unsigned int entries = alone_nr_cpus() + 2;
	struct nst_pcs **table = zeroed(entries * sizeof(*table));

	for (unsigned int i = 0; i < entries; i++)
		table[i] = s;
	return table + 2;
}

struct nst_pcs *alone_stack(u32 cap)
{
	struct nst_pcs *s = zeroed(sizeof(*s) + cap * sizeof(s->obj[0]));

	s->cap = cap;
	return s;
}
