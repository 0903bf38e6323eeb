/* SPDX-License-Identifier: MIT */
/*
 * lockdep_model.c - every state that threads and handlers can come to, depth first.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "check.h"
#include "lockdep_model.h"

#define END 255u

struct scenario scenario_of(const char *text)
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
static unsigned int *pending, nr_pending; /* states that were not gone on from */

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
	/* A writer that waits holds readers up. */
	t->waits[frame] = op->mode == 'w';
	return t->waits[frame] && !st->t[i].waits[frame];
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
	uint64_t v = 0xcbf29ce484222325u, word;
	unsigned int i;

	_Static_assert(sizeof(*st) % sizeof(word) == 0, "a state is whole words");
	for (i = 0; i < sizeof(*st); i += sizeof(word)) {
		memcpy(&word, (const char *)st + i, sizeof(word));
		v = (v ^ word ^ v >> 29) * 0x9e3779b97f4a7c15u;
	}
	for (i = (unsigned int)(v >> 41); slots[i % (4 * STATES)]; i++)
		if (!memcmp(&states[slots[i % (4 * STATES)] - 1], st, sizeof(*st)))
			return;
	if (nr_states == STATES)
		check_broken("too many states");
	used[nr_states] = i % (4 * STATES);
	pending[nr_pending++] = nr_states;
	states[nr_states++] = *st;
	slots[i % (4 * STATES)] = nr_states;
}

/* Where no handler comes: what waits for nothing and holds nobody up is done at once, so the others' steps need not come before. */
static int does_at_once(const struct model *m, const struct state *st, struct state *next)
{
	unsigned int i, pc;

	for (i = 0; i < m->nr; i++) {
		pc = st->t[i].pc[0];
		if (pc == END || pc >= m->thread[i].nr || !strchr("ubo", m->thread[i].op[pc].mode))
			continue;
		*next = *st;
		next->t[i].pc[0]++;
		return 1;
	}
	return 0;
}

static int expand(const struct model *m, const struct state *st)
{
	struct held h = holders(m, st);
	int moves = 0, at_work = 0, sig;
	struct state next;
	unsigned int i;

	if (!m->handler[0] && !m->handler[1] && does_at_once(m, st, &next)) {
		note(&next);
		return 0;
	}
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

static void make_room(void)
{
	states = calloc(STATES, sizeof(*states));
	slots = calloc(4 * STATES, sizeof(*slots));
	used = calloc(STATES, sizeof(*used));
	pending = calloc(STATES, sizeof(*pending));
	if (!states || !slots || !used || !pending)
		check_broken("calloc");
}

static int stands_still(const struct model *m)
{
	struct state st;
	int still = 0;

	memset(&st, 0, sizeof(st));
	if (!states)
		make_room();
	while (nr_states)
		slots[used[--nr_states]] = 0;
	nr_pending = 0;
	note(&st);
	while (nr_pending && !still)
		still = expand(m, &states[pending[--nr_pending]]);
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
	/* Who has nothing else to do, and handlers come to. */
	if (copies && m.nr < PARTS && (m.handler[0] || m.handler[1]))
		m.nr++;
	if (!m.nr)
		m.nr = 1;
	add_writers(&m, s);
	return m;
}

enum verdict verdict_of(const struct scenario *s, int one_thread)
{
	struct model m = model_of(s, one_thread ? 0 : 1, -1);

	if (stands_still(&m))
		return ERROR;
	m = model_of(s, s->nr > 2 ? 1 : 2, 'F' - 'A');
	return stands_still(&m) ? POSSIBLE : NONE;
}
