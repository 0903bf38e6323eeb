/* SPDX-License-Identifier: MIT */
/*
 * syscalls_check.c - the steps of docs/syscalls.md that the validator takes, and its functions in the mix.
 */
#include <fcntl.h>
#include <unistd.h>
#define NST_NO_MACROS
#include <nostall/nostall.h>
#include "contract/syscalls.h"

static struct nst_lockdep_map a = NST_LOCKDEP_MAP("a", NULL, NST_WAIT_SLEEP),
			      b = NST_LOCKDEP_MAP("b", NULL, NST_WAIT_SLEEP);

static void ignore(const struct nst_lockdep_report *r, void *arg)
{
	(void)r;
	(void)arg;
}

void path_check_start(void)
{
	begin("check-start");
	must(nst_lockdep_start(NST_LD_ERROR) == 0);
	end();
}

/* The first lock of a thread, and the first of its class. */
void path_check_new(void)
{
	must(nst_lockdep_start(NST_LD_ERROR) == 0);
	begin("check-new");
	nst_lockdep_acquire(&a, 0);
	nst_lockdep_acquire(&b, 0);
	end();
	nst_lockdep_release(&b);
	nst_lockdep_release(&a);
}

void path_check_report(void)
{
	must(nst_lockdep_start(NST_LD_ERROR) == 0);
	nst_lockdep_acquire(&a, 0);
	begin("check-report");
	nst_lockdep_assert_on(&a, NST_LD_NOT_HELD);
	end();
	nst_lockdep_release(&a);
}

void path_check_section(void)
{
	must(nst_lockdep_start(NST_LD_ERROR) == 0);
	nst_lockdep_acquire(&a, 0);
	nst_lockdep_release(&a);
	begin("check-section");
	nst_nonblock_begin();
	nst_allow_begin("who is traced waits at each call");
	nst_nonblock_end();
	end();
	nst_allow_end();
}

void path_check_resident(void)
{
	must(nst_lockdep_start(NST_LD_ERROR) == 0);
	nst_lockdep_acquire(&a, 0);
	nst_lockdep_release(&a);
	begin("check-resident");
	nst_nofault_begin();
	nst_nofault_end();
	end();
}

void path_check_reset(void)
{
	must(nst_lockdep_start(NST_LD_ERROR) == 0);
	begin("check-reset");
	nst_lockdep_reset();
	end();
}

void path_check_watch(void)
{
	must(nst_lockdep_start(NST_LD_ERROR) == 0);
	nst_lockdep_acquire(&a, 0);
	nst_lockdep_contended(&a);
	begin("check-watch");
	must(nst_lockdep_watch() == 0);
	end();
	nst_lockdep_acquired(&a);
	nst_lockdep_release(&a);
}

void path_check_dump(void)
{
	must(nst_lockdep_start(NST_LD_ERROR) == 0);
	/* With the option check this is a place that asks without waiting. */
	nst_free_nolock(nst_alloc_nolock(64));
	begin("check-dump");
	must(nst_lockdep_dump(2, NST_LD_TEXT) == 0);
	end();
}

void path_check_site(void)
{
	must(nst_stock(nst_cache_of_size(64), 64, NST_CPU_ALL) == 0);
	begin("check-site");
	nst_free_nolock(nst_alloc_nolock(64));
	end();
}

/* Nothing is to be reported of it. */
static void spin_first(const char *row)
{
	static struct nst_lockdep_map spin = NST_LOCKDEP_MAP("spin", NULL, NST_WAIT_SPIN);

	must(nst_lockdep_start(NST_LD_ERROR) == 0);
	begin(row);
	nst_lockdep_acquire(&spin, 0);
	nst_lockdep_release(&spin);
	end();
}

void path_check_realtime(void)
{
	spin_first("check-realtime");
}

void path_check_policy(void)
{
	spin_first("check-policy");
}

/* Each of its functions, on, with something to report for those that may. */
void mix_check_all(void)
{
	static struct nst_lockdep_key key;
	struct nst_lockdep_stats s;
	int i;

	MARKED(nst_lockdep_start, nst_lockdep_start(NST_LD_ERROR));
	MARKED(nst_lockdep_on_report, nst_lockdep_on_report(ignore, NULL));
	MARKED(nst_lockdep_on_death, nst_lockdep_on_death(NULL, NULL));
	MARKED(nst_lockdep_set_unwinder, nst_lockdep_set_unwinder(NULL));
	MARKED(nst_lockdep_suppress, nst_lockdep_suppress("NL-PIN locks=nobody's"));
	MARKED(nst_lockdep_suppress, nst_lockdep_suppress("no code"));
	for (i = 0; i < 100; i++) {
		MARKED(nst_lockdep_map_init, nst_lockdep_map_init(&a, "a", i % 2 ? &key : NULL,
								  NST_WAIT_SPIN, NST_WAIT_SPIN));
		MARKED(nst_lockdep_set_class,
		       nst_lockdep_set_class(&b, "b", &key, (unsigned int)i % 8));
		MARKED(nst_lockdep_acquire_on, nst_lockdep_acquire_on(&a, 0, NULL));
		MARKED(nst_lockdep_acquire_on, nst_lockdep_acquire_on(&b, (uint32_t)i % 8, NULL));
		MARKED(nst_lockdep_contended_on, nst_lockdep_contended_on(&b));
		MARKED(nst_lockdep_watchdog, nst_lockdep_watchdog((uint64_t)i % 2));
		MARKED(nst_lockdep_watch, nst_lockdep_watch());
		MARKED(nst_lockdep_acquired_on, nst_lockdep_acquired_on(&b));
		MARKED(nst_lockdep_fresh_on, nst_lockdep_fresh_on(&b, i % 2));
		MARKED(nst_lockdep_might_on, nst_lockdep_might_on(&b, 0));
		MARKED(nst_lockdep_downgrade_on, nst_lockdep_downgrade_on(&b));
		MARKED(nst_lockdep_pin_on, nst_lockdep_pin_on(&b, 1));
		MARKED(nst_lockdep_assert_on,
		       nst_lockdep_assert_on(&b, (enum nst_lockdep_held)(i % 4)));
		MARKED(nst_section_begin_on,
		       nst_section_begin_on((enum nst_section)(i % 4), "a test"));
		MARKED(nst_might_sleep_on, nst_might_sleep_on());
		MARKED(nst_might_alloc_on, nst_might_alloc_on(NST_NORMAL));
		MARKED(nst_section_end_on, nst_section_end_on((enum nst_section)(i % 4)));
		MARKED(nst_cant_sleep_on, nst_cant_sleep_on());
		MARKED(nst_section_assert_on, nst_section_assert_on((enum nst_section)(i % 4)));
		MARKED(nst_handler_assert_on, nst_handler_assert_on());
		MARKED(nst_lockdep_acquire_nest_on, nst_lockdep_acquire_nest_on(&b, 0, &a));
		MARKED(nst_lockdep_release_on, nst_lockdep_release_on(&b));
		MARKED(nst_lockdep_order_on, nst_lockdep_order_on(&a, &b));
		MARKED(nst_lockdep_set_compare_on, nst_lockdep_set_compare_on(&a, NULL));
		MARKED(nst_rcu_read_assert_on, nst_rcu_read_assert_on(i % 2));
		MARKED(nst_reclaiming_begin_on, nst_reclaiming_begin_on((uint32_t)i % 4));
		MARKED(nst_reclaiming_end_on, nst_reclaiming_end_on());
		MARKED(nst_handler_installed_on, nst_handler_installed_on(10));
		MARKED(nst_handler_enter_on, nst_handler_enter_on(10 + i % 2));
		MARKED(nst_signals_block_on, nst_signals_block_on(NST_SIGNAL(12)));
		MARKED(nst_signals_unblock_on, nst_signals_unblock_on(NST_SIGNAL(12)));
		MARKED(nst_handler_exit_on, nst_handler_exit_on());
		MARKED(nst_lockdep_release_on, nst_lockdep_release_on(&b));
		MARKED(nst_lockdep_map_destroy, nst_lockdep_map_destroy(&a));
		MARKED(nst_lockdep_reset, nst_lockdep_reset());
	}
	MARKED(nst_lockdep_hold_limit, nst_lockdep_hold_limit(0));
	MARKED(nst_lockdep_expect, nst_lockdep_expect(NST_NL_ORDER));
	MARKED(nst_lockdep_expected, nst_lockdep_expected());
	MARKED(nst_lockdep_read, nst_lockdep_read(&s, sizeof(s)));
	MARKED(nst_lockdep_needless, nst_lockdep_needless());
	MARKED(nst_lockdep_dump, nst_lockdep_dump(2, NST_LD_DOT));
	MARKED(nst_lockdep_stop, nst_lockdep_stop());
}
