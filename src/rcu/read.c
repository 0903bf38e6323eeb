/* SPDX-License-Identifier: MIT */
/*
 * read.c - the readers: a section is one count where it begins and one where it ends.
 *
 *	lines[cpu]	in[0] in[1] out[0] out[1]	by sequence, one line for each possible CPU
 *	stripes[hash]	in[0] in[1] out[0] out[1]	by atomics, for threads without rseq and before the start
 *
 * A section is counted in the phase that is current when it begins; its token carries that phase, so it may end
 * anywhere: only the sums over all lines and stripes mean something, and a token need not tell which was used.
 *
 * The fast path fences nothing: the period's own barrier on all CPUs does (gp.c). Readers that nobody can fence
 * (phase is negative: the kernel refuses membarrier and a visit to each CPU; or the library has not started) use
 * the stripes, and a full barrier each.
 *
 * R1. No line is written but by its CPU, inside a sequence, and in a fork child before any other thread exists.
 * R2. A thread's rcu_fast is set only after it has seen phase >= 0: then lines are there, and nst_rseq_offset is
 *     that of its rseq area.
 *
 * The slow way notes who began a thread's first section, for reports of stalls; from debug:1 on, and with check, all take it.
 *
 * Fork: a child has the sections that the forking thread itself began; each thread counts its own (rcu_open), for
 * that. A section that another thread ended stays in that count: it is at most what the domain had open in all,
 * so the child may wait for a section too many, never for one too few. A token of a lost thread ends nothing.
 * Signal: all legal. Exit of a thread: nothing to do.
 *
 * Sources: SRCU (McKenney, Linux); side_rcu (Desnoyers, libside): counts per CPU by rseq.
 *
 * Price of a pair on x86-64: 45 instructions, none locked, 4 cache lines.
 */
#include "rcu.h"

#define STRIPES 16u /* (tune) */
#define TAG_STEP 4u

/* A token: a thread's number, the phase, and 1. */
#define TOKEN_ONE 1u
#define TOKEN_PHASE 2u

struct nst_rcu_readers nst_rcu_readers = {.phase = NST_RCU_FENCED};
static struct nst_read_line stripes[STRIPES];

static struct {
	u64 next_tag;
	u64 lost_below; /* tags below are of threads that a fork child has not, */
	u64 forker;	/* but for this one */
	u64 misused;
} tags = {.next_tag = TAG_STEP | TOKEN_ONE};

static struct nst_read_line *own_stripe(void)
{
	return &stripes[nst_mix64(nst_thread_pointer() >> 6) % STRIPES];
}

/* A handler may come first; then its tag is the thread's. */
static u64 own_tag(struct nst_thread *t)
{
	if (!t->rcu_tag)
		nst_cas_relaxed(&t->rcu_tag, (u64)0,
				nst_add_relaxed(&tags.next_tag, (u64)TAG_STEP));
	return t->rcu_tag;
}

static nst_rcu_token_t begin_slow(struct nst_thread *t, const void *caller)
	__attribute__((noinline));
static nst_rcu_token_t begin_slow(struct nst_thread *t, const void *caller)
{
	/* Pairs with: nst_rcu_readers_start_locked() and let_all_fence(): lines and the rseq area (R2). */
	int phase = nst_load_acquire(&nst_rcu_readers.phase);
	u64 tag = own_tag(t), p = (u64)phase & 1;

	if (phase >= 0 && !nst_rcu_readers.noted)
		nst_store_relaxed(&t->rcu_fast, tag | TOKEN_PHASE); /* this thread's own */
	nst_test_delay_here(NST_SEQ_IN, 1);
	nst_add_relaxed(&own_stripe()->in[p], (u64)1);
	/* Pairs with: nst_gp_fence_locked() in drained(): it sees the count, or this section what was unlinked before. */
	nst_fence_full();
	t->rcu_open[p]++;
	nst_barrier(); /* a handler that began one before this has written, and ended it */
	if (nst_rcu_open_here() == 1)
		t->rcu_from = t->rcu_fast ? NULL : caller; /* by sequence nobody writes it */
	nst_lockdep_section_begin(caller);
	return tag | p * TOKEN_PHASE;
}

nst_rcu_token_t nst_rcu_read_begin(void)
{
	struct nst_thread *t = &nst_thread;
	u64 fast = t->rcu_fast;
	int p;

	if (nst_likely(fast)) {
		/* Pairs with: nst_rcu_sum_in(), after the period's barrier. */
		p = nst_seq_read_in(&nst_rcu_readers.phase, nst_rcu_readers.lines);
		if (nst_likely(p >= 0)) {
			t->rcu_open[p]++;
			return fast - TOKEN_PHASE + (u64)p * TOKEN_PHASE;
		}
	}
	return begin_slow(t, __builtin_return_address(0));
}

/* ---- end ---- */

/* A program that is linked to the archive may use read sections alone: nothing starts the library, and misuse is said. */
__attribute__((constructor)) static void have_console(void)
{
	if (nst_bug_sink)
		return;
	nst_bug_sink = nst_sys_console;
	nst_bug_caller = nst_sys_code_name;
}

static void bad_token(nst_rcu_token_t token, const void *caller)
{
	char text[128];

	nst_add_relaxed(&tags.misused, (u64)1);
	nst_format(text, sizeof(text), "%p", caller);
	if (nst_bug_caller)
		nst_bug_caller(caller, text, sizeof(text));
	nst_misuse_line(nst_option(NST_OPT_misuse) == 0,
			"nst_rcu_read_end(%p): no token of a section; allowed: what "
			"nst_rcu_read_begin() returned; caller %s",
			(void *)(uintptr_t)token, text);
}

static int is_lost(u64 tag)
{
	return tag < nst_load_relaxed(&tags.lost_below) && /* both change while one thread runs */
	       tag != nst_load_relaxed(&tags.forker);
}

static void end_slow(struct nst_thread *t, nst_rcu_token_t token, const void *caller)
	__attribute__((noinline));
static void end_slow(struct nst_thread *t, nst_rcu_token_t token, const void *caller)
{
	u64 tag = token & ~(u64)TOKEN_PHASE, p = (token & TOKEN_PHASE) / TOKEN_PHASE;

	/* relaxed: who has the token was given it after the tag was counted */
	if (!(token & TOKEN_ONE) || tag < TAG_STEP || tag >= nst_load_relaxed(&tags.next_tag)) {
		bad_token(token, caller);
		return;
	}
	if (is_lost(tag))
		return;
	/* Pairs with: nst_gp_fence_locked() in drained(): who sees the end counted comes after all that was read. */
	nst_fence_full();
	nst_add_relaxed(&own_stripe()->out[p], (u64)1);
	if (tag == t->rcu_tag)
		t->rcu_open[p]--;
	nst_lockdep_section_end(tag == t->rcu_tag);
}

void nst_rcu_read_end(nst_rcu_token_t token)
{
	struct nst_thread *t = &nst_thread;
	u64 p = (token & TOKEN_PHASE) / TOKEN_PHASE;

	nst_tsan_release(&nst_rcu_readers.ends);
	/* relaxed: readers that must fence have been given time to see it (gp.c) */
	if (nst_likely((token | TOKEN_PHASE) == t->rcu_fast) &&
	    nst_likely(nst_load_relaxed(&nst_rcu_readers.phase) >= 0) &&
	    /* Pairs with: nst_rcu_sum_out(), before the period's barrier. */
	    nst_likely(nst_seq_read_out(nst_rcu_readers.lines, p) == 0)) {
		t->rcu_open[p]--;
		return;
	}
	end_slow(t, token, __builtin_return_address(0));
}

/* ---- for periods ---- */

u64 nst_rcu_sum_in(u64 p)
{
	unsigned int i;
	u64 n = 0;

	/* Pairs with: nst_rcu_read_begin(), through the period's barrier: so relaxed. */
	for (i = 0; i < STRIPES; i++)
		n += nst_load_relaxed(&stripes[i].in[p]);
	for (i = 0; nst_rcu_readers.lines && i < nst_sys_cpus.nr; i++)
		n += nst_load_relaxed(&nst_rcu_readers.lines[i].in[p]);
	return n;
}

u64 nst_rcu_sum_out(u64 p)
{
	unsigned int i;
	u64 n = 0;

	/* Pairs with: nst_rcu_read_end(), through the period's barrier: so relaxed. */
	for (i = 0; i < STRIPES; i++)
		n += nst_load_relaxed(&stripes[i].out[p]);
	for (i = 0; nst_rcu_readers.lines && i < nst_sys_cpus.nr; i++)
		n += nst_load_relaxed(&nst_rcu_readers.lines[i].out[p]);
	return n;
}

u64 nst_rcu_open_here(void)
{
	return (u64)nst_thread.rcu_open[0] + nst_thread.rcu_open[1];
}

int nst_rcu_is_reader(const struct nst_thread *t)
{
	/* relaxed: a tag is handed out before it is used */
	return t->rcu_tag >= TAG_STEP && (t->rcu_tag & (TAG_STEP - 1)) == TOKEN_ONE &&
	       t->rcu_tag < nst_load_relaxed(&tags.next_tag);
}

u64 nst_rcu_misused(void)
{
	return nst_load_relaxed(&tags.misused);
}

void nst_rcu_readers_start_locked(struct nst_read_line *lines)
{
	int phase = nst_load_relaxed(&nst_rcu_readers.phase); /* it changes with the lock */

	nst_rcu_readers.lines = lines;
	nst_rcu_readers.noted = nst_option(NST_OPT_debug) != 0 || nst_option(NST_OPT_check) != 0;
	/* Pairs with: nst_load_acquire() in begin_slow(). */
	nst_store_release(&nst_rcu_readers.phase, phase & 1);
}

/* What this thread has open is all that there is. One thread runs. */
void nst_rcu_readers_after_fork(void)
{
	struct nst_thread *t = &nst_thread;
	size_t i, n = nst_rcu_readers.lines ? nst_sys_cpus.nr : 0;
	u64 open[2], p;

	for (p = 0; p < 2; p++) {
		open[p] = nst_rcu_sum_in(p) - nst_rcu_sum_out(p);
		open[p] = nst_min(open[p], t->rcu_open[p]);
		t->rcu_open[p] = (u32)open[p];
	}
	for (i = 0; i < n; i++)
		nst_rcu_readers.lines[i] = (struct nst_read_line){{0, 0}, {0, 0}};
	for (i = 0; i < STRIPES; i++)
		stripes[i] = (struct nst_read_line){{0, 0}, {0, 0}};
	stripes[0].in[0] = open[0];
	stripes[0].in[1] = open[1];
	tags.lost_below = tags.next_tag;
	tags.forker = t->rcu_tag;
}
