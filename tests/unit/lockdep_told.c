/* SPDX-License-Identifier: MIT */
/*
 * lockdep_told.c - V16: what a program says of its classes, and that something cannot sleep; V22: of an object that is new.
 */
#include <stdlib.h>
#include <time.h>
#include "unit/lockdep.h"

static struct nst_lockdep_map a = NST_LOCKDEP_MAP("a", NULL, NST_WAIT_SLEEP),
			      b = NST_LOCKDEP_MAP("b", NULL, NST_WAIT_SLEEP),
			      spin = NST_LOCKDEP_MAP("spin", NULL, NST_WAIT_SPIN);
static struct nst_lockdep_key key;
static struct nst_lockdep_map m[3];

static void take(struct nst_lockdep_map *x, struct nst_lockdep_map *y)
{
	nst_lockdep_acquire(x, 0);
	nst_lockdep_acquire(y, 0);
	nst_lockdep_release(y);
	nst_lockdep_release(x);
}

static void orders(void)
{
	nst_lockdep_order(&a, &b);
	take(&a, &b);
	no_report("V16 taken as declared: nothing");
	nst_lockdep_order(&a, &b);
	take(&b, &a);
	one_report(NST_NL_ORDER, NST_LD_ERROR, "V16 taken against a declared order, once");
	take(&b, &a);
	nst_lockdep_order(&a, &b);
	one_report(NST_NL_ORDER, NST_LD_ERROR, "V16 declared against an order that was seen");
}

static int by_address(const struct nst_lockdep_map *x, const struct nst_lockdep_map *y)
{
	return x < y ? -1 : x > y;
}

static void within_a_class(void)
{
	unsigned int i;

	for (i = 0; i < 3; i++)
		nst_lockdep_map_init(&m[i], "m", &key, NST_WAIT_SLEEP, NST_WAIT_SLEEP);
	nst_lockdep_acquire(&a, 0);
	nst_lockdep_acquire_nest(&m[1], 0, &a);
	nst_lockdep_acquire_nest(&m[0], 0, &a);
	nst_lockdep_acquire_nest(&m[2], 0, &a);
	for (i = 0; i < 3; i++)
		nst_lockdep_release(&m[i]);
	nst_lockdep_release(&a);
	no_report("V16 several with a lock around them: nothing");
	nst_lockdep_acquire_nest(&m[0], 0, &a);
	nst_lockdep_release(&m[0]);
	one_report(NST_NL_HELD, NST_LD_ERROR, "V16 the lock around them is not held");
	take(&m[0], &m[1]);
	one_report(NST_NL_NEST, NST_LD_POSSIBLE, "V16 nothing said: possible");
	nst_lockdep_set_compare(&m[0], by_address);
	take(&m[0], &m[1]);
	take(&m[0], &m[2]);
	no_report("V16 in the order of the class: nothing");
	take(&m[2], &m[1]);
	one_report(NST_NL_NEST, NST_LD_ERROR, "V16 against it");
	nst_lockdep_set_compare(&m[0], NULL);
}

static void unseen(void)
{
	struct nst_lockdep_map n = {.name = "n", .flags = NST_LD_NOVALIDATE};

	take(&n, &a);
	take(&a, &n);
	no_report("V16 a lock of no order: nothing");
	nst_lockdep_acquire(&n, 0);
	nst_assert_held(&n);
	nst_lockdep_release(&n);
	nst_assert_not_held(&n);
	no_report("V16 and yet it is known to be held");
}

static void *take_b_then_new(void *arg)
{
	take(&b, arg);
	return NULL;
}

/* @n is locked as the object that it is in is made, with @b taken then, and behind it ever after. */
static void made(struct nst_lockdep_map *n, int known_with_lock)
{
	nst_lockdep_map_init(n, "n", &key, NST_WAIT_SLEEP, NST_WAIT_SLEEP);
	nst_lockdep_fresh_begin(n);
	nst_lockdep_acquire(n, 0);
	nst_lockdep_acquire(&b, 0);
	nst_lockdep_release(&b);
	nst_assert_held(n);
	if (!known_with_lock)
		nst_lockdep_release(n);
	nst_lockdep_fresh_end(n);
}

static void fresh(void)
{
	struct nst_lockdep_map n;

	made(&n, 0);
	in_thread(take_b_then_new, &n);
	no_report("V22 locked while nobody knew of it: no order");
	made(&n, 1);
	nst_lockdep_acquire(&b, 0);
	nst_lockdep_release(&b);
	nst_lockdep_release(&n);
	in_thread(take_b_then_new, &n);
	one_report(NST_NL_ORDER, NST_LD_ERROR, "V22 made known with its lock held: an order");
	made(&n, 0);
	take(&n, &b);
	in_thread(take_b_then_new, &n);
	one_report(NST_NL_ORDER, NST_LD_ERROR, "V22 and so it is when it is taken later");
	nst_lockdep_map_init(&n, "n", &key, NST_WAIT_SLEEP, NST_WAIT_SLEEP);
	nst_lockdep_fresh_begin(&n);
	nst_lockdep_acquire(&spin, 0);
	nst_lockdep_acquire(&n, NST_LD_TRY);
	nst_lockdep_release(&n);
	nst_lockdep_release(&spin);
	nst_lockdep_fresh_end(&n);
	no_report("V22 it forbids, and may be tried, as before");
	nst_lockdep_map_destroy(&n);
}

static void cant_sleep(void)
{
	nst_lockdep_acquire(&spin, 0);
	nst_cant_sleep();
	nst_might_sleep_if(0);
	nst_lockdep_release(&spin);
	nst_nonblock_begin();
	nst_cant_sleep();
	nst_nonblock_end();
	nst_handler_enter(10);
	nst_cant_sleep();
	nst_handler_exit();
	no_report("V16 cannot sleep, and that is so: nothing");
	nst_lockdep_acquire(&spin, 0);
	nst_might_sleep_if(1);
	nst_lockdep_release(&spin);
	one_report(NST_NL_WAIT, NST_LD_ERROR, "V16 it may sleep if that is so, and it is");
	nst_lockdep_acquire(&a, 0);
	nst_cant_sleep();
	nst_lockdep_release(&a);
	one_report(NST_NL_HELD, NST_LD_ERROR, "V16 nothing forbids to sleep");
}

static void held_long(void)
{
	struct timespec ts = {0, 20000000};

	nst_lockdep_hold_limit(3600000000u);
	nst_lockdep_acquire(&a, 0);
	nst_lockdep_release(&a);
	no_report("V16 held for less than an hour: nothing");
	nst_lockdep_hold_limit(1000);
	nst_lockdep_acquire(&a, 0);
	nanosleep(&ts, NULL);
	nst_lockdep_release(&a);
	one_report(NST_NL_LONG, NST_LD_ERROR, "V16 held for longer than the limit");
	nst_lockdep_hold_limit(0);
	nst_lockdep_acquire(&a, 0);
	nanosleep(&ts, NULL);
	nst_lockdep_release(&a);
	no_report("V16 no limit: nothing");
}

int main(void)
{
	check_deadline(100, "V16 it comes to an end");
	start_checking();
	orders();
	within_a_class();
	unseen();
	fresh();
	cant_sleep();
	held_long();
	nst_lockdep_stop();
	return check_status();
}
