/* SPDX-License-Identifier: MIT */
/*
 * aarch64.h - the sequences of rseq_ops.h for aarch64.
 *
 * SEQ_ENTER announces the descriptor (label 991) in the thread's rseq area; from 992 to 993 the
 * kernel sends an interrupted thread to 994, which lies behind the signature the kernel insists on (an
 * instruction that traps: brk 0x45e0) and branches to the C label that starts anew. An exit by a
 * branch out of 992..993 needs no announcement taken back: the kernel compares the program counter.
 *
 * No static datum can hold a distance from the thread pointer here, so nst_rseq_offset is 0 until the
 * library has started, and for ever where rseq is missing. The area would then lie on libc's own
 * words: each function tests it once, before the sequence, and says empty or full.
 *
 * Order. The CPU reorders plain loads and stores, and no sequence holds a barrier. That is enough:
 *
 * - A CPU sees its own accesses in program order, a thread that moves takes that order with it, and
 *   two threads that take turns on a CPU have a context switch, which is a full barrier, between them.
 *   So slot and count, each written and read by one CPU, are never seen torn.
 * - A taker, on another CPU, reads the stack only after the fence: an interrupt with a full barrier on
 *   that CPU, or the barrier of the context switch that took this process off it.
 * - What a taker wrote into a stack, and what others wrote into its objects before, come with the
 *   table's entry, stored with release. The pop reaches all of it through that entry: entry -> stack
 *   -> count -> slot -> object is a chain of address dependencies, which aarch64 keeps for loads and
 *   for stores. Nothing breaks it: the compiler cannot see what a pop returns.
 * - A fork takes write access away page by page and waits until stores under the old rights are done;
 *   one that comes too late faults, and no later store of its thread is done. So a child, too, sees a
 *   cut in program order.
 * - A worker reads rings while their CPUs fill them. There the commits are releases, and ADVANCE has an
 *   acquire (aarch64_ring.h).
 *
 * Price on the hit path, through a call: POP 18 instructions, PUSH 21; 4 cache lines each (rseq area,
 * table, stack header, slot).
 */
#ifndef NST_ARCH_AARCH64_H
#define NST_ARCH_AARCH64_H

#define NST_SEQ_NAME "aarch64"

/* An instruction a line, which the formatter does not keep among macros. */
/* clang-format off */

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 4
#define SEQ_ARM "" /* the sequence is not protected */
#else
#define SEQ_ARM                                                                                    \
	"adrp %[t], 991b\n"                                                                        \
	"add %[t], %[t], :lo12:991b\n"                                                             \
	"str %[t], [%[area], #8]\n"
#endif

#define SEQ_DESCRIBE                                                                               \
	".pushsection __rseq_cs, \"aw\"\n"                                                         \
	".balign 32\n"                                                                             \
	"991: .long 0, 0\n"                                                                        \
	".quad 992f, 993f - 992f, 994f\n"                                                          \
	".popsection\n"
#define SEQ_ENTER SEQ_DESCRIBE SEQ_ARM "992:\n"

/* The signature is an instruction, so that a big-endian assembler writes what the kernel reads. */
#define SEQ_LEAVE                                                                                  \
	"993:\n"                                                                                   \
	".pushsection __rseq_fail, \"ax\"\n"                                                       \
	".inst 0xd428bc00\n"                                                                       \
	"994: b %l[aborted]\n"                                                                     \
	".popsection\n"

/* A test's delay at a point of a sequence; flags are dead there. */
#ifdef NST_TEST
#define SEQ_DELAY(seq, point)                                                                      \
	"adrp %[w], nst_test_delay + 4 * (8 * " #seq " + " #point ")\n"                            \
	"ldr %w[w], [%[w], :lo12:nst_test_delay + 4 * (8 * " #seq " + " #point ")]\n"              \
	"771: subs %w[w], %w[w], #1\n"                                                             \
	"b.pl 771b\n"
#define SEQ_RESTARTED(seq) nst_add_relaxed(&nst_test_restarts[seq], 1)
#else
#define SEQ_DELAY(seq, point) ""
#define SEQ_RESTARTED(seq) ((void)0)
#endif

/* [t] is the count before a pop, and after a push. */
#define SEQ_POP_READ "add %[p], %[s], #8\nldr %[p], [%[p], %[t], lsl #3]\n"
#define SEQ_POP_COMMIT "str %w[c], [%[s]]\n"
#define SEQ_PUSH_WRITE "add %[w], %[s], #8\nstr %[o], [%[w], %[t], lsl #3]\n"
#define SEQ_PUSH_COMMIT "str %w[t], [%[s]]\n"

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 1
/* The commit comes before what it commits. */
#define SEQ_POP_END SEQ_POP_COMMIT SEQ_DELAY(0, 4) SEQ_POP_READ SEQ_DELAY(0, 5)
#define SEQ_PUSH_END SEQ_PUSH_COMMIT SEQ_DELAY(1, 5) SEQ_PUSH_WRITE SEQ_DELAY(1, 6)
#else
#define SEQ_POP_END SEQ_DELAY(0, 4) SEQ_POP_READ SEQ_DELAY(0, 5) SEQ_POP_COMMIT
#define SEQ_PUSH_END SEQ_DELAY(1, 5) SEQ_PUSH_WRITE SEQ_DELAY(1, 6) SEQ_PUSH_COMMIT
#endif

/* The stack of the CPU whose number is at ID, in [s]. */
#define SEQ_STACK(seq, ID)                                                                         \
	SEQ_DELAY(seq, 0)                                                                          \
	"ldrsw %[s], [" ID "]\n" SEQ_DELAY(seq, 1) "ldr %[s], [%[table], %[s], lsl #3]\n"          \
	SEQ_DELAY(seq, 2)

#define SEQ_POP(ID)                                                                                \
	SEQ_ENTER SEQ_STACK(0, ID)                                                                 \
	"ldr %w[t], [%[s]]\n" SEQ_DELAY(0, 3)                                                      \
	"cbz %w[t], %l[empty]\n"                                                                   \
	"sub %w[c], %w[t], #1\n" SEQ_POP_END SEQ_LEAVE

#define SEQ_PUSH(ID)                                                                               \
	SEQ_ENTER SEQ_STACK(1, ID)                                                                 \
	"ldp %w[t], %w[c], [%[s]]\n" SEQ_DELAY(1, 3)                                               \
	"cmp %w[t], %w[c]\n"                                                                       \
	"b.hs %l[full]\n" SEQ_DELAY(1, 4)                                                          \
	"add %[w], %[s], #8\nldr %[c], [%[w], %[t], lsl #3]\n"                                                         \
	"cmp %[c], %[o]\n"                                                                         \
	"b.eq %l[same]\n"                                                                          \
	"add %w[t], %w[t], #1\n" SEQ_PUSH_END SEQ_LEAVE

/* The thread's address, which fork keeps and no other live thread shares. */
static inline uintptr_t nst_thread_pointer(void)
{
	uintptr_t tp;

	__asm__("mrs %0, tpidr_el0" : "=r"(tp));
	return tp;
}

/*
 * The top object of this CPU's stack, or NULL. A stack is read through the pointer in the table, so it
 * is as its maker left it.
 */
NST_ALWAYS_INLINE void *nst_seq_pop(struct nst_pcs *const *table)
{
	intptr_t off = nst_rseq_offset;
	u64 t, s, c, w;
	void *p;

	if (nst_unlikely(!off))
		return NULL;
/* Pairs with: nst_pcs_ensure(), nst_pcs_take(), nst_pcs_put(), nst_sys_rseq_init(). */
again:
	__asm__ volatile goto(SEQ_POP("%[area], #4")
			      : [t] "=&r"(t), [s] "=&r"(s), [c] "=&r"(c), [p] "=&r"(p), [w] "=&r"(w)
			      : [area] "r"(nst_thread_pointer() + (uintptr_t)off), [table] "r"(table)
			      : "memory", "cc"
			      : empty, aborted);
	SEQ_OUTPUTS_DONE();
	if (!p)
		__builtin_unreachable();
	return p;
empty:
	SEQ_OUTPUTS_DONE();
	return NULL;
aborted:
	SEQ_RESTARTED(NST_SEQ_POP);
	goto again;
}

NST_ALWAYS_INLINE enum nst_push nst_seq_push(struct nst_pcs *const *table, void *o)
{
	intptr_t off = nst_rseq_offset;
	u64 t, s, c, w;

	if (nst_unlikely(!off))
		return NST_PUSH_FULL;
again:
	__asm__ volatile goto(SEQ_PUSH("%[area], #4")
			      : [t] "=&r"(t), [s] "=&r"(s), [c] "=&r"(c), [w] "=&r"(w)
			      : [area] "r"(nst_thread_pointer() + (uintptr_t)off), [table] "r"(table),
				[o] "r"(o)
			      : "memory", "cc"
			      : full, same, aborted);
	return NST_PUSH_OK;
full:
	return NST_PUSH_FULL;
same:
	return NST_PUSH_SAME;
aborted:
	SEQ_RESTARTED(NST_SEQ_PUSH);
	goto again;
}

/*
 * The same by any index word: @id is the distance from the thread pointer to the number (cpu_id or
 * mm_cid). Used out of line, where one more register costs nothing.
 */
NST_ALWAYS_INLINE void *nst_seq_pop_by(struct nst_pcs *const *table, intptr_t id)
{
	uintptr_t tp = nst_thread_pointer();
	intptr_t off = nst_rseq_offset;
	u64 t, s, c, w;
	void *p;

	if (nst_unlikely(!off))
		return NULL;
again:
	__asm__ volatile goto(SEQ_POP("%[tp], %[id]")
			      : [t] "=&r"(t), [s] "=&r"(s), [c] "=&r"(c), [p] "=&r"(p), [w] "=&r"(w)
			      : [area] "r"(tp + (uintptr_t)off), [tp] "r"(tp), [id] "r"(id),
				[table] "r"(table)
			      : "memory", "cc"
			      : empty, aborted);
	SEQ_OUTPUTS_DONE();
	if (!p)
		__builtin_unreachable();
	return p;
empty:
	SEQ_OUTPUTS_DONE();
	return NULL;
aborted:
	SEQ_RESTARTED(NST_SEQ_POP);
	goto again;
}

NST_ALWAYS_INLINE enum nst_push nst_seq_push_by(struct nst_pcs *const *table, intptr_t id, void *o)
{
	uintptr_t tp = nst_thread_pointer();
	intptr_t off = nst_rseq_offset;
	u64 t, s, c, w;

	if (nst_unlikely(!off))
		return NST_PUSH_FULL;
again:
	__asm__ volatile goto(SEQ_PUSH("%[tp], %[id]")
			      : [t] "=&r"(t), [s] "=&r"(s), [c] "=&r"(c), [w] "=&r"(w)
			      : [area] "r"(tp + (uintptr_t)off), [tp] "r"(tp), [id] "r"(id),
				[table] "r"(table), [o] "r"(o)
			      : "memory", "cc"
			      : full, same, aborted);
	return NST_PUSH_OK;
full:
	return NST_PUSH_FULL;
same:
	return NST_PUSH_SAME;
aborted:
	SEQ_RESTARTED(NST_SEQ_PUSH);
	goto again;
}

/* Up to @n objects off the top into @out, in the order of the stack: the top last. How many. */
NST_ALWAYS_INLINE size_t nst_seq_popn_by(struct nst_pcs *const *table, intptr_t id, void **out,
					 size_t n)
{
	uintptr_t tp = nst_thread_pointer();
	intptr_t off = nst_rseq_offset;
	u64 t, s, k, p, i, x, w;

	if (nst_unlikely(!off))
		return 0;
again:
	__asm__ volatile goto(SEQ_ENTER SEQ_STACK(2, "%[tp], %[id]")
			      "ldr %w[t], [%[s]]\n" SEQ_DELAY(2, 3)
			      "cmp %[n], %[t]\n"
			      "csel %[k], %[n], %[t], lo\n"
			      "sub %[t], %[t], %[k]\n"
			      "add %[p], %[s], %[t], lsl #3\n"
			      "add %[p], %[p], #16\n"
			      "mov %[i], xzr\n"
			      "881: cmp %[i], %[k]\n"
			      "b.hs 882f\n"
			      "ldr %[x], [%[p], %[i], lsl #3]\n"
			      "str %[x], [%[out], %[i], lsl #3]\n"
			      "add %[i], %[i], #1\n" SEQ_DELAY(2, 4)
			      "b 881b\n"
			      "882:\n" SEQ_DELAY(2, 5)
			      "str %w[t], [%[s]]\n" SEQ_LEAVE
			      : [t] "=&r"(t), [s] "=&r"(s), [k] "=&r"(k), [p] "=&r"(p), [i] "=&r"(i),
				[x] "=&r"(x), [w] "=&r"(w)
			      : [area] "r"(tp + (uintptr_t)off), [tp] "r"(tp), [id] "r"(id),
				[table] "r"(table), [out] "r"(out), [n] "r"(n)
			      : "memory", "cc"
			      : aborted);
	SEQ_OUTPUTS_DONE();
	return k;
aborted:
	SEQ_RESTARTED(NST_SEQ_POPN);
	goto again;
}

/* Up to @n objects of @in, in[0] first; returns how many found room. */
NST_ALWAYS_INLINE size_t nst_seq_pushn_by(struct nst_pcs *const *table, intptr_t id,
					  void *const *in, size_t n)
{
	uintptr_t tp = nst_thread_pointer();
	intptr_t off = nst_rseq_offset;
	u64 t, s, k, p, i, x, w;

	if (nst_unlikely(!off))
		return 0;
again:
	__asm__ volatile goto(SEQ_ENTER SEQ_STACK(3, "%[tp], %[id]")
			      "ldp %w[t], %w[k], [%[s]]\n" SEQ_DELAY(3, 3)
			      "sub %[k], %[k], %[t]\n"
			      "cmp %[n], %[k]\n"
			      "csel %[k], %[n], %[k], lo\n"
			      "add %[p], %[s], %[t], lsl #3\n"
			      "add %[p], %[p], #16\n"
			      "add %[t], %[t], %[k]\n"
			      "mov %[i], xzr\n"
			      "881: cmp %[i], %[k]\n"
			      "b.hs 882f\n"
			      "ldr %[x], [%[in], %[i], lsl #3]\n"
			      "str %[x], [%[p], %[i], lsl #3]\n"
			      "add %[i], %[i], #1\n" SEQ_DELAY(3, 4)
			      "b 881b\n"
			      "882:\n" SEQ_DELAY(3, 5)
			      "str %w[t], [%[s]]\n" SEQ_LEAVE
			      : [t] "=&r"(t), [s] "=&r"(s), [k] "=&r"(k), [p] "=&r"(p), [i] "=&r"(i),
				[x] "=&r"(x), [w] "=&r"(w)
			      : [area] "r"(tp + (uintptr_t)off), [tp] "r"(tp), [id] "r"(id),
				[table] "r"(table), [in] "r"(in), [n] "r"(n)
			      : "memory", "cc"
			      : aborted);
	SEQ_OUTPUTS_DONE();
	return k;
aborted:
	SEQ_RESTARTED(NST_SEQ_PUSHN);
	goto again;
}

/* ---- read sections ---- */

#ifdef NST_TEST
#define SEQ_READ_DELAY(point)                                                                      \
	"adrp %[w], nst_test_delay + 4 * (8 * %c[seq] + " #point ")\n"                             \
	"ldr %w[w], [%[w], :lo12:nst_test_delay + 4 * (8 * %c[seq] + " #point ")]\n"               \
	"771: subs %w[w], %w[w], #1\n"                                                             \
	"b.pl 771b\n"
#else
#define SEQ_READ_DELAY(point) ""
#endif

/* The count of phase [p] in the line of this CPU, its address in [s]. */
#define SEQ_READ_COUNT                                                                             \
	"ldrsw %[s], [%[area], #4]\n" SEQ_READ_DELAY(2)                                            \
	"cmp %[s], #0\n"                                                                           \
	"b.lt %l[no]\n"                                                                            \
	"add %[s], %[lines], %[s], lsl #7\n"                                                       \
	"add %[s], %[s], %[p], lsl #3\n" SEQ_READ_DELAY(3)

/* Begin a section: its phase; or -1, and nothing is counted. Price: 17 instructions, 3 cache lines. */
NST_ALWAYS_INLINE int nst_seq_read_in(const int *phase, struct nst_read_line *lines)
{
	intptr_t off = nst_rseq_offset;
	u64 t, s, p, w;

	if (nst_unlikely(!off))
		return -1;
again:
	__asm__ volatile goto(SEQ_ENTER SEQ_READ_DELAY(0)
			      "ldr %w[p], [%[phase]]\n" SEQ_READ_DELAY(1)
			      "cmp %w[p], #0\n"
			      "b.lt %l[no]\n" SEQ_READ_COUNT
			      "ldr %[t], [%[s]]\n"
			      "add %[t], %[t], #1\n" SEQ_READ_DELAY(4)
			      "str %[t], [%[s]]\n" SEQ_LEAVE
			      : [t] "=&r"(t), [s] "=&r"(s), [p] "=&r"(p), [w] "=&r"(w)
			      : [area] "r"(nst_thread_pointer() + (uintptr_t)off), [phase] "r"(phase),
				[lines] "r"(lines), [seq] "i"(NST_SEQ_IN)
			      : "memory", "cc"
			      : no, aborted);
	SEQ_OUTPUTS_DONE();
	return (int)p;
no:
	SEQ_OUTPUTS_DONE();
	return -1;
aborted:
	SEQ_RESTARTED(NST_SEQ_IN);
	goto again;
}

/* End a section of phase @p: 0; or -1, and nothing is counted. The barrier of the period orders it. */
NST_ALWAYS_INLINE int nst_seq_read_out(struct nst_read_line *lines, u64 p)
{
	intptr_t off = nst_rseq_offset;
	u64 t, s, w;

	if (nst_unlikely(!off))
		return -1;
again:
	__asm__ volatile goto(SEQ_ENTER SEQ_READ_DELAY(0) SEQ_READ_COUNT
			      "ldr %[t], [%[s], #16]\n"
			      "add %[t], %[t], #1\n" SEQ_READ_DELAY(4)
			      "str %[t], [%[s], #16]\n" SEQ_LEAVE
			      : [t] "=&r"(t), [s] "=&r"(s), [w] "=&r"(w)
			      : [area] "r"(nst_thread_pointer() + (uintptr_t)off), [p] "r"(p),
				[lines] "r"(lines), [seq] "i"(NST_SEQ_OUT)
			      : "memory", "cc"
			      : no, aborted);
	return 0;
no:
	return -1;
aborted:
	SEQ_RESTARTED(NST_SEQ_OUT);
	goto again;
}

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 25
/* Whether there is so much, and taking it, are not one: it is not armed. */
#define SEQ_DEBIT_ENTER SEQ_DESCRIBE "992:\n"
#else
#define SEQ_DEBIT_ENTER SEQ_ENTER
#endif

/* Take @n of this CPU's number: 1; or 0, and it is as it was. By @id as above. */
NST_ALWAYS_INLINE int nst_seq_debit_by(struct nst_pcs *const *table, intptr_t id, u32 n)
{
	uintptr_t tp = nst_thread_pointer();
	intptr_t off = nst_rseq_offset;
	u64 t, s, w;

	if (nst_unlikely(!off))
		return 0;
again:
	__asm__ volatile goto(SEQ_DEBIT_ENTER SEQ_READ_DELAY(0)
			      "ldrsw %[s], [%[tp], %[id]]\n" SEQ_READ_DELAY(1)
			      "ldr %[s], [%[table], %[s], lsl #3]\n" SEQ_READ_DELAY(2)
			      "ldr %w[t], [%[s]]\n"
			      "cmp %w[t], %w[n]\n"
			      "b.lo %l[empty]\n"
			      "sub %w[t], %w[t], %w[n]\n" SEQ_READ_DELAY(3)
			      "str %w[t], [%[s]]\n" SEQ_LEAVE
			      : [t] "=&r"(t), [s] "=&r"(s), [w] "=&r"(w)
			      : [area] "r"(tp + (uintptr_t)off), [tp] "r"(tp), [id] "r"(id),
				[table] "r"(table), [n] "r"(n), [seq] "i"(NST_SEQ_DEBIT)
			      : "memory", "cc"
			      : empty, aborted);
	return 1;
empty:
	return 0;
aborted:
	SEQ_RESTARTED(NST_SEQ_DEBIT);
	goto again;
}

/* Put @n to it: 1; or 0, and it is as it was: there is no room for so many. @n is at most 2^31. */
NST_ALWAYS_INLINE int nst_seq_credit_by(struct nst_pcs *const *table, intptr_t id, u32 n)
{
	uintptr_t tp = nst_thread_pointer();
	intptr_t off = nst_rseq_offset;
	u64 t, s, c, w;

	if (nst_unlikely(!off))
		return 0;
again:
	__asm__ volatile goto(SEQ_ENTER SEQ_READ_DELAY(0)
			      "ldrsw %[s], [%[tp], %[id]]\n" SEQ_READ_DELAY(1)
			      "ldr %[s], [%[table], %[s], lsl #3]\n" SEQ_READ_DELAY(2)
			      "ldp %w[t], %w[c], [%[s]]\n"
			      "add %w[t], %w[t], %w[n]\n"
			      "cmp %w[t], %w[c]\n"
			      "b.hi %l[full]\n" SEQ_READ_DELAY(3)
			      "str %w[t], [%[s]]\n" SEQ_LEAVE
			      : [t] "=&r"(t), [s] "=&r"(s), [c] "=&r"(c), [w] "=&r"(w)
			      : [area] "r"(tp + (uintptr_t)off), [tp] "r"(tp), [id] "r"(id),
				[table] "r"(table), [n] "r"(n), [seq] "i"(NST_SEQ_CREDIT)
			      : "memory", "cc"
			      : full, aborted);
	return 1;
full:
	return 0;
aborted:
	SEQ_RESTARTED(NST_SEQ_CREDIT);
	goto again;
}

/* clang-format on */

/* The system counter; not ordered against the instructions around it. */
static inline u64 nst_ticks(void)
{
	u64 v;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(v));
	return v;
}

#endif
