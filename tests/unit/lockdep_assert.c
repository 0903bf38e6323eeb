/* SPDX-License-Identifier: MIT */
/*
 * lockdep_assert.c - V29: code says that it is only done in a section, or in a handler; a limit to how long a lock is held is
 * there from the start.
 *
 * A library in which that is always so must be caught (75).
 */
#include <time.h>
#include "unit/lockdep.h"
#include "common/trap.h"

TEST_CONF("check:on,check_hold:1000")

static struct nst_lockdep_map a = NST_LOCKDEP_MAP("a", NULL, NST_WAIT_SLEEP);

/* By the option: before anything else is done. */
static void held_long(void)
{
	struct timespec ts = {0, 20000000};

	nst_lockdep_acquire(&a, 0);
	nanosleep(&ts, NULL);
	nst_lockdep_release(&a);
	one_report(NST_NL_LONG, NST_LD_ERROR,
		   "V29 held for longer than the option check_hold has it");
	nst_lockdep_hold_limit(0);
	nst_lockdep_acquire(&a, 0);
	nanosleep(&ts, NULL);
	nst_lockdep_release(&a);
	no_report("V29 until the program says something else");
}

static void begin(enum nst_section s)
{
	nst_section_begin_on(s, s == NST_SECTION_ALLOW ? "a test" : NULL);
}

static void says(const char *words, const char *name)
{
	check(strstr(last_text, words) != NULL, name, "%s", last_text);
}

static void *asserts(void *section)
{
	nst_assert_section(*(const enum nst_section *)section);
	return NULL;
}

/* @level: as it is told. */
static void sections(enum nst_lockdep_level level)
{
	static const char *const words[NST_NR_SECTIONS] = {
		"in no section that must not block at", "in no section that must not allocate at",
		"in no section that is allowed to at", "in no section that has no page fault at"};
	enum nst_section s, other;

	for (s = 0; s < NST_NR_SECTIONS; s++) {
		other = s == NST_SECTION_NOALLOC ? NST_SECTION_ALLOW : NST_SECTION_NOALLOC;
		begin(s);
		nst_assert_section(s);
		begin(s);
		nst_section_end_on(s);
		nst_assert_section(s);
		nst_section_end_on(s);
		/* A page may have to be waited for: lockdep_measured has that. */
		if (s == NST_SECTION_NOFAULT)
			forget();
		no_report("V29 in a section, and one in it: nothing");
		begin(other);
		nst_assert_section(s);
		nst_section_end_on(other);
		says(words[s], "V29 it says of which kind there is none");
		one_report(NST_NL_HELD, level, "V29 in one of another kind");
		nst_assert_section(s);
		one_report(NST_NL_HELD, level, "V29 in none");
		begin(s);
		in_thread(asserts, &s);
		nst_section_end_on(s);
		if (s == NST_SECTION_NONBLOCK || s == NST_SECTION_NOFAULT)
			forget(); /* which waited in it */
		else
			one_report(NST_NL_HELD, level, "V29 in another thread's");
	}
}

static void handlers(enum nst_lockdep_level level)
{
	nst_handler_enter(10);
	nst_assert_handler();
	nst_handler_exit();
	no_report("V29 in a handler: nothing");
	nst_assert_handler();
	says("in no handler at", "V29 it says that there is none");
	one_report(NST_NL_HELD, level, "V29 in no handler");
	nst_nonblock_begin();
	nst_handler_enter(10);
	nst_assert_section(NST_SECTION_NONBLOCK);
	nst_handler_exit();
	nst_nonblock_end();
	no_report("V29 a handler is in the sections of whom it interrupts");
}

static void ends_alone(enum nst_lockdep_level level)
{
	nst_section_end_on(NST_SECTION_NOALLOC);
	one_report(NST_NL_SECTION, level, "V4 a section's end without a beginning");
	nst_handler_exit();
	one_report(NST_NL_SECTION, level, "V12 a handler's");
	nst_reclaiming_end();
	one_report(NST_NL_SECTION, level, "V13 reclaim's");
}

int main(int argc, char **argv)
{
	(void)argc;
	conf_apply(argv);
	nst_free(nst_alloc(1, NST_NORMAL)); /* so that the library is there, and has begun */
	nst_lockdep_on_report(keep, NULL);
	held_long();
	sections(NST_LD_ERROR);
	handlers(NST_LD_ERROR);
	ends_alone(NST_LD_ERROR);
	nst_nonblock_begin();
	nst_lockdep_stop();
	start_checking();
	nst_assert_section(NST_SECTION_NONBLOCK);
	one_report(NST_NL_HELD, NST_LD_POSSIBLE,
		   "V29 it may have begun while nobody looked: possible");
	sections(NST_LD_POSSIBLE);
	handlers(NST_LD_POSSIBLE);
	ends_alone(NST_LD_POSSIBLE);
	nst_lockdep_stop();
	nst_assert_section(NST_SECTION_NOALLOC);
	nst_assert_handler();
	no_report("V29 off: nothing");
	return check_status();
}
