/* SPDX-License-Identifier: MIT */
/*
 * cells.c - K10: the 355 cells of the kernel's locking self-test that have a meaning here, by the kernel's names.
 *
 * A cell is a scenario and what the validator must say of it. The scenarios are written here, in the groups that the
 * self-test has and as many of each (in 6.1: 394 with raw nesting; without 36 of ww_mutex and 3 of local_lock, 355).
 * What must be said is derived by models that know nothing of the validator: of orders by common/lockdep_model.h, which
 * runs the threads with locks that block; of the rest by a few lines beside each group.
 *
 *	cells	group					counted as
 *	   49	one order against another		7 shapes x 7 kinds of locks
 *	   14	let go twice, initialised while held	2 x 7 kinds
 *	   15	readers and writers of two locks	7 x 2 kinds of locks with readers, 1 with both orders seen before
 *	   24	readers and writers of three locks	4 x 6 sequences
 *	   30	a lock of a handler, signals open	2 x 3 kinds x 2 signals x 2 sequences, and 3 kinds x 2 sequences
 *	   72	what depends on a lock of a handler	2 x 3 kinds x 2 signals x 6 sequences
 *	   36	written there, read in a handler	3 kinds x 2 signals x 6 sequences
 *	   72	readers interrupted by readers		3 x 2 (read, written) x 2 signals x 6 sequences
 *	    3	readers behind waiting writers, or not	3
 *	    3	memory asked for inside of reclaim	3
 *	   36	what may be taken in a context		9 contexts x 4 locks
 *	    1	two handlers at one chain of orders	1
 *
 * Hard and soft interrupts are two signals. Signal 1 is kept out by local_irq_disable(), which keeps all out, signal 2
 * alone. A scenario is words of a mode and a lock, as in the model, parts divided by '|':
 *
 *	w exclusive   r reader   u let go   i initialised   h2 first: in the handler of signal 2
 *	d- local_irq_disable()   e- local_irq_enable()   b2 o2 signal 2 alone blocked, open
 *
 * Lock E is another one of A's class. A part is run by a thread, a handler by a signal; they come one after the other, so that locks
 * are really taken. One that its thread would wait for for ever is taken by its map alone.
 *
 * Libraries in which recursive readers wait as writers do, and in which handlers come to nobody, must be caught (39,
 * 43), and so must headers with which handlers wait as threads do (55).
 */
#include "cells.h"

/* ---- what must be said of orders ---- */

/*
 * The model's word for a reader: recursive are those of maps, and as in the kernel a rwlock's in a handler, but not if
 * rwlocks sleep.
 */
static char reader(char kind, int handles)
{
	return kind == 'P' || (kind == 'R' && handles && !NST_COMPAT_RT) ? 'r' : 'q';
}

/* The scenario in the model's words; not 0: there are two of a class, which are one there. */
static int in_model(const char *text, const char *kinds, char *to)
{
	int handles = 0, two = 0;

	for (; *text; text++) {
		if (*text == '|' || *text == ' ') {
			handles = *text == ' ' && handles;
			*to++ = *text;
			continue;
		}
		handles |= *text == 'h';
		if (*text == 'd' || *text == 'e') {
			to += sprintf(to, *text == 'd' ? "b1 b2" : "o1 o2");
		} else {
			const int same = text[1] == 'E';

			two |= same;
			*to++ = *text == 'r' ? reader(kinds[text[1] - 'A'], handles) : *text;
			*to++ = same ? 'A' : text[1];
		}
		text++;
	}
	*to = 0;
	return two;
}

static enum verdict verdict_of_text(const char *text)
{
	static struct {
		char text[128];
		enum verdict v;
	} known[128];
	static unsigned int nr;
	struct scenario s;
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (!strcmp(known[i].text, text))
			return known[i].v;
	s = scenario_of(text);
	if (nr == ARRAY_SIZE(known))
		check_broken("too many scenarios");
	strcpy(known[nr].text, text);
	known[nr].v = verdict_of(&s, 0);
	return known[nr++].v;
}

static enum verdict wanted(const char *text, const char *kinds)
{
	char words[128];
	const int two = in_model(text, kinds, words);
	const enum verdict v = verdict_of_text(words);

	return two && v == ERROR ? POSSIBLE : v;
}

/* With RT a handler takes none of these: they sleep. */
static unsigned int handler_waits(const char *text, const char *kinds)
{
	int handles = 0;

	for (; *text; text++) {
		handles = *text != '|' && (handles || *text == 'h');
		if (NST_COMPAT_RT && handles && (*text == 'w' || *text == 'r') &&
		    strchr("SR", kinds[text[1] - 'A']))
			return 1;
	}
	return 0;
}

/* One cell, the parts as they are written. */
static void as_written(const char *text, const char *kinds)
{
	const struct cell c = {text, kinds, wanted(text, kinds), handler_waits(text, kinds), 0};
	const char *part[PARTS];
	const unsigned int nr = parts_of(text, part);

	nr_wrong += !is_right(&c, part, nr);
}

static void in_each_sequence(const char *text, const char *kinds)
{
	const struct cell c = {text, kinds, wanted(text, kinds), handler_waits(text, kinds), 0};
	const char *part[PARTS];
	const unsigned int nr = parts_of(text, part);

	sequences(&c, part, nr, nr);
}

/* @shape with its letters: '.' mode, 'N' the signal, 'X' and 'Y' closed and open for it. */
static const char *filled(const char *shape, char mode, int signal, char *to)
{
	static const char *const closed[] = {"d-", "b2"}, *const open[] = {"e-", "o2"};
	char *c = to;

	for (; *shape; shape++) {
		if (*shape == 'X' || *shape == 'Y')
			c += sprintf(c, "%s", (*shape == 'X' ? closed : open)[signal]);
		else
			*c++ = *shape == '.' ? mode : *shape == 'N' ? (char)('1' + signal) : *shape;
	}
	*c = 0;
	return to;
}

/* ---- locks alone ---- */

static const struct {
	const char *kinds;
	char mode;
} kinds7[] = {{"SSSSS", 'w'}, {"RRRRR", 'w'}, {"RRRRR", 'r'}, {"MMMMM", 'w'},
	      {"EEEEE", 'w'}, {"EEEEE", 'r'}, {"TTTTT", 'w'}};

static void shapes(void)
{
	static const char *const shape[] = {
		".A .A uA uA",
		".A .B uB uA|.B .A uA uB",
		".A .B uB uA|.B .C uC uB|.C .A uA uC",
		".A .B uB uA|.C .A uA uC|.B .C uC uB",
		".A .B uB uA|.B .C uC uB|.C .D uD uC|.D .A uA uD",
		".A .B uB uA|.C .D uD uC|.B .D uD uB|.D .A uA uD",
		".A .B uB uA|.C .D uD uC|.B .C uC uB|.D .A uA uD",
	};
	unsigned int i, k;
	char text[128];

	for (i = 0; i < ARRAY_SIZE(shape); i++)
		for (k = 0; k < ARRAY_SIZE(kinds7); k++)
			as_written(filled(shape[i], kinds7[k].mode, 0, text), kinds7[k].kinds);
	done("K10 seven shapes, seven kinds of locks", 49);
}

/* A lock is let go as often as it was taken, and not initialised in between: that is the model. */
static unsigned int balance(const char *text)
{
	unsigned int held = 0, wrong = 0;

	for (; *text; text++) {
		if (*text == 'u' && !held)
			wrong |= CODE(UNLOCK);
		else if (*text == 'u')
			held--;
		else if (*text == 'i' && held)
			wrong |= CODE(INIT);
		else if (*text == 'w' || *text == 'r')
			held++;
	}
	return wrong;
}

static void balances(void)
{
	static const char *const shape[] = {".A uA uA", ".A iA uA"};
	struct cell c = {.want = NONE};
	unsigned int i, k;
	char text[128];

	for (i = 0; i < ARRAY_SIZE(shape); i++) {
		for (k = 0; k < ARRAY_SIZE(kinds7); k++) {
			c.text = filled(shape[i], kinds7[k].mode, 0, text);
			c.kinds = kinds7[k].kinds;
			c.codes = balance(text);
			nr_wrong += !is_right(&c, &c.text, 1);
		}
	}
	done("K10 let go twice, initialised while held", 14);
}

static void readers(void)
{
	/* B is of another kind: it has no readers. */
	static const char *const kinds[] = {"RSRRR", "EMEEE"};
	static const char *const two[] = {
		"rA rA uA uA",
		"rA rE uE uA",
		"rA wA uA uA",
		"wA rA uA uA",
		"rA wB uB uA|wB wA uA uB",
		"rA wB uB uA|wB rA uA uB",
		"wA wB uB uA|wB wA uA uB",
	};
	static const char *const three[] = {
		"wA rB uB uA|wB rC uC uB|wC rA uA uC",
		"wA wB uB uA|rB rC uC uB|rC wA uA uC",
		"wA rB uB uA|rB rC uC uB|wC rA uA uC",
		"rA wB uB uA|rB wC uC uB|rC wA uA uC",
	};
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(two); i++)
		for (k = 0; k < ARRAY_SIZE(kinds); k++)
			as_written(two[i], kinds[k]);
	as_written("rA wB uB uA|wB rA uA uB|wB wA uA uB", kinds[0]);
	done("K10 readers and writers of two locks", 15);
	for (i = 0; i < ARRAY_SIZE(three); i++)
		in_each_sequence(three[i], "PPPPP");
	done("K10 readers and writers of three locks", 24);
}

/* ---- handlers ---- */

static const struct {
	const char *kinds;
	char mode;
} kinds3[] = {{"SSSSS", 'w'}, {"RRRRR", 'w'}, {"RRRRR", 'r'}};

static void each_kind(const char *shape, int signal)
{
	unsigned int k;
	char text[128];

	for (k = 0; k < ARRAY_SIZE(kinds3); k++)
		in_each_sequence(filled(shape, kinds3[k].mode, signal, text), kinds3[k].kinds);
}

static void handlers(void)
{
	int s;

	for (s = 0; s < SIGNALS; s++) {
		each_kind("hN .A uA|.A uA", s);
		each_kind("hN .A uA|X .A Y uA", s);
	}
	each_kind("h2 .A uA|d- .A e- uA", 1);
	done("K10 a lock of a handler where signals are open", 30);
	for (s = 0; s < SIGNALS; s++) {
		each_kind("hN .A uA|.A .B uB uA|.B uB", s);
		each_kind("hN .A uA|X .A .B uB uA Y|.B uB", s);
	}
	done("K10 what depends on a lock of a handler", 72);
}

static void inversions(void)
{
	static const char *const kinds[] = {"RSRRR", "RRRRR"};
	unsigned int k;
	char text[128];
	int s;

	for (s = 0; s < SIGNALS; s++) {
		for (k = 0; k < ARRAY_SIZE(kinds3); k++)
			in_each_sequence(
				filled("hN rA uA|X wA .B uB uA Y|.B uB", kinds3[k].mode, s, text),
				kinds[k != 0]);
	}
	done("K10 written here, read in a handler", 36);
}

static void read_recursion(void)
{
	static const char *const shape[] = {
		"hN wB uB|X wB .A uA uB Y|rA uA",
		"hN rA uA|X wB .A uA uB Y|rA wB uB uA",
		"hN .A uA|X rA wB uB uA Y|wB uB",
	};
	unsigned int i;
	char text[128];
	int s;

	for (i = 0; i < ARRAY_SIZE(shape); i++) {
		for (s = 0; s < SIGNALS; s++) {
			in_each_sequence(filled(shape[i], 'w', s, text), "RSRRR");
			in_each_sequence(filled(shape[i], 'r', s, text), "RSRRR");
		}
	}
	done("K10 readers that handlers interrupt", 72);
	as_written("d- rA wB uB uA e-|h1 wB rA uA uB", "RSRRR");
	as_written("d- wB rA uA uB e-|h1 rA wB uB uA", "RSRRR");
	as_written("h1 wB uB|d- wB rA uA uB e-|rA uA", "RSRRR");
	done("K10 readers behind waiting writers", 3);
	as_written("h1 wA uA|h2 wB uB|d- wA wB uB uA e-|b2 wB uB o2", "SSSSS");
	done("K10 two handlers at one chain of orders", 1);
}

/* ---- reclaim ---- */

/* A request comes to callbacks that take clients' locks if it may sleep and is for clients, and no scope says otherwise. */
static int reaches(gfp_t gfp, int scope)
{
	return gfp & __GFP_DIRECT_RECLAIM && gfp & __GFP_FS && !scope;
}

static void reclaim_cell(const char *name, gfp_t gfp, int scope)
{
	unsigned int flags = 0;

	forget();
	fs_reclaim_acquire(GFP_KERNEL);
	if (scope)
		flags = memalloc_nofs_save();
	might_alloc(gfp);
	if (scope)
		memalloc_nofs_restore(flags);
	fs_reclaim_release(GFP_KERNEL);
	nr_wrong += !is_said(name, NONE, 0, reaches(gfp, scope) ? CODE(RECLAIM) : 0);
}

static void reclaim(void)
{
	reclaim_cell("GFP_NOFS in reclaim", GFP_NOFS, 0);
	reclaim_cell("GFP_KERNEL in reclaim", GFP_KERNEL, 0);
	reclaim_cell("GFP_KERNEL in a scope in reclaim", GFP_KERNEL, 1);
	done("K10 memory asked for in reclaim", 3);
}

/* ---- contexts ---- */

/* What each leaves to be done in it, and what each lock does, by the kernel's levels: the model. */
enum level { SPINS = 2, SHORT, SLEEPS };

static const struct {
	const char *name;
	enum level leaves;
} context[] = {
	{"a handler that stays one", SPINS},
	{"a handler of signal 1", NST_COMPAT_RT ? SPINS : SHORT},
	{"a handler of signal 2", NST_COMPAT_RT ? SPINS : SHORT},
	{"an RCU reader", SHORT},
	{"a section that takes short locks", SHORT}, /* as of RCU-bh */
	{"a section that spins alone", SPINS},	     /* as of RCU-sched */
	{"a raw lock", SPINS},
	{"a spinlock", SHORT},
	{"a mutex", SLEEPS},
};
#define CONTEXTS ARRAY_SIZE(context)
static const enum level does[] = {0, SPINS, SHORT, SLEEPS};
static const char *const wanted_name[] = {"RCU reader", "raw lock", "spinlock", "mutex"};

static raw_spinlock_t raw_held, raw_wanted;
static unsigned int in, want; /* of the cell that runs */

static void take_wanted(void)
{
	switch (want) {
	case 0:
		rcu_read_lock();
		rcu_read_unlock();
		break;
	case 1:
		raw_spin_lock(&raw_wanted);
		raw_spin_unlock(&raw_wanted);
		break;
	case 2:
		take('S', 1, 'w');
		give('S', 1, 'w');
		break;
	default:
		take('M', 1, 'w');
		give('M', 1, 'w');
	}
}

static void handler_wants(int number)
{
	if (!in) {
		nst_compat_irq_enter_nothread(number);
		take_wanted();
		nst_compat_irq_exit_nothread();
	} else {
		nst_compat_irq_enter(number);
		take_wanted();
		nst_compat_irq_exit();
	}
}

static void in_handler(int number)
{
	signal(number, handler_wants);
	raise(number);
	signal(number, handler);
}

static void in_section(enum lockdep_wait_type inner)
{
	lockdep_init_map_waits(&l.map[0], "section", &key[0], 0, inner, LD_WAIT_FREE);
	lock_map_acquire_read(&l.map[0]);
	take_wanted();
	lock_map_release(&l.map[0]);
}

static void *run_context(void *arg)
{
	switch (in) {
	case 0:
	case 1:
	case 2:
		in_handler(signal_of[in == 2]);
		break;
	case 3:
		rcu_read_lock();
		take_wanted();
		rcu_read_unlock();
		break;
	case 4:
		in_section(LD_WAIT_CONFIG);
		break;
	case 5:
		in_section(LD_WAIT_SPIN);
		break;
	case 6:
		raw_spin_lock(&raw_held);
		take_wanted();
		raw_spin_unlock(&raw_held);
		break;
	default:
		take(in == 7 ? 'S' : 'M', 0, 'w');
		take_wanted();
		give(in == 7 ? 'S' : 'M', 0, 'w');
	}
	return arg;
}

static void make_all(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		make('S', (int)i);
		make('M', (int)i);
		lockdep_set_class(&l.spin[i], &key[i]);
		lockdep_set_class(&l.mutex[i], &key[2 + i]);
	}
	raw_spin_lock_init(&raw_held);
	raw_spin_lock_init(&raw_wanted);
}

static void contexts(void)
{
	char name[128];

	for (in = 0; in < CONTEXTS; in++) {
		for (want = 0; want < ARRAY_SIZE(does); want++) {
			forget();
			make_all();
			in_thread(run_context, NULL);
			snprintf(name, sizeof(name), "%s in %s", wanted_name[want],
				 context[in].name);
			nr_wrong += !is_said(name, NONE, does[want] > context[in].leaves, 0);
		}
	}
	done("K10 what may be taken in a context", CONTEXTS * ARRAY_SIZE(does));
}

/* The test must be able to fail: cells with a verdict that is wrong. */
static void planted(void)
{
	static const struct cell wrong[] = {
		{"wA wB uB uA|wB wA uA uB", "MMMMM", NONE, 0, 0},
		{"h1 rA uA|d- rA uA e-", "RRRRR", ERROR, NST_COMPAT_RT, 0},
	};
	const char *part[PARTS];
	unsigned int i, nr;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		nr = parts_of(wrong[i].text, part);
		check(!is_right(&wrong[i], part, nr),
		      i ? "K10 a wrong cell is found: an error where signals are blocked"
			: "K10 a wrong cell is found: none for an inversion",
		      "it passed");
	}
	nr_cells = 0;
}

int main(void)
{
	int s;

	check_deadline(100, "K10 the table comes to an end");
	nst_lockdep_on_report(on_report, NULL);
	if (nst_lockdep_start(NST_LD_POSSIBLE))
		check_broken("nst_lockdep_start");
	for (s = 0; s < SIGNALS; s++) {
		signal(signal_of[s], handler);
		nst_handler_installed(signal_of[s]);
	}
	shapes();
	balances();
	readers();
	handlers();
	inversions();
	read_recursion();
	reclaim();
	contexts();
	check(nr_all == 355, "K10 355 cells", "%u", nr_all);
	planted();
	forget();
	nst_lockdep_stop();
	return check_status();
}
