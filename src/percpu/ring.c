/* SPDX-License-Identifier: MIT */
/*
 * ring.c - rings of pages for retired pointers: who retires into them, and the worker who empties them.
 *
 * Who retires goes by sequence where the thread has it, else by stripe; a stripe that is full or held
 * leads to the next. The worker's side is plain code under the worker's lock: it loads open and count
 * with acquire, and hands pages over with release (R1).
 */
#include "percpu.h"
#include "ring.h"

#define PUSH_TRIES 4 /* rounds of retire and advance: others filled each page that was opened */
#define FETCHED 320u /* (tune) bytes of a page: what is longer is read on in a row */

/* Its open page has no room, and the slot after it is empty. */
static struct nst_sheaf full_page;
struct nst_ring nst_ring_none = {.mask = 1, .page = {&full_page, NULL}};
struct nst_ring *nst_ring_boot[3] = {&nst_ring_none, &nst_ring_none, &nst_ring_none};

static struct nst_ring **table_of_none;

/* ---- stripes, for threads without sequences ---- */

static struct nst_stripe *stripes_of(const struct nst_ring_table *t)
{
	/* Pairs with: nst_store_release() in ensure_stripes(). */
	return nst_load_acquire(&t->stripes);
}

static struct nst_ring *ring_of(const struct nst_stripe *s)
{
	/* Pairs with: nst_store_release() in nst_ring_make(). */
	return nst_load_acquire(&s->ring);
}

static enum nst_push stripes_retire(const struct nst_ring_table *t, const u64 *started, void *o)
{
	enum nst_push r = NST_PUSH_FULL;
	struct nst_stripe *s;
	unsigned int i = 0;

	while (r == NST_PUSH_FULL &&
	       (s = nst_stripe_next(stripes_of(t), NST_STRIPES, &i)) != NULL) {
		r = nst_ring_append(ring_of(s), started, o);
		nst_stripe_put(s);
	}
	return r;
}

static size_t stripes_retiren(const struct nst_ring_table *t, const u64 *started, void *const *in,
			      size_t n)
{
	struct nst_stripe *s;
	unsigned int i = 0;
	size_t k = 0;

	while (!k && (s = nst_stripe_next(stripes_of(t), NST_STRIPES, &i)) != NULL) {
		k = nst_ring_fill(ring_of(s), started, in, n);
		nst_stripe_put(s);
	}
	return k;
}

static enum nst_advance stripes_advance(const struct nst_ring_table *t)
{
	enum nst_advance r, result = NST_ADVANCE_NOTHING_READY;
	struct nst_stripe *s;
	unsigned int i = 0;

	while ((s = nst_stripe_next(stripes_of(t), NST_STRIPES, &i)) != NULL) {
		r = nst_ring_turn(ring_of(s));
		nst_stripe_put(s);
		if (r == NST_ADVANCE_OK)
			return r;
		if (r == NST_ADVANCE_NOT_FULL)
			result = r;
	}
	return result;
}

/* ---- who retires ---- */

enum nst_push nst_ring_retire(struct nst_ring_table *t, const u64 *started, void *o)
{
	nst_tsan_release(o);
	if (nst_pcs_by_sequence())
		return nst_seq_retire_by(t->real, nst_sys_rseq.index, started, o);
	return stripes_retire(t, started, o);
}

size_t nst_ring_retiren(struct nst_ring_table *t, const u64 *started, void *const *in, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		nst_tsan_release(in[i]);
	if (nst_pcs_by_sequence())
		return nst_seq_retiren_by(t->real, nst_sys_rseq.index, started, in, n);
	return stripes_retiren(t, started, in, n);
}

enum nst_advance nst_ring_advance(struct nst_ring_table *t)
{
	if (nst_pcs_by_sequence())
		return nst_seq_advance_by(t->real, nst_sys_rseq.index);
	return stripes_advance(t);
}

/* Position of the open page. */
static u32 sealed_until(const struct nst_ring *r)
{
	/* Pairs with: the commit of nst_seq_advance_by(), nst_store_release() in nst_ring_turn(). */
	return nst_load_acquire(&r->open);
}

static struct nst_sheaf **slot_at(struct nst_ring *r, u32 at)
{
	return &r->page[at & r->mask];
}

/* The page after the one just opened: another CPU made it ready, and it comes while this one fills the open one. */
static void fetch_next(const struct nst_ring_table *t)
{
	struct nst_ring *r = nst_ring_number(t, nst_ring_here());
	u32 next = r ? (sealed_until(r) + 1) & (t->slots - 1) : 0;
	/* relaxed: a hint. The ring may just go, and be other metadata: of its own words none is followed. */
	char *page = r ? (char *)nst_load_relaxed(&r->page[next]) : NULL;
	size_t at;

	for (at = 0; page && at < FETCHED; at += NST_LINE)
		__builtin_prefetch(page + at, 1);
}

enum nst_push nst_ring_push(struct nst_ring_table *t, const u64 *started, void *o, u32 *sealed)
{
	unsigned int tries = PUSH_TRIES;
	enum nst_advance r;

	*sealed = 0;
	while (nst_ring_retire(t, started, o) != NST_PUSH_OK) {
		r = --tries ? nst_ring_advance(t) : NST_ADVANCE_NOTHING_READY;
		if (r == NST_ADVANCE_NOTHING_READY)
			return NST_PUSH_FULL;
		*sealed += r == NST_ADVANCE_OK;
	}
	if (*sealed)
		fetch_next(t);
	return NST_PUSH_OK;
}

size_t nst_ring_pushn(struct nst_ring_table *t, const u64 *started, void *const *in, size_t n)
{
	unsigned int tries = PUSH_TRIES;
	size_t k, done = 0;

	while (done < n && tries) {
		k = nst_ring_retiren(t, started, in + done, n - done);
		done += k;
		tries = k ? PUSH_TRIES : tries - 1;
		if (!k && nst_ring_advance(t) == NST_ADVANCE_NOTHING_READY)
			break;
	}
	return done;
}

unsigned int nst_ring_here(void)
{
	u32 i;

	if (!nst_pcs_by_sequence())
		return nst_sys_cpus.nr + nst_stripe_first(NST_STRIPES);
	/* relaxed: the kernel writes it for this thread alone */
	i = nst_load_relaxed((u32 *)(nst_thread_pointer() + (uintptr_t)nst_sys_rseq.index));
	return i < nst_sys_cpus.nr ? i : 0;
}

/* ---- tables ---- */

size_t nst_ring_entries_bytes(unsigned int cpus)
{
	return (cpus + 2) * sizeof(struct nst_ring *);
}

static struct nst_ring **new_entries(void)
{
	struct nst_ring **entries = nst_meta_alloc(nst_ring_entries_bytes(nst_sys_cpus.nr));
	unsigned int i;

	if (!entries)
		return NULL;
	for (i = 0; i < nst_sys_cpus.nr + 2; i++)
		entries[i] = &nst_ring_none;
	return entries + 2;
}

int nst_ring_init(void)
{
	table_of_none = new_entries();
	return table_of_none ? 0 : -12;
}

struct nst_ring **nst_ring_fast_none(void)
{
	return table_of_none;
}

int nst_ring_table_init(struct nst_ring_table *t, u32 slots)
{
	t->real = new_entries();
	t->fast = table_of_none;
	t->slots = slots;
	if (!t->real)
		return -12;
	nst_ring_table_instrument(t, (int)t->instrumented);
	return 0;
}

size_t nst_ring_bytes(u32 slots)
{
	return offsetof(struct nst_ring, page) + slots * (sizeof(struct nst_sheaf *) + sizeof(u32));
}

static struct nst_ring *new_ring(u32 slots, struct nst_sheaf *first)
{
	struct nst_ring *r = nst_meta_alloc(nst_ring_bytes(slots));

	if (!r)
		return NULL;
	first->count = 0;
	r->mask = slots - 1;
	r->page[0] = first;
	r->head = 1;
	return r;
}

static int ensure_stripes(struct nst_ring_table *t)
{
	struct nst_stripe *stripes;
	unsigned int i;

	if (t->stripes)
		return 0;
	stripes = nst_meta_alloc(NST_STRIPES * sizeof(*stripes));
	if (!stripes)
		return -12;
	for (i = 0; i < NST_STRIPES; i++)
		stripes[i].ring = &nst_ring_none;
	/* Pairs with: nst_load_acquire() in stripes_of(). */
	nst_store_release(&t->stripes, stripes);
	return 0;
}

unsigned int nst_ring_nr(const struct nst_ring_table *t)
{
	(void)t;
	return nst_sys_cpus.nr + NST_STRIPES;
}

/* Where ring number @i is entered, or NULL: there are no stripes. */
static struct nst_ring **entry_number(const struct nst_ring_table *t, unsigned int i)
{
	struct nst_stripe *stripes = stripes_of(t);

	if (i < nst_sys_cpus.nr)
		return &t->real[i];
	return stripes ? &stripes[i - nst_sys_cpus.nr].ring : NULL;
}

int nst_ring_make(struct nst_ring_table *t, unsigned int i, struct nst_sheaf *first)
{
	struct nst_ring *r;

	if (i >= nst_sys_cpus.nr && ensure_stripes(t))
		return -12;
	if (nst_ring_number(t, i))
		return -17;
	r = new_ring(t->slots, first);
	if (!r)
		return -12;
	/* Pairs with: nst_seq_retire() and its kin, ring_of(), nst_ring_number(), which read it through this. */
	nst_store_release(entry_number(t, i), r);
	return 0;
}

struct nst_ring *nst_ring_number(const struct nst_ring_table *t, unsigned int i)
{
	struct nst_ring **entry = entry_number(t, i);
	/* Pairs with: nst_store_release() in nst_ring_make() and nst_ring_unmake(). */
	struct nst_ring *r = entry ? nst_load_acquire(entry) : &nst_ring_none;

	return r == &nst_ring_none ? NULL : r;
}

void nst_ring_table_exit(struct nst_ring_table *t)
{
	unsigned int i;

	for (i = 0; t->real && i < nst_ring_nr(t); i++)
		nst_meta_free(nst_ring_number(t, i), nst_ring_bytes(t->slots));
	nst_meta_free(t->real ? t->real - 2 : NULL, nst_ring_entries_bytes(nst_sys_cpus.nr));
	nst_meta_free(t->stripes, NST_STRIPES * sizeof(*t->stripes));
	t->fast = table_of_none;
	t->real = NULL;
	t->stripes = NULL;
}

void nst_ring_table_instrument(struct nst_ring_table *t, int on)
{
	t->instrumented = (u32)on;
	if (!on && nst_sys_rseq.usable && !nst_sys_rseq.by_cid)
		t->fast = t->real;
	else
		t->fast = table_of_none;
}

/* ---- the worker ---- */

/* How many pointers at the beginning of the page at @at have been claimed. */
static u32 *prefix_at(struct nst_ring *r, u32 at)
{
	return (u32 *)(void *)&r->page[r->mask + 1] + (at & r->mask);
}

static void tsan_acquire_pointers(const struct nst_sheaf *page, u32 from, u32 to)
{
	for (; from < to; from++)
		nst_tsan_acquire(page->obj[from]);
}

#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 11
/* The worker moves open, for a page that is part-filled. */
static void hasten(struct nst_ring *r)
{
	if (r->tail == sealed_until(r) && (*slot_at(r, r->open))->count && *slot_at(r, r->open + 1))
		nst_store_relaxed(&r->open, r->open + 1);
}
#else
static void hasten(struct nst_ring *r)
{
	(void)r;
}
#endif

/* The page at the tail leaves the ring. A fork between the two stores is mended. */
static struct nst_sheaf *take(struct nst_ring *r, u32 *prefix)
{
	struct nst_sheaf *page = *slot_at(r, r->tail);

	*prefix = *prefix_at(r, r->tail);
	/* relaxed: the next nst_ring_add_ready() is what the CPU must see after this */
	nst_store_relaxed(slot_at(r, r->tail), (struct nst_sheaf *)NULL);
	nst_barrier();
	r->tail++;
	tsan_acquire_pointers(page, *prefix, page->count);
	return page;
}

struct nst_sheaf *nst_ring_take_sealed(struct nst_ring *r, u32 *prefix)
{
	hasten(r);
	return r->tail == sealed_until(r) ? NULL : take(r, prefix);
}

struct nst_sheaf *nst_ring_take_any(struct nst_ring *r, u32 *prefix)
{
	return r->tail == r->head ? NULL : take(r, prefix);
}

int nst_ring_add_ready(struct nst_ring *r, struct nst_sheaf *page)
{
	if (r->head - r->tail >= r->mask)
		return -28;
	nst_store_relaxed(&page->count, 0u); /* the release publishes it */
	*prefix_at(r, r->head) = 0;
	/* Pairs with: nst_seq_advance_by(), nst_ring_slot(), nst_ring_look(): the page is empty, older slots are as they are. */
	nst_store_release(slot_at(r, r->head), page);
	nst_barrier();
	r->head++;
	return 0;
}

u64 nst_ring_oldest(struct nst_ring *r)
{
	if (r->tail == sealed_until(r))
		return UINT64_MAX;
	nst_store_relaxed(&r->oldest,
			  (*slot_at(r, r->tail))->stamp); /* for who looks without the lock */
	return r->oldest;
}

NST_RACES u64 nst_ring_oldest_hint(const struct nst_ring *r)
{
	u32 open = nst_load_relaxed(&r->open);

	/* relaxed: a hint */
	return nst_load_relaxed(&r->tail) == open ? UINT64_MAX : nst_load_relaxed(&r->oldest);
}

/* relaxed: a hint, and open is a count to compare with */
NST_RACES int nst_ring_is_pressed(const struct nst_ring *r, u32 pages)
{
	u32 open = nst_load_relaxed(&r->open), sealed = open - nst_load_relaxed(&r->tail);

	return sealed >= pages || (sealed && nst_load_relaxed(&r->head) - open <= 1);
}

u32 nst_ring_press(struct nst_ring *r, u32 pages, u64 *newest)
{
	u32 open = sealed_until(r), sealed = open - r->tail;

	if (!nst_ring_is_pressed(r, pages) || 2 * (open - r->pressed) < nst_min(sealed, pages / 2))
		return 0;
	r->pressed = open;
	*newest = (*slot_at(r, open - 1))->stamp;
	return sealed;
}

u32 nst_ring_sealed(const struct nst_ring *r)
{
	return sealed_until(r) - r->tail;
}

u32 nst_ring_ready(const struct nst_ring *r)
{
	return r->head - sealed_until(r) - 1;
}

struct nst_ring_cut nst_ring_look(struct nst_ring *r)
{
	u32 at = sealed_until(r);
	/* Pairs with: nst_store_release() in nst_ring_add_ready(). */
	struct nst_sheaf *page = nst_load_acquire(slot_at(r, at));
	/* Pairs with: the commits of nst_seq_retire() and its kin, of nst_ring_append() and nst_ring_fill(). */
	u32 count = nst_load_acquire(&page->count);

	return (struct nst_ring_cut){page, at, *prefix_at(r, at), count};
}

int nst_ring_claim(struct nst_ring *r, const struct nst_ring_cut *cut)
{
	u32 *prefix = prefix_at(r, cut->at);

	if (cut->at - r->tail > sealed_until(r) - r->tail || *prefix != cut->from)
		return -116;
	*prefix = cut->to;
	tsan_acquire_pointers(cut->page, cut->from, cut->to);
	return 0;
}

u32 nst_ring_still(struct nst_ring *r)
{
	struct nst_ring_cut cut = nst_ring_look(r);
	u32 seen = (r->tail << 10) + cut.to; /* another with each pointer and each page */

	if (seen != r->seen || r->tail != cut.at || cut.from != cut.to) {
		r->seen = seen;
		r->looks = 0;
		return 0;
	}
	return ++r->looks;
}

struct nst_sheaf *nst_ring_unmake(struct nst_ring_table *t, unsigned int i)
{
	struct nst_ring *r = i < nst_sys_cpus.nr ? nst_ring_number(t, i) : NULL;
	struct nst_sheaf *pages = NULL, *s;
	struct nst_ring_cut cut;
	u32 prefix;

	if (!r)
		return NULL;
	nst_store_relaxed(
		&t->real[i],
		&nst_ring_none); /* the fence restarts a sequence that saw the old entry */
	cut = nst_fence_cpu((int)i) == 0 ? nst_ring_look(r) : (struct nst_ring_cut){.to = 1};
	if (r->tail != cut.at || cut.from != cut.to) {
		/* Pairs with: nst_load_acquire() in nst_ring_number(). */
		nst_store_release(&t->real[i], r);
		return NULL;
	}
	while ((s = nst_ring_take_any(r, &prefix)) != NULL) {
		s->count = 0;
		s->next = pages;
		pages = s;
	}
	nst_meta_free(r, nst_ring_bytes(t->slots));
	return pages;
}

/* ---- fork ---- */

/* A worker that is no more had emptied the slot at the tail, or filled the one at the head. */
static void mend(struct nst_ring *r)
{
	if (r->tail != r->open && !*slot_at(r, r->tail))
		r->tail++;
	if (*slot_at(r, r->head))
		r->head++;
}

void nst_ring_table_after_fork(struct nst_ring_table *t)
{
	unsigned int i;

	for (i = 0; t->stripes && i < NST_STRIPES; i++)
		if (t->stripes[i].held != nst_thread_pointer())
			t->stripes[i].held = 0;
	for (i = 0; t->real && i < nst_ring_nr(t); i++)
		if (nst_ring_number(t, i))
			mend(nst_ring_number(t, i));
}
