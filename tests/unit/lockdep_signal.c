/* SPDX-License-Identifier: MIT */
/*
 * lockdep_signal.c - V11, V12, V25: real handlers, told of: what they may do, whom they interrupt, what blocks them.
 *
 * A library for which the kernel's mask alone says what is open must be caught (66).
 */
#include <signal.h>
#include <stdlib.h>
#include "common/trap.h"
#include "unit/lockdep.h"
#include "unit/storm.h"

static struct nst_lockdep_map a = NST_LOCKDEP_MAP("a", NULL, NST_WAIT_SPIN),
			      b = NST_LOCKDEP_MAP("b", NULL, NST_WAIT_SPIN),
			      h = NST_LOCKDEP_MAP("handler's", NULL, NST_WAIT_SPIN);
static void (*does)(void);

static void handler(int sig)
{
	nst_handler_enter(sig);
	does();
	nst_handler_exit();
}

static void install(int sig)
{
	struct sigaction sa = {.sa_handler = handler};

	sigaction(sig, &sa, NULL);
}

static void take_h(void)
{
	nst_lockdep_acquire(&h, 0);
	nst_lockdep_release(&h);
}

static void try_h(void)
{
	nst_lockdep_acquire(&h, NST_LD_TRY);
	nst_lockdep_release(&h);
}

static void take_and_keep(void)
{
	nst_lockdep_acquire(&h, 0);
}

static void requests(void)
{
	nst_might_alloc(NST_NOLOCK);
	nst_might_alloc(NST_FASTTRY);
	nst_free_nolock(nst_alloc_nolock(64));
	no_report("V12 NOLOCK in a handler: nothing");
	nst_might_alloc(NST_NOWAIT);
	check(strstr(last_text, "in a handler of signal 10, begun at") != NULL,
	      "V12 the report names the signal", "%s", last_text);
	one_report(NST_NL_HANDLER, NST_LD_ERROR, "V12 NOWAIT in a handler");
	nst_allow_begin("the test wants it");
	nst_might_alloc(NST_NORMAL);
	nst_allow_end();
	no_report("V12 allowed: nothing");
}

static void may_do(void)
{
	does = requests;
	raise(SIGUSR1);
	nst_might_alloc(NST_NORMAL);
	no_report("V12 behind it: nothing");
	does = take_and_keep;
	raise(SIGUSR1);
	one_report(NST_NL_EXIT, NST_LD_ERROR, "V12 a handler that keeps a lock");
	nst_assert_none_held();
	no_report("V12 and then it is not held");
	nst_handler_exit();
	one_report(NST_NL_SECTION, NST_LD_POSSIBLE, "V12 an end without a beginning");
	nst_lockdep_acquire(&h, 0);
	does = take_h;
	raise(SIGUSR1);
	check(nr_reports > 0 && strstr(last_text, "NL-S") != NULL,
	      "V11 a handler waits for what is held now", "%u reports", nr_reports);
	forget();
	does = try_h;
	raise(SIGUSR1);
	nst_lockdep_release(&h);
	no_report("V11 a handler tries it: nothing");
}

static void blocked(void)
{
	sigset_t set, before;

	does = take_h;
	raise(SIGUSR1);
	nst_signals_block(NST_SIGNAL(SIGUSR1));
	nst_lockdep_acquire(&h, 0);
	nst_lockdep_release(&h);
	no_report("V11 taken where it is blocked: nothing");
	raise(SIGUSR1);
	nst_lockdep_acquire(&h, 0);
	nst_signals_unblock(NST_SIGNAL(SIGUSR1));
	nst_lockdep_release(&h);
	one_report(NST_NL_SIGNAL, NST_LD_ERROR, "V11 unblocked while it is held");
	raise(SIGUSR1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, &before);
	nst_lockdep_acquire(&h, 0);
	nst_lockdep_release(&h);
	no_report("V11 blocked, and not told: nothing");
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	raise(SIGUSR1);
	nst_signals_unblock(NST_SIGNAL(SIGUSR1));
	nst_lockdep_acquire(&h, 0);
	nst_lockdep_release(&h);
	one_report(NST_NL_SIGNAL, NST_LD_ERROR, "V11 and open again, and told");
	raise(SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, &before);
	nst_signals_block(NST_SIGNAL(SIGUSR1));
	nst_lockdep_acquire(&h, 0);
	nst_signals_unblock(NST_SIGNAL(SIGUSR1));
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	nst_lockdep_release(&h);
	one_report(NST_NL_SIGNAL, NST_LD_ERROR, "V25 told before it is open, with it held");
}

static void through_others(void)
{
	struct nst_lockdep_map m[2];
	static struct nst_lockdep_key key;

	does = take_h;
	raise(SIGUSR1);
	nst_signals_block(NST_SIGNAL(SIGUSR1));
	nst_lockdep_acquire(&h, 0);
	nst_lockdep_acquire(&b, 0);
	nst_lockdep_release(&b);
	nst_lockdep_release(&h);
	nst_signals_unblock(NST_SIGNAL(SIGUSR1));
	nst_lockdep_acquire(&b, 0);
	nst_lockdep_release(&b);
	one_report(NST_NL_SIGNAL, NST_LD_POSSIBLE,
		   "V11 what the handler's lock depends on, by one thread: possible");
	/* By class alone. */
	nst_lockdep_map_init(&m[0], "m", &key, NST_WAIT_SPIN, NST_WAIT_SPIN);
	nst_lockdep_map_init(&m[1], "m", &key, NST_WAIT_SPIN, NST_WAIT_SPIN);
	nst_handler_enter(SIGUSR2);
	nst_lockdep_acquire(&m[0], 0);
	nst_lockdep_release(&m[0]);
	nst_handler_exit();
	nst_lockdep_acquire(&m[1], 0);
	nst_lockdep_release(&m[1]);
	one_report(NST_NL_SIGNAL, NST_LD_POSSIBLE, "V11 another lock of the class: possible");
}

/* Held over the first word of a signal. */
static void installed_late(void)
{
	nst_lockdep_acquire(&a, 0);
	nst_handler_installed(SIGHUP);
	nst_lockdep_release(&a);
	nst_handler_enter(SIGHUP);
	nst_lockdep_acquire(&a, 0);
	nst_lockdep_release(&a);
	nst_handler_exit();
	one_report(NST_NL_SIGNAL, NST_LD_ERROR, "V11 held as the handler was installed");
}

/* Each of 16 in the one before, and further ones: all come back. */
static void many_in_each_other(void)
{
	int i;

	for (i = 1; i <= 24; i++)
		nst_handler_enter(i + 30);
	nst_might_alloc(NST_NOLOCK);
	nst_lockdep_acquire(&b, NST_LD_TRY);
	nst_lockdep_release(&b);
	for (i = 1; i <= 24; i++)
		nst_handler_exit();
	nst_assert_none_held();
	nst_might_alloc(NST_NORMAL);
	no_report("V12 handlers in handlers, more than are kept: nothing");
}

static void count(void)
{
	try_h();
	storm_handled();
}

static void handlers_amid_locks(void)
{
	nst_lockdep_acquire(&a, 0);
	nst_handler_enter(SIGALRM);
	nst_lockdep_acquire(&h, NST_LD_TRY);
	nst_lockdep_release(&h);
	nst_handler_exit();
	nst_lockdep_acquire(&b, 0);
	nst_lockdep_release(&a);
	nst_lockdep_release(&b);
}

static void in_a_storm(void)
{
	static const int signals[] = {SIGUSR1, SIGUSR2, 0};
	unsigned int handled;

	/* Before anything else: the first handlers interrupt who holds locks. */
	does = count;
	handled = in_storm(signals, handlers_amid_locks);
	nst_assert_none_held();
	nst_might_alloc(NST_NORMAL);
	check(handled > 0, "V12 handlers ran", "none");
	no_report("V12 handlers begun and ended between any two instructions: nothing stays");
}

/* It starts the validator itself, later than the program. */
TEST_CONF("check:off")

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	check_deadline(100, "V12 it comes to an end");
	start_checking();
	install(SIGUSR1);
	install(SIGUSR2);
	in_a_storm();
	may_do();
	blocked();
	through_others();
	installed_late();
	many_in_each_other();
	nst_lockdep_stop();
	return check_status();
}
