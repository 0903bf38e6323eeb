/* SPDX-License-Identifier: MIT */
/*
 * aarch64_ring.h - the sequences of rseq_ops.h for rings of retired pointers, for aarch64.
 *
 * The commits are store-releases, and ADVANCE loads the next slot with acquire: a worker reads all this
 * while the CPU writes it, and rseq_ops.h says what follows from that. Neither is a fence; what they wait for
 * has nearly always been done.
 *
 * Price on the hit path, through a call: RETIRE 28 instructions, 6 cache lines (rseq area, table, ring,
 * page, slot, *started).
 */
#ifndef NST_ARCH_AARCH64_RING_H
#define NST_ARCH_AARCH64_RING_H

/* clang-format off */

/* The open page of this CPU's ring, in [s]; its count and cap, in [t] and [c]. */
#define SEQ_OPEN_PAGE(seq, ID)                                                                     \
	SEQ_STACK(seq, ID)                                                                         \
	"ldp %w[t], %w[c], [%[s], #64]\n"                                                          \
	"and %w[t], %w[t], %w[c]\n"                                                                \
	"add %[s], %[s], #72\n"                                                                    \
	"ldr %[s], [%[s], %[t], lsl #3]\n" SEQ_DELAY(seq, 3)                                       \
	"ldp %w[t], %w[c], [%[s]]\n"

/* The stamp of page [s]. */
#define SEQ_STAMP_NEW(seq) "ldr %[x], [%[started]]\n" SEQ_DELAY(seq, 5) "str %[x], [%[s], #8]\n"
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 17
/* That of its first pointer serves for all. */
#define SEQ_STAMP(seq) "ldr %w[x], [%[s]]\ncbnz %w[x], 7f\n" SEQ_STAMP_NEW(seq) "7:\n"
#else
#define SEQ_STAMP(seq) SEQ_STAMP_NEW(seq)
#endif

/* [t] is the count before. Pairs with: nst_load_acquire() in nst_ring_look(). */
#define SEQ_RETIRE_SLOT "add %[x], %[s], #16\nstr %[o], [%[x], %[t], lsl #3]\n"
#define SEQ_RETIRE_COMMIT "add %w[c], %w[t], #1\nstlr %w[c], [%[s]]\n"

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 10
/* The commit comes before what it commits. */
#define SEQ_RETIRE_END                                                                             \
	SEQ_STAMP(4) SEQ_RETIRE_COMMIT SEQ_DELAY(4, 6) SEQ_RETIRE_SLOT SEQ_DELAY(4, 7) SEQ_LEAVE
#elif defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 12
/* The stamp comes after the commit. */
#define SEQ_RETIRE_END                                                                             \
	SEQ_RETIRE_SLOT SEQ_RETIRE_COMMIT SEQ_LEAVE SEQ_DELAY(4, 6) SEQ_STAMP(4)
#else
#define SEQ_RETIRE_END                                                                             \
	SEQ_STAMP(4) SEQ_DELAY(4, 6) SEQ_RETIRE_SLOT SEQ_DELAY(4, 7) SEQ_RETIRE_COMMIT SEQ_LEAVE
#endif

#define SEQ_RETIRE(ID)                                                                             \
	SEQ_ENTER SEQ_OPEN_PAGE(4, ID)                                                             \
	"cmp %w[t], %w[c]\n"                                                                       \
	"b.hs %l[full]\n" SEQ_DELAY(4, 4) SEQ_RETIRE_END

/* Append @o to the open page of this CPU; FULL leaves all as it is. */
NST_ALWAYS_INLINE enum nst_push nst_seq_retire(struct nst_ring *const *table, const u64 *started,
					       void *o)
{
	intptr_t off = nst_rseq_offset;
	u64 t, s, c, x, w;

	if (nst_unlikely(!off))
		return NST_PUSH_FULL;
/* Pairs with: nst_ring_make(), nst_ring_add_ready(), nst_ring_look(). */
again:
	__asm__ volatile goto(SEQ_RETIRE("%[area], #4")
			      : [t] "=&r"(t), [s] "=&r"(s), [c] "=&r"(c), [x] "=&r"(x), [w] "=&r"(w)
			      : [area] "r"(nst_thread_pointer() + (uintptr_t)off), [table] "r"(table),
				[started] "r"(started), [o] "r"(o)
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
	uintptr_t tp = nst_thread_pointer();
	intptr_t off = nst_rseq_offset;
	u64 t, s, c, x, w;

	if (nst_unlikely(!off))
		return NST_PUSH_FULL;
again:
	__asm__ volatile goto(SEQ_RETIRE("%[tp], %[id]")
			      : [t] "=&r"(t), [s] "=&r"(s), [c] "=&r"(c), [x] "=&r"(x), [w] "=&r"(w)
			      : [area] "r"(tp + (uintptr_t)off), [tp] "r"(tp), [id] "r"(id),
				[table] "r"(table), [started] "r"(started), [o] "r"(o)
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
	uintptr_t tp = nst_thread_pointer();
	intptr_t off = nst_rseq_offset;
	u64 t, s, c, k, p, i, x, w;

	if (nst_unlikely(!off))
		return 0;
again:
	__asm__ volatile goto(SEQ_ENTER SEQ_OPEN_PAGE(5, "%[tp], %[id]")
			      "sub %[k], %[c], %[t]\n"
			      "cmp %[n], %[k]\n"
			      "csel %[k], %[n], %[k], lo\n"
			      "cbz %[k], %l[full]\n"
			      "add %[p], %[s], %[t], lsl #3\n"
			      "add %[p], %[p], #16\n"
			      "add %[t], %[t], %[k]\n" SEQ_STAMP(5) SEQ_DELAY(5, 6)
			      "mov %[i], xzr\n"
			      "881: cmp %[i], %[k]\n"
			      "b.hs 882f\n"
			      "ldr %[x], [%[in], %[i], lsl #3]\n"
			      "str %[x], [%[p], %[i], lsl #3]\n"
			      "add %[i], %[i], #1\n" SEQ_DELAY(5, 4)
			      "b 881b\n"
			      "882:\n" SEQ_DELAY(5, 5)
			      /* Pairs with: nst_load_acquire() in nst_ring_look(). */
			      "stlr %w[t], [%[s]]\n" SEQ_LEAVE
			      : [t] "=&r"(t), [s] "=&r"(s), [c] "=&r"(c), [k] "=&r"(k), [p] "=&r"(p),
				[i] "=&r"(i), [x] "=&r"(x), [w] "=&r"(w)
			      : [area] "r"(tp + (uintptr_t)off), [tp] "r"(tp), [id] "r"(id),
				[table] "r"(table), [started] "r"(started), [in] "r"(in), [n] "r"(n)
			      : "memory", "cc"
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
	uintptr_t tp = nst_thread_pointer();
	intptr_t off = nst_rseq_offset;
	u64 t, s, m, c, p, w;

	if (nst_unlikely(!off))
		return NST_ADVANCE_NOTHING_READY;
/* Pairs with: nst_ring_add_ready(), sealed_until(). */
again:
	__asm__ volatile goto(SEQ_ENTER SEQ_STACK(6, "%[tp], %[id]")
			      "ldp %w[t], %w[m], [%[s], #64]\n" SEQ_DELAY(6, 3)
			      "add %[s], %[s], #72\n"
			      "and %w[p], %w[t], %w[m]\n"
			      "ldr %[p], [%[s], %[p], lsl #3]\n"
			      "ldp %w[c], %w[p], [%[p]]\n"
			      "cmp %w[c], %w[p]\n"
			      "b.lo %l[not_full]\n" SEQ_DELAY(6, 4)
			      "add %w[t], %w[t], #1\n"
			      "and %w[p], %w[t], %w[m]\n"
			      "add %[p], %[s], %[p], lsl #3\n"
			      /* Pairs with: nst_ring_add_ready(). */
			      "ldar %[p], [%[p]]\n"
			      "cbz %[p], %l[nothing_ready]\n" SEQ_DELAY(6, 5)
			      "sub %[s], %[s], #8\n"
			      /* Pairs with: sealed_until(). */
			      "stlr %w[t], [%[s]]\n" SEQ_LEAVE
			      : [t] "=&r"(t), [s] "=&r"(s), [m] "=&r"(m), [c] "=&r"(c), [p] "=&r"(p),
				[w] "=&r"(w)
			      : [area] "r"(tp + (uintptr_t)off), [tp] "r"(tp), [id] "r"(id),
				[table] "r"(table)
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
