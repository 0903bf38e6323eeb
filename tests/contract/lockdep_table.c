/* SPDX-License-Identifier: MIT */
/*
 * lockdep_table.c - V1 to V3: a table of locking scenarios, and what the validator must say of each.
 *
 * What it must say is not asked of the validator: a model runs the scenario's threads in every order there is, with
 * locks that block as locks do, and looks whether they can come to stand still. A scenario is words of a mode and a
 * lock, threads divided by '|':
 *
 *	w exclusive   r recursive reader   q reader behind waiting writers   t tried   T waited for a time   u let go
 *
 * A reader of mode q is held up by a writer that waits; so each lock read in that mode gets a writer of its own.
 *
 *	error		the threads can stand still
 *	possible	they cannot, but could if each part were run by threads of its own, two of each, and nobody took
 *			lock F, which stands for a gate
 *	none		neither
 *
 * The validator sees the parts one after the other, and none of them waits.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <nostall/nostall.h>
#include "common/check.h"

#define THREADS 10
#define OPS 40
#define LOCKS 6
#define END 63u

struct op {
	char mode;
	int lock;
};
struct part {
	struct op op[OPS];
	unsigned int nr;
};
struct scenario {
	struct part part[THREADS];
	unsigned int nr, real; /* parts; those that are no writers of the model's */
};

enum verdict { NONE, POSSIBLE, ERROR };
static const char *const verdict_name[] = {"none", "possible", "error"};

/* "wA wB uB uA|wB wA uA uB" */
static struct scenario parse(const char *text)
{
	struct scenario s = {.nr = 1, .real = 1};

	for (; *text; text++) {
		struct part *p = &s.part[s.nr - 1];

		if (*text == ' ')
			continue;
		if (*text == '|') {
			s.real = ++s.nr;
			continue;
		}
		p->op[p->nr++] = (struct op){text[0], text[1] - 'A'};
		text++;
	}
	return s;
}

static struct scenario in_one_thread(const struct scenario *s)
{
	struct scenario one = {.nr = 1, .real = 1};
	unsigned int i, k;

	for (i = 0; i < s->nr; i++)
		for (k = 0; k < s->part[i].nr; k++)
			one.part[0].op[one.part[0].nr++] = s->part[i].op[k];
	return one;
}

static struct scenario twice(const struct scenario *s)
{
	struct scenario two = *s;
	unsigned int i;

	for (i = 0; i < s->nr; i++)
		two.part[two.nr++] = s->part[i];
	two.real = two.nr;
	return two;
}

/* ---- the model ---- */

#define SLOTS (1u << 22)
static uint64_t *seen;
static uint64_t *stack;
static unsigned int *used, nr_used;

struct state {
	unsigned int pc[THREADS], waits[THREADS];
};

static uint64_t pack(const struct state *st, unsigned int nr)
{
	uint64_t v = 0;
	unsigned int i;

	for (i = 0; i < nr; i++)
		v = v << 6 | (st->pc[i] == END			  ? END
			      : st->pc[i] * 2 + st->waits[i] > 62 ? 62
								  : st->pc[i] * 2 + st->waits[i]);
	return v + 1;
}

static struct state unpack(uint64_t v, unsigned int nr)
{
	struct state st = {{0}, {0}};

	v--;
	while (nr--) {
		unsigned int x = v & 63;

		st.pc[nr] = x == END ? END : x / 2;
		st.waits[nr] = x == END ? 0 : x & 1;
		v >>= 6;
	}
	return st;
}

static void add_writers(struct scenario *s)
{
	unsigned int i, k;
	int lock, is_read;

	for (lock = 0; lock < LOCKS; lock++) {
		for (is_read = 0, i = 0; i < s->real; i++)
			for (k = 0; k < s->part[i].nr; k++)
				is_read |= s->part[i].op[k].lock == lock &&
					   s->part[i].op[k].mode == 'q';
		if (is_read && s->nr < THREADS)
			s->part[s->nr++] = (struct part){{{'w', lock}, {'u', lock}}, 2};
	}
}

/* Who holds: writers[lock] and readers[lock]; who waits to write: pending[lock]. */
struct held {
	unsigned int writers[LOCKS], readers[LOCKS], pending[LOCKS];
};

static struct held holders(const struct scenario *s, const struct state *st)
{
	struct held h = {{0}, {0}, {0}};
	unsigned int i, k;

	for (i = 0; i < s->nr; i++) {
		char how[LOCKS][8] = {{0}};
		unsigned int depth[LOCKS] = {0};

		for (k = 0; st->pc[i] != END && k < st->pc[i]; k++) {
			const struct op *op = &s->part[i].op[k];

			if (op->mode == 'u')
				depth[op->lock]--;
			else
				how[op->lock][depth[op->lock]++] = op->mode;
		}
		for (k = 0; k < LOCKS; k++) {
			unsigned int d;

			for (d = 0; d < depth[k]; d++)
				*(how[k][d] == 'r' || how[k][d] == 'q' ? &h.readers[k]
								       : &h.writers[k]) += 1;
		}
		if (st->waits[i] && s->part[i].op[st->pc[i]].mode == 'w')
			h.pending[s->part[i].op[st->pc[i]].lock]++;
	}
	return h;
}

static int is_free(const struct held *h, const struct op *op)
{
	if (op->mode == 'u')
		return 1;
	if (op->mode == 'r')
		return !h->writers[op->lock];
	if (op->mode == 'q')
		return !h->writers[op->lock] && !h->pending[op->lock];
	return !h->writers[op->lock] && !h->readers[op->lock];
}

/* The thread's next step: 1 and *@next, or 0: it stands. */
static int step(const struct scenario *s, const struct state *st, const struct held *h,
		unsigned int i, struct state *next)
{
	const struct op *op;

	if (st->pc[i] == END || st->pc[i] >= s->part[i].nr)
		return 0;
	op = &s->part[i].op[st->pc[i]];
	*next = *st;
	if (is_free(h, op)) {
		next->waits[i] = 0;
		next->pc[i]++;
		if (next->pc[i] == s->part[i].nr)
			next->pc[i] = END;
		return 1;
	}
	if (op->mode == 't' || op->mode == 'T') {
		next->pc[i] = END; /* it lets go of everything */
		return 1;
	}
	/* A writer that waits holds readers up. */
	next->waits[i] = op->mode == 'w';
	return next->waits[i] && !st->waits[i];
}

/* What waits for nothing and holds nobody up is done at once: nobody stands still for that. */
static int lets_go(const struct scenario *s, const struct state *st, const struct held *h,
		   struct state *next)
{
	unsigned int i;

	for (i = 0; i < s->nr; i++)
		if (st->pc[i] != END && s->part[i].op[st->pc[i]].mode == 'u')
			return step(s, st, h, i, next);
	return 0;
}

static int is_fresh(uint64_t v)
{
	uint64_t i = v * 0x9e3779b97f4a7c15u >> 42;

	for (; seen[i % SLOTS]; i++)
		if (seen[i % SLOTS] == v)
			return 0;
	seen[i % SLOTS] = v;
	used[nr_used++] = (unsigned int)(i % SLOTS);
	return 1;
}

static void forget_seen(void)
{
	while (nr_used)
		seen[used[--nr_used]] = 0;
}

/* Can its threads come to stand still, with some of them at work? */
static int stands_still(struct scenario s)
{
	struct state st = {{0}, {0}}, next;
	unsigned int top = 0, i;
	int still = 0;

	add_writers(&s);
	stack[top++] = pack(&st, s.nr);
	is_fresh(stack[0]);
	while (top && !still) {
		struct held h;
		int moves = 0, at_work = 0;

		st = unpack(stack[--top], s.nr);
		h = holders(&s, &st);
		if (lets_go(&s, &st, &h, &next)) {
			if (is_fresh(pack(&next, s.nr)))
				stack[top++] = pack(&next, s.nr);
			continue;
		}
		for (i = 0; i < s.nr; i++) {
			at_work |= i < s.real && st.pc[i] != END;
			if (!step(&s, &st, &h, i, &next))
				continue;
			moves = 1;
			if (is_fresh(pack(&next, s.nr)))
				stack[top++] = pack(&next, s.nr);
		}
		still = !moves && at_work;
	}
	forget_seen();
	return still;
}

static enum verdict verdict_of(const struct scenario *threads, const struct scenario *parts)
{
	if (stands_still(*threads))
		return ERROR;
	return stands_still(*parts) ? POSSIBLE : NONE;
}

/* ---- the validator ---- */

static enum verdict worst;
static unsigned int reports, other_codes;
static char last[4096];

static void on_report(const struct nst_lockdep_report *r, void *arg)
{
	enum verdict v = r->level == NST_LD_ERROR ? ERROR : POSSIBLE;

	(void)arg;
	reports++;
	other_codes |= 1u << r->code;
	worst = v > worst ? v : worst;
	snprintf(last, sizeof(last), "%.*s", (int)r->len, r->text);
}

static struct nst_lockdep_map map[LOCKS];

static void *run_part(void *arg)
{
	const struct part *p = arg;
	unsigned int k;

	for (k = 0; k < p->nr; k++) {
		struct nst_lockdep_map *m = &map[p->op[k].lock];

		switch (p->op[k].mode) {
		case 'w':
			nst_lockdep_acquire(m, 0);
			break;
		case 'r':
			nst_lockdep_acquire(m, NST_LD_READ | NST_LD_RECURSIVE);
			break;
		case 'q':
			nst_lockdep_acquire(m, NST_LD_READ);
			break;
		case 't':
			nst_lockdep_acquire(m, NST_LD_TRY);
			break;
		case 'T':
			nst_lockdep_acquire(m, NST_LD_TIMED);
			break;
		default:
			nst_lockdep_release(m);
		}
	}
	return NULL;
}

static void fresh_maps(enum nst_wait_type type)
{
	static const char *const names[] = {"A", "B", "C", "D", "E", "F"};
	unsigned int i;

	for (i = 0; i < LOCKS; i++)
		nst_lockdep_map_init(&map[i], names[i], NULL, type, type);
	nst_lockdep_reset();
	worst = NONE;
	reports = other_codes = 0;
	last[0] = 0;
}

static enum verdict said(struct scenario *s, enum nst_wait_type type)
{
	unsigned int i;

	fresh_maps(type);
	for (i = 0; i < s->real; i++) {
		pthread_t t;

		if (pthread_create(&t, NULL, run_part, &s->part[i]))
			check_broken("pthread_create");
		pthread_join(t, NULL);
	}
	return worst;
}

/* ---- cells ---- */

static unsigned int nr_cells, nr_wrong, nr_of[3];

static int is_right(struct scenario *s, enum nst_wait_type type, enum verdict want,
		    const char *name)
{
	enum verdict got = said(s, type);
	unsigned int allowed = 1u << NST_NL_ORDER | 1u << NST_NL_SELF;

	nr_cells++;
	nr_of[want]++;
	if (got == want && !(other_codes & ~allowed))
		return 1;
	printf("# %s: said %s, must be %s\n%s", name, verdict_name[got], verdict_name[want], last);
	return 0;
}

static void cell(struct scenario *threads, const struct scenario *parts, enum nst_wait_type type,
		 const char *name)
{
	nr_wrong += !is_right(threads, type, verdict_of(threads, parts), name);
}

/* Without lock F, which excludes the parts from each other. */
static struct scenario without_gate(const struct scenario *s)
{
	struct scenario out = *s;
	unsigned int i, k;

	for (i = 0; i < s->nr; i++)
		for (out.part[i].nr = k = 0; k < s->part[i].nr; k++)
			if (s->part[i].op[k].lock != 'F' - 'A')
				out.part[i].op[out.part[i].nr++] = s->part[i].op[k];
	return out;
}

/* A scenario as written, by one thread, and each part by two. */
static void cells(const char *text, enum nst_wait_type type)
{
	struct scenario s = parse(text), one = in_one_thread(&s), parts = without_gate(&s),
			two = twice(&s);
	char name[256];

	if (s.nr <= 2)
		parts = twice(&parts);
	snprintf(name, sizeof(name), "%s", text);
	cell(&s, &parts, type, name);
	snprintf(name, sizeof(name), "%s, one thread", text);
	cell(&one, &parts, type, name);
	if (s.nr <= 2) {
		snprintf(name, sizeof(name), "%s, twice", text);
		cell(&two, &parts, type, name);
	}
}

static void done(const char *name)
{
	static unsigned int cells_before, wrong_before;

	check(nr_wrong == wrong_before, name, "%u of %u cells wrong", nr_wrong - wrong_before,
	      nr_cells - cells_before);
	printf("# %s: %u cells\n", name, nr_cells - cells_before);
	cells_before = nr_cells;
	wrong_before = nr_wrong;
}

static const struct {
	const char *name;
	char mode;
	enum nst_wait_type type;
} kinds[] = {{"spin", 'w', NST_WAIT_SPIN},	    {"rwlock write", 'w', NST_WAIT_CONFIG},
	     {"rwlock read", 'r', NST_WAIT_CONFIG}, {"mutex", 'w', NST_WAIT_SLEEP},
	     {"rwsem write", 'w', NST_WAIT_SLEEP},  {"rwsem read", 'q', NST_WAIT_SLEEP},
	     {"rtmutex", 'w', NST_WAIT_CONFIG}};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void shapes(void)
{
	static const char *const shape[] = {
		"lA lA uA uA",
		"lA lB uB uA|lB lA uA uB",
		"lA lB uB uA|lB lC uC uB|lC lA uA uC",
		"lA lB uB uA|lC lA uA uC|lB lC uC uB",
		"lA lB uB uA|lB lC uC uB|lC lD uD uC|lD lA uA uD",
		"lA lB uB uA|lC lD uD uC|lB lD uD uB|lD lA uA uD",
		"lA lB uB uA|lC lD uD uC|lB lC uC uB|lD lA uA uD",
	};
	unsigned int i, k;

	for (i = 0; i < sizeof(shape) / sizeof(shape[0]); i++) {
		for (k = 0; k < KINDS; k++) {
			char text[128];
			char *c;

			snprintf(text, sizeof(text), "%s", shape[i]);
			for (c = text; *c; c++)
				if (*c == 'l')
					*c = kinds[k].mode;
			cells(text, kinds[k].type);
		}
	}
	done("V1 seven shapes of seven kinds of locks");
}

/* Each word's mode from @modes, in all combinations; '.' stands for it. */
static void permutations(const char *shape, const char *modes, const char *name)
{
	unsigned int places = 0, i, n, total = 1;
	const char *c;

	for (c = shape; *c; c++)
		places += *c == '.';
	for (i = 0; i < places; i++)
		total *= (unsigned int)strlen(modes);
	for (n = 0; n < total; n++) {
		struct scenario s;
		char text[128], *t = text;
		unsigned int rest = n;

		for (c = shape; *c; c++) {
			*t++ = *c == '.' ? modes[rest % strlen(modes)] : *c;
			if (*c == '.')
				rest /= (unsigned int)strlen(modes);
		}
		*t = 0;
		s = parse(text);
		cell(&s, &s, NST_WAIT_SLEEP, text);
	}
	done(name);
}

static void mixes(void)
{
	permutations(".A .A uA uA", "wrq", "V1 one lock twice, modes mixed");
	permutations(".A .B uB uA|.B .A uA uB", "wrq", "V1 two locks, modes mixed");
	permutations(".A .B uB uA|.B .C uC uB|.C .A uA uC", "wrq", "V1 three locks, modes mixed");
	permutations("wA .B uB uA|.B .C .A uA uC uB|.A wC uC uA", "wr",
		     "V1 three locks, three held");
}

static void others(void)
{
	static const char *const text[] = {
		/* gates */
		"wG wA wB uB uA uG|wG wB wA uA uB uG",
		"rG wA wB uB uA uG|rG wB wA uA uB uG",
		"wG wA wB uB uA uG|rG wB wA uA uB uG",
		"wA wG wB uB uG uA|wB wG wA uA uG uB",
		"wG wA wB uB uA uG|wB wA uA uB",
		"tG wA wB uB uA uG|tG wB wA uA uB uG",
		/* what was tried, or waited for a time */
		"wA tB uB uA|wB wA uA uB",
		"wA tB uB uA|wB tA uA uB",
		"tA wB uB uA|wB wA uA uB",
		"wA TB uB uA|wB wA uA uB",
		"wA tA uA uA",
		/* let go in between, and in any order */
		"wA wB uA wC uC uB|wC wA uA uC",
		"wA wB uA uB|wB wA uB uA",
		"wA uA wB uB|wB uB wA uA",
		"wA wB uA wC uB uC|wC wB uB uC",
		/* the same order */
		"wA wB wC uC uB uA|wA wC uC uA",
		"wA wB wC uC uB uA|wC wA uA uC",
	};
	unsigned int i;

	for (i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
		char t[128], *c;

		snprintf(t, sizeof(t), "%s", text[i]);
		for (c = t; *c; c++)
			if (*c == 'G')
				*c = 'F';
		cells(t, NST_WAIT_SLEEP);
	}
	done("V1 gates, tries, and orders of letting go");
}

/* ---- cells of one thread whose verdict is plain ---- */

static void expect_code(enum nst_lockdep_code code, const char *name, const char *what)
{
	nr_cells++;
	if (worst != ERROR || other_codes != 1u << code) {
		nr_wrong++;
		printf("# %s, %s: said %s, codes 0x%x\n", name, what, verdict_name[worst],
		       other_codes);
	}
}

static void balance(void)
{
	unsigned int k;

	for (k = 0; k < KINDS; k++) {
		uint32_t how = kinds[k].mode == 'r'   ? NST_LD_READ | NST_LD_RECURSIVE
			       : kinds[k].mode == 'q' ? NST_LD_READ
						      : 0;

		fresh_maps(kinds[k].type);
		nst_lockdep_acquire(&map[0], how);
		nst_lockdep_release(&map[0]);
		nst_lockdep_release(&map[0]);
		expect_code(NST_NL_UNLOCK, kinds[k].name, "let go twice");
		fresh_maps(kinds[k].type);
		nst_lockdep_acquire(&map[0], how);
		nst_lockdep_map_init(&map[0], "A", NULL, kinds[k].type, kinds[k].type);
		expect_code(NST_NL_INIT, kinds[k].name, "initialised while held");
		nst_lockdep_release(&map[0]);
	}
	done("V1 let go twice, initialised while held");
}

/*
 * V3: what may be taken while something is held, written out. A row is what is held, a column what is wanted:
 * nothing waits (free), spins, spins or sleeps (config), sleeps.
 */
static const char matrix[4][5] = {
	/* free   */ "y---",
	/* spin   */ "yy--",
	/* config */ "yyy-",
	/* sleep  */ "yyyy",
};

static void wait_cell(unsigned int held, unsigned int want, uint32_t how, uint32_t held_how)
{
	const int may = (how & NST_LD_TRY) || matrix[held][want] == 'y';

	fresh_maps(NST_WAIT_SLEEP);
	nst_lockdep_map_init(&map[0], "held", NULL, (enum nst_wait_type)(held + 1),
			     (enum nst_wait_type)(held + 1));
	nst_lockdep_map_init(&map[1], "wanted", NULL, (enum nst_wait_type)(want + 1),
			     (enum nst_wait_type)(want + 1));
	nst_lockdep_acquire(&map[0], held_how);
	nst_lockdep_acquire(&map[1], how);
	nst_lockdep_release(&map[1]);
	nst_lockdep_release(&map[0]);
	nr_cells++;
	if ((worst == ERROR) == may || (!may && other_codes != 1u << NST_NL_WAIT)) {
		nr_wrong++;
		printf("# held %u wanted %u how 0x%x: said %s\n%s", held, want, how,
		       verdict_name[worst], last);
	}
}

/* A request: its mode, and the column it stands for. */
static void request_cell(unsigned int held, nst_mode_t mode, unsigned int want)
{
	const int may = matrix[held][want] == 'y';

	fresh_maps(NST_WAIT_SLEEP);
	nst_lockdep_map_init(&map[0], "held", NULL, (enum nst_wait_type)(held + 1),
			     (enum nst_wait_type)(held + 1));
	nst_lockdep_acquire(&map[0], NST_LD_TRY);
	nst_might_alloc(mode);
	nst_lockdep_release(&map[0]);
	nr_cells++;
	if ((worst == ERROR) == may) {
		nr_wrong++;
		printf("# held %u mode 0x%x: said %s\n", held, mode, verdict_name[worst]);
	}
}

static void wait_types(void)
{
	unsigned int held, want;

	for (held = 0; held < 4; held++) {
		for (want = 0; want < 4; want++) {
			/* held by try: taking it is not what is asked about */
			wait_cell(held, want, 0, NST_LD_TRY);
			wait_cell(held, want, NST_LD_READ, NST_LD_TRY);
			wait_cell(held, want, NST_LD_TRY, NST_LD_TRY);
		}
		request_cell(held, NST_NORMAL, 3);
		request_cell(held, NST_NORETRY, 3);
		request_cell(held, NST_NOFAIL, 3);
		request_cell(held, NST_NOWAIT, 2);
		request_cell(held, NST_ATOMIC, 2);
		request_cell(held, NST_NOLOCK, 0);
		request_cell(held, NST_FASTTRY, 0);
	}
	done("V3 what is held against what is wanted");
}

/* The test must be able to fail: cells with a verdict that is wrong. */
static void planted(void)
{
	struct scenario s = parse("wA wB uB uA|wB wA uA uB"),
			weak = parse("rA rB uB uA|rB rA uA uB");
	unsigned int before = nr_cells;

	check(!is_right(&s, NST_WAIT_SLEEP, NONE, "planted"),
	      "V1 a wrong cell is found: none for an inversion", "it passed");
	check(!is_right(&weak, NST_WAIT_SLEEP, ERROR, "planted"),
	      "V1 a wrong cell is found: an error for two readers", "it passed");
	nr_cells = before;
}

int main(void)
{
	seen = calloc(SLOTS, sizeof(*seen));
	stack = calloc(SLOTS, sizeof(*stack));
	used = calloc(SLOTS, sizeof(*used));
	if (!seen || !stack || !used)
		check_broken("calloc");
	check_deadline(200, "the table comes to an end");
	nst_lockdep_on_report(on_report, NULL);
	if (nst_lockdep_start(NST_LD_POSSIBLE))
		check_broken("nst_lockdep_start");
	shapes();
	mixes();
	others();
	balance();
	wait_types();
	check(nr_cells >= 900, "V1 cells", "%u", nr_cells);
	printf("# %u cells: %u none, %u possible, %u error by the model\n", nr_cells, nr_of[0],
	       nr_of[1], nr_of[2]);
	planted();
	nst_lockdep_stop();
	return check_status();
}
