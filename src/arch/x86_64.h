/* SPDX-License-Identifier: MIT */
/*
 * x86_64.h - the sequences of rseq_ops.h for x86-64.
 *
 * SEQ_ENTER announces the descriptor (label 991) in the thread's rseq area; from 992 to 993 the
 * kernel sends an interrupted thread to 994, which lies behind the signature the kernel insists on
 * and jumps to the C label that starts anew. An exit by a jump out of 992..993 needs no
 * announcement taken back: the kernel compares the instruction pointer.
 *
 * Price on the hit path, through a call: POP 12 instructions, PUSH 14; 4 cache lines each (rseq area, table,
 * stack header, slot).
 */
#ifndef NST_ARCH_X86_64_H
#define NST_ARCH_X86_64_H

#define NST_SEQ_NAME "x86_64"

/* Where the loader cannot store the offset before the library starts, a sequence tests it. */
#ifdef __GLIBC__
#define NST_RSEQ_OFFSET_AT_LOAD 1
#define SEQ_STARTED(label) ""
#else
#define SEQ_STARTED(label) "testq %[off], %[off]\njz %l[" label "]\n"
#endif

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 4
#define SEQ_ARM "" /* the sequence is not protected */
#else
#define SEQ_ARM                                                                                    \
	"leaq 991b(%%rip), %[t]\n"                                                                 \
	"movq %[t], %%fs:8(%[off])\n"
#endif

#define SEQ_DESCRIBE                                                                               \
	".pushsection __rseq_cs, \"aw\"\n"                                                         \
	".balign 32\n"                                                                             \
	"991: .long 0, 0\n"                                                                        \
	".quad 992f, 993f - 992f, 994f\n"                                                          \
	".popsection\n"
#define SEQ_ENTER SEQ_DESCRIBE SEQ_ARM "992:\n"

#define SEQ_LEAVE                                                                                  \
	"993:\n"                                                                                   \
	".pushsection __rseq_fail, \"ax\"\n"                                                       \
	".byte 0x0f, 0xb9, 0x3d\n"                                                                 \
	".long 0x53053053\n"                                                                       \
	"994: jmp %l[aborted]\n"                                                                   \
	".popsection\n"

/* A test's delay at a point of a sequence; flags are dead there. */
#ifdef NST_TEST
#define SEQ_DELAY(seq, point)                                                                      \
	"movl nst_test_delay + 4 * (8 * " #seq " + " #point ")(%%rip), %k[w]\n"                    \
	"771: subl $1, %k[w]\n"                                                                    \
	"jns 771b\n"
#define SEQ_RESTARTED(seq) nst_add_relaxed(&nst_test_restarts[seq], 1)
#else
#define SEQ_DELAY(seq, point) ""
#define SEQ_RESTARTED(seq) ((void)0)
#endif

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 1
/* The commit comes before what it commits. */
#define SEQ_POP_END                                                                                \
	"movl %k[t], (%[s])\n" SEQ_DELAY(0, 4) "movq 16(%[s], %[t], 8), %[p]\n" SEQ_DELAY(0, 5)
#define SEQ_PUSH_END                                                                               \
	"incl (%[s])\n" SEQ_DELAY(1, 5) "movq %[o], 16(%[s], %[t], 8)\n" SEQ_DELAY(1, 6)
#else
#define SEQ_POP_END                                                                                \
	SEQ_DELAY(0, 4) "movq 16(%[s], %[t], 8), %[p]\n" SEQ_DELAY(0, 5) "movl %k[t], (%[s])\n"
#define SEQ_PUSH_END                                                                               \
	SEQ_DELAY(1, 5) "movq %[o], 16(%[s], %[t], 8)\n" SEQ_DELAY(1, 6) "incl (%[s])\n"
#endif

/* The stack of the CPU whose number is at %fs:ID, in [s]. */
#define SEQ_STACK(seq, ID)                                                                         \
	SEQ_DELAY(seq, 0)                                                                          \
	"movslq %%fs:" ID                                                                          \
	", %[s]\n" SEQ_DELAY(seq, 1) "movq (%[table], %[s], 8), %[s]\n" SEQ_DELAY(seq, 2)

#define SEQ_POP(ID)                                                                                \
	SEQ_ENTER SEQ_STACK(0, ID) "movl (%[s]), %k[t]\n" SEQ_DELAY(                               \
		0, 3) "subl $1, %k[t]\n"                                                           \
		      "jb %l[empty]\n" SEQ_POP_END SEQ_LEAVE

#define SEQ_PUSH(ID)                                                                               \
	SEQ_ENTER SEQ_STACK(1, ID) "movl (%[s]), %k[t]\n" SEQ_DELAY(                               \
		1, 3) "cmpl 4(%[s]), %k[t]\n"                                                      \
		      "jae %l[full]\n" SEQ_DELAY(1, 4) "cmpq %[o], 8(%[s], %[t], 8)\n"             \
						       "je %l[same]\n" SEQ_PUSH_END SEQ_LEAVE

/*
 * The top object of this CPU's stack, or NULL. A stack is read through the pointer in the table, so it
 * is as its maker left it.
 */
NST_ALWAYS_INLINE void *nst_seq_pop(struct nst_pcs *const *table)
{
	u64 t, s, w;
	void *p;

/* Pairs with: nst_pcs_ensure(), nst_pcs_take(), nst_pcs_put(), nst_sys_rseq_init(). */
again:
	__asm__ volatile goto(SEQ_STARTED("empty") SEQ_POP("4(%[off])")
			      : [t] "=&r"(t), [s] "=&r"(s), [p] "=&r"(p), [w] "=&r"(w)
			      : [off] "r"(nst_rseq_offset), [table] "r"(table)
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
	u64 t, s, w;

again:
	__asm__ volatile goto(SEQ_STARTED("full") SEQ_PUSH("4(%[off])")
			      : [t] "=&r"(t), [s] "=&r"(s), [w] "=&r"(w)
			      : [off] "r"(nst_rseq_offset), [table] "r"(table), [o] "r"(o)
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
	u64 t, s, w;
	void *p;

again:
	__asm__ volatile goto(SEQ_POP("(%[id])")
			      : [t] "=&r"(t), [s] "=&r"(s), [p] "=&r"(p), [w] "=&r"(w)
			      : [off] "r"(nst_rseq_offset), [id] "r"(id), [table] "r"(table)
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
	u64 t, s, w;

again:
	__asm__ volatile goto(
		SEQ_PUSH("(%[id])")
		: [t] "=&r"(t), [s] "=&r"(s), [w] "=&r"(w)
		: [off] "r"(nst_rseq_offset), [id] "r"(id), [table] "r"(table), [o] "r"(o)
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

/* clang-format off */

/* [k] pointers from P to Q, two at a time. */
#define SEQ_COPY(seq, P, Q)                                                                        \
	"xorl %k[i], %k[i]\n"                                                                      \
	"881: leaq 2(%[i]), %[x]\n"                                                                \
	"cmpq %[k], %[x]\n"                                                                        \
	"ja 882f\n"                                                                                \
	"movups (" P ", %[i], 8), %%xmm0\n"                                                        \
	"movups %%xmm0, (" Q ", %[i], 8)\n"                                                        \
	"movq %[x], %[i]\n" SEQ_DELAY(seq, 4)                                                      \
	"jmp 881b\n"                                                                               \
	"882: cmpq %[k], %[i]\n"                                                                   \
	"jae 883f\n"                                                                               \
	"movq (" P ", %[i], 8), %[x]\n"                                                            \
	"movq %[x], (" Q ", %[i], 8)\n"                                                            \
	"883:\n" SEQ_DELAY(seq, 5)

/* clang-format on */

/* Up to @n objects off the top into @out, in the order of the stack: the top last. How many. */
NST_ALWAYS_INLINE size_t nst_seq_popn_by(struct nst_pcs *const *table, intptr_t id, void **out,
					 size_t n)
{
	u64 t, s, k, p, i, x, w;

again:
	__asm__ volatile goto(
		SEQ_ENTER SEQ_STACK(2, "(%[id])") "movl (%[s]), %k[t]\n" SEQ_DELAY(
			2, 3) "movq %[n], %[k]\n"
			      "cmpq %[t], %[k]\n"
			      "cmovaq %[t], %[k]\n"
			      "subq %[k], %[t]\n"
			      "leaq 16(%[s], %[t], 8), %[p]\n" SEQ_COPY(
				      2, "%[p]", "%[out]") "movl %k[t], (%[s])\n" SEQ_LEAVE
		: [t] "=&r"(t), [s] "=&r"(s), [k] "=&r"(k), [p] "=&r"(p), [i] "=&r"(i),
		  [x] "=&r"(x), [w] "=&r"(w)
		: [off] "r"(nst_rseq_offset), [id] "r"(id), [table] "r"(table), [out] "r"(out),
		  [n] "r"(n)
		: "memory", "cc", "xmm0"
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
	u64 t, s, k, p, i, x, w;

again:
	__asm__ volatile goto(
		SEQ_ENTER SEQ_STACK(3, "(%[id])") "movl (%[s]), %k[t]\n" SEQ_DELAY(
			3, 3) "movl 4(%[s]), %k[k]\n"
			      "subq %[t], %[k]\n"
			      "cmpq %[n], %[k]\n"
			      "cmovaq %[n], %[k]\n"
			      "leaq 16(%[s], %[t], 8), %[p]\n"
			      "addq %[k], %[t]\n" SEQ_COPY(3, "%[in]",
							   "%[p]") "movl %k[t], (%[s])\n" SEQ_LEAVE
		: [t] "=&r"(t), [s] "=&r"(s), [k] "=&r"(k), [p] "=&r"(p), [i] "=&r"(i),
		  [x] "=&r"(x), [w] "=&r"(w)
		: [off] "r"(nst_rseq_offset), [id] "r"(id), [table] "r"(table), [in] "r"(in),
		  [n] "r"(n)
		: "memory", "cc", "xmm0"
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
	"movl nst_test_delay + 4 * (8 * %c[seq] + " #point ")(%%rip), %k[w]\n"                     \
	"771: subl $1, %k[w]\n"                                                                    \
	"jns 771b\n"
#else
#define SEQ_READ_DELAY(point) ""
#endif

/* The line of this CPU, in [s]; flags of an add. */
#define SEQ_READ_LINE                                                                              \
	"movslq %%fs:4(%[off]), %[s]\n" SEQ_READ_DELAY(2) "testq %[s], %[s]\n"                     \
							  "js %l[no]\n"                            \
							  "shlq $7, %[s]\n"                        \
							  "addq %[lines], %[s]\n" SEQ_READ_DELAY(  \
								  3)

/* Begin a section: its phase; or -1, and nothing is counted. Price: 13 instructions, 3 cache lines. */
NST_ALWAYS_INLINE int nst_seq_read_in(const int *phase, struct nst_read_line *lines)
{
	u64 t, s, w;
	int p;

again:
	__asm__ volatile goto(
		SEQ_STARTED("no")
			SEQ_ENTER SEQ_READ_DELAY(0) "movl (%[phase]), %k[t]\n" SEQ_READ_DELAY(
				1) "testl %k[t], %k[t]\n"
				   "js %l[no]\n" SEQ_READ_LINE "incq (%[s], %[t], 8)\n" SEQ_LEAVE
		: [t] "=&r"(t), [s] "=&r"(s), [w] "=&r"(w)
		: [off] "r"(nst_rseq_offset), [phase] "r"(phase), [lines] "r"(lines),
		  [seq] "i"(NST_SEQ_IN)
		: "memory", "cc"
		: no, aborted);
	SEQ_OUTPUTS_DONE();
	p = (int)t;
	if (p < 0)
		__builtin_unreachable();
	return p;
no:
	SEQ_OUTPUTS_DONE();
	return -1;
aborted:
	SEQ_RESTARTED(NST_SEQ_IN);
	goto again;
}

/* End a section of phase @p: 0; or -1, and nothing is counted. Loads are not passed by stores here. */
NST_ALWAYS_INLINE int nst_seq_read_out(struct nst_read_line *lines, u64 p)
{
	u64 t, s, w;

again:
	__asm__ volatile goto(
		SEQ_STARTED("no") SEQ_ENTER SEQ_READ_DELAY(0) SEQ_READ_LINE
		"incq 16(%[s], %[p], 8)\n" SEQ_LEAVE
		: [t] "=&r"(t), [s] "=&r"(s), [w] "=&r"(w)
		: [off] "r"(nst_rseq_offset), [p] "r"(p), [lines] "r"(lines), [seq] "i"(NST_SEQ_OUT)
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

/* Take @n of this CPU's number: 1; or 0, and it is as it was. By @id as above. Price: 11 instructions, 3 cache lines. */
NST_ALWAYS_INLINE int nst_seq_debit_by(struct nst_pcs *const *table, intptr_t id, u32 n)
{
	u64 t, s, w;

again:
	__asm__ volatile goto(
		SEQ_DEBIT_ENTER SEQ_READ_DELAY(0) "movslq %%fs:(%[id]), %[s]\n" SEQ_READ_DELAY(
			1) "movq (%[table], %[s], 8), %[s]\n" SEQ_READ_DELAY(2) "movl (%[s]), %k[t]\n"
										"subl %[n], %k[t]\n"
										"jb %l[empty]\n" SEQ_READ_DELAY(
											3) "movl %k[t], (%[s])\n" SEQ_LEAVE
		: [t] "=&r"(t), [s] "=&r"(s), [w] "=&r"(w)
		: [off] "r"(nst_rseq_offset), [id] "r"(id), [table] "r"(table), [n] "r"(n),
		  [seq] "i"(NST_SEQ_DEBIT)
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
	u64 t, s, w;

again:
	__asm__ volatile goto(
		SEQ_ENTER SEQ_READ_DELAY(0) "movslq %%fs:(%[id]), %[s]\n" SEQ_READ_DELAY(
			1) "movq (%[table], %[s], 8), %[s]\n" SEQ_READ_DELAY(2) "movl (%[s]), %k[t]\n"
										"addl %[n], %k[t]\n"
										"cmpl 4(%[s]), %k[t]\n"
										"ja %l[full]\n" SEQ_READ_DELAY(
											3) "movl %k[t], (%[s])\n" SEQ_LEAVE
		: [t] "=&r"(t), [s] "=&r"(s), [w] "=&r"(w)
		: [off] "r"(nst_rseq_offset), [id] "r"(id), [table] "r"(table), [n] "r"(n),
		  [seq] "i"(NST_SEQ_CREDIT)
		: "memory", "cc"
		: full, aborted);
	return 1;
full:
	return 0;
aborted:
	SEQ_RESTARTED(NST_SEQ_CREDIT);
	goto again;
}

/* The thread's address, which fork keeps and no other live thread shares. */
static inline uintptr_t nst_thread_pointer(void)
{
	uintptr_t tp;

	__asm__("movq %%fs:0, %0" : "=r"(tp));
	return tp;
}

static inline u64 nst_ticks(void)
{
	return __builtin_ia32_rdtsc();
}

#endif
