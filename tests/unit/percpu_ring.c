/* SPDX-License-Identifier: MIT */
/*
 * percpu_ring.c - retire, advance and the worker's side of a ring, on the form in use.
 */
#define _GNU_SOURCE
#include <string.h>
#include "percpu/percpu.h"
#include "percpu/ring.h"
#include "common/check.h"
#include "common/trap.h"
#include <nostall/nostall.h>

#define CAP 5u
#define SLOTS 4u
#define PAGES (SLOTS - 1) /* in a ring at most */

static u64 started = 1;
static uintptr_t serial;

static void *fresh(void)
{
	return (void *)(++serial * 16);
}

static void *number(uintptr_t n)
{
	return (void *)(n * 16);
}

static struct nst_sheaf *new_page(u32 cap)
{
	struct nst_sheaf *p = nst_meta_alloc(sizeof(*p) + cap * sizeof(void *));

	if (!p)
		check_broken("a page");
	p->cap = cap;
	return p;
}

/* The ring of this thread, with one page. */
static struct nst_ring *make(struct nst_ring_table *t)
{
	unsigned int i = nst_ring_here();

	memset(t, 0, sizeof(*t));
	if (nst_ring_table_init(t, SLOTS))
		check_broken("a table");
	if (nst_ring_make(t, i, new_page(CAP)))
		check_broken("a ring");
	return nst_ring_number(t, i);
}

static void unmake(struct nst_ring_table *t)
{
	struct nst_sheaf *p;
	struct nst_ring *r;
	u32 prefix;

	for (unsigned int i = 0; i < nst_ring_nr(t); i++)
		while ((r = nst_ring_number(t, i)) != NULL &&
		       (p = nst_ring_take_any(r, &prefix)) != NULL)
			nst_meta_free(p, sizeof(*p) + CAP * sizeof(void *));
	nst_ring_table_exit(t);
}

static void fill(struct nst_ring_table *t, unsigned int n)
{
	while (n--)
		check_quiet(nst_ring_retire(t, &started, fresh()) == NST_PUSH_OK, "retire", "full");
}

static void no_ring(void)
{
	static struct nst_ring_table t = {.fast = NST_RING_BOOT_FAST};
	void *o = fresh();
	u32 sealed;

	/* As before the start: this thread's number is 0 there, or there is no area at all. */
	if (nst_sys_cpus.nr == 1 || !nst_sys_rseq.usable || !nst_ring_here())
		check(nst_seq_retire(t.fast, &started, o) == NST_PUSH_FULL, "full at boot",
		      "taken");
	if (nst_ring_table_init(&t, SLOTS))
		check_broken("a table");
	check(nst_seq_retire(t.fast, &started, o) == NST_PUSH_FULL &&
		      nst_ring_retire(&t, &started, o) == NST_PUSH_FULL &&
		      nst_ring_push(&t, &started, o, &sealed) == NST_PUSH_FULL &&
		      !nst_ring_retiren(&t, &started, &o, 1) &&
		      nst_ring_advance(&t) == NST_ADVANCE_NOTHING_READY,
	      "a table without rings is full", "something was taken");
	check(nst_ring_none.open == 0 && nst_ring_none.page[0]->count == 0 &&
		      !nst_ring_none.page[0]->stamp,
	      "nobody writes to the ring of none", "open %u", nst_ring_none.open);
	unmake(&t);
}

static void all_results(void)
{
	static struct nst_ring_table t;
	struct nst_ring *r = make(&t);
	struct nst_sheaf *second = new_page(CAP), *p;
	u32 prefix = 77;

	check(nst_ring_make(&t, nst_ring_here(), second) == -17, "a ring is made once", "twice");
	fill(&t, CAP - 1);
	check(nst_ring_advance(&t) == NST_ADVANCE_NOT_FULL, "a page with room stays", "it did not");
	started = 50;
	fill(&t, 1);
	check(nst_ring_retire(&t, &started, fresh()) == NST_PUSH_FULL, "a full page", "had room");
	check(nst_ring_advance(&t) == NST_ADVANCE_NOTHING_READY, "nothing is ready", "it was");
	check(!nst_ring_take_sealed(r, &prefix), "the open page is not taken", "it was");
	second->count = 3;
	check(nst_ring_add_ready(r, second) == 0 && nst_ring_ready(r) == 1 && second->count == 0,
	      "a page is added empty", "ready %u, count %u", nst_ring_ready(r), second->count);
	check(nst_ring_advance(&t) == NST_ADVANCE_OK && nst_ring_ready(r) == 0 &&
		      nst_ring_sealed(r) == 1,
	      "and is opened", "ready %u, sealed %u", nst_ring_ready(r), nst_ring_sealed(r));
	started = 60;
	fill(&t, 1);
	p = nst_ring_take_sealed(r, &prefix);
	check(p && prefix == 0 && p->count == CAP && p->stamp == 50 && second->stamp == 60,
	      "the sealed page comes out whole", "prefix %u", prefix);
	for (u32 i = 0; i < CAP; i++)
		check_quiet(p->obj[i] == number(serial - CAP - 1 + i), "in order", "%u", i);
	check(!nst_ring_take_sealed(r, &prefix) && nst_ring_sealed(r) == 0, "once", "again");
	nst_meta_free(p, sizeof(*p) + CAP * sizeof(void *));
	unmake(&t);
}

static void many_at_once(void)
{
	static struct nst_ring_table t;
	struct nst_ring *r = make(&t);
	void *in[3 * CAP];
	u32 sealed;
	size_t k;

	for (unsigned int i = 0; i < 3 * CAP; i++)
		in[i] = fresh();
	if (nst_ring_add_ready(r, new_page(CAP)))
		check_broken("add");
	k = nst_ring_pushn(&t, &started, in, 3 * CAP);
	check(k == 2 * CAP && nst_ring_sealed(r) == 1, "as many as pages are ready for", "%zu", k);
	if (nst_ring_add_ready(r, new_page(CAP)))
		check_broken("add");
	check(nst_ring_push(&t, &started, in[k], &sealed) == NST_PUSH_OK && sealed == 1 &&
		      nst_ring_sealed(r) == 2,
	      "one more opens a page", "sealed %u", nst_ring_sealed(r));
	unmake(&t);
}

/* ---- steps drawn at random, against what must come out ---- */

#define STEPS 100000u
#define OBJECTS (4 * STEPS)
#define POOL 6u

static struct {
	struct nst_ring_table t;
	struct nst_ring *r;
	struct nst_sheaf *pool[POOL];
	unsigned int nr_pool, wrong;
	struct nst_ring_cut cut;
	int looked;
	u64 claims, stale, taken, advanced;
	uintptr_t first;
	unsigned char out[OBJECTS];
} m;

static void came_out(const struct nst_sheaf *p, u32 from, u32 to)
{
	for (u32 i = from; i < to; i++) {
		uintptr_t n = (uintptr_t)p->obj[i] / 16 - m.first;

		m.wrong += n >= OBJECTS || m.out[n]++ != 0;
		m.wrong += i > from && p->obj[i] != (char *)p->obj[i - 1] + 16;
	}
}

static void step_retire(struct rng *rng)
{
	void *in[CAP];
	unsigned int n = 1 + rng_below(rng, CAP);
	size_t k;

	for (unsigned int i = 0; i < n; i++)
		in[i] = number(serial + 1 + i);
	started++;
	if (n == 1)
		k = nst_ring_retire(&m.t, &started, in[0]) == NST_PUSH_OK;
	else
		k = rng_below(rng, 2) ? nst_ring_retiren(&m.t, &started, in, n)
				      : nst_ring_pushn(&m.t, &started, in, n);
	serial += k;
	m.wrong += k && m.r->page[m.r->open & m.r->mask]->stamp != started;
}

static void step_take(void)
{
	u32 prefix, sealed = nst_ring_sealed(m.r);
	struct nst_sheaf *p = nst_ring_take_sealed(m.r, &prefix);

	m.wrong += !p != !sealed;
	if (!p)
		return;
	m.wrong += p->count != CAP;
	came_out(p, prefix, p->count);
	m.pool[m.nr_pool++] = p;
	m.taken++;
}

static void step_add(void)
{
	u32 in_ring = nst_ring_sealed(m.r) + 1 + nst_ring_ready(m.r);
	int err;

	if (!m.nr_pool)
		return;
	err = nst_ring_add_ready(m.r, m.pool[m.nr_pool - 1]);
	m.wrong += err != (in_ring < PAGES ? 0 : -28);
	m.nr_pool -= !err;
}

static void step_cut(void)
{
	int err;

	if (!m.looked) {
		m.cut = nst_ring_look(m.r);
		m.looked = 1;
		return;
	}
	m.looked = 0;
	err = nst_ring_claim(m.r, &m.cut);
	m.claims += !err;
	m.stale += err == -116;
	if (!err)
		came_out(m.cut.page, m.cut.from, m.cut.to);
}

static void step(struct rng *rng)
{
	u32 what = rng_below(rng, 8), before = m.r->open;

	if (what < 3)
		step_retire(rng);
	else if (what == 3)
		m.advanced += nst_ring_advance(&m.t) == NST_ADVANCE_OK;
	else if (what == 4)
		step_take();
	else if (what == 5)
		step_add();
	else
		step_cut();
	m.wrong += m.r->open - before > PAGES;
}

/* Positions begin at @from, so that they pass 2^32. */
static void begin(u32 from)
{
	memset(&m, 0, sizeof(m));
	m.r = make(&m.t);
	m.first = serial + 1;
	while (m.nr_pool < POOL)
		m.pool[m.nr_pool++] = new_page(CAP);
	m.r->page[from % SLOTS] = m.r->page[0];
	if (from % SLOTS)
		m.r->page[0] = NULL;
	m.r->open = m.r->tail = from;
	m.r->head = from + 1;
}

static void end(void)
{
	struct nst_sheaf *p;
	u32 prefix;

	while ((p = nst_ring_take_any(m.r, &prefix)) != NULL) {
		came_out(p, prefix, p->count);
		nst_meta_free(p, sizeof(*p) + CAP * sizeof(void *));
	}
	while (m.nr_pool)
		nst_meta_free(m.pool[--m.nr_pool], sizeof(*p) + CAP * sizeof(void *));
	for (uintptr_t i = 0; i <= serial - m.first; i++)
		m.wrong += m.out[i] != 1;
	unmake(&m.t);
}

static void at_random(struct rng *rng)
{
	u32 from = (u32)-50 + rng_below(rng, SLOTS);

	begin(from);
	for (unsigned int i = 0; i < STEPS; i++)
		step(rng);
	check(m.r->open < STEPS, "positions pass 2^32", "open %u", m.r->open);
	end();
	check(m.wrong == 0, "each pointer comes out once, in order, as the model says", "%u wrong",
	      m.wrong);
	check(m.claims > 100 && m.stale > 100 && m.taken > 100 && m.advanced > 100,
	      "each kind of step was taken", "claims %llu, stale %llu, taken %llu, advanced %llu",
	      (unsigned long long)m.claims, (unsigned long long)m.stale,
	      (unsigned long long)m.taken, (unsigned long long)m.advanced);
}

/* ---- the rest ---- */

static void prefix_of_a_page(void)
{
	static struct nst_ring_table t;
	struct nst_ring *r = make(&t);
	struct nst_ring_cut first, second;
	struct nst_sheaf *p;
	u32 prefix;

	fill(&t, 2);
	first = nst_ring_look(r);
	fill(&t, 1);
	second = nst_ring_look(r);
	check(first.from == 0 && first.to == 2 && second.from == 0 && second.to == 3,
	      "a look sees what is there", "%u to %u", second.from, second.to);
	check(nst_ring_claim(r, &first) == 0 && nst_ring_claim(r, &second) == -116,
	      "a claim is made once", "twice");
	second = nst_ring_look(r);
	check(second.from == 2 && second.to == 3, "the next look begins behind it", "at %u",
	      second.from);
	if (nst_ring_add_ready(r, new_page(CAP)))
		check_broken("add");
	fill(&t, CAP - 3);
	/* Pages opened before the worker comes keep prefixes of their own. */
	nst_ring_advance(&t);
	fill(&t, 1);
	first = nst_ring_look(r);
	check(nst_ring_claim(r, &second) == 0 && nst_ring_claim(r, &first) == 0 && first.to == 1,
	      "sealed and open page are claimed", "to %u", first.to);
	p = nst_ring_take_sealed(r, &prefix);
	check(p == second.page && prefix == 3, "a sealed page keeps its prefix", "%u", prefix);
	check(nst_ring_claim(r, &second) == -116, "what was taken is not claimed", "it was");
	if (nst_ring_add_ready(r, p))
		check_broken("add");
	fill(&t, CAP - 1);
	nst_ring_advance(&t);
	check(nst_ring_look(r).page == p && nst_ring_look(r).from == 0, "a new page has none",
	      "from %u", nst_ring_look(r).from);
	unmake(&t);
}

/* Three pages, one after the other, each with a stamp of its own. */
static void pressed(void)
{
	static struct nst_ring_table t;
	struct nst_ring *r = make(&t);
	u64 newest = 0, first = started;

	fill(&t, CAP);
	check(nst_ring_oldest(r) == UINT64_MAX && !nst_ring_is_pressed(r, 1) &&
		      nst_ring_press(r, 1, &newest) == 0,
	      "an open page is not sealed, however full", "it is");
	for (unsigned int i = 1; i < PAGES; i++) {
		if (nst_ring_add_ready(r, new_page(CAP)))
			check_broken("add");
	}
	nst_ring_advance(&t);
	started++;
	fill(&t, CAP);
	check(nst_ring_oldest(r) == first && !nst_ring_is_pressed(r, 2) &&
		      nst_ring_is_pressed(r, 1),
	      "pressed is who has many sealed", "stamp %llu",
	      (unsigned long long)nst_ring_oldest(r));
	nst_ring_advance(&t);
	started++;
	check(nst_ring_oldest(r) == first && nst_ring_is_pressed(r, 9), "or some, and none ready",
	      "he is not");
	check(nst_ring_press(r, 9, &newest) == 2 && newest == first + 1,
	      "the newest that is sealed makes all ripe", "%llu", (unsigned long long)newest);
	check(nst_ring_press(r, 9, &newest) == 0 && nst_ring_is_pressed(r, 9),
	      "and is not asked again before more are sealed", "it is");
	unmake(&t);
}

/* What a child may find of a worker that it does not have. */
static void half_a_step(void)
{
	static struct nst_ring_table t;
	struct nst_ring *r = make(&t);
	struct nst_sheaf *lost = new_page(CAP);
	u32 prefix;

	if (nst_ring_add_ready(r, lost))
		check_broken("add");
	r->head--; /* filled, not counted */
	nst_ring_table_after_fork(&t);
	check(nst_ring_ready(r) == 1, "a page that was being added is ready", "%u",
	      nst_ring_ready(r));
	fill(&t, CAP);
	nst_ring_advance(&t);
	lost = nst_ring_take_sealed(r, &prefix);
	r->tail--; /* emptied, not counted */
	nst_ring_table_after_fork(&t);
	check(nst_ring_sealed(r) == 0 && !nst_ring_take_sealed(r, &prefix) &&
		      nst_ring_add_ready(r, lost) == 0,
	      "a page that was being taken is not there", "sealed %u", nst_ring_sealed(r));
	nst_ring_table_after_fork(&t);
	check(nst_ring_sealed(r) == 0 && nst_ring_ready(r) == 1, "a whole ring stays as it is",
	      "ready %u", nst_ring_ready(r));
	unmake(&t);
}

static void held_stripes(void)
{
	static struct nst_ring_table t;
	uintptr_t self = nst_thread_pointer();

	make(&t);
	for (unsigned int i = nst_sys_cpus.nr; i < nst_ring_nr(&t); i++)
		nst_ring_make(&t, i, new_page(CAP));
	for (unsigned int i = 0; i < NST_STRIPES; i++)
		t.stripes[i].held = self + 64;
	check(nst_ring_retire(&t, &started, fresh()) == NST_PUSH_FULL &&
		      nst_ring_advance(&t) == NST_ADVANCE_NOTHING_READY,
	      "all stripes held: full", "it was taken");
	t.stripes[0].held = self;
	nst_ring_table_after_fork(&t);
	check(t.stripes[0].held == self && !t.stripes[1].held, "those of lost threads are let go",
	      "held");
	t.stripes[0].held = 0;
	fill(&t, NST_STRIPES * CAP);
	check(nst_ring_retire(&t, &started, fresh()) == NST_PUSH_FULL, "every stripe serves",
	      "more");
	unmake(&t);
}

/* Inlined sequences find the ring, or are sent to the slow path. */
static void instrumented(void)
{
	static struct nst_ring_table t;
	int inlined = nst_sys_rseq.usable && !nst_sys_rseq.by_cid;
	enum nst_push r;

	make(&t);
	r = nst_seq_retire(t.fast, &started, fresh());
	check(r == (inlined ? NST_PUSH_OK : NST_PUSH_FULL), "the inlined sequence", "%d", r);
	nst_ring_table_instrument(&t, 1);
	check(nst_seq_retire(t.fast, &started, fresh()) == NST_PUSH_FULL &&
		      nst_ring_retire(&t, &started, fresh()) == NST_PUSH_OK,
	      "instrumented", "the inlined sequence served");
	unmake(&t);
}

static void no_memory(void)
{
	static struct nst_ring_table t;
	struct nst_sheaf *p = new_page(CAP);

	nst_test_fail[NST_FAIL_META] = -1;
	check(nst_ring_table_init(&t, SLOTS) == -12 &&
		      nst_seq_retire(t.fast, &started, fresh()) == NST_PUSH_FULL,
	      "no memory for a table", "it was made");
	nst_test_fail[NST_FAIL_META] = 0;
	if (nst_ring_table_init(&t, SLOTS))
		check_broken("a table");
	nst_test_fail[NST_FAIL_META] = -1;
	check(nst_ring_make(&t, 0, p) == -12 && nst_ring_make(&t, nst_sys_cpus.nr, p) == -12 &&
		      !nst_ring_number(&t, 0),
	      "no memory for a ring", "it was made");
	nst_test_fail[NST_FAIL_META] = 0;
	nst_ring_table_exit(&t);
	nst_meta_free(p, sizeof(*p) + CAP * sizeof(void *));
}

/* By CPU, or with an argument by concurrency id, where the kernel has them. */
const char *test_conf(int argc, char **argv)
{
	(void)argv;
	return argc > 1 ? "cid:on" : "";
}

int main(int argc, char **argv)
{
	struct rng rng = {seed_of(1, argv)};

	(void)argc;
	conf_apply(argv);
	run_on_cpu(0, cpu_nth(0));
	nst_free(nst_alloc(16, NST_NORMAL));
	no_ring();
	all_results();
	many_at_once();
	at_random(&rng);
	prefix_of_a_page();
	pressed();
	half_a_step();
	if (!nst_sys_rseq.usable)
		held_stripes();
	instrumented();
	no_memory();
	return check_status();
}
