/* SPDX-License-Identifier: MIT */
/*
 * x86_64_ring.h - the sequences of rseq_ops.h for rings of retired pointers, for x86-64.
 *
 * Price on the hit path, through a call: RETIRE 18 instructions, 6 cache lines (rseq area, table, ring,
 * page, slot, *started).
 */
#ifndef NST_ARCH_X86_64_RING_H
#define NST_ARCH_X86_64_RING_H

/* clang-format off */

/* The open page of this CPU's ring, in [s]; its count, in [t]. */
#define SEQ_OPEN_PAGE(seq, ID)                                                                     \
	SEQ_STACK(seq, ID)                                                                         \
	"movl 64(%[s]), %k[t]\n"                                                                   \
	"andl 68(%[s]), %k[t]\n"                                                                   \
	"movq 72(%[s], %[t], 8), %[s]\n" SEQ_DELAY(seq, 3)                                         \
	"movl (%[s]), %k[t]\n"

/* The stamp of page [s]. */
#define SEQ_STAMP_NEW(seq) "movq %[started], %[x]\n" SEQ_DELAY(seq, 5) "movq %[x], 8(%[s])\n"
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 17
/* That of its first pointer serves for all. */
#define SEQ_STAMP(seq) "cmpl $0, (%[s])\njne 7f\n" SEQ_STAMP_NEW(seq) "7:\n"
#else
#define SEQ_STAMP(seq) SEQ_STAMP_NEW(seq)
#endif

#define SEQ_RETIRE_SLOT "movq %[o], 16(%[s], %[t], 8)\n"

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 10
/* The commit comes before what it commits. */
#define SEQ_RETIRE_END                                                                             \
	SEQ_STAMP(4) "incl (%[s])\n" SEQ_DELAY(4, 6) SEQ_RETIRE_SLOT SEQ_DELAY(4, 7) SEQ_LEAVE
#elif defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 12
/* The stamp comes after the commit. */
#define SEQ_RETIRE_END                                                                             \
	SEQ_RETIRE_SLOT "incl (%[s])\n" SEQ_LEAVE SEQ_DELAY(4, 6) SEQ_STAMP(4)
#else
#define SEQ_RETIRE_END                                                                             \
	SEQ_STAMP(4) SEQ_DELAY(4, 6) SEQ_RETIRE_SLOT SEQ_DELAY(4, 7) "incl (%[s])\n" SEQ_LEAVE
#endif

#define SEQ_RETIRE(ID)                                                                             \
	SEQ_ENTER SEQ_OPEN_PAGE(4, ID)                                                             \
	"cmpl 4(%[s]), %k[t]\n"                                                                    \
	"jae %l[full]\n" SEQ_DELAY(4, 4) SEQ_RETIRE_END

/* Append @o to the open page of this CPU; FULL leaves all as it is. */
NST_ALWAYS_INLINE enum nst_push nst_seq_retire(struct nst_ring *const *table, const u64 *started,
					       void *o)
{
	u64 t, s, x, w;

/* Pairs with: nst_ring_make(), nst_ring_add_ready(), nst_ring_look(). */
again:
	__asm__ volatile goto(SEQ_STARTED("full") SEQ_RETIRE("4(%[off])")
			      : [t] "=&r"(t), [s] "=&r"(s), [x] "=&r"(x), [w] "=&r"(w)
			      : [off] "r"(nst_rseq_offset), [table] "r"(table),
				[started] "m"(*started), [o] "r"(o)
			      : "memory", "cc"
			      : full, aborted);
	return NST_PUSH_OK;
full:
	return NST_PUSH_FULL;
aborted:
	SEQ_RESTARTED(NST_SEQ_RETIRE);
	goto again;
}

/* The same by any index word, as nst_seq_push_by(). */
NST_ALWAYS_INLINE enum nst_push nst_seq_retire_by(struct nst_ring *const *table, intptr_t id,
						  const u64 *started, void *o)
{
	u64 t, s, x, w;

again:
	__asm__ volatile goto(SEQ_RETIRE("(%[id])")
			      : [t] "=&r"(t), [s] "=&r"(s), [x] "=&r"(x), [w] "=&r"(w)
			      : [off] "r"(nst_rseq_offset), [id] "r"(id), [table] "r"(table),
				[started] "m"(*started), [o] "r"(o)
			      : "memory", "cc"
			      : full, aborted);
	return NST_PUSH_OK;
full:
	return NST_PUSH_FULL;
aborted:
	SEQ_RESTARTED(NST_SEQ_RETIRE);
	goto again;
}

/* Up to @n pointers of @in, in[0] first; returns how many found room. */
NST_ALWAYS_INLINE size_t nst_seq_retiren_by(struct nst_ring *const *table, intptr_t id,
					    const u64 *started, void *const *in, size_t n)
{
	u64 t, s, k, p, i, x, w;

again:
	__asm__ volatile goto(SEQ_ENTER SEQ_OPEN_PAGE(5, "(%[id])")
			      "movl 4(%[s]), %k[k]\n"
			      "subq %[t], %[k]\n"
			      "cmpq %[n], %[k]\n"
			      "cmovaq %[n], %[k]\n"
			      "testq %[k], %[k]\n"
			      "jz %l[full]\n"
			      "leaq 16(%[s], %[t], 8), %[p]\n"
			      "addq %[k], %[t]\n" SEQ_STAMP(5) SEQ_DELAY(5, 6)
			      SEQ_COPY(5, "%[in]", "%[p]")
			      "movl %k[t], (%[s])\n" SEQ_LEAVE
			      : [t] "=&r"(t), [s] "=&r"(s), [k] "=&r"(k), [p] "=&r"(p),
				[i] "=&r"(i), [x] "=&r"(x), [w] "=&r"(w)
			      : [off] "r"(nst_rseq_offset), [id] "r"(id), [table] "r"(table),
				[started] "m"(*started), [in] "r"(in), [n] "r"(n)
			      : "memory", "cc", "xmm0"
			      : full, aborted);
	SEQ_OUTPUTS_DONE();
	return k;
full:
	SEQ_OUTPUTS_DONE();
	return 0;
aborted:
	SEQ_RESTARTED(NST_SEQ_RETIREN);
	goto again;
}

NST_ALWAYS_INLINE enum nst_advance nst_seq_advance_by(struct nst_ring *const *table, intptr_t id)
{
	u64 t, s, m, p, w;

/* Pairs with: nst_ring_add_ready(), sealed_until(). */
again:
	__asm__ volatile goto(SEQ_ENTER SEQ_STACK(6, "(%[id])")
			      "movl 64(%[s]), %k[t]\n"
			      "movl 68(%[s]), %k[m]\n" SEQ_DELAY(6, 3)
			      "movl %k[t], %k[p]\n"
			      "andl %k[m], %k[p]\n"
			      "movq 72(%[s], %[p], 8), %[p]\n"
			      "movl (%[p]), %k[w]\n"
			      "cmpl 4(%[p]), %k[w]\n"
			      "jb %l[not_full]\n" SEQ_DELAY(6, 4)
			      "incl %k[t]\n"
			      "andl %k[t], %k[m]\n"
			      "cmpq $0, 72(%[s], %[m], 8)\n"
			      "je %l[nothing_ready]\n" SEQ_DELAY(6, 5)
			      "movl %k[t], 64(%[s])\n" SEQ_LEAVE
			      : [t] "=&r"(t), [s] "=&r"(s), [m] "=&r"(m), [p] "=&r"(p), [w] "=&r"(w)
			      : [off] "r"(nst_rseq_offset), [id] "r"(id), [table] "r"(table)
			      : "memory", "cc"
			      : not_full, nothing_ready, aborted);
	return NST_ADVANCE_OK;
not_full:
	return NST_ADVANCE_NOT_FULL;
nothing_ready:
	return NST_ADVANCE_NOTHING_READY;
aborted:
	SEQ_RESTARTED(NST_SEQ_ADVANCE);
	goto again;
}

/* clang-format on */

#endif
