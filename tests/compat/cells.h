/* SPDX-License-Identifier: MIT */
/*
 * cells.h - a cell is run: its parts one after the other, each by a thread or in a handler, with the kernel's locks.
 */
#ifndef TEST_COMPAT_CELLS_H
#define TEST_COMPAT_CELLS_H

#include <linux/hardirq.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/rtmutex.h>
#include <linux/rwsem.h>
#include <linux/sched/mm.h>
#include <linux/spinlock.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "common/check.h"
#include "common/lockdep_model.h"

#define LETTERS 5 /* A to E */

static const char *const verdict_name[] = {"none", "possible", "error"};
static const int signal_of[SIGNALS] = {SIGUSR1, SIGUSR2};

/* ---- locks, by one letter a kind ---- */

static struct {
	spinlock_t spin[LETTERS];
	rwlock_t rw[LETTERS];
	struct mutex mutex[LETTERS];
	struct rw_semaphore sem[LETTERS];
	struct rt_mutex rt[LETTERS];
	struct lockdep_map map[LETTERS]; /* whose readers are recursive */
} l;
static struct lock_class_key key[LETTERS];

static struct lockdep_map *map_of(char kind, int i)
{
	switch (kind) {
	case 'S':
		return &l.spin[i].dep_map;
	case 'R':
		return &l.rw[i].dep_map;
	case 'M':
		return &l.mutex[i].dep_map;
	case 'E':
		return &l.sem[i].dep_map;
	case 'T':
		return &l.rt[i].dep_map;
	default:
		return &l.map[i];
	}
}

static void make(char kind, int i)
{
	switch (kind) {
	case 'S':
		spin_lock_init(&l.spin[i]);
		break;
	case 'R':
		rwlock_init(&l.rw[i]);
		break;
	case 'M':
		mutex_init(&l.mutex[i]);
		break;
	case 'E':
		init_rwsem(&l.sem[i]);
		break;
	case 'T':
		rt_mutex_init(&l.rt[i]);
		break;
	default:
		lockdep_init_map(&l.map[i], "map", &key[i], 0);
	}
}

static void take(char kind, int i, char mode)
{
	switch (kind) {
	case 'S':
		spin_lock(&l.spin[i]);
		break;
	case 'R':
		mode == 'r' ? read_lock(&l.rw[i]) : write_lock(&l.rw[i]);
		break;
	case 'M':
		mutex_lock(&l.mutex[i]);
		break;
	case 'E':
		mode == 'r' ? down_read(&l.sem[i]) : down_write(&l.sem[i]);
		break;
	case 'T':
		rt_mutex_lock(&l.rt[i]);
		break;
	default:
		if (mode == 'r')
			lock_map_acquire_read(&l.map[i]);
		else
			lock_map_acquire(&l.map[i]);
	}
}

static void give(char kind, int i, char mode)
{
	switch (kind) {
	case 'S':
		spin_unlock(&l.spin[i]);
		break;
	case 'R':
		mode == 'r' ? read_unlock(&l.rw[i]) : write_unlock(&l.rw[i]);
		break;
	case 'M':
		mutex_unlock(&l.mutex[i]);
		break;
	case 'E':
		mode == 'r' ? up_read(&l.sem[i]) : up_write(&l.sem[i]);
		break;
	case 'T':
		rt_mutex_unlock(&l.rt[i]);
		break;
	default:
		lock_map_release(&l.map[i]);
	}
}

/* ---- a cell ---- */

struct cell {
	const char *text, *kinds; /* of locks A to E */
	enum verdict want;	  /* of orders */
	unsigned int waits;	  /* an invalid wait context, too */
	unsigned int codes;	  /* and these */
};

#define CODE(name) (1u << NST_NL_##name)
#define ORDERS (CODE(ORDER) | CODE(SELF) | CODE(SIGNAL) | CODE(NEST))

static enum verdict worst;
static unsigned int waits, codes;
static char last[4096];

static void on_report(const struct nst_lockdep_report *r, void *arg)
{
	enum verdict v = r->level == NST_LD_ERROR ? ERROR : POSSIBLE;

	(void)arg;
	if (1u << r->code & ORDERS)
		worst = v > worst ? v : worst;
	else if (r->code == NST_NL_WAIT)
		waits = 1;
	else
		codes |= 1u << r->code;
	snprintf(last, sizeof(last), "%.*s", (int)r->len, r->text);
}

static void forget(void)
{
	nst_lockdep_reset();
	worst = NONE;
	waits = codes = 0;
	last[0] = 0;
}

static unsigned int nr_cells, nr_wrong, nr_all;

static int is_said(const char *name, enum verdict want, unsigned int want_waits,
		   unsigned int want_codes)
{
	nr_cells++;
	if (worst == want && waits == want_waits && codes == want_codes)
		return 1;
	printf("# %s: said %s%s 0x%x, must be %s%s 0x%x; the last report:\n%s\n", name,
	       verdict_name[worst], waits ? " WAIT" : "", codes, verdict_name[want],
	       want_waits ? " WAIT" : "", want_codes, last);
	return 0;
}

static void done(const char *name, unsigned int nr)
{
	check(nr_cells == nr && !nr_wrong, name, "%u cells, %u wrong", nr_cells, nr_wrong);
	printf("# %s: %u cells\n", name, nr_cells);
	nr_all += nr_cells;
	nr_cells = nr_wrong = 0;
}

/* ---- its threads ---- */

/* What a part holds of a lock. */
struct taken {
	unsigned int nr, written;
	char mode[4];
	int real[4];
};

static void take_word(struct taken *t, char kind, int i, char mode)
{
	const int real = kind == 'P' || !(t->nr && (t->written || mode == 'w'));

	if (real)
		take(kind, i, mode);
	else
		lock_acquire(map_of(kind, i), 0, 0, mode == 'r', 1, NULL, 0);
	t->written |= mode == 'w';
	t->real[t->nr] = real;
	t->mode[t->nr++] = mode;
}

static void give_word(struct taken *t, char kind, int i)
{
	const unsigned int at = t->nr ? t->nr - 1 : 0; /* nothing: as the last */

	if (t->real[at])
		give(kind, i, t->mode[at]);
	else
		lock_release(map_of(kind, i), 0);
	t->nr = at;
	t->written = at ? t->written : 0;
}

static void block_one(int block)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal_of[1]);
	if (!block)
		nst_signals_unblock(NST_SIGNAL(signal_of[1]));
	pthread_sigmask(block ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
	if (block)
		nst_signals_block(NST_SIGNAL(signal_of[1]));
}

static void run_words(const char *text, const char *kinds)
{
	struct taken taken[LETTERS] = {{0}};
	int i;

	for (; *text && *text != '|'; text += 2) {
		while (*text == ' ')
			text++;
		i = text[1] - 'A';
		if (*text == 'd')
			local_irq_disable();
		else if (*text == 'e')
			local_irq_enable();
		else if (*text == 'b' || *text == 'o')
			block_one(*text == 'b');
		else if (*text == 'u')
			give_word(&taken[i], kinds[i], i);
		else if (*text == 'i')
			make(kinds[i], i);
		else
			take_word(&taken[i], kinds[i], i, *text);
	}
}

static struct {
	const char *text, *kinds;
} now; /* of the part that runs */

static void handler(int number)
{
	nst_compat_irq_enter(number);
	run_words(now.text + 2, now.kinds);
	nst_compat_irq_exit();
}

static void *run_part(void *arg)
{
	if (now.text[0] == 'h')
		raise(signal_of[now.text[1] - '1']);
	else
		run_words(now.text, now.kinds);
	return arg;
}

static void in_thread(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	if (pthread_create(&t, NULL, fn, arg))
		check_broken("pthread_create");
	pthread_join(t, NULL);
}

/* The parts of @c in the sequence @part, one after the other. */
static int is_right(const struct cell *c, const char *const *part, unsigned int nr)
{
	static const char *const class[] = {"A", "B", "C", "D", "A"};
	unsigned int i;

	forget();
	for (i = 0; i < LETTERS; i++) {
		make(c->kinds[i], (int)i);
		nst_lockdep_set_class(map_of(c->kinds[i], (int)i), class[i],
				      &key[i % (LETTERS - 1)].nst, 0);
	}
	for (i = 0; i < nr; i++) {
		now.text = part[i];
		now.kinds = c->kinds;
		in_thread(run_part, NULL);
	}
	return is_said(c->text, c->want, c->waits, c->codes);
}

/* Each sequence of the parts is a cell (Heap 1963). */
static void sequences(const struct cell *c, const char **part, unsigned int n, unsigned int nr)
{
	unsigned int i, k;
	const char *p;

	if (n <= 1) {
		nr_wrong += !is_right(c, part, nr);
		return;
	}
	for (i = 0; i < n; i++) {
		sequences(c, part, n - 1, nr);
		k = n % 2 ? 0 : i;
		p = part[n - 1];
		part[n - 1] = part[k];
		part[k] = p;
	}
}

static unsigned int parts_of(const char *text, const char **part)
{
	unsigned int nr = 1;

	for (part[0] = text; *text; text++)
		if (*text == '|')
			part[nr++] = text + 1;
	return nr;
}

#endif
