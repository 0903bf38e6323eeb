/* SPDX-License-Identifier: MIT */
/*
 * lockdep_signal.c - V11: a table of scenarios with handlers, and what the validator must say of each.
 *
 * As in lockdep_table.c the validator is not asked: a model runs threads in every order there is, and lets each handler
 * come to each thread once, wherever that has it open and holds something (to one that has nothing to do at any time), also while
 * it waits, also into another handler. Words as there; and
 *
 *	h1 at the beginning: the part is what the handler of signal 1 does   b1 blocked   o1 open again   (so 2)
 *
 *	error		the threads can stand still
 *	possible	they cannot, but could if each part were run by a thread of its own (by two, where there is but one
 *			beside the handler), and nobody took lock F
 *	none		neither
 *
 * Each scenario is shown to the validator with its parts in every sequence, by a thread each, and by one thread.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <nostall/nostall.h>
#include "common/check.h"

#define PARTS 8
#define OPS 32
#define LOCKS 6
#define SIGNALS 2
#define END 255u

struct op {
	char mode;
	int lock; /* for b and o: the signal */
};
struct part {
	struct op op[OPS];
	unsigned int nr;
	int handles; /* 0 or 1: the handler of that; -1: a thread */
};
struct scenario {
	struct part part[PARTS];
	unsigned int nr;
};
enum verdict { NONE, POSSIBLE, ERROR };
static const char *const verdict_name[] = {"none", "possible", "error"};
static const int signal_of[SIGNALS] = {10, 12};

static struct scenario parse(const char *text)
{
	struct scenario s = {.nr = 1};

	s.part[0].handles = -1;
	for (; *text; text++) {
		struct part *p = &s.part[s.nr - 1];

		if (*text == ' ')
			continue;
		if (*text == '|') {
			s.part[s.nr++].handles = -1;
			continue;
		}
		if (*text == 'h')
			p->handles = text[1] - '1';
		else if (*text == 'b' || *text == 'o')
			p->op[p->nr++] = (struct op){*text, text[1] - '1'};
		else
			p->op[p->nr++] = (struct op){*text, text[1] - 'A'};
		text++;
	}
	return s;
}

/* ---- the model ---- */

/* A frame: what the thread itself does (0), or the handler of a signal in it. */
struct thread {
	uint8_t pc[1 + SIGNALS], waits[1 + SIGNALS];
	uint8_t runs[1 + SIGNALS], depth; /* frames, the innermost last */
};
struct state {
	struct thread t[PARTS];
};
struct model {
	struct part thread[PARTS];	     /* what threads do */
	const struct part *handler[SIGNALS]; /* or NULL */
	unsigned int nr;
};

#define STATES (1u << 20)
static struct state *states;
static unsigned int *slots, *used, nr_states;

static const struct part *code(const struct model *m, unsigned int i, unsigned int frame)
{
	return frame ? m->handler[frame - 1] : &m->thread[i];
}

static int is_open(const struct model *m, const struct state *st, unsigned int i, int sig)
{
	const struct thread *t = &st->t[i];
	unsigned int k, n = t->pc[0] == END ? m->thread[i].nr : t->pc[0];
	int blocked = 0;

	for (k = 0; k < n; k++)
		if (m->thread[i].op[k].lock == sig && strchr("bo", m->thread[i].op[k].mode))
			blocked = m->thread[i].op[k].mode == 'b';
	return !blocked && t->pc[1 + sig] == 0;
}

/* Who holds nothing is interrupted as whoever has nothing to do is. */
static int matters(const struct model *m, const struct state *st, unsigned int i)
{
	unsigned int k, held = 0, n = st->t[i].pc[0];

	if (!m->thread[i].nr || st->t[i].depth)
		return 1;
	for (k = 0; n != END && k < n; k++)
		held += m->thread[i].op[k].mode == 'u' ? -1u
						       : !strchr("bo", m->thread[i].op[k].mode);
	return held != 0;
}

struct held {
	unsigned int writers[LOCKS], readers[LOCKS], pending[LOCKS];
};

static void add_frame(const struct model *m, const struct state *st, unsigned int i,
		      unsigned int frame, struct held *h)
{
	const struct part *p = code(m, i, frame);
	char how[LOCKS][8] = {{0}};
	unsigned int depth[LOCKS] = {0}, n, k, d;

	if (!p || st->t[i].pc[frame] == END)
		return;
	n = frame ? st->t[i].pc[frame] - (st->t[i].pc[frame] > 0) : st->t[i].pc[0];
	for (k = 0; k < n; k++) {
		const struct op *op = &p->op[k];

		if (op->mode == 'u')
			depth[op->lock]--;
		else if (op->mode != 'b' && op->mode != 'o')
			how[op->lock][depth[op->lock]++] = op->mode;
	}
	for (k = 0; k < LOCKS; k++)
		for (d = 0; d < depth[k]; d++)
			*(strchr("rq", how[k][d]) ? &h->readers[k] : &h->writers[k]) += 1;
	if (st->t[i].waits[frame] && p->op[n].mode == 'w')
		h->pending[p->op[n].lock]++;
}

static struct held holders(const struct model *m, const struct state *st)
{
	struct held h = {{0}, {0}, {0}};
	unsigned int i, f;

	for (i = 0; i < m->nr; i++)
		for (f = 0; f <= SIGNALS; f++)
			add_frame(m, st, i, f, &h);
	return h;
}

static int is_free(const struct held *h, const struct op *op)
{
	if (strchr("ubo", op->mode))
		return 1;
	if (op->mode == 'r')
		return !h->writers[op->lock];
	if (op->mode == 'q')
		return !h->writers[op->lock] && !h->pending[op->lock];
	return !h->writers[op->lock] && !h->readers[op->lock];
}

static void ends(struct thread *t, unsigned int frame)
{
	t->pc[frame] = END;
	t->waits[frame] = 0;
	if (frame)
		t->depth--;
}

/* The innermost frame's next step: 1 and *@next, or 0: it stands. A handler's counter is one more than that of a thread: 0 is not begun. */
static int step(const struct model *m, const struct state *st, const struct held *h, unsigned int i,
		struct state *next)
{
	unsigned int frame = st->t[i].depth ? st->t[i].runs[st->t[i].depth - 1] : 0;
	const struct part *p = code(m, i, frame);
	unsigned int pc = st->t[i].pc[frame];
	struct thread *t = &next->t[i];
	const struct op *op;

	if (pc == END)
		return 0;
	*next = *st;
	pc -= frame != 0;
	if (pc >= p->nr) {
		ends(t, frame);
		return 1;
	}
	op = &p->op[pc];
	if (is_free(h, op)) {
		t->waits[frame] = 0;
		t->pc[frame]++;
		return 1;
	}
	if (op->mode == 't' || op->mode == 'T') {
		ends(t, frame);
		return 1;
	}
	t->waits[frame] = 1;
	return !st->t[i].waits[frame];
}

static int interrupt(const struct model *m, const struct state *st, unsigned int i, int sig,
		     struct state *next)
{
	struct thread *t = &next->t[i];

	if (!m->handler[sig] || !is_open(m, st, i, sig) || !matters(m, st, i))
		return 0;
	*next = *st;
	t->pc[1 + sig] = 1;
	t->runs[t->depth++] = (uint8_t)(1 + sig);
	return 1;
}

static void note(const struct state *st)
{
	uint64_t v = 0xcbf29ce484222325u;
	const unsigned char *c = (const unsigned char *)st;
	unsigned int i;

	for (i = 0; i < sizeof(*st); i++)
		v = (v ^ c[i]) * 0x100000001b3u;
	for (i = (unsigned int)(v >> 41); slots[i % (4 * STATES)]; i++)
		if (!memcmp(&states[slots[i % (4 * STATES)] - 1], st, sizeof(*st)))
			return;
	if (nr_states == STATES)
		check_broken("too many states");
	used[nr_states] = i % (4 * STATES);
	states[nr_states++] = *st;
	slots[i % (4 * STATES)] = nr_states;
}

static int expand(const struct model *m, const struct state *st)
{
	struct held h = holders(m, st);
	int moves = 0, at_work = 0, sig;
	struct state next;
	unsigned int i;

	for (i = 0; i < m->nr; i++) {
		at_work |= st->t[i].pc[0] != END || st->t[i].depth;
		if (step(m, st, &h, i, &next)) {
			moves = 1;
			note(&next);
		}
		for (sig = 0; sig < SIGNALS; sig++) {
			if (!interrupt(m, st, i, sig, &next))
				continue;
			moves = 1;
			note(&next);
		}
	}
	return !moves && at_work;
}

static int stands_still(const struct model *m)
{
	struct state st;
	unsigned int i;
	int still = 0;

	memset(&st, 0, sizeof(st));
	while (nr_states)
		slots[used[--nr_states]] = 0;
	note(&st);
	for (i = 0; i < nr_states && !still; i++)
		still = expand(m, &states[i]);
	return still;
}

/* A reader of mode q is held up by a writer that waits: so each lock read in that mode gets one, which no handler comes to. */
static void add_writers(struct model *m, const struct scenario *s)
{
	unsigned int i, k;
	int lock, is_read;

	for (lock = 0; lock < LOCKS; lock++) {
		for (is_read = 0, i = 0; i < s->nr; i++)
			for (k = 0; k < s->part[i].nr; k++)
				is_read |= s->part[i].op[k].lock == lock &&
					   s->part[i].op[k].mode == 'q';
		if (is_read && m->nr < PARTS)
			m->thread[m->nr++] = (struct part){
				{{'b', 0}, {'b', 1}, {'w', lock}, {'u', lock}}, 4, -1};
	}
}

/* @copies of each part, a thread each; 0: all that is no handler in one. Without lock @but, if that is one. */
static struct model model_of(const struct scenario *s, unsigned int copies, int but)
{
	struct model m = {.nr = 0};
	unsigned int i, k, c;

	for (c = 0; c < copies || (!copies && c < 1); c++) {
		for (i = 0; i < s->nr; i++) {
			struct part *p = &m.thread[copies ? m.nr : 0];

			if (s->part[i].handles >= 0) {
				m.handler[s->part[i].handles] = &s->part[i];
				continue;
			}
			for (k = 0; k < s->part[i].nr; k++)
				if (s->part[i].op[k].lock != but ||
				    strchr("bo", s->part[i].op[k].mode))
					p->op[p->nr++] = s->part[i].op[k];
			m.nr = copies ? m.nr + 1 : 1;
		}
	}
	if (copies && m.nr < PARTS)
		m.nr++; /* who has nothing else to do, and handlers come to */
	if (!m.nr)
		m.nr = 1;
	add_writers(&m, s);
	return m;
}

static enum verdict verdict_of(const struct scenario *s, int one_thread)
{
	struct model m = model_of(s, one_thread ? 0 : 1, -1);

	if (stands_still(&m))
		return ERROR;
	m = model_of(s, s->nr > 2 ? 1 : 2, 'F' - 'A');
	return stands_still(&m) ? POSSIBLE : NONE;
}

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
	struct scenario s = parse(text);
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
	struct scenario s = parse("h1 wA uA|wA uA"), off = parse("h1 wA uA|b1 wA uA o1");
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
	states = calloc(STATES, sizeof(*states));
	slots = calloc(4 * STATES, sizeof(*slots));
	used = calloc(STATES, sizeof(*used));
	if (!states || !slots || !used)
		check_broken("calloc");
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
