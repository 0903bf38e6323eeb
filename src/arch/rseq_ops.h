/* SPDX-License-Identifier: MIT */
/*
 * rseq_ops.h - the restartable sequences: what each does, in pseudo-code, and which file does it.
 *
 * One structure, the per-CPU stack (struct nst_pcs), reached through a table of pointers indexed by
 * the CPU number, which the kernel keeps in the thread's rseq area:
 *
 *	table[-2] table[-1] table[0] table[1] ...          entries -1, -2 and those of CPUs never
 *	    |         |         |        |                  used point at nst_pcs_none, which is
 *	    v         v         v        v                  always empty and always full
 *	      nst_pcs_none    count cap obj[1] obj[2] ...
 *
 * count is the number of objects and the index of the top one; obj[0] is a guard that is always NULL, so
 * that "same as the top" needs no test for empty (nor a load of the header that was just stored).
 *
 * POP(table)			PUSH(table, o)			POPN(table, out, n)
 *   s = table[cpu_id]		  s = table[cpu_id]		  s = table[cpu_id]
 *   n = s->count		  n = s->count			  k = min(n, s->count)
 *   if n == 0: EMPTY		  if n >= s->cap: FULL		  i = s->count - k
 *   p = s->obj[n]		  if s->obj[n] == o: SAME	  out[0 ... k-1] = s->obj[i+1 ... i+k]
 *   s->count = n - 1  *	  s->obj[n + 1] = o		  s->count = i  *
 *   return p			  s->count = n + 1  *		  return k
 *				  return OK
 *
 * PUSHN(table, in, n): the mirror of POPN, k = min(n, cap - count). Both keep the order of the stack,
 * so what is popped and pushed again has its top where it was. obj[] is counted from 1 here, from 0 in C.
 *
 * The line marked * is the commit: one store, the last instruction. An abort (preempted, migrated or
 * signalled before it) leaves nothing behind but a slot above count, or the caller's out[], partly
 * written; both are dead. The caller then starts anew, and a retry costs one preemption or signal:
 * they cannot come faster than the kernel delivers them, so retry ends. A debugger that steps one
 * instruction at a time restarts for ever; the none form serves there.
 *
 * Remote take (one CPU works on another's stack, for resize, drain and destroy): store nst_pcs_none
 * in table[cpu], then fence that CPU (membarrier, which restarts its sequence). A sequence there
 * either committed before the fence, or begins anew and sees the empty stack. From then on the old
 * stack belongs to the taker, who puts it back by storing it in the table.
 *
 * Read sections (rcu/) count in a line for each CPU, lines[cpu] = { in[2], out[2] }. One add is the commit:
 *
 * IN(phase_word, lines)		OUT(lines, phase)
 *   p = *phase_word			  if cpu_id < 0: NO
 *   if p < 0 or cpu_id < 0: NO		  lines[cpu_id].out[phase]++  *
 *   lines[cpu_id].in[p]++  *
 *   return p
 *
 * NO (-1): a thread without rseq, or readers that must fence, count elsewhere with atomics. The phase is read
 * inside, so that whoever was preempted between it and the count reads it anew.
 *
 * Sources: Paul Turner's percpu ops (LPC 2013); Mathieu Desnoyers, rseq(2) and membarrier(2).
 */
#ifndef NST_ARCH_RSEQ_OPS_H
#define NST_ARCH_RSEQ_OPS_H

#include "../base/base.h"

/* Results of a push. */
enum nst_push { NST_PUSH_OK, NST_PUSH_FULL, NST_PUSH_SAME };

/** struct nst_pcs - a per-CPU stack of pointers. Written by its CPU, inside a sequence, or by a taker. */
struct nst_pcs {
	u32 count;   /* objects; the top is obj[count - 1], at byte 8 + 8 * count */
	u32 cap;     /* room, in objects */
	void *guard; /* NULL: what lies below the lowest object */
	void *obj[];
};

/* A line of counts of read sections: 128 bytes, for CPUs that fetch lines in pairs. */
#define NST_READ_LINE_SHIFT 7
struct nst_read_line {
	u64 in[2];  /* sections begun, by phase: at byte 8 * phase */
	u64 out[2]; /* sections ended: at byte 16 + 8 * phase */
} __attribute__((aligned(1 << NST_READ_LINE_SHIFT)));

/* The CPU's number in the thread's rseq area, and where the sequence in progress is announced. */
#define NST_RSEQ_CPU_ID 4
#define NST_RSEQ_CS 8
#define NST_RSEQ_MM_CID 24

/*
 * Distance from the thread pointer to the thread's rseq area. From the first instruction until the
 * library has started (and for ever where rseq is missing) it is that of a zeroed area in our own
 * thread-local block; tables that a sequence could meet then hold nst_pcs_none for CPU 0.
 */
extern intptr_t nst_rseq_offset NST_HIDDEN;

/*
 * gcc up to 13 may take an output for undefined after an asm goto, and merge its paths (bug 113921; seen
 * with 12.2 as a pop that returned rubbish when empty). An empty asm on each path keeps them apart.
 */
#define SEQ_OUTPUTS_DONE() __asm__ volatile("")

#if defined(__x86_64__)
#include "x86_64.h"
#elif defined(__aarch64__)
#include "aarch64.h"
#else
#error "nostall has sequences for x86_64 and aarch64"
#endif

#endif
