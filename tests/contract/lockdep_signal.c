/* SPDX-License-Identifier: MIT */
/*
 * lockdep_signal.c - V11: a table of scenarios with handlers, and what the validator must say of each.
 *
 * The validator is not asked: common/lockdep_model.h says what the words mean, and runs the threads in every order.
 * Each scenario is shown to the validator with its parts in every sequence, by a thread each, and by one thread.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <nostall/nostall.h>
#include "common/check.h"
#include "common/lockdep_model.h"

static const char *const verdict_name[] = {"none", "possible", "error"};
static const int signal_of[SIGNALS] = {10, 12};

/* ---- the validator ---- */

static enum verdict worst;
static unsigned int codes;
static char last[4096];

static void on_report(const struct nst_lockdep_report *r, void *arg)
{
	enum verdict v = r->level == NST_LD_ERROR ? ERROR : POSSIBLE;

	(void)arg;
	codes |= 1u << r->code;
	worst = v > worst ? v : worst;
	snprintf(last, sizeof(last), "%.*s", (int)r->len, r->text);
}

static struct nst_lockdep_map map[LOCKS];

static void run_op(const struct op *op)
{
	static const struct {
		char mode;
		uint32_t how;
	} hows[] = {{'w', 0},
		    {'r', NST_LD_READ | NST_LD_RECURSIVE},
		    {'q', NST_LD_READ},
		    {'t', NST_LD_TRY},
		    {'T', NST_LD_TIMED}};
	unsigned int i;

	if (op->mode == 'b') {
		nst_signals_block(NST_SIGNAL(signal_of[op->lock]));
	} else if (op->mode == 'o') {
		nst_signals_unblock(NST_SIGNAL(signal_of[op->lock]));
	} else if (op->mode == 'u') {
		nst_lockdep_release(&map[op->lock]);
	} else {
		for (i = 0; hows[i].mode != op->mode; i++)
			;
		nst_lockdep_acquire(&map[op->lock], hows[i].how);
	}
}

static void *run_part(void *arg)
{
	const struct part *p = arg;
	unsigned int k;

	if (p->handles >= 0)
		nst_handler_enter(signal_of[p->handles]);
	for (k = 0; k < p->nr; k++)
		run_op(&p->op[k]);
	if (p->handles >= 0)
		nst_handler_exit();
	return NULL;
}

struct run {
	struct part *part[PARTS];
	unsigned int nr;
};

static void *run_all(void *arg)
{
	struct run *r = arg;
	unsigned int i;

	for (i = 0; i < r->nr; i++)
		run_part(r->part[i]);
	return NULL;
}

static void in_thread(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	if (pthread_create(&t, NULL, fn, arg))
		check_broken("pthread_create");
	pthread_join(t, NULL);
}

static enum verdict said(struct run *r, int one_thread, enum nst_wait_type type)
{
	static const char *const names[] = {"A", "B", "C", "D", "E", "F"};
	unsigned int i;

	for (i = 0; i < LOCKS; i++)
		nst_lockdep_map_init(&map[i], names[i], NULL, type, type);
	nst_lockdep_reset();
	worst = NONE;
	codes = 0;
	last[0] = 0;
	if (one_thread)
		in_thread(run_all, r);
	else
		for (i = 0; i < r->nr; i++)
			in_thread(run_part, r->part[i]);
	return worst;
}

/* ---- cells ---- */

static unsigned int nr_cells, nr_wrong, nr_of[3], nr_shown;

static int is_right(struct run *r, int one_thread, enum nst_wait_type type, enum verdict want,
		    const char *text)
{
	const unsigned int allowed = 1u << NST_NL_ORDER | 1u << NST_NL_SELF | 1u << NST_NL_SIGNAL;
	enum verdict got = said(r, one_thread, type);

	nr_cells++;
	nr_of[want]++;
	if (got == want && !(codes & ~allowed))
		return 1;
	if (nr_shown++ < 8)
		printf("# %s%s: said %s, must be %s; the last report:\n%s", text,
		       one_thread ? ", one thread" : "", verdict_name[got], verdict_name[want],
		       last);
	return 0;
}

/* The parts in every sequence (Heap 1963). */
static void sequences(struct run *r, unsigned int n, int one_thread, enum nst_wait_type type,
		      enum verdict want, const char *text)
{
	unsigned int i;

	if (n <= 1) {
		nr_wrong += !is_right(r, one_thread, type, want, text);
		return;
	}
	for (i = 0; i < n; i++) {
		struct part *p = r->part[n - 1];
		unsigned int k = n % 2 ? 0 : i;

		sequences(r, n - 1, one_thread, type, want, text);
		r->part[n - 1] = r->part[k];
		r->part[k] = p;
	}
}

static void cells(const char *text, enum nst_wait_type type)
{
	struct scenario s = scenario_of(text);
	int one_thread;

	for (one_thread = 0; one_thread < 2; one_thread++) {
		enum verdict want = verdict_of(&s, one_thread);
		struct run r = {.nr = s.nr};
		unsigned int i;

		for (i = 0; i < s.nr; i++)
			r.part[i] = &s.part[i];
		sequences(&r, r.nr, one_thread, type, want, text);
	}
}

/* Each '.' is a mode of @modes, in all combinations. */
static void permutations(const char *shape, const char *modes, enum nst_wait_type type)
{
	unsigned int places = 0, i, n, total = 1;
	const char *c;

	for (c = shape; *c; c++)
		places += *c == '.';
	for (i = 0; i < places; i++)
		total *= (unsigned int)strlen(modes);
	for (n = 0; n < total; n++) {
		char text[128], *t = text;
		unsigned int rest = n;

		for (c = shape; *c; c++) {
			*t++ = *c == '.' ? modes[rest % strlen(modes)] : *c;
			if (*c == '.')
				rest /= (unsigned int)strlen(modes);
		}
		*t = 0;
		cells(text, type);
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
	nr_shown = 0;
}

/* The longest of them by locks that spin alone. */
static void inversions(enum nst_wait_type type)
{
	permutations("h1 .A uA|b1 .A .B uB uA o1|b1 .B .A uA uB o1", "wr", type);
	permutations("h1 .A uA|b1 .A .B uB uA o1|.B .C uC uB", "wr", type);
	permutations("h1 .A uA|h2 .B uB|b1 .A .B uB uA o1", "wr", type);
	done("V11 inversions beside a handler, and two handlers");
}

static void shapes(enum nst_wait_type type)
{
	permutations("h1 .A uA|.A uA", "wrq", type);
	permutations("h1 .A uA|b1 .A uA o1", "wrq", type);
	permutations("h1 .A uA|b1 .A o1 uA", "wrq", type);
	permutations("h1 .A uA|b2 .A uA o2", "wr", type);
	permutations("h1 .A uA|h2 .A uA", "wr", type);
	done("V11 a lock of a handler, open and blocked");
	permutations("h1 .A uA|b1 .A .B uB uA o1|.B uB", "wr", type);
	permutations("h1 .A uA|b1 wA .B uB uA o1|.B uB", "wq", type);
	permutations("h1 .A uA|b1 .B .A uA uB o1|.B uB", "wr", type);
	permutations("h1 .A .B uB uA|.B uB", "wr", type);
	done("V11 what depends on a lock of a handler, and what it depends on");
}

static void others(enum nst_wait_type type)
{
	static const char *const text[] = {
		"h1 tA uA|wA uA",
		"h1 TA uA|wA uA",
		"h1 wA uA|tA uA",
		"h1 wA uA|wA tB uB uA|wB uB",
		"h1 wA uA|b1 wA tB uB uA o1|wB uB",
		"h1 wA uA|b1 wF wA wB uB uA uF o1|wF wB uB uF",
		"h1 wA uA|b1 wA wB wC uC uB uA o1|wC uC",
		"h1 wA uA|b1 wA wB uB uA o1|b1 wB wC uC uB o1|wC uC",
		"h1 wA uA|b1 wA uA o1 wB uB",
		"h1 wA uA|wB uB b1 wA wB uB uA o1",
	};
	unsigned int i;

	for (i = 0; i < sizeof(text) / sizeof(text[0]); i++)
		cells(text[i], type);
	done("V11 tries, gates, chains");
}

static void planted(void)
{
	struct scenario s = scenario_of("h1 wA uA|wA uA"),
			off = scenario_of("h1 wA uA|b1 wA uA o1");
	struct run r = {{&s.part[0], &s.part[1]}, 2}, o = {{&off.part[0], &off.part[1]}, 2};
	unsigned int before = nr_cells;

	check(!is_right(&r, 0, NST_WAIT_SPIN, NONE, "planted"),
	      "V11 a wrong cell is found: none for a lock of a handler", "it passed");
	check(!is_right(&o, 0, NST_WAIT_SPIN, ERROR, "planted"),
	      "V11 a wrong cell is found: an error where it is blocked", "it passed");
	nr_cells = before;
}

int main(void)
{
	check_deadline(200, "the table comes to an end");
	nst_lockdep_on_report(on_report, NULL);
	if (nst_lockdep_start(NST_LD_POSSIBLE))
		check_broken("nst_lockdep_start");
	nst_handler_installed(signal_of[0]);
	nst_handler_installed(signal_of[1]);
	/* A config lock spins, or sleeps. */
	shapes(NST_WAIT_SPIN);
	inversions(NST_WAIT_SPIN);
	others(NST_WAIT_SPIN);
	shapes(NST_WAIT_SLEEP);
	others(NST_WAIT_SLEEP);
	check(nr_cells >= 900, "V11 cells", "%u", nr_cells);
	printf("# %u cells: %u none, %u possible, %u error by the model\n", nr_cells, nr_of[0],
	       nr_of[1], nr_of[2]);
	planted();
	nst_lockdep_stop();
	return check_status();
}
