/* SPDX-License-Identifier: MIT */
/*
 * area.c - the library's own memory, and the tables and stacks that live in it.
 *
 *	reserved at start:  | resident, handed out | resident, free ->| not yet |  guard  |
 *
 * Metadata comes from a region of its own, out of reach of a user's overrun: bumped in steps that
 * are made resident first, given back to free lists by power of two. It never shrinks; what it grows to
 * is bounded by caches x CPUs x sheaves and is shown in the statistics.
 *
 * Lock order: meta.lock is a leaf.
 */
#include "percpu.h"
#include "ring.h"

#define META_STEP ((size_t)64 << 10)
#define META_GUARD ((size_t)1 << 16)
#define META_LEAST ((size_t)4 << 20)
#define NR_CLASSES 40

nst_static_assert(sizeof(struct nst_pcs) == 16, "the sequences know this layout");

/** struct note - in front of each stack: what takers and the worker know of it; by the takers' lock (T2) */
struct note {
	u32 room;  /* pointers it has memory for; its cap is at most that */
	u32 seen;  /* its count when the worker last looked, */
	u32 looks; /* and for how many looks it has been that */
	u32 stock; /* what it is to hold ahead of need, in pointers */
};

static struct {
	struct nst_lock lock;
	char *start, *next, *ready, *end;
	void *free[NR_CLASSES]; /* by log2 of the size; the first word links */
	u64 bytes;
} meta = {.lock = {.lock_class = NST_LOCK_META}};

struct nst_pcs nst_pcs_none;
char *nst_meta_base;

NST_TLS struct nst_thread nst_thread;

/*
 * Valid from the first instruction: the distance to nst_thread.no_rseq, whose CPU number reads 0. The
 * linker stores no thread-local offset in data of a shared library, but the loader stores what an
 * indirect function returns, with the other relocations and before any constructor runs.
 * Elsewhere (aarch64, musl, which has no indirect functions) 0 means "not started" and sequences test it.
 */
#ifdef NST_RSEQ_OFFSET_AT_LOAD
__asm__(".pushsection .text.nst_rseq_offset,\"ax\"\n"
	".type nst_no_rseq_offset, @gnu_indirect_function\n"
	"nst_no_rseq_offset:\n"
	"movq nst_thread@gottpoff(%rip), %rax\n"
	"ret\n"
	".popsection\n"
	".pushsection .data.nst_rseq_offset,\"aw\"\n"
	".balign 64\n"
	".globl nst_rseq_offset\n"
	".hidden nst_rseq_offset\n"
	".type nst_rseq_offset, @object\n"
	".size nst_rseq_offset, 8\n"
	"nst_rseq_offset: .quad nst_no_rseq_offset\n"
	".popsection\n");
#else
intptr_t nst_rseq_offset;
#endif

/* Fast tables that hold empty stacks only. */
static struct nst_pcs **table_of_none;

u64 nst_meta_bytes(void)
{
	return nst_load_relaxed(&meta.bytes);
}

struct nst_lock *nst_meta_lock(void)
{
	return &meta.lock;
}

/* Behind what is reserved, if nobody has been given that: room for @bytes more. Locks: needs meta.lock. */
static int extend_locked(size_t bytes)
{
	bytes = nst_max(bytes, (size_t)1 << 20);
	if (nst_sys_reserve_at(meta.end + META_GUARD, bytes))
		return -12;
	meta.end += bytes;
	return 0;
}

void nst_meta_cut(void)
{
	char *end;

	nst_lock_wait(&meta.lock);
	/* Room to become twice what it is. */
	end = meta.ready + nst_max((size_t)(meta.ready - meta.start), META_LEAST / 2);
	if (end < meta.end && nst_sys_release(end + META_GUARD, (size_t)(meta.end - end)) == 0)
		meta.end = end;
	nst_unlock(&meta.lock);
}

/* Context: thread. Locks: needs meta.lock. */
static int grow_locked(size_t bytes)
{
	size_t step = nst_round_up(bytes, META_STEP);

	if ((size_t)(meta.end - meta.ready) < step && extend_locked(step))
		return -12;
	if (nst_sys_commit(meta.ready, step) || nst_sys_populate(meta.ready, step))
		return -12;
	meta.ready += step;
	nst_add_relaxed(&meta.bytes, step);
	return 0;
}

static size_t meta_size(size_t bytes)
{
	return (size_t)1 << nst_max(6, nst_log2_up(bytes));
}

void *nst_meta_alloc(size_t bytes)
{
	size_t size = meta_size(bytes), i;
	unsigned int class = nst_log2(size);
	void *p;

	if (nst_test_should_fail(NST_FAIL_META))
		return NULL;
	nst_lock_wait(&meta.lock);
	p = meta.free[class];
	if (p) {
		meta.free[class] = *(void **)p;
	} else if ((size_t)(meta.ready - meta.next) >= size || grow_locked(size) == 0) {
		p = meta.next;
		meta.next += size;
	}
	nst_unlock(&meta.lock);
	for (i = 0; p && i < size / sizeof(u64); i++)
		((u64 *)p)[i] = 0;
	return p;
}

void nst_meta_free(void *p, size_t bytes)
{
	unsigned int class = nst_log2(meta_size(bytes));

	if (!p)
		return;
	nst_lock_wait(&meta.lock);
	*(void **)p = meta.free[class];
	meta.free[class] = p;
	nst_unlock(&meta.lock);
}

void nst_meta_make_ready(void)
{
	size_t bytes = (size_t)nst_load_relaxed(&meta.bytes); /* grows only */

	nst_sys_populate(meta.start, bytes);
}

static unsigned int table_entries(void)
{
	return nst_sys_cpus.nr + NST_BESIDE;
}

static struct nst_pcs **new_table(void)
{
	struct nst_pcs **t = nst_meta_alloc(table_entries() * sizeof(*t));
	unsigned int i;

	if (!t)
		return NULL;
	for (i = 0; i < table_entries(); i++)
		t[i] = &nst_pcs_none;
	t += NST_BESIDE;
	t[NST_NUMBER_BESIDE] = NULL;
	t[NST_RINGS_BESIDE] = (struct nst_pcs *)(void *)nst_ring_fast_none();
	return t;
}

int nst_percpu_init(size_t arena_bytes)
{
	size_t bytes = arena_bytes ? nst_max(arena_bytes / 16, (size_t)64 << 20) : META_LEAST;
	char *base;

	bytes = nst_min(bytes, (size_t)4 << 30);
	base = nst_sys_reserve(bytes + 2 * META_GUARD, NST_PAGE_BYTES);
	if (!base)
		return -12;
	meta.next = base + META_GUARD;
	meta.start = meta.ready = nst_meta_base = meta.next;
	meta.end = meta.next + nst_round_down(bytes, META_STEP);
	if (nst_ring_init())
		return -12;
	table_of_none = new_table();
	return table_of_none ? 0 : -12;
}

int nst_pcs_table_init(struct nst_pcs_table *t, u32 cap)
{
	t->real = new_table();
	if (!t->real)
		return -12;
	t->cap = t->room = cap;
	nst_pcs_table_instrument(t, (int)t->instrumented);
	return 0;
}

void nst_pcs_table_init_lazy(struct nst_pcs_table *t, u32 cap, u32 room)
{
	t->real = t->fast = table_of_none;
	t->cap = cap;
	t->room = room;
}

/* The entries of a table that begins with its first stack. */
static int ensure_entries(struct nst_pcs_table *t)
{
	struct nst_pcs **real;

	if (t->real != table_of_none)
		return 0;
	real = new_table();
	if (!real)
		return -12;
	nst_tsan_release(real);
	/* Pairs with: nst_pcs_real(). */
	nst_store_release(&t->real, real);
	return 0;
}

struct nst_pcs **nst_pcs_fast_none(void)
{
	return table_of_none;
}

static struct note *note_of(struct nst_pcs *s)
{
	return (struct note *)(void *)s - 1;
}

static size_t pcs_bytes(u32 room)
{
	return sizeof(struct note) + sizeof(struct nst_pcs) + room * sizeof(void *);
}

static struct nst_pcs *new_stack(u32 cap, u32 room)
{
	struct note *note = nst_meta_alloc(pcs_bytes(room));
	struct nst_pcs *s;

	if (!note)
		return NULL;
	note->room = room;
	s = (struct nst_pcs *)(void *)(note + 1);
	s->cap = cap;
	return s;
}

static void free_stack(struct nst_pcs *s)
{
	if (s && s != &nst_pcs_none)
		nst_meta_free(note_of(s), pcs_bytes(note_of(s)->room));
}

static void free_stripes(struct nst_stripe *stripes)
{
	unsigned int i;

	for (i = 0; stripes && i < NST_STRIPES; i++)
		free_stack(stripes[i].pcs);
	nst_meta_free(stripes, NST_STRIPES * sizeof(*stripes));
}

void nst_pcs_table_exit(struct nst_pcs_table *t)
{
	unsigned int i;

	for (i = 0; t->real && i < nst_sys_cpus.nr; i++)
		free_stack(t->real[i]);
	if (t->real && t->real != table_of_none)
		nst_meta_free(t->real - NST_BESIDE, table_entries() * sizeof(*t->real));
	if (t->apart)
		nst_meta_free(t->fast - NST_BESIDE, table_entries() * sizeof(*t->fast));
	t->apart = 0;
	free_stripes(t->stripes);
	/* relaxed: who gave the last object back here may still be on his way out, and has read them */
	nst_store_relaxed(&t->real, (struct nst_pcs **)NULL);
	nst_store_relaxed(&t->fast, table_of_none);
	nst_store_relaxed(&t->stripes, (struct nst_stripe *)NULL);
}

u64 nst_pcs_table_bytes(unsigned int cpus, u32 room)
{
	return (cpus + NST_BESIDE) * sizeof(struct nst_pcs *) +
	       NST_STRIPES * sizeof(struct nst_stripe) + (cpus + NST_STRIPES) * pcs_bytes(room);
}

u64 nst_pcs_table_bytes_now(const struct nst_pcs_table *t)
{
	u64 bytes = t->apart ? table_entries() * sizeof(*t->fast) : 0;
	unsigned int i;

	/* relaxed: hints of others' stacks, whose rooms do not change */
	if (nst_load_relaxed(&t->stripes))
		bytes += NST_STRIPES * (sizeof(struct nst_stripe) + pcs_bytes(t->room));
	if (!nst_load_relaxed(&t->real) || nst_load_relaxed(&t->real) == table_of_none)
		return bytes;
	bytes += table_entries() * sizeof(struct nst_pcs *);
	for (i = 0; i < nst_sys_cpus.nr; i++)
		if (nst_load_relaxed(&t->real[i]) != &nst_pcs_none)
			bytes += pcs_bytes(t->room);
	return bytes;
}

static int ensure_stripes(struct nst_pcs_table *t)
{
	struct nst_stripe *stripes;
	unsigned int i;

	if (nst_load_relaxed(&t->stripes)) /* relaxed: only whether there are any */
		return 0;
	stripes = nst_meta_alloc(NST_STRIPES * sizeof(*stripes));
	if (!stripes)
		return -12;
	for (i = 0; i < NST_STRIPES; i++) {
		stripes[i].pcs = new_stack(t->cap, t->room);
		if (!stripes[i].pcs) {
			free_stripes(stripes);
			return -12;
		}
	}
	/* Pairs with: nst_load_acquire() in nst_pcs_stripes(). */
	if (nst_cas_release(&t->stripes, (struct nst_stripe *)NULL, stripes))
		return 0;
	free_stripes(stripes);
	return 0;
}

int nst_pcs_ensure(struct nst_pcs_table *t, unsigned int cpu)
{
	struct nst_pcs *s;

	if (!nst_pcs_by_sequence())
		return ensure_stripes(t);
	if (ensure_entries(t))
		return -12;
	if (nst_load_relaxed(&t->real[cpu]) !=
	    &nst_pcs_none) /* relaxed: only whether there is one */
		return 0;
	s = new_stack(t->cap, t->room);
	if (!s)
		return -12;
	/* Pairs with: stack_number(), and nst_seq_pop() and its kin, which read the stack through it. */
	if (!nst_cas_release(&t->real[cpu], &nst_pcs_none, s))
		free_stack(s);
	return 0;
}

unsigned int nst_pcs_nr_stacks(const struct nst_pcs_table *t)
{
	(void)t;
	return nst_sys_cpus.nr + NST_STRIPES;
}

static struct nst_stripe *stripe_number(const struct nst_pcs_table *t, unsigned int i)
{
	struct nst_stripe *stripes = nst_pcs_stripes(t);

	return stripes ? &stripes[i - nst_sys_cpus.nr] : NULL;
}

/*
 * Waits: short, for whoever is inside the stripe to leave it. The stripe is empty and full until the
 * stack is put back: a fork child lets go of what lost threads held, and may not find a stack there
 * that was in pieces, or freed.
 */
static struct nst_pcs *take_stripe_from(struct nst_stripe *s)
{
	struct nst_pcs *pcs;
	unsigned int i;

	for (i = 0; s && i < 1000; i++) {
		/* Pairs with: nst_store_release() in nst_stripe_put(). */
		if (nst_cas_acquire(&s->held, (uintptr_t)0, nst_thread_pointer())) {
			pcs = s->pcs;
			nst_store_relaxed(&s->pcs, &nst_pcs_none); /* we hold it */
			nst_barrier();
			return pcs;
		}
		nst_sys_futex_wait((u32 *)(void *)&s->held, (u32)nst_load_relaxed(&s->held), 100);
	}
	return NULL;
}

struct nst_pcs *nst_pcs_take(struct nst_pcs_table *t, unsigned int i)
{
	struct nst_pcs *s;

	if (i >= nst_sys_cpus.nr)
		return take_stripe_from(stripe_number(t, i));
	s = nst_load_relaxed(&t->real[i]); /* relaxed: takers are serialised (T2) */
	if (s == &nst_pcs_none)
		return NULL;
	/* Pairs with: nst_fence_cpu(), which restarts a sequence that saw the old entry. */
	nst_store_release(&t->real[i], &nst_pcs_none);
	if (nst_fence_cpu((int)i) == 0) {
		nst_tsan_acquire(t);
		return s;
	}
	/* Pairs with: stack_number(), nst_seq_pop() and its kin, which read the stack through it. */
	nst_store_release(&t->real[i], s);
	return NULL;
}

void nst_pcs_put(struct nst_pcs_table *t, unsigned int i, struct nst_pcs *s)
{
	struct nst_stripe *stripe;

	nst_tsan_release(t);
	if (i < nst_sys_cpus.nr) {
		/* Pairs with: stack_number(), nst_seq_pop() and its kin, which read the stack through it. */
		nst_store_release(&t->real[i], s);
		return;
	}
	stripe = stripe_number(t, i);
	nst_barrier();
	nst_store_relaxed(&stripe->pcs, s); /* we hold it; the release publishes it */
	/* Pairs with: nst_cas_acquire() in nst_stripe_take(). */
	nst_store_release(&stripe->held, (uintptr_t)0);
}

struct nst_pcs *nst_pcs_grow(struct nst_pcs *old, u32 cap)
{
	struct nst_pcs *s;
	u32 i;

	if (cap <= note_of(old)->room) {
		nst_store_relaxed(&old->cap, cap); /* others look at it */
		return old;
	}
	s = new_stack(cap, cap);
	if (!s)
		return NULL;
	for (i = 0; i < old->count; i++)
		s->obj[i] = old->obj[i];
	s->count = old->count;
	note_of(s)->stock = note_of(old)->stock;
	free_stack(old);
	return s;
}

/* Stack @i as it is now, or NULL. For looking only. */
static struct nst_pcs *stack_number(const struct nst_pcs_table *t, unsigned int i)
{
	struct nst_pcs **real = nst_pcs_real(t);
	const struct nst_stripe *stripe;

	if (!real)
		return NULL;
	if (i < nst_sys_cpus.nr)
		/* Pairs with: the stores of nst_pcs_put(), nst_pcs_take() and nst_pcs_ensure(). */
		return nst_load_acquire(&real[i]);
	stripe = stripe_number(t, i);
	return stripe ? stripe->pcs : NULL;
}

u32 nst_pcs_count(const struct nst_pcs_table *t, unsigned int i)
{
	const struct nst_pcs *s = stack_number(t, i);

	return s ? nst_load_relaxed(&s->count) : 0; /* a statistic */
}

u32 nst_pcs_cap(const struct nst_pcs_table *t, unsigned int i)
{
	const struct nst_pcs *s = stack_number(t, i);

	return s ? nst_load_relaxed(&s->cap) : 0; /* a hint */
}

void *nst_pcs_peek(const struct nst_pcs_table *t, unsigned int i, u32 k)
{
	struct nst_pcs *s = stack_number(t, i);
	void *p = s && k < nst_load_relaxed(&s->count) ? nst_load_relaxed(&s->obj[k]) : NULL;

	/* relaxed: at some moment, and the sequence's commit came after what it committed */
	if (p)
		nst_tsan_acquire(p);
	return p;
}

void nst_pcs_widen(struct nst_pcs_table *t, unsigned int i)
{
	struct nst_pcs *s = stack_number(t, i);

	if (s && s != &nst_pcs_none && s->cap < note_of(s)->room)
		nst_store_relaxed(&s->cap, s->cap + 1); /* a push sees it, or the next does */
}

void nst_pcs_narrow(const struct nst_pcs_table *t, struct nst_pcs *s)
{
	if (s->count <= t->cap && !note_of(s)->stock)
		nst_store_relaxed(&s->cap, t->cap); /* as in nst_pcs_grow() */
}

u32 nst_pcs_stock(const struct nst_pcs_table *t, unsigned int i)
{
	struct nst_pcs *s = stack_number(t, i);

	return s && s != &nst_pcs_none ? note_of(s)->stock : 0;
}

void nst_pcs_set_stock(struct nst_pcs *s, u32 stock)
{
	if (stock > note_of(s)->stock)
		note_of(s)->stock = stock;
}

u32 nst_pcs_still(const struct nst_pcs_table *t, unsigned int i)
{
	struct nst_pcs *s = stack_number(t, i);
	u32 count = s ? nst_load_relaxed(&s->count) : 0; /* a hint */
	struct note *note = s ? note_of(s) : NULL;

	if (!count)
		return 0;
	if (note->seen != count) {
		note->seen = count;
		note->looks = 0;
	}
	return ++note->looks;
}

void nst_pcs_table_after_fork(struct nst_pcs_table *t)
{
	unsigned int i;

	for (i = 0; t->stripes && i < NST_STRIPES; i++)
		if (t->stripes[i].held != nst_thread_pointer())
			t->stripes[i].held = 0;
}

struct nst_pcs **nst_pcs_fast_open(const struct nst_pcs_table *t)
{
	if (t->apart)
		return t->fast;
	return !t->instrumented && nst_sys_rseq.usable && !nst_sys_rseq.by_cid ? t->real
									       : table_of_none;
}

void nst_pcs_table_instrument(struct nst_pcs_table *t, int on)
{
	t->instrumented = (u32)on;
	t->fast = nst_pcs_fast_open(t);
}

void nst_pcs_table_close(struct nst_pcs_table *t, int on)
{
	/* relaxed: both are whole, and who still has the other one does what was right a moment ago */
	nst_store_relaxed(&t->fast, on ? table_of_none : nst_pcs_fast_open(t));
}

int nst_pcs_table_set_apart(struct nst_pcs_table *t)
{
	struct nst_pcs **fast = new_table();

	if (!fast)
		return -12;
	t->fast = fast;
	t->apart = 1;
	return 0;
}
