/* SPDX-License-Identifier: MIT */
/*
 * lockdep_held.c - V23: what is known to be right is not looked at again, until something changes that could make it wrong.
 *
 * Each arrangement is repeated until it goes the short way; then one thing changes, and it must be seen.
 */
#include <pthread.h>
#include <stdlib.h>
#include "unit/lockdep.h"

static struct nst_lockdep_map a = NST_LOCKDEP_MAP("a", NULL, NST_WAIT_SLEEP),
			      b = NST_LOCKDEP_MAP("b", NULL, NST_WAIT_SLEEP),
			      c = NST_LOCKDEP_MAP("c", NULL, NST_WAIT_SLEEP),
			      spin = NST_LOCKDEP_MAP("spin", NULL, NST_WAIT_SPIN);
static struct nst_lockdep_map many[200];
static struct nst_lockdep_key other;

/* One line each, for all: it is the line, too, at which a lock is known. */
__attribute__((noinline)) static void take(struct nst_lockdep_map *m)
{
	nst_lockdep_acquire(m, 0);
}

__attribute__((noinline)) static void let_go(struct nst_lockdep_map *m)
{
	nst_lockdep_release(m);
}

static void two(struct nst_lockdep_map *x, struct nst_lockdep_map *y)
{
	take(x);
	take(y);
	let_go(y);
	let_go(x);
}

static uint64_t checked(void)
{
	struct nst_lockdep_stats s;

	nst_lockdep_read(&s, sizeof(s));
	return s.checked;
}

static void again_and_again(struct nst_lockdep_map *x, struct nst_lockdep_map *y)
{
	uint64_t before;
	unsigned int i;

	for (i = 0; i < 3; i++)
		two(x, y);
	before = checked();
	for (i = 0; i < 10; i++)
		two(x, y);
	check_quiet(checked() == before, "V23 known", "it is looked at again");
}

static void limits(void)
{
	again_and_again(&a, &b);
	forget();
	again_and_again(&a, &b);
	/* Under a spinlock that stays when what was around it has gone. */
	take(&c);
	take(&spin);
	let_go(&c);
	take(&a);
	let_go(&a);
	one_report(NST_NL_WAIT, NST_LD_ERROR, "V23 what is let go first takes no limit with it");
	take(&a);
	let_go(&spin);
	take(&b);
	let_go(&b);
	let_go(&a);
	forget();
	two(&c, &a);
	again_and_again(&a, &b);
	no_report("V23 and leaves none");
	nst_nonblock_begin();
	two(&a, &b);
	nst_nonblock_end();
	check(nr_reports > 0 && last.code == NST_NL_BLOCK, "V23 a section begins", "%u reports\n%s",
	      nr_reports, last_text);
	forget();
	again_and_again(&a, &b);
	no_report("V23 and has ended");
}

/* More than the short way holds, with one let go from the middle whose place is taken again. */
static void places(void)
{
	const unsigned int nr = NST_LD_SHORT + 6;
	unsigned int i, turn;

	for (turn = 0; turn < 3; turn++) {
		for (i = 0; i < nr; i++)
			take(&many[i]);
		let_go(&many[10]);
		if (turn == 2)
			take(&spin);
		for (i = nr; i-- > 20;)
			let_go(&many[i]);
		if (turn < 2) {
			take(&many[150]);
			let_go(&many[150]);
		}
		no_report("V23 in places taken again: nothing");
		if (turn == 2) {
			take(&many[150]);
			let_go(&many[150]);
			one_report(NST_NL_WAIT, NST_LD_ERROR,
				   "V23 but for the limit that is in one");
			let_go(&spin);
		}
		for (i = 20; i-- > 0;)
			if (i != 10)
				let_go(&many[i]);
		nst_assert_none_held();
	}
	no_report("V23 all of them let go");
}

static void *b_then_a(void *arg)
{
	two(&b, &a);
	return arg;
}

static void *a_then_b(void *arg)
{
	again_and_again(&a, &b);
	return arg;
}

static void orders(void)
{
	again_and_again(&a, &b);
	again_and_again(&b, &c);
	in_thread(b_then_a, NULL);
	one_report(NST_NL_ORDER, NST_LD_ERROR, "V23 known to one thread, and new to another");
	again_and_again(&a, &b);
	nst_lockdep_reset();
	two(&a, &b);
	in_thread(b_then_a, NULL);
	one_report(NST_NL_ORDER, NST_LD_ERROR, "V23 forgotten, and seen again");
	again_and_again(&a, &b);
	in_thread(a_then_b, NULL);
	again_and_again(&b, &c);
	forget();
	two(&b, &a);
	in_thread(a_then_b, NULL); /* on the block of a thread that knew it */
	one_report(NST_NL_ORDER, NST_LD_ERROR, "V23 what a thread that has gone knew is not known");
	again_and_again(&a, &b);
	nst_lockdep_set_class(&b, "other", &other, 0);
	two(&a, &b);
	nst_lockdep_set_class(&c, "other", &other, 0);
	two(&c, &a);
	check(nr_reports == 1 && last.code == NST_NL_ORDER && strstr(last_text, "other"),
	      "V23 of another class from then on", "%u reports\n%s", nr_reports, last_text);
	nst_lockdep_set_class(&b, "b", NULL, 0);
	nst_lockdep_set_class(&c, "c", NULL, 0);
	forget();
}

static void same(void)
{
	unsigned int i;

	for (i = 0; i < 4; i++) {
		nst_lockdep_acquire(&a, 0);
		nst_lockdep_acquire(&a, 0);
		nst_lockdep_release(&a);
		nst_lockdep_release(&a);
	}
	check(nr_reports > 0 && last.code == NST_NL_SELF,
	      "V23 one that is held is looked at each time", "%u reports\n%s", nr_reports,
	      last_text);
	forget();
	again_and_again(&a, &b);
	nst_lockdep_acquire(&a, 0);
	nst_lockdep_acquire(&b, 0);
	nst_lockdep_pin(&b);
	nst_lockdep_release(&b);
	nst_lockdep_release(&a);
	one_report(NST_NL_PIN, NST_LD_ERROR, "V23 pinned");
	again_and_again(&a, &b);
	nst_lockdep_acquire(&a, 0);
	nst_lockdep_downgrade(&a);
	nst_assert_held_read(&a);
	nst_lockdep_acquire(&b, 0);
	nst_lockdep_release(&b);
	nst_lockdep_release(&a);
	nst_lockdep_release(&a);
	one_report(NST_NL_UNLOCK, NST_LD_ERROR, "V23 let go twice");
}

static void alone(struct nst_lockdep_map *m)
{
	take(m);
	let_go(m);
}

static void interrupted_by(struct nst_lockdep_map *m, const char *name)
{
	nst_handler_enter(10);
	alone(m);
	nst_handler_exit();
	check(nr_reports > 0 && last.code == NST_NL_SIGNAL, name, "%u reports\n%s", nr_reports,
	      last_text);
	forget();
}

static int is_short(void)
{
	return nst_lockdep_self->fast == nst_lockdep_is_on;
}

/* A handler can come, and cannot, by turns: what is known of the one is not of the other. */
static void by_turns(void)
{
	unsigned int i;
	uint64_t open;

	nst_signals_unblock(NST_SIGNAL(10));
	again_and_again(&b, &c);
	check(is_short(), "V23 short also where a handler can come", "it is not");
	open = nst_lockdep_self->seed;
	nst_signals_block(NST_SIGNAL(10));
	for (i = 0; i < 3; i++)
		alone(&a);
	again_and_again(&a, &b);
	check(is_short() && nst_lockdep_self->seed != open,
	      "V23 short where it is blocked, by another tag", "it is not, or by the same");
	nst_signals_unblock(NST_SIGNAL(10));
	alone(&a);
	interrupted_by(&a, "V23 one lock, and then with the signal open");
	nst_signals_block(NST_SIGNAL(10));
	again_and_again(&b, &a);
	nst_signals_unblock(NST_SIGNAL(10));
	two(&b, &a);
	interrupted_by(&a, "V23 two, and then with the signal open");
	nst_signals_block(NST_SIGNAL(10));
	again_and_again(&a, &b);
	for (i = 0; i < 3; i++)
		alone(&b);
	nst_signals_unblock(NST_SIGNAL(10));
	alone(&b);
	interrupted_by(&a, "V23 by way of an order that was seen with it blocked");
}

static void signals(void)
{
	again_and_again(&a, &b);
	nst_handler_installed(10);
	two(&a, &b);
	interrupted_by(&a, "V23 a signal has a handler from now on");
	nst_signals_block(NST_SIGNAL(10));
	again_and_again(&a, &b);
	nst_signals_unblock(NST_SIGNAL(10));
	two(&a, &b);
	interrupted_by(&b, "V23 or is not blocked any more");
	by_turns();
}

static void off_and_on(void)
{
	nst_lockdep_acquire(&a, 0);
	nst_lockdep_stop();
	nst_lockdep_release(&a);
	two(&b, &a);
	start_checking();
	forget();
	nst_lockdep_release(&a);
	again_and_again(&a, &b);
	in_thread(b_then_a, NULL);
	one_report(NST_NL_ORDER, NST_LD_ERROR,
		   "V23 off, and on again: what was seen between is not known");
}

int main(void)
{
	unsigned int i;

	check_deadline(100, "V23 it comes to an end");
	for (i = 0; i < sizeof(many) / sizeof(many[0]); i++)
		nst_lockdep_map_init(&many[i], "m", NULL, NST_WAIT_SLEEP, NST_WAIT_SLEEP);
	start_checking();
	limits();
	places();
	orders();
	same();
	off_and_on();
	signals();
	nst_lockdep_stop();
	return check_status();
}
