/* SPDX-License-Identifier: MIT */
/*
 * lockdep_context.c - V3 to V6: what a thread holds and is inside of, what is asserted of it, how it may be let go.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "unit/lockdep.h"
#include "unit/storm.h"

static struct nst_lockdep_map a = NST_LOCKDEP_MAP("a", NULL, NST_WAIT_SLEEP),
			      b = NST_LOCKDEP_MAP("b", NULL, NST_WAIT_SLEEP),
			      spin = NST_LOCKDEP_MAP("spin", NULL, NST_WAIT_SPIN),
			      h = NST_LOCKDEP_MAP("handler's", NULL, NST_WAIT_SPIN);

static void sections(void)
{
	nst_nonblock_begin();
	nst_might_sleep();
	nst_allow_begin("a line is printed");
	check(strstr(last_text, "must not block, begun at") != NULL,
	      "V4 the report says where the section began", "%s", last_text);
	nst_allow_end();
	one_report(NST_NL_BLOCK, NST_LD_ERROR, "V4 sleeping in a section that must not block");
	nst_lockdep_acquire(&a, 0);
	nst_lockdep_release(&a);
	one_report(NST_NL_BLOCK, NST_LD_ERROR, "V4 a lock that sleeps in it");
	nst_lockdep_acquire(&a, NST_LD_TRY);
	nst_lockdep_release(&a);
	nst_lockdep_acquire(&spin, 0);
	nst_lockdep_release(&spin);
	no_report("V4 a try, and a lock that spins: nothing");
	nst_might_alloc(NST_NORMAL);
	one_report(NST_NL_BLOCK, NST_LD_ERROR, "V4 NORMAL in it");
	nst_might_alloc(NST_NOWAIT);
	nst_might_alloc(NST_NOLOCK);
	no_report("V4 NOWAIT and NOLOCK in it: nothing");
	nst_allow_begin("the test wants it");
	nst_might_sleep();
	nst_might_alloc(NST_NORMAL);
	nst_allow_end();
	no_report("V4 allowed, with a reason: nothing");
	nst_nonblock_begin();
	nst_nonblock_end();
	nst_might_sleep();
	one_report(NST_NL_BLOCK, NST_LD_ERROR, "V4 sections nest");
	nst_nonblock_end();
	nst_might_sleep();
	no_report("V4 behind its end: nothing");
	nst_nonblock_end();
	one_report(NST_NL_SECTION, NST_LD_POSSIBLE, "V4 an end without a beginning");
	nst_noalloc_begin();
	nst_might_alloc(NST_NOWAIT);
	one_report(NST_NL_ALLOC, NST_LD_ERROR, "V4 NOWAIT in a section that must not allocate");
	nst_might_alloc(NST_NOLOCK);
	nst_might_sleep();
	nst_noalloc_end();
	no_report("V4 NOLOCK in it, and sleeping: nothing");
}

static void assertions(void)
{
	nst_lockdep_acquire(&a, 0);
	nst_assert_held(&a);
	nst_assert_held_write(&a);
	nst_assert_not_held(&b);
	no_report("V5 what is so: nothing");
	nst_assert_not_held(&a);
	one_report(NST_NL_HELD, NST_LD_ERROR, "V5 held, and asserted that not");
	nst_assert_held_read(&a);
	one_report(NST_NL_HELD, NST_LD_ERROR, "V5 held by a writer, and asserted a reader");
	nst_assert_none_held();
	one_report(NST_NL_HELD, NST_LD_ERROR, "V5 asserted that none is held");
	nst_lockdep_downgrade(&a);
	nst_assert_held_read(&a);
	no_report("V5 downgraded, a reader holds it");
	nst_assert_held_write(&a);
	one_report(NST_NL_HELD, NST_LD_ERROR, "V5 downgraded, no writer does");
	nst_lockdep_release(&a);
	nst_assert_none_held();
	no_report("V5 none is held");
	nst_assert_held(&a);
	one_report(NST_NL_HELD, NST_LD_ERROR, "V5 let go, and asserted held");
}

static void pins(void)
{
	nst_lockdep_acquire(&a, 0);
	nst_lockdep_pin(&a);
	nst_lockdep_unpin(&a);
	no_report("V5 pinned and unpinned");
	nst_lockdep_unpin(&a);
	one_report(NST_NL_PIN, NST_LD_ERROR, "V5 unpinned that was not");
	nst_lockdep_pin(&a);
	nst_lockdep_release(&a);
	one_report(NST_NL_PIN, NST_LD_ERROR, "V5 let go while pinned");
	nst_lockdep_pin(&a);
	one_report(NST_NL_PIN, NST_LD_ERROR, "V5 pinned that is not held");
}

static void *take_and_go(void *arg)
{
	nst_lockdep_acquire(arg, 0);
	return NULL;
}

static void *take_and_let_go(void *arg)
{
	nst_lockdep_acquire(arg, 0);
	nst_lockdep_release(arg);
	return NULL;
}

static void balance(void)
{
	nst_lockdep_acquire(&a, 0);
	nst_lockdep_acquire(&b, 0);
	nst_lockdep_release(&a);
	nst_lockdep_release(&b);
	no_report("V5 let go in another order: nothing");
	nst_lockdep_release(&a);
	one_report(NST_NL_UNLOCK, NST_LD_ERROR, "V5 let go twice");
	nst_lockdep_acquire(&a, 0);
	nst_lockdep_map_destroy(&a);
	one_report(NST_NL_INIT, NST_LD_ERROR, "V5 destroyed while held");
	nst_assert_none_held();
	no_report("V5 and then it is not held");
	in_thread(take_and_let_go, &a);
	no_report("V5 a thread that ends with nothing held");
	in_thread(take_and_go, &a);
	check(strstr(last_text, "lock a (") != NULL, "V5 the report names the lock", "%s",
	      last_text);
	one_report(NST_NL_EXIT, NST_LD_ERROR, "V5 a thread that ends with a lock held");
	/* Taken while nothing was checked: who knows? */
	nst_lockdep_stop();
	nst_lockdep_acquire(&b, 0);
	start_checking();
	nst_lockdep_release(&b);
	no_report("V5 taken before the start, let go after it: nothing");
	nst_lockdep_acquire(&b, 0);
	nst_lockdep_stop();
	nst_lockdep_release(&b);
	start_checking();
	nst_assert_none_held();
	no_report("V5 let go between stop and start: not held");
}

static void overrides(void)
{
	static struct nst_lockdep_map lift = {.name = "lift",
					      .outer = NST_WAIT_NONE,
					      .inner = NST_WAIT_SLEEP,
					      .flags = NST_LD_OVERRIDE};

	nst_lockdep_acquire(&spin, 0);
	nst_lockdep_acquire(&lift, NST_LD_TRY);
	nst_might_sleep();
	nst_lockdep_release(&lift);
	no_report("V3 a limit that is lifted");
	nst_might_sleep();
	one_report(NST_NL_WAIT, NST_LD_ERROR, "V3 and back");
	nst_lockdep_release(&spin);
	nst_lockdep_acquire(&a, 0);
	nst_might_sleep();
	nst_lockdep_release(&a);
	no_report("V3 sleeping with a mutex held: nothing");
	nst_lockdep_acquire(&spin, 0);
	nst_might_lock(&a);
	nst_lockdep_release(&spin);
	one_report(NST_NL_WAIT, NST_LD_ERROR, "V3 what might be taken is judged as if it was");
	nst_assert_none_held();
	no_report("V3 and is not held");
}

static void classes(void)
{
	static struct nst_lockdep_key key;
	struct nst_lockdep_map m[2], other;

	nst_lockdep_map_init(&m[0], "m", &key, NST_WAIT_SLEEP, NST_WAIT_SLEEP);
	nst_lockdep_map_init(&m[1], "m", &key, NST_WAIT_SLEEP, NST_WAIT_SLEEP);
	nst_lockdep_map_init(&other, "other", NULL, NST_WAIT_SLEEP, NST_WAIT_SLEEP);
	nst_lockdep_acquire(&m[0], 0);
	nst_lockdep_acquire(&m[1], 0);
	nst_lockdep_release(&m[1]);
	one_report(NST_NL_NEST, NST_LD_POSSIBLE, "V2 two of a class");
	nst_lockdep_acquire(&m[1], NST_LD_NESTED(1));
	nst_lockdep_release(&m[1]);
	no_report("V2 nested, and said so: nothing");
	nst_lockdep_set_class(&m[1], NULL, &key, 2);
	nst_lockdep_acquire(&m[1], 0);
	nst_lockdep_release(&m[1]);
	no_report("V2 of another subclass: nothing");
	nst_lockdep_release(&m[0]);
	/* By class: never met, and yet. */
	nst_lockdep_set_class(&m[1], NULL, &key, 0);
	nst_lockdep_acquire(&m[0], 0);
	nst_lockdep_acquire(&other, 0);
	nst_lockdep_release(&other);
	nst_lockdep_release(&m[0]);
	nst_lockdep_acquire(&other, 0);
	nst_lockdep_acquire(&m[1], 0);
	nst_lockdep_release(&m[1]);
	nst_lockdep_release(&other);
	one_report(NST_NL_ORDER, NST_LD_POSSIBLE, "V2 an inversion by class alone");
}

/* ---- handlers ---- */

static void handler(int sig)
{
	(void)sig;
	nst_lockdep_acquire(&h, 0);
	nst_lockdep_release(&h);
	storm_handled();
}

static void hand_over_hand(void)
{
	nst_lockdep_acquire(&a, 0);
	nst_lockdep_acquire(&b, 0);
	nst_lockdep_release(&a);
	nst_lockdep_release(&b);
}

static void handlers(void)
{
	static const int signals[] = {SIGUSR1, 0};
	struct sigaction sa = {.sa_handler = handler};
	unsigned int handled;

	sigaction(SIGUSR1, &sa, NULL);
	handled = in_storm(signals, hand_over_hand);
	nst_assert_none_held();
	check(handled > 0, "V6 handlers ran", "none");
	no_report(
		"V6 handlers that take locks, between any two instructions: nothing, and nothing stays held");
}

/* The child goes on with what was seen, whoever was at it. */
static void forked(void)
{
	int status = 0;
	pid_t pid;

	nst_lockdep_acquire(&a, 0);
	nst_lockdep_acquire(&b, 0);
	pid = fork();
	if (!pid) {
		nst_assert_held(&a);
		nst_lockdep_release(&b);
		nst_lockdep_release(&a);
		nst_lockdep_acquire(&b, 0);
		nst_lockdep_acquire(&a, 0);
		_exit(nr_reports == 1 && last.code == NST_NL_ORDER ? 0 : 1);
	}
	nst_lockdep_release(&b);
	nst_lockdep_release(&a);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		check_broken("fork");
	check(status == 0, "V6 a child knows what its parent saw", "status 0x%x",
	      (unsigned int)status);
	forget();
}

int main(void)
{
	check_deadline(100, "V6 it comes to an end");
	start_checking();
	sections();
	assertions();
	pins();
	balance();
	overrides();
	classes();
	handlers();
	forked();
	nst_lockdep_stop();
	return check_status();
}
