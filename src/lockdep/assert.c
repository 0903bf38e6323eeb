/* SPDX-License-Identifier: MIT */
/*
 * assert.c - what code says of where it is done: in a section, in a handler.
 */
#include "held.h"

/* A broken variant that the tests must catch. */
#if defined(NST_TEST) && defined(NST_BUSTED) && NST_BUSTED == 75 /* it is always so */
#define ALWAYS_SO 1
#else
#define ALWAYS_SO 0
#endif

static void say(struct nst_ld_thread *t, const char *why, const void *ip)
{
	nst_ld_report(t, NST_NL_HELD, nst_ld_level_of_unseen(), 0, NULL, ip, why);
}

void nst_section_assert_on(enum nst_section section)
{
	static const char *const outside[NST_NR_SECTIONS] = {
		"in no section that must not block at", "in no section that must not allocate at",
		"in no section that is allowed to at", "in no section that has no page fault at"};
	struct nst_ld_thread *t = this_thread();

	if (t && !t->depth[section] && !ALWAYS_SO)
		say(t, outside[section], __builtin_return_address(0));
}

void nst_handler_assert_on(void)
{
	struct nst_ld_thread *t = this_thread();

	if (t && !t->handlers && !ALWAYS_SO)
		say(t, "in no handler at", __builtin_return_address(0));
}
