/* SPDX-License-Identifier: MIT */
/*
 * rseq_ops.h - the restartable sequences: what each does, in pseudo-code, and which file does it.
 *
 * The per-CPU stack (struct nst_pcs) is reached through a table of pointers indexed by the CPU number,
 * which the kernel keeps in the thread's rseq area:
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
 * ---- A number per CPU ----
 *
 * A stack without slots is a number: count of at most cap. It is taken and put by other takers as any stack.
 *
 * DEBIT(table, n)		CREDIT(table, n)
 *   s = table[cpu_id]		  s = table[cpu_id]
 *   if s->count < n: EMPTY	  if s->count + n > s->cap: FULL
 *   s->count -= n  *		  s->count += n  *
 *
 * ---- The ring of retired pointers (struct nst_ring) ----
 *
 * Reached the same way; entries without a CPU point at nst_ring_none, whose one page is always full.
 * percpu/ring.h has the picture: this CPU fills the page at open, a worker elsewhere takes the pages
 * before it and adds pages after it.
 *
 * RETIRE(table, started, o)	RETIREN(table, started, in, n)	ADVANCE(table)
 *   r = table[cpu_id]		  r, p: as in RETIRE		  r = table[cpu_id]
 *   p = r->page[r->open & mask]  i = p->count			  i = r->open
 *   n = p->count		  k = min(n, p->cap - i)	  p = r->page[i & mask]
 *   if n >= p->cap: FULL	  if k == 0: FULL		  if p->count < p->cap: NOT_FULL
 *   p->stamp = *started	  p->stamp = *started		  if !r->page[(i + 1) & mask]:
 *   p->obj[n] = o		  p->obj[i ...] = in[0 ... k-1]	      NOTHING_READY
 *   p->count = n + 1  *	  p->count = i + k  *		  r->open = i + 1  *
 *
 * The stamp is loaded inside the sequence, and so anew after each restart, and is stored before the
 * commit. An interrupted RETIRE may leave a stamp that is later than its page needs: what lies there waits
 * longer than it had to. After the commit it could be interrupted and leave one that is too early: what
 * was counted last would be freed while readers have it.
 *
 * No late writers. Once a worker has seen open move past a page, nobody writes to that page:
 *
 * - open is moved by a sequence of that CPU. Whoever was inside RETIRE on that page then had been preempted
 *   there or interrupted by a signal, hence restarts, and reads open again. Nobody else writes pages.
 * - What it and others had stored in the page before (a slot, a stamp, counts), they stored on that same
 *   CPU, before open in its order, whichever thread it was. x86 makes a CPU's stores seen in that order. On
 *   aarch64 the commits of RETIRE and ADVANCE are store-releases, which order all that the CPU has stored
 *   before them; between two threads on one CPU lies a context switch, which is a full barrier. With
 *   concurrency ids, the kernel's hand-over of an id from one CPU to another is one as well.
 * - The worker loads open with acquire. So all stores to the page are done and seen, and no fence is needed.
 *
 * In the same way count, loaded with acquire, covers the slots below it, which nobody writes again while the
 * page is in the ring: that prefix can be freed, after its grace period, while the page is being filled.
 *
 * What the worker hands over passes by a slot, stored with release. ADVANCE loads it with acquire, since it
 * must see, in a later round, that slots were emptied before this one was filled (R2); RETIRE reaches the
 * page through it by address.
 *
 * ---- Read sections ----
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

/** struct nst_sheaf - objects of one cache on their way, or a page of retired pointers */
struct nst_sheaf {
	u32 count, cap;
	union {
		struct nst_sheaf *next;
		u64 stamp; /* in a ring: *started, read after the newest was retired */
	};
	void *obj[];
};

/* Results of ADVANCE. */
enum nst_advance { NST_ADVANCE_OK, NST_ADVANCE_NOT_FULL, NST_ADVANCE_NOTHING_READY };

/** struct nst_ring - pages of retired pointers of one CPU. open: its CPU, in a sequence; all else: the worker */
struct nst_ring {
	u32 tail;		   /* position of the oldest sealed page; */
	u32 head;		   /* behind the newest ready one */
	u32 seen, looks;	   /* what the worker saw of it last, and how often the same */
	u32 pressed;		   /* open, as somebody last pressed for a period on its account */
	u64 oldest;		   /* stamp of the oldest sealed page, or of one before it */
	u32 open NST_LINE_ALIGNED; /* position of the page that is being filled */
	u32 mask;		   /* slots - 1 */
	struct nst_sheaf *page[];  /* and behind it, for each slot, a u32 of the worker's own */
};

nst_static_assert(offsetof(struct nst_sheaf, obj) == 16 && offsetof(struct nst_ring, open) == 64 &&
			  offsetof(struct nst_ring, page) == 72,
		  "the sequences know this layout");

nst_static_assert(NST_SEQ_RETIRE == 4 && NST_SEQ_RETIREN == 5 && NST_SEQ_ADVANCE == 6,
		  "the sequences know their numbers");

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
#include "x86_64_ring.h"
#elif defined(__aarch64__)
#include "aarch64.h"
#include "aarch64_ring.h"
#else
#error "nostall has sequences for x86_64 and aarch64"
#endif

#endif
