/* SPDX-License-Identifier: MIT */
/*
 * alone.h - the sequences with no library over them: what rseq_ops.h wants from above.
 *
 * A fault found here is one of the sequences, not of who uses them; and it runs on a new CPU kind or
 * kernel before anything else does.
 */
#ifndef TEST_ALONE_H
#define TEST_ALONE_H

#include "arch/rseq_ops.h"

/* As before the library's start: the sequences find no CPU, or CPU 0 of tables of empty stacks. */
void alone_before(void);
/* The areas that libc registered, and fences. 0, or why there are none, in words. */
const char *alone_start(void);
/* Distance from the thread pointer to the CPU's number. */
intptr_t alone_cpu_id(void);
/* Restart the sequence that @cpu is in; 0 or -1. */
int alone_fence(int cpu);
/* Possible CPUs. */
unsigned int alone_nr_cpus(void);
/* Entries -2 to alone_nr_cpus() - 1, all @s. */
struct nst_pcs **alone_table(struct nst_pcs *s);
struct nst_pcs *alone_stack(u32 cap);

#endif
